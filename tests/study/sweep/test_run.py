"""A sweep that is interrupted, killed and shared ends with the dataset of an undisturbed one."""

import errno
import hashlib
import json
from contextlib import nullcontext
from dataclasses import dataclass, field

import pytest

from simulator.errors import ConfigError, InvariantError
from simulator.study.executors import open_executor
from simulator.study.sweep import run
from simulator.study.sweep.composing import compose_points
from simulator.study.sweep.folder import Sweep, plan_sweep
from simulator.study.sweep.grid import read_grid
from simulator.study.sweep.reading import read_points
from simulator.study.sweep.run import BUG, at_work, outcome, run_missing

WORDS = ["speculation.gamma=0,1,-1", "run.seed=range(0,5)", "run.requests=20"]


@dataclass
class Cut:
    """An executor that is interrupted once so many jobs have ended, the last ones first."""

    jobs: int | None = None
    ran: list = field(default_factory=list)

    def run(self, function, items, workers=None):
        for position, item in reversed(list(enumerate(items))):
            if len(self.ran) == self.jobs:
                raise KeyboardInterrupt
            self.ran.append(item)
            yield position, function(item)


@pytest.fixture(autouse=True)
def _figures(monkeypatch):
    """Points that cost nothing: one fails, some lack a figure."""

    def figures(config):
        if config.run.seed == 3:
            raise ConfigError("does not fit")
        seed, gamma = config.run.seed, config.speculation.gamma
        late = {"late": {"p50": 1.0}} if seed == 2 else {}
        return {"slo": {"ttft_s": 2.0}, "share": seed / 2 if seed else 0, "gamma": gamma, **late}

    monkeypatch.setattr(run, "run_point", figures)


@pytest.fixture(scope="module")
def sweep():
    grid = read_grid(WORDS)
    return plan_sweep(grid, list(compose_points(grid)))


def go(sweep, folder, executor, wrap=nullcontext):
    with wrap(), at_work(sweep, folder) as started:
        run_missing(started, executor, 1, lambda _: None)
    return executor


def begin(sweep, folder):
    with at_work(sweep, folder) as started:
        return started


def contents(folder):
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


@pytest.fixture
def undisturbed(sweep, tmp_path):
    go(sweep, tmp_path / "whole", open_executor("processes"))
    return contents(tmp_path / "whole")


def interrupted():
    return pytest.raises(KeyboardInterrupt)


def test_interrupted_three_times_it_loses_nothing_and_ends_the_same(sweep, undisturbed, tmp_path):
    folder = tmp_path / "cut"
    for jobs in (3, 0, 4):  # of 10; five more points cannot be configured
        assert len(go(sweep, folder, Cut(jobs), interrupted).ran) == jobs
    state = json.loads((folder / "sweep.json").read_text())
    assert (state["points"], state["done"] + state["failed"]) == (15, 5 + 3 + 4)
    assert len(go(sweep, folder, Cut()).ran) == 10 - 3 - 4
    assert contents(folder) == undisturbed
    assert go(sweep, folder, Cut()).ran == []
    assert contents(folder) == undisturbed


def test_killed_while_files_are_made_alike_it_ends_the_same(
    sweep, undisturbed, tmp_path, monkeypatch
):
    folder, conform, seen = tmp_path / "cut", run.conform, []

    def killed(file, columns):
        seen.append(file)
        if len(seen) == 7:
            raise KeyboardInterrupt
        conform(file, columns)

    monkeypatch.setattr(run, "conform", killed)
    go(sweep, folder, Cut(), interrupted)
    monkeypatch.setattr(run, "conform", conform)
    assert go(sweep, folder, Cut()).ran == []
    assert contents(folder) == undisturbed


def test_a_second_sweep_into_the_folder_is_refused_as_long_as_one_is_at_work(
    sweep, undisturbed, tmp_path
):
    folder = tmp_path / "both"
    message = "another moesim sweep is at work in '.*both'"
    with at_work(sweep, folder), pytest.raises(ConfigError, match=message):
        begin(sweep, folder)
    go(sweep, folder, Cut())
    assert contents(folder) == undisturbed


def test_what_a_killed_sweep_was_writing_is_removed(sweep, undisturbed, tmp_path):
    folder = tmp_path / "cut"
    go(sweep, folder, Cut(2), interrupted)
    (file, *_) = folder.rglob("*.parquet")
    torn = [file.with_name("x.parquet.incomplete"), folder / "summary.json.incomplete"]
    for path in torn:
        path.write_bytes(b"PAR1")
    go(sweep, folder, Cut())
    assert contents(folder) == undisturbed


def test_rows_hold_the_figures_and_why_there_are_none(sweep, undisturbed, tmp_path):
    found = read_points(tmp_path / "whole")
    rows = {(row["speculation.gamma"], row["run.seed"]): row for row in found.to_pylist()}
    assert len(rows) == 15
    assert rows[1, 3]["status"] == "failed"
    assert rows[1, 3]["reason"] == "does not fit"
    assert rows[-1, 0]["reason"].startswith("speculation.gamma=-1 must lie in")
    assert rows[1, 1] | {"point": ""} == {
        "speculation.gamma": 1,
        "run.seed": 1,
        "point": "",
        "status": "done",
        "reason": None,
        "gamma": 1,
        "late.p50": None,
        "share": 0.5,
        "slo.ttft_s": 2.0,
    }
    assert rows[0, 2]["late.p50"] == 1.0


def test_more_values_of_an_axis_go_into_the_same_folder(sweep, tmp_path):
    folder = tmp_path / "grown"
    go(sweep, folder, Cut())
    grid = read_grid(["speculation.gamma=-1,0,1,2", *WORDS[1:]])
    larger = plan_sweep(grid, list(compose_points(grid)))
    assert len(go(larger, folder, Cut()).ran) == 5
    go(larger, tmp_path / "at once", Cut())
    assert contents(folder) == contents(tmp_path / "at once")
    with pytest.raises(ConfigError, match=r"holds a sweep with speculation\.gamma=2, too"):
        begin(sweep, folder)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run.seed=range(0,5)", "speculation.gamma=0,1"], "holds another sweep"),
        ([*WORDS[:2], "run.requests=21"], r"another sweep: run\.requests=20 .*gamma=0,1,-1"),
    ],
)
def test_another_question_is_refused(sweep, tmp_path, words, message):
    begin(sweep, tmp_path)
    with pytest.raises(ConfigError, match=message):
        begin(Sweep(read_grid(words), sweep.entries), tmp_path)


def test_files_of_something_else_are_left_alone(sweep, tmp_path):
    (tmp_path / "points").mkdir()
    (tmp_path / "points" / "mine.parquet").write_bytes(b"x")
    with pytest.raises(ConfigError, match="holds files of something else"):
        begin(sweep, tmp_path)
    assert (tmp_path / "points" / "mine.parquet").exists()


def test_points_of_another_moesim_are_replaced(sweep, tmp_path, monkeypatch):
    go(sweep, tmp_path, Cut())
    for room in ("points", "folder"):
        monkeypatch.setattr(f"simulator.study.sweep.{room}.fingerprint", lambda: "changed")
    changed = plan_sweep(sweep.grid, [entry.point for entry in sweep.entries])
    assert changed.default_folder != sweep.default_folder
    assert begin(changed, tmp_path).removed == 15
    assert len(go(changed, tmp_path, Cut()).ran) == 10


@pytest.mark.parametrize(
    ("raised", "reason"),
    [
        (ConfigError("too large"), "too large"),
        (InvariantError("clock ran back"), f"{BUG}clock ran back"),
        (ZeroDivisionError("division by zero"), f"{BUG}ZeroDivisionError: division by zero"),
    ],
)
def test_what_is_wrong_with_a_point_is_its_row(monkeypatch, raised, reason):
    def point(config):
        raise raised

    monkeypatch.setattr(run, "run_point", point)
    assert outcome(None) == {"status": "failed", "reason": reason}


@pytest.mark.parametrize(
    ("raised", "cause"),
    [
        (MemoryError(), None),
        (OSError(), None),
        (KeyboardInterrupt(), None),
        (ConfigError("cannot write"), OSError(errno.ENOSPC, "no space left")),
    ],
)
def test_what_is_wrong_with_the_machine_is_not(monkeypatch, raised, cause):
    def point(config):
        raise raised from cause

    monkeypatch.setattr(run, "run_point", point)
    with pytest.raises(type(raised)):
        outcome(None)
