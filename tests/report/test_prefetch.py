"""A study of prefetchers as told: tables, pictures, figures, and what follows from them."""

import io
import shlex
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from simulator.report.prefetch import print_prefetch
from simulator.report.prefetch_plots import plot_prefetch
from simulator.report.prefetch_served import next_command
from simulator.study.prefetch.canvases import Labelled
from simulator.study.prefetch.findings import summary, write_records
from simulator.study.prefetch.memory import Peaks
from simulator.study.prefetch.model_run import ServedStudy
from simulator.study.prefetch.question import Question
from simulator.study.prefetch.replay import Replayed, Room
from simulator.study.prefetch.served import AFTER, BEFORE, RESIDENT, SWITCHED, Serving
from simulator.study.prefetch.shift import ON_DEMAND, ORACLE, Row
from simulator.study.prefetch.study import PrefetchStudy
from simulator.study.prefetch.task import Task
from simulator.study.prefetch.theory import Odds
from tests.helpers.prefetch import runs

RECIPES = ("ce", "ce_auc_bank", "ce_weighted")
MISSES = {ON_DEMAND: 1.0, ORACLE: 0.1, "ce": 0.5, "ce_auc_bank": 0.4, "ce_weighted": 0.3}
RATIOS = {1: 0.8, 4: 0.95, 8: 1.01}


def replayed(misses):
    return Replayed(
        coverage=1 - misses / 4, no_stall=0.5, misses=misses, prefetched=2.0, distinct=4.0
    )


def rows():
    ranks = {"head": 0.9, "mid": 0.8, "tail": 0.7}
    found = []
    for seed in range(3):
        for name, misses in MISSES.items():
            both = replayed(misses * (1.2 if name == "ce_weighted" else 1.0)), replayed(misses)
            found.append(Row(name, seed, *both, ranks if name in RECIPES else {}, 0.1))
    return found


def served(ratios=RATIOS, exposed=0.05):
    measured = []
    for traffic in (BEFORE, AFTER):
        for replication in range(2):
            base = {batch: 0.01 * batch * (1 + replication) for batch in ratios}
            for arm in (ON_DEMAND, RESIDENT, *RECIPES, SWITCHED):
                share = dict.fromkeys(ratios, {ON_DEMAND: 1.0, RESIDENT: 0.5}.get(arm))
                share = share if arm in (ON_DEMAND, RESIDENT) else ratios
                times = {batch: base[batch] * share[batch] for batch in ratios}
                measured += runs(arm, times, traffic, replication)
    odds = [
        Odds(
            batch=batch,
            distinct=8.0 * batch**0.5,
            alike=10.0 * batch**0.5,
            kept=0.4 + 0.05 * batch,
            independent=0.4 + 0.04 * batch,
            exposed=exposed,
            hits=dict.fromkeys(RECIPES, 0.8),
        )
        for batch in ratios
    ]
    serving = Serving(
        words=("model=gpt_oss_20b", "run.seed=0"),
        routes={BEFORE: Path("before.parquet"), AFTER: Path("after.parquet")},
        predictors={name: Path(f"{name}.npz") for name in RECIPES},
        room=Room(8, 4),
        experts=32,
    )
    return ServedStudy(
        serving=serving,
        layers=24,
        hand_over="ce_auc_bank",
        measured=measured,
        odds={BEFORE: odds, AFTER: odds},
        most_distinct=21.5,
        files={"predictor": Path("predictor.npz")},
    )


def study(**changes):
    labelled = [Labelled(name, 0, 0.1, 0.7, 0.2, 0.8, (0.1,), (0.7,), 0.5) for name in RECIPES]
    found = PrefetchStudy(
        task=Task(question=Question(recipes=RECIPES, seeds=3)),
        rows=rows(),
        memory=[Peaks(256, 2000, 1000, 500), Peaks(512, 8000, 2000, 900)],
        served=served(),
        labelled=labelled,
    )
    return replace(found, **changes)


def printed(found):
    console = Console(width=80, record=True, file=io.StringIO())
    print_prefetch(found, console)
    return console.export_text()


def test_tables_fit_a_terminal_and_mark_the_crossover():
    text = printed(study())
    lines = [line for line in text.splitlines() if not line.startswith("moesim simulate")]
    assert max(map(len, lines)) <= 80
    marked = [line for line in lines if "1.010 ±0.000 *" in line]
    assert len(marked) == 2  # before and after
    assert marked[0].split()[0] == "8"


def test_what_follows_is_said():
    text = " ".join(printed(study()).split())
    for words in (
        "After the change class-weighted CE misses least: 0.60 ±0.00",
        "CE + AUC + bank: 0.80 ±0.00",
        "coverage differs from that of cross-entropy by at most +0.035",
        "over repetitions, seeds 0 to 2",
        "CE + AUC + bank is not surely faster than working on demand with the same memory from "
        "batch 8 on",
        "switches itself off from 21.5 expected distinct experts",
        "What to do at batch 1, by TPOT over that on demand: prefetch by CE (-20.0 % before",
    ):
        assert words in text


def test_without_times_misses_say_what_to_do():
    text = " ".join(printed(study(served=None)).split())
    trade = "class-weighted CE (-40.0 % misses after, -28.0 % before)"
    assert f"What to do: where the workload will change, {trade}" in text


@pytest.mark.parametrize(
    ("ratios", "exposed", "words"),
    [
        ({1: 0.8, 4: 0.9}, 0.05, "no crossover was found"),
        ({1: 1.2, 4: 1.1}, 0.9, "the host link is the bottleneck: 90 % of the time"),
        ({1: 1.2, 4: 1.1}, 0.05, "is needed as often as what it expects"),
    ],
)
def test_it_is_said_where_prefetching_always_pays_or_never_and_why(ratios, exposed, words):
    assert words in " ".join(printed(study(served=served(ratios, exposed))).split())


def test_figures_are_saved_whatever_their_sign(tmp_path):
    found = study()
    told = summary(found)
    metrics = told["metrics"]
    assert metrics["crossover_ce_auc_bank_before"] == 8
    assert metrics["foretold_ce_auc_bank_before"] == pytest.approx(4 * 2**0.75, rel=0.01)
    assert metrics["misses_ce_weighted_over_ce_before"] == pytest.approx(0.72)
    assert metrics["spared_ce_auc_bank_after"] == pytest.approx(2 / 3)
    assert metrics["tpot_over_on_demand_batch_1_before"] == pytest.approx(0.8)
    assert told["tpot_over_on_demand"]["after"][SWITCHED][4]["high"]
    files = write_records(found, tmp_path)
    odds = pq.read_table(files["odds"]).to_pylist()
    assert {row["arm"] for row in odds} == set(RECIPES)
    assert len(odds) == 2 * 3 * 3
    times = pq.read_table(files["served"]).column_names
    assert {"tpot_p50_s", "tpot_p99_s", "step_s", "distinct"} <= set(times)


def test_the_command_for_the_next_step_names_what_is_handed_over():
    words = next_command(served()).split()
    assert words[:3] == ["moesim", "simulate", "model=gpt_oss_20b"]
    assert "experts.offload.predictor=predictor.npz" in words
    assert "experts.offload.prefetch_experts=4" in words
    assert "run.seed=0" not in words
    there = {"predictor": Path("gamma=3/predictor.npz")}
    quoted = shlex.split(next_command(replace(served(), files=there)))
    assert "experts.offload.predictor='gamma=3/predictor.npz'" in quoted


def test_pictures_are_drawn_with_a_model_and_without(tmp_path):
    for found in (study(), study(served=None)):
        assert plot_prefetch(found, tmp_path / "prefetch.png").stat().st_size > 0
