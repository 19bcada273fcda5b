"""``moesim export`` and ``moesim compare``, from the command line."""

import json

import pytest
from helpers.timelines import check_format, read


@pytest.fixture
def run(simulate):
    assert simulate()[0] == 0
    return "run"


def test_a_run_is_exported_and_the_file_named(moesim, run, tmp_path):
    code, out, err = moesim("export", run, "--perfetto", "hydra.run.dir=seen", "arm=speculative")
    assert (code, err) == (0, "")
    assert "timeline: seen/perfetto.json.gz" in out
    events = read(tmp_path / "seen" / "perfetto.json.gz")
    check_format(events)
    assert {"round", "draft", "verify", "request"} <= {event["name"] for event in events}
    found = json.loads((tmp_path / "seen" / "summary.json").read_text())
    assert found["metrics"]["events"] == len(events)
    again = moesim("compare", run, run, "json=true")
    assert again == (2, "", "moesim: 'run' is named twice; name different runs.\n")
    words = ("export", run, "--perfetto", "max_events=1000", "file=short.json")
    assert "moesim export run --perfetto from_s=" in moesim(*words)[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["export"], "name the folder of a run"),
        (["export", "run"], "--perfetto"),
        (["export", "run", "--perfetto"], "'run' is no folder"),
        (["export", ".", "--perfetto"], "holds no trace of a run"),
        (["export", ".", "--perfetto", "arm=speculativ"], "Did you mean 'speculative'"),
        (["export", ".", "--perfetto", "file=a.txt"], "must end in .json"),
        (["export", ".", "--perfetto", "from_s=3", "to_s=2"], "must be later"),
        (["export", ".", "--perfetto", "max_events=3"], "1000..100000000"),
        (["export", ".", "--perfeto"], "no key=value"),
        (["compare", "run"], "one run is named, and it takes two"),
        (["compare", ".", "run", "jsn=true"], "Did you mean 'json'"),
    ],
)
def test_refused(moesim, words, message):
    code, out, err = moesim(*words)
    assert (code, out) == (2, "")
    assert message in err
