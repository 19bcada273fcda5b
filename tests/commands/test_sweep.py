"""``moesim sweep``: what it refuses, what it shows, and how it goes on."""

import json

import pytest

from simulator.study.sweep import run

WORDS = ["speculation.gamma=0,2", "workload.rate=2", "hardware.tensor_parallel=1,3"]
SMALL = ["run.requests=20", "run.replications=1", "workers=1"]


@pytest.fixture
def sweep(moesim):
    return lambda *words: moesim("sweep", *SMALL, *words)


def test_points_their_figures_and_what_failed_are_shown_and_a_second_call_runs_none(
    sweep, tmp_path, monkeypatch
):
    code, out, err = sweep(*WORDS)
    assert (code, err) == (0, "")
    assert "All points, by the speedup of the median time per output token" in out
    assert "gamma=2" in out
    assert "2 points failed:\n  speculation.gamma=0 hardware.tensor_parallel=3\n" in out
    assert "sizes that fit: 1, 2, 4, 8" in out
    folder = next((tmp_path / "runs" / "sweeps").iterdir())
    assert f"moesim report {folder.relative_to(tmp_path)}" in out
    state, summary = (json.loads((folder / f"{n}.json").read_text()) for n in ("sweep", "summary"))
    assert (state["points"], state["done"], state["failed"]) == (4, 2, 2)
    assert state["axes"] == {"speculation.gamma": [0, 2], "hardware.tensor_parallel": [1, 3]}
    assert state["overrides"] == ["run.requests=20", "run.replications=1", "workload.rate=2"]
    assert summary["metrics"]["best_speedup_tpot_p50"] > 1.0

    monkeypatch.setattr(run, "outcome", None)  # nothing is left to run
    code, out, _ = sweep(*WORDS)
    assert code == 0
    assert "4 of 4 points had been run before." in out


def test_metrics_alone_as_json(sweep, monkeypatch):
    monkeypatch.setattr(run, "run_point", lambda config: {"speedup": {"tpot_p50": {"value": 1.5}}})
    code, out, _ = sweep(*WORDS, "json=true")
    assert code == 0
    assert json.loads(out) == {"points": 4, "done": 4, "failed": 0, "best_speedup_tpot_p50": 1.5}


def test_an_interrupt_says_how_to_go_on(sweep, monkeypatch):
    ran = []

    def point(config):
        if len(ran) == 3:
            raise KeyboardInterrupt
        ran.append(config)
        return {}

    monkeypatch.setattr(run, "run_point", point)
    code, out, err = sweep(*WORDS, "title='a b'", "hydra.run.dir=here")
    assert (code, out) == (130, "")
    assert err == (
        "moesim: interrupted; 3 of 4 points are in here. To go on: moesim sweep run.requests=20 "
        "run.replications=1 workers=1 speculation.gamma=0,2 workload.rate=2 "
        "hardware.tensor_parallel=1,3 'title='\"'\"'a b'\"'\"'' hydra.run.dir=here\n"
    )


def test_so_does_a_machine_that_can_do_no_more(sweep, monkeypatch):
    def point(config):
        if config.speculation.gamma:
            raise MemoryError
        return {}

    monkeypatch.setattr(run, "run_point", point)
    code, out, err = sweep("speculation.gamma=0,2", "hydra.run.dir=here")
    assert (code, out) == (2, "")
    assert err.startswith(
        "moesim: this machine ran out of memory; lower workers or run.requests. 1 of 2 points are "
        "in here. To go on: moesim sweep"
    )


def test_a_bug_at_a_point_is_told_after_all_have_run(sweep, monkeypatch):
    def point(config):
        if config.speculation.gamma:
            raise ZeroDivisionError("division by zero")
        return {}

    monkeypatch.setattr(run, "run_point", point)
    code, out, err = sweep("speculation.gamma=0,2")
    assert code == 70
    assert "1 point failed:" in out
    assert "1 of 2 points met a bug: a bug in moesim: ZeroDivisionError" in err


def test_without_any_point_that_runs_it_is_refused(sweep):
    code, out, err = sweep("hardware.tensor_parallel=3,5")
    assert code == 2
    assert "2 points failed:" in out
    assert "moesim: none of the 2 points could run: hardware.tensor_parallel=3" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["speculation.gama=1,2"], "unknown setting 'speculation.gama'. Did you mean speculation."),
        (["model=mixtrl,opt_30b"], "unknown model 'mixtrl'. Did you mean model=mixtral_8x7b?"),
        (["speculation.gamma=2"], "nothing is swept; give a setting several values"),
        (["-m", "speculation.gamma=1,2"], "-m: a sweep has no such flag. Try: moesim sweep --help"),
        (["worker=2", "speculation.gamma=1,2"], "unknown setting 'worker' in worker=2. Did you me"),
        (["workers=0", "speculation.gamma=1,2"], "workers=0 must lie in 1..4096"),
        (["run.workers=2", "speculation.gamma=1,2"], "run.workers=2 has no effect: points run"),
        (["run.picture=true", "speculation.gamma=1,2"], "run.picture=true has no effect"),
        (["hydra/launcher=joblib", "run.seed=1,2"], "hydra/launcher=joblib has no effect"),
        (
            ["executor=rai", "run.seed=1,2"],
            "unknown executor 'rai' in executor. Did you mean 'ray'",
        ),
        (["address=auto", "run.seed=1,2"], "address=auto has no effect"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_runs(sweep, tmp_path, words, message):
    code, out, err = sweep(*words)
    assert (code, out) == (2, "")
    assert err.startswith(f"moesim: {message}")
    assert not list(tmp_path.iterdir())


def test_help_fits_a_terminal(moesim):
    code, out, _ = moesim("sweep", "--help")
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
