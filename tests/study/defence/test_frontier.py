"""A small study from question to files: paired, the same for any number of workers."""

from __future__ import annotations

import json
import math
from io import StringIO
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from simulator.report.defence import print_defence
from simulator.serving.tenants.config import AttackConfig, EndpointConfig, TenantsConfig
from simulator.study.defence.advice import advice
from simulator.study.defence.figures import FIGURES, SHARES
from simulator.study.defence.findings import summary, write_sessions, write_tenants
from simulator.study.defence.frontier import Frontier, explore, job_count
from simulator.study.defence.laws import flip_probability
from simulator.study.defence.question import BARE, PEACE, Case, Question, words_beside
from simulator.study.executors import open_executor
from simulator.study.executors.in_order import Workers
from simulator.trace.json_file import json_safe

ATTACK = AttackConfig(samples=5, budget=200, radius=0.2, repeats=3)
QUESTION = Question(
    tenants=TenantsConfig(
        horizon_s=6.0,
        attackers=6,
        gap_s=1.0,
        attack=ATTACK,
        endpoint=EndpointConfig(share=0.5),
    ),
    defences=("rnd",),
    nus=(0.1,),
    rate_limits_per_s=(5.0,),
    objective_s=0.1,
    beside=words_beside(["scenario=chat"], 3.0, 6.0, 0),
    seed=0,
    replications=2,
)


@pytest.fixture(scope="module")
def found() -> Frontier:
    done: list[int] = []
    frontier = explore(QUESTION, Workers(open_executor("processes"), 1, done.append))
    assert sum(done) == job_count(QUESTION) == 10
    return frontier


def test_attackers_slow_users_and_the_cluster_and_a_limit_brings_most_of_it_back(
    found: Frontier,
) -> None:
    limited = found.of(Case("none", 0.0, 5.0))
    for figure in ("benign_p95_s", "benign_p99_s", "llm_tpot_p50_s"):
        bare, held = (one.ratio(figure, found.peace) for one in (found.bare, limited))
        assert bare is not None
        assert held is not None
        assert bare.value > held.value > 0.95
    load = limited.ratio("attack_gpu_s_per_h", found.bare)
    assert load is not None
    assert load.value < 1.0


def test_figures_are_those_that_are_documented_and_pair_by_replication(found: Frontier) -> None:
    for one in found.measured:
        assert len(one.outcomes) == 2
        users = {name for name in FIGURES if name.startswith(("benign", "llm"))}
        for outcome in one.outcomes:
            assert set(outcome.figures) == (set(FIGURES) if one.case.attacked else users)
            none = {name for name, value in outcome.figures.items() if value is None}
            assert none <= {*SHARES, "queries_per_session", "successes_per_h"} - users
            in_time = outcome.figures["benign_goodput_per_s"]
            assert in_time == pytest.approx(18.0, abs=4.0)  # of 20, and none late
    change = found.of(Case("rnd", 0.1, math.inf)).change("benign_p95_s", found.bare)
    assert change is not None
    assert change.low is not None
    means = [
        found.of(case).mean("benign_p95_s").value for case in (Case("rnd", 0.1, math.inf), BARE)
    ]
    assert change.value == pytest.approx(means[0] - means[1])
    assert found.of(BARE).ratio("benign_right", found.peace) is None  # a share
    (flips,) = found.flips
    assert flips.law == pytest.approx(flip_probability(5.0, two_sided=True))
    assert flips.counted == pytest.approx(flips.law, abs=0.03)
    assert found.peace.mean("majority") is None


def test_every_session_is_a_row_with_its_case_and_judgement(
    found: Frontier, tmp_path: Path
) -> None:
    table = pq.read_table(write_sessions(found, tmp_path / "sessions.parquet"))
    assert all(field.metadata[b"description"] for field in table.schema)
    assert table.schema.field("wall_s").metadata[b"unit"] == b"s"
    rows = table.to_pylist()
    assert len(rows) == sum(len(out.sessions) for one in found.measured for out in one.outcomes)
    assert {(row["defence"], row["nu"]) for row in rows} == {("none", 0.0), ("rnd", 0.1)}
    step = 2 * 5 + 1
    assert all(row["queries"] < 200 + step for row in rows)
    assert all(row["distortion"] <= 0.2 + 1e-9 for row in rows)
    assert all(row["ended_s"] >= row["started_s"] for row in rows)
    bare = [row for row in rows if row["nu"] == 0.0]
    # Without noise all replies are alike: who was misclassified once always is.
    assert all(row["success_majority"] for row in bare if row["outcome"] == "hit")
    assert all(row["success_first"] for row in bare if row["success_majority"])
    for row in rows:
        assert row["success_first"] == (row["first_hit_queries"] > 0)
        assert row["success_believed"] == (row["outcome"] == "hit")
        assert row["wall_s"] == row["ended_s"] - row["started_s"]


def test_every_tenant_is_a_row_with_its_queries_per_second(found: Frontier, tmp_path: Path) -> None:
    rows = pq.read_table(write_tenants(found, tmp_path / "tenants.parquet")).to_pylist()
    per_run = QUESTION.tenants.benign_tenants
    runs = 2 * len(QUESTION.cases)
    assert len(rows) == runs * per_run + 2 * (len(QUESTION.cases) - 1) * QUESTION.tenants.attackers
    for one in found.measured:
        mine = [
            row
            for row in rows
            if row["nu"] == one.case.nu
            and row["rate_limit_per_s"] == one.case.rate_limit_per_s
            and row["attacked"] == one.case.attacked
        ]
        load = sum(row["queries_per_s"] for row in mine if row["attacks"]) / 2
        if one.case.attacked:
            assert load == pytest.approx(one.mean("attack_queries_per_s").value)
            spent_s = sum(row["gpu_s"] for row in mine if row["attacks"]) / 2
            assert spent_s * 600 == pytest.approx(one.mean("attack_gpu_s_per_h").value)
        else:
            assert load == 0.0


def test_the_summary_has_intervals_and_is_json(found: Frontier) -> None:
    told = json.loads(json.dumps(json_safe(summary(found)), allow_nan=False))
    assert len(told["cases"]) == len(QUESTION.cases)
    peace = told["cases"][QUESTION.cases.index(PEACE)]
    assert peace["figures"]["benign_p95_s"]["low"] is not None
    assert peace["figures"]["majority"] is None
    assert peace["rate_limit_per_s"] is None
    assert told["metrics"]["benign_p95_s_attacked_over_peace"] > 1.0
    noisy = found.of(Case("rnd", 0.1, math.inf))
    assert told["metrics"]["clean_accuracy_rnd_nu_0.1"] == noisy.accuracy
    queries = told["metrics"]["queries_per_session_rnd_nu_0.1"]
    assert queries == noisy.mean("queries_per_session").value > 0


def test_tables_and_words_are_of_what_was_found(found: Frontier) -> None:
    console = Console(width=80, record=True, file=StringIO())
    print_defence(found, advice(found, accuracy_loss=0.05), console)
    text = " ".join(console.export_text().split())
    assert "rnd 0.1, 5/s" in text
    assert "Assumed: 4 ms a batch and 0.5 ms a query" in text


@pytest.mark.slow
def test_workers_change_nothing(found: Frontier) -> None:
    with open_executor("processes") as executor:
        again = explore(QUESTION, Workers(executor, 2, lambda _: None))
    assert json_safe(summary(again)) == json_safe(summary(found))
