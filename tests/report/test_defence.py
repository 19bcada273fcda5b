"""Tables and pictures of a study of defences, from figures that are made up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from helpers.suites import some
from rich.console import Console

from simulator.report.defence import print_defence
from simulator.report.defence_plots import _values, plot_defence
from simulator.serving.tenants.config import AttackConfig, EndpointConfig, TenantsConfig
from simulator.study.defence.figures import FIGURES
from simulator.study.defence.frontier import Flips, Frontier, Measured
from simulator.study.defence.measure import Outcome
from simulator.study.defence.question import PEACE, Case, Question
from simulator.study.defence.variants import Tried, variant_jobs
from simulator.trace.statistics import Interval

QUESTION = Question(
    tenants=TenantsConfig(attack=AttackConfig(budget=20_000), endpoint=EndpointConfig()),
    defences=("rnd", "rnd_gf"),
    nus=(0.05,),
    rate_limits_per_s=(5.0,),
    objective_s=0.1,
    beside=(),
    seed=0,
    replications=2,
    quota=5000,
    variant_sessions=100,
)

UNKNOWN = ("first_hit", "believed", "majority", "queries_per_session", "successes_per_h")
"""Figures of which nothing is known where too many sessions are cut off."""


def measured(case: Case) -> Measured:
    figures: dict[str, float | None] = dict.fromkeys(FIGURES, 0.5)
    figures |= {"queries_per_session": 12_345.0, "attack_gpu_s_per_h": 1603.0}
    if case.rate_limit_per_s < math.inf:
        figures |= dict.fromkeys(UNKNOWN)
    if not case.attacked:
        figures = {name: value for name, value in figures.items() if "benign" in name}
    each = [figures | {"benign_p95_s": 0.1 * factor} for factor in (1.0, 3.0)]
    if figures.get("successes_per_h"):
        each = [one | {"successes_per_h": 9000.0 + 1000.0 * n} for n, one in enumerate(each)]
    return Measured(case, 0.967, 0.006 * case.nu, [Outcome([], [], [], one) for one in each])


@pytest.fixture(scope="module")
def frontier() -> Frontier:
    tried = [
        Tried(name, defence, nu, 100, 60, 40, 20, 1234.0)
        for _, name, defence, nu in variant_jobs(QUESTION)
    ]
    flips = [Flips(0.05, 0.02, 0.3, 0.31)]
    return Frontier(QUESTION, [measured(case) for case in QUESTION.cases], flips, tried)


def printed(frontier: Frontier) -> Sequence[str]:
    console = Console(width=80, record=True, file=StringIO())
    print_defence(frontier, "Take a walk.", console)
    return console.export_text().splitlines()


def test_tables_fit_eighty_columns_and_cut_nothing_off(frontier: Frontier) -> None:
    lines = printed(frontier)
    assert max(map(len, lines)) <= 80
    assert not any("…" in line for line in lines)
    assert sum("in peace" in line for line in lines) == 1
    text = " ".join(" ".join(lines).split())
    assert "9,500 ±6,353" in text  # t(1) = 12.71
    assert "40/20 % 1,234" in text
    assert "Advice: Take a walk." in text
    assert "0.0 % of the pictures that are attacked are wrong by majority behind rnd 0.05" in text


def test_what_is_not_known_is_a_dash_and_not_a_number(frontier: Frontier) -> None:
    lines = printed(frontier)
    start = next(index for index, line in enumerate(lines) if line.startswith(" none, 5/s"))
    assert lines[start].split()[-6:-1] == ["-"] * 5
    means, bars = _values([None, Interval(0.5, 0.4, 0.7), Interval(0.2, None, None)], 100.0)
    assert math.isnan(means[0])
    assert means[1:] == [50.0, 20.0]
    assert [side[1:] for side in bars] == [
        [pytest.approx(10.0), 0.0],
        [pytest.approx(20.0), 0.0],
    ]


@pytest.mark.parametrize("variants", some((True, False), False))
def test_the_picture_is_drawn_with_and_without_variants(
    frontier: Frontier, variants: bool, tmp_path: Path
) -> None:
    found = frontier if variants else replace(frontier, tried=[])
    assert found.of(PEACE).mean("majority") is None
    written = plot_defence(found, tmp_path / "defence.svg").read_text()
    assert ("stop=first_hit" in written) == variants
    if variants:  # of the slow suite
        assert written == plot_defence(found, tmp_path / "again.svg").read_text()
