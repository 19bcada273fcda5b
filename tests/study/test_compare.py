"""Runs compared: paired where they saw the same requests, and nowhere else."""

import json
from dataclasses import replace
from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from simulator.compose import compose
from simulator.errors import ConfigError, DataError
from simulator.report.compare import print_comparison, summary, verdict
from simulator.scenario import build
from simulator.study.compare.compare import compare
from simulator.study.compare.pairing import pair
from simulator.study.compare.runs import read_runs
from simulator.study.paired import simulate
from simulator.trace.statistics import welch_difference, welch_ratio

SMALL = ["run.requests=40", "run.workers=1", "slo=chat"]
RUNS = {"base": ["run.replications=2"], "longer": ["speculation.gamma=5", "run.replications=3"]}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for name, overrides in RUNS.items():
        scenario = build(compose([*SMALL, *overrides]))
        files = (folder / name / f"{table}.parquet" for table in ("requests", "iterations"))
        simulate(scenario, *files, lambda _: None)
    return dict(zip(RUNS, read_runs([folder / name for name in RUNS]), strict=True))


def told(run, settings, **factors):
    """The run, with settings of its own and columns of what was asked multiplied."""
    asked = {
        number: {name: values * factors.get(name, 1) for name, values in columns.items()}
        for number, columns in run.asked.items()
    }
    return replace(run, settings={**run.settings, **settings}, asked=asked)


def test_the_same_requests_are_paired_whatever_the_draft_length(runs):
    pairing = pair(runs["base"], runs["longer"])
    assert pairing.replications == (0, 1)  # those that both have
    (found,) = compare([runs["base"], runs["longer"]])
    assert found.settings == {"speculation.gamma": (3, 5), "run.replications": (2, 3)}
    assert found.same == ("baseline",)
    changes = {change.figure.name: change for change in found.changes["speculative"]}
    accepted = changes["acceptance_length"]
    assert accepted.told == 1
    lengths = [
        [runs[name].of("speculative")[i].mean_acceptance_length for i in (0, 1)]
        for name in ("base", "longer")
    ]
    expected = np.exp(np.mean(np.log(lengths[1]) - np.log(lengths[0])))
    assert accepted.change.value == pytest.approx(expected)
    assert {"tpot_p50", "output_tokens_per_s", "attainment"} <= set(changes)
    assert "tpot_p90" not in changes  # 36 requests a replication are too few


def test_a_closed_loop_pairs_by_seed_and_workload_since_arrivals_follow_departures(runs):
    pairing = pair(runs["base"], told(runs["longer"], {}, arrival_s=0.9))
    assert pairing.paired
    assert "follow departures" in pairing.reason


@pytest.mark.parametrize(
    ("settings", "factors", "reason"),
    [
        ({"run.seed": 1}, {"arrival_s": 2}, "their seeds are 0 and 1"),
        ({"workload.rate": 9.0}, {"arrival_s": 0.5}, "their arrivals differ"),
        ({"workload.preset": "code"}, {"prompt_tokens": 2}, "their lengths differ"),
    ],
)
def test_other_requests_are_compared_as_independent(runs, settings, factors, reason):
    other = told(runs["longer"], settings, **factors)
    pairing = pair(runs["base"], other)
    assert (pairing.paired, pairing.reason) == (False, reason)
    (found,) = compare([runs["base"], other])
    change = next(one for one in found.changes["speculative"] if one.figure.name == "tpot_p50")
    sides = [
        [np.median(one.latencies["tpot_s"]) for one in run.of("speculative").values()]
        for run in (other, runs["base"])
    ]
    assert [len(side) for side in sides] == [3, 2]
    assert change.change == welch_ratio(*sides)


def test_fewer_requests_and_other_replications_are_other_requests(runs):
    short = {0: {name: values[:7] for name, values in runs["base"].asked[0].items()}}
    other = replace(runs["base"], asked=short)
    assert pair(runs["base"], other).reason == "40 requests came in one and 7 in the other"
    assert "no replication" in pair(runs["base"], replace(other, asked={})).reason


@pytest.mark.slow  # importing scipy.stats takes a second
def test_welch_is_that_of_scipy():
    from scipy.stats import ttest_ind

    first, second = [1.0, 2.0, 4.0, 5.5], [2.0, 2.5, 2.75]
    found = welch_difference(first, second)
    bounds = ttest_ind(second, first, equal_var=False).confidence_interval()
    assert (found.low, found.high) == pytest.approx(tuple(bounds))
    assert welch_difference([1.0], [2.0, 3.0]).low is None
    assert welch_difference([], [1.0]) is None


def test_what_is_printed_and_saved(runs):
    seed = told(runs["longer"], {"run.seed": 1}, arrival_s=2)
    reference, others = runs["base"], [runs["longer"], seed]
    found = compare([reference, *others])
    console = Console(file=StringIO(), width=80)
    print_comparison(reference, found, console)
    text = console.file.getvalue()
    assert max(len(line.rstrip()) for line in text.splitlines() if "/" not in line) <= 80
    words = " ".join(text.split())
    for sentence in (
        "speculation.gamma 3 5",
        "With speculation off the two are the same, to the last digit.",
        "Paired in 2 replications: both saw the same arrivals and lengths.",
        "Not paired: their seeds are 0 and 1.",
        "Next: moesim simulate run.seed=0",
    ):
        assert sentence in words
    saved = summary(reference, found)
    json.dumps(saved)
    assert saved["metrics"]["run1.baseline.tpot_p50.ratio"] == 1.0
    assert [one["paired"] for one in saved["runs"]] == [True, False]


def test_a_verdict_names_the_figures_that_are_told_apart(runs):
    (found,) = compare([runs["base"], runs["longer"]])
    (same,) = compare([runs["base"], runs["base"]])
    assert verdict(1, same) == "Run 1 and the reference have the same figures."
    change = next(c for c in found.changes["speculative"] if c.figure.name == "tpot_p50")
    sure = replace(change, change=replace(change.change, value=0.8, low=0.7, high=0.9))
    found = replace(found, changes={"baseline": [], "speculative": [sure]})
    assert verdict(1, found) == "With speculation on run 1 is better in TPOT p50 (-20.0 %)."
    open_ = replace(sure, change=replace(sure.change, high=1.1))
    assert "cannot be told apart" in verdict(
        1, replace(found, changes={"baseline": [], "speculative": [open_]})
    )


def test_what_cannot_be_compared_is_refused(runs, tmp_path):
    folder = runs["base"].folder
    with pytest.raises(ConfigError, match="two or more"):
        read_runs([folder])
    with pytest.raises(ConfigError, match="named twice"):
        read_runs([folder, folder / "." / ".." / folder.name])
    with pytest.raises(DataError, match="no trace of a run"):
        read_runs([folder, tmp_path])
    empty = replace(runs["longer"], metrics={}, asked={})
    with pytest.raises(DataError, match="no figure in common"):
        compare([runs["base"], empty])
