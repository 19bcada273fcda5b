"""``moesim report``: pages lie where they are asked for; what is not whole is refused."""

import pytest
from helpers.plans import plan

from simulator.cli import main
from simulator.report.plan_verdict import verdict
from simulator.study.plan.exports.files import write_plan
from simulator.study.plan.exports.served import started


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("plan")
    write_plan(plan(), " ".join(verdict(plan())), started(plan()), path)
    return path


def test_the_page_lies_in_the_folder_and_the_verdict_is_printed(folder, capsys):
    assert main(["report", str(folder)]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert printed.startswith("Serve Qwen3-235B-A22B at 20 requests/s")
    assert f"report: {folder / 'report.html'}" in printed
    assert (folder / "report.html").read_text("utf-8").startswith("<!doctype html>")


def test_page_and_pictures_go_where_they_are_asked_for(folder, tmp_path):
    assert main(["report", str(folder), "pictures=svg", f"hydra.run.dir={tmp_path}"]) == 0
    assert sorted(path.name for path in tmp_path.rglob("*.*")) == [
        "crossover.svg",
        "max-rate.svg",
        "pareto.svg",
        "report.html",
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], "no folder 'nowhere'"),
        (["pictures=png"], "folder is missing"),
        ([".", "pictures=pgn"], "Did you mean 'png'?"),
        ([".", "picture=png"], "Did you mean 'pictures'?"),
    ],
    ids=["folder", "none", "format", "setting"],
)
def test_what_cannot_be_reported_is_refused(words, said, capsys):
    assert main(["report", *words]) == 2
    assert said in capsys.readouterr().err


def test_help_fits_a_terminal(capsys):
    assert main(["report", "--help"]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80
