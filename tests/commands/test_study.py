"""``moesim study control``: settings, refusals, and the whole way on few intervals."""

import json
from dataclasses import fields

import pytest

from simulator.commands.study.control import Settings
from simulator.commands.words import passed_on, read_words
from simulator.speculation.control.settings import LearnerSettings


def test_the_help_names_the_subject(moesim):
    assert "control" in moesim("study", "--help")[1]


def test_the_help_of_the_subject_fits_a_terminal(moesim, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = moesim("study", "control", "--help")
    assert code == 0
    assert "workload[.SETTING]=VALUE" in out
    assert max(map(len, out.splitlines())) <= 80


def test_constants_of_the_learners_are_their_own_defaults():
    settings, learners = Settings(), LearnerSettings()
    shared = {one.name for one in fields(Settings)} & {one.name for one in fields(LearnerSettings)}
    assert len(shared) == 5
    for name in shared:
        assert getattr(settings, name) == getattr(learners, name)


def test_words_for_the_scenario_are_told_from_the_studys_own():
    words = ["workload.rate=2", "seeds=2", "speculation.phases.own_share=0.9", "slo=chat"]
    settings = read_words(words, Settings, "study control").settings
    assert settings.seeds == 2
    assert passed_on(settings) == [
        "workload.rate=2",
        "speculation.phases.own_share=0.9",
        "slo=chat",
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["instance=servin"], "Did you mean 'serving'"),
        (["seed=3"], "Did you mean 'seeds'"),
        (["seeds=0"], "seeds=0 must be 1 or more"),
        (["gammas=3"], "must be 2 to 8 draft lengths"),
        (["gammas=0,3"], "the regime cannot be seen"),
        (["interval_s=-1"], "interval_s=-1.0 must lie in"),
        (["interval_s=0"], "interval_s=0.0 must lie in"),
        (["requests=50"], "replications=0; set replications=5, or leave requests out"),
        (["workload.rat=2"], "Did you mean workload.rate"),
    ],
)
def test_what_makes_no_sense_is_refused(moesim, words, message):
    code, _, err = moesim("study", "control", *words)
    assert code == 2
    assert message in err


@pytest.mark.slow
def test_the_whole_way_and_the_table_serves(moesim, tmp_path):
    words = ["instance=swinging", "intervals=45000", "seeds=1", "workers=1"]
    simulated = ["replications=2", "requests=60"]
    code, out, err = moesim("study", "control", *words, *simulated, "hydra.run.dir=run")
    assert (code, err) == (0, "")
    for text in (
        "mixed spectral UCRL",
        "learned table",
        "oracle's table",
        "In the event simulator",
    ):
        assert text in out
    found = json.loads((tmp_path / "run" / "summary.json").read_text())
    for arm in ("best_fixed", "schedule", "batch_schedule", "threshold", "cost_model", "oracle"):
        ratio = [
            found["metrics"][f"learned_goodput_over_{arm}{end}"] for end in ("_low", "", "_high")
        ]
        assert 0.0 < ratio[0] <= ratio[1] <= ratio[2]
    assert found["metrics"]["learned_goodput_over_best_fixed"] > 0.5
    chosen = [*found["overrides"], "speculation.gamma=6", "speculation.policy=belief_table"]
    few = ["run.requests=30", "run.replications=1", "run.picture=false"]
    table = "speculation.table=run/table.json"
    code, _, err = moesim("simulate", *chosen, table, *few, "hydra.run.dir=served")
    assert (code, err) == (0, "")
