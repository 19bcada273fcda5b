"""Whole plans: what the three knowledge bases say, and the smallest extra measurement."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from simulator.study.identify.check import cover, summary
from simulator.study.identify.check_moesd import SCALE
from simulator.study.identify.check_plan import check_plan
from simulator.study.identify.kinds import KINDS

PLANS = Path(__file__).parents[3] / "examples" / "plans"

SPEEDUPS = """\
knowledge: moesd
target: qwen2_57b_a14b
gpu: a800_sxm
gpus: 2
measure:
  - {kind: speedup, top_k: [1, 8, 32], gamma: [2, 4], batch: [1, 4, 12, 28, 60, 100], tolerance: %s}
"""


def metrics(check):
    return summary(check)["metrics"]


def test_the_shipped_plan_of_speedups_leaves_the_seconds_open():
    check = check_plan(PLANS / "moesd_speedups.yaml")
    found = metrics(check)
    assert (found["rank"], found["unknowns"], found["disagreement"]) == (9, 10, 8)
    assert (found["bound"], found["sufficient"], found["unique_after"]) == (0.8, 0, None)
    assert set(check.pinned) == {"lambda", "s"}
    assert [d.words for d in check.identifiability.null_directions] == [SCALE]
    assert check.twins[0].words.startswith("all times are 0.447 times as long: ar_step_time")
    assert check.twins[0].difference_s == pytest.approx(0.037, rel=0.02)
    assert check.extra_suffices
    assert len(check.extra) == 1
    assert not check.planning.flagged


@pytest.mark.parametrize(
    ("every", "reason"), [(25, "as many rows as"), (20, "above 40"), (18, "in 2..23")]
)
def test_the_published_bad_plans_are_flagged_before_anything_is_measured(plan, every, reason):
    shipped = (PLANS / "moesd_speedups.yaml").read_text("utf-8")
    check = check_plan(plan(shipped.replace("every: 11", f"every: {every}")))
    assert metrics(check)["flagged"] == 1
    assert any(reason in words for words in check.planning.reasons)


def test_the_shipped_plan_with_times_is_sufficient():
    found = metrics(check_plan(PLANS / "moesd_step_times.yaml"))
    assert (found["solutions"], found["disagreement"], found["rank"]) == (1, 0, 10)
    assert (found["sufficient"], found["extra_rows"], found["bound"]) == (1, 0, 0)
    assert found["unique_after"] == found["rows"] == 25


def test_the_shipped_plan_of_popularity_is_sufficient():
    check = check_plan(PLANS / "popularity.yaml")
    assert check.course == (16, 16, 6, 0)
    assert check.rank == 13  # four placements of four totals: each sums to the same
    assert metrics(check)["sufficient"] == 1
    assert check.unique_after == 4


@pytest.mark.parametrize("path", sorted(PLANS.glob("*.yaml")), ids=lambda path: path.name)
def test_shipped_plans_say_how_they_are_checked(path):
    assert f"moesim calibrate check plan=examples/plans/{path.name}" in path.read_text("utf-8")


def test_exact_speedups_and_the_extra_measurement_that_the_check_names(plan):
    """The row that the check asks for does what it says, in the plan itself."""
    text = SPEEDUPS % "1.0e-6"
    first = check_plan(plan(text))
    assert (first.solutions, first.disagreement, first.rank) == (3, 8, 9)
    (label,) = first.extra
    kind, _, rest = label.partition(" at ")
    names = {"K": "top_k", "gamma": "gamma", "B": "batch"}
    axes = {names[k]: int(v) for k, v in (axis.split("=") for axis in rest.split(", "))}
    assert KINDS[kind].unit == "s"
    row = yaml.safe_dump({"kind": kind, "tolerance": 0.01, **axes}, default_flow_style=True)
    second = check_plan(plan(text + f"  - {row}"))
    assert second.determined
    assert (second.solutions, second.rank) == (1, 10)


def test_candidates_of_the_plan_are_kept_to(plan):
    only = "candidates: [{kind: speedup, gamma: 3, batch: 50}]\n"
    check = check_plan(plan(SPEEDUPS % "1.0e-6" + only))
    assert check.extra == ()
    assert not check.extra_suffices
    only = "candidates: [{kind: ar_step_time, batch: 50}]\n"
    check = check_plan(plan(SPEEDUPS % "1.0e-6" + only))
    assert check.extra == ("ar_step_time at K=8, B=50",)
    assert check.extra_suffices


def test_levels_of_unlike_ratios_hide_the_scale_and_the_rank_finds_it(plan):
    hidden = "levels: {bias: [4.0e-3, 8.0e-3, 12.0e-3]}\n"
    check = check_plan(plan(SPEEDUPS % "1.0e-6" + hidden))
    assert (check.solutions, check.disagreement, check.rank) == (1, 0, 9)
    assert not check.determined
    assert not check.sufficient
    assert len(check.extra) == 1
    assert check.extra_suffices


def test_a_known_time_fixes_the_scale(plan):
    check = check_plan(plan(SPEEDUPS % "1.0e-6" + "levels: {k2: 4.0e-4}\n"))
    assert (check.rank, len(check.unknowns), check.disagreement) == (9, 9, 0)
    assert check.determined


def test_a_dense_target_has_no_expert_parameters(plan):
    text = SPEEDUPS.replace("qwen2_57b_a14b", "opt_30b").replace("top_k: [1, 8, 32], ", "")
    check = check_plan(plan(text % "1.0e-6"))
    assert len(check.unknowns) == 8
    assert not {"k2", "k3"} & set(check.unknowns)
    assert (check.solutions, check.disagreement, check.rank) == (3, 6, 7)
    assert check.twins[0].words.startswith("all times are 0.447 times as long")
    assert [d.words for d in check.identifiability.null_directions] == [SCALE]
    assert check.extra_suffices


def test_step_times_alone_leave_the_drafter_open(plan):
    times = "  - {kind: ar_step_time, top_k: [1, 8, 32], batch: [1, 4, 12, 28, 60, 100]}\n"
    check = check_plan(plan(SPEEDUPS.partition("  - ")[0] + times))
    free = {"draft_bias", "draft_k", "reject_bias", "reject_k"}
    assert free <= set(check.free)
    words = {direction.words for direction in check.identifiability.null_directions}
    assert words == {f"{name} alone: no measurement feels it" for name in free}
    assert check.extra_suffices


def test_weights_count_what_is_met_often(plan):
    check = check_plan(plan(SPEEDUPS % "0.01" + "weights: {lambda: 60, s: 32}\n"))
    assert metrics(check)["bound"] == pytest.approx(0.8)
    assert metrics(check)["weighted_bound"] == pytest.approx(0.08)


def test_the_sample_bound_is_over_the_rows(plan):
    check = check_plan(plan(SPEEDUPS % "0.01" + "epsilon: 0.1\n"))
    assert check.samples == int(36 * np.log(36 / 0.1)) + 1


def test_popularity_names_placements_that_settle_it(plan):
    text = "knowledge: popularity\nexperts: 16\nranks: 4\ntokens: [1, 2, 3, 4]\nplacements: [%s]\n"
    check = check_plan(plan(text % "contiguous, round_robin"))
    assert check.disagreement > 0
    assert not check.exact
    assert check.extra_suffices
    assert check.twins[0].difference_s is None
    added = ", ".join(label.removeprefix("rank totals, ") for label in check.extra)
    assert check_plan(plan(text % f"contiguous, round_robin, {added}")).sufficient


def test_popularity_weighs_experts_by_their_tokens(plan):
    """Two experts that always share a rank can be swapped: they are what stays open."""
    text = """\
knowledge: popularity
experts: 4
ranks: 2
tokens: [1, 5]
tiers: [0, 1, 0, 0]
placements: [[[0, 1], [2, 3]]]
candidates: [contiguous]
"""
    check = check_plan(plan(text))
    assert check.free == ("expert 0", "expert 1")
    assert (check.bound, check.weighted_bound) == (0.5, 6 / 8)
    assert (check.extra, check.extra_suffices) == ((), False)


@pytest.mark.parametrize(
    ("settings", "solutions", "free"),
    [("moduli: [9]", 2, 2), ("moduli: [2, 3]", 16, 8), ("moduli: [3, 4]", 1, 0), ("", 1, 0)],
)
def test_digits(plan, settings, solutions, free):
    check = check_plan(plan(f"knowledge: digits\n{settings}\n"))
    assert (check.solutions, check.disagreement) == (solutions, free)
    assert check.extra_suffices
    assert bool(check.extra) == bool(free)


def test_digits_of_few_pairs_ask_for_further_pairs(plan):
    check = check_plan(plan("knowledge: digits\npairs: [[0, 0], [1, 1], [9, 3], [5, 4]]\n"))
    assert check.disagreement > 0
    assert check.extra
    assert check.unique_after is None


def test_addition_is_unique_after_some_of_the_hundred_sums(plan):
    check = check_plan(plan("knowledge: digits\n"))
    assert check.unique_after < 20 < check.samples == 761


def test_a_cap_is_not_an_exact_count(plan):
    check = check_plan(plan("knowledge: digits\nmoduli: [2]\ncap: 100\n"))
    assert (check.solutions, check.exact) == (100, False)


def test_cover_leaves_what_no_candidate_rules_out():
    agrees = np.array([[1, 1, 0, 0, 1], [0, 1, 1, 1, 1], [1, 1, 1, 1, 1]], bool)
    assert cover(agrees) == [0, 1]
    assert cover(np.empty((0, 3), bool)) == []
    assert cover(np.empty((3, 0), bool)) == []
