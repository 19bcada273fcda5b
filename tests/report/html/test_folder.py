import pytest

from simulator.errors import DataError
from simulator.report.html.folder import kind_of, read_object, require


def make(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}", encoding="utf-8")
    return folder


TRACE = "requests.parquet", "iterations.parquet"


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (("summary.json", *TRACE), "run"),
        (("sweep.json",), "sweep"),
        (("plan.json", "summary.json"), "plan"),
    ],
)
def test_what_lies_there_tells_the_kind(tmp_path, names, kind):
    assert kind_of(make(tmp_path, *names)) == kind


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ((), "holds none of plan.json, sweep.json, summary.json"),
        (("summary.json",), "no requests.parquet and no iterations.parquet"),
        (("requests.parquet.incomplete",), "moesim recover"),
        (("parts/requests.arrows",), "was cut off"),
        (("0/summary.json", "1/summary.json"), "no results of its own, but folders that do"),
    ],
    ids=["empty", "no trace", "incomplete", "parts", "multirun"],
)
def test_a_folder_with_nothing_whole_says_what_it_is(tmp_path, names, words):
    with pytest.raises(DataError, match=words):
        kind_of(make(tmp_path, *names))


def test_a_folder_that_is_not_there_names_the_nearest(tmp_path):
    (tmp_path / "nightly").mkdir()
    with pytest.raises(DataError, match=r"Did you mean '.*nightly'\?"):
        kind_of(tmp_path / "nightl")
    with pytest.raises(DataError, match="no folder"):
        kind_of(tmp_path / "no" / "where")


def test_a_file_is_no_folder(tmp_path):
    with pytest.raises(DataError, match="Give its folder"):
        kind_of(make(tmp_path, "sweep.json") / "sweep.json")


@pytest.mark.parametrize(
    ("text", "words"),
    [(None, "no file"), ("{", "not readable JSON"), ("[]", "no JSON object"), ("\xff", "readable")],
    ids=["gone", "cut off", "list", "bytes"],
)
def test_json_that_cannot_be_read_is_named(tmp_path, text, words):
    path = tmp_path / "plan.json"
    if text is not None:
        path.write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=words):
        read_object(path)


def test_what_a_report_needs_is_named(tmp_path):
    with pytest.raises(DataError, match="lacks verdict, offers"):
        require({"title": 1}, ("title", "verdict", "offers"), tmp_path)
