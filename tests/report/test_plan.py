"""What a plan says: the verdict for every way it can come out, and a table that fits."""

import re
from dataclasses import replace

import pytest
from helpers.plans import (
    B300,
    GAIN,
    H100,
    H200,
    HEADROOM,
    empty_plan,
    offer,
    outcome,
    plan,
    question,
    spread,
)

from simulator.report.plan import print_plan
from simulator.report.plan_evidence import crossover, headroom
from simulator.report.plan_plots import plot_pareto
from simulator.report.plan_table import WIDTH
from simulator.report.plan_verdict import verdict
from simulator.study.plan.deployment import Split
from simulator.study.plan.exports.command import Export
from simulator.study.plan.question import Candidates, Limits
from simulator.study.plan.result import Counts, NearestMiss
from simulator.trace.statistics import Interval

NO_COUNTS = Counts(candidates=0, screened=0, pruned=0, evaluated=0, simulated=0, cached=0)


def said(one):
    return " ".join(verdict(one))


def of_gain(**changes):
    """The verdict of a plan whose first offer has another gain."""
    return said(plan(offers=(offer(H200, gain=replace(GAIN, **changes)),)))


def test_the_verdict_names_hardware_price_and_the_highest_rate_with_its_interval():
    text = said(plan())
    assert text.startswith("Serve Qwen3-235B-A22B at 20 requests/s (70 % chat and 30 % reasoning) ")
    assert "on 12 x NVIDIA H200 SXM 141 GB (3 replicas" in text
    assert "(3 replicas of TP 4, EP 4, in fp8), with drafts of 3 tokens (EAGLE-3 head)" in text
    assert "75.7 USD an hour (1.48 USD per million output tokens)" in text
    assert "up to 23.4 requests/s (95 % interval 22.7 to 24.1)" in text


def test_of_several_models_the_one_that_is_served_is_named(printed):
    several = question(
        candidates=Candidates(gpus=("h200_sxm",), models=("qwen3_30b_a3b", "qwen3_235b_a22b"))
    )
    assert said(plan(question=several)).startswith("Serve Qwen3-235B-A22B at")
    assert "qwen3_235b_a22b\n" in shown(printed, plan(question=several))
    assert "Nothing serves Qwen3-30B-A3B and Qwen3-235B-A22B" in said(empty_plan(question=several))


def test_the_gain_stands_with_its_interval_and_what_the_twin_holds():
    text = said(plan())
    assert "Speculative decoding pays: within the objectives the same GPUs serve 1.31 times" in text
    assert "(95 % interval 1.27 to 1.35)" in text
    assert "Without it they hold 17.9 requests/s, less than is asked for" in text


@pytest.mark.parametrize(
    ("ratio", "words"),
    [
        (spread(1.31), "pays:"),
        (spread(1.01), "makes no difference that can be told:"),
        (spread(0.8), "does not pay:"),
        (Interval(1.2, None, None), "pays:"),
    ],
    ids=["above", "across", "below", "alone"],
)
def test_whether_it_pays_is_decided_by_the_interval(ratio, words):
    assert f"Speculative decoding {words}" in of_gain(max_rate=ratio)


def test_a_twin_that_holds_nothing_or_cannot_keep_up_is_said():
    assert "hold the objectives at no load" in of_gain(max_rate=None)
    assert "their queue would grow without end" in of_gain(tpot=None)
    twin = spread(22.0)
    assert "less than is asked for" not in of_gain(twin_max_rate_per_s=twin)


def test_without_speculation_on_the_first_it_says_what_was_tried():
    off = (offer(H100, gain=None, acceptance_length=1.0),)
    assert "with drafts of 1, 3 and 5 tokens nothing that was tried" in said(plan(offers=off))
    never = question(candidates=Candidates(gpus=("h100_sxm",), gammas=(0,)))
    assert "was not among the candidates (gammas=)" in said(plan(offers=off, question=never))


def test_fresh_seeds_confirm_and_the_next_cheaper_fails():
    text = said(plan())
    assert "Five fresh seeds confirm it; the next cheaper, 8 x NVIDIA H200" in text
    assert text.endswith("fails: 71 % of reasoning are in time, 99 % must be.")
    found = plan().confirmation
    alone = replace(found, seeds=(7,), cheaper=None, failed=(found.cheaper,))
    text = said(plan(confirmation=alone))
    assert "One fresh seed confirms it; nothing cheaper is left to try." in text
    assert "They refuted what the search had before it: 2 x (4 x h200_sxm" in text
    strong = replace(found, strongest=replace(found.cheaper, deployment=H100))
    assert "24 x NVIDIA H100 SXM 80 GB (3 replicas of TP 8, EP 8), the strongest" in said(
        plan(confirmation=strong)
    )
    holds = replace(found, cheaper=replace(found.cheaper, meets=True))
    assert "holds over these seeds, too." in said(plan(confirmation=holds))
    both = replace(found, failed=(found.cheaper,))
    assert "They refuted" not in said(plan(confirmation=both))  # it is the next cheaper, too


def test_where_nothing_holds_the_nearest_miss_and_what_it_takes_are_named():
    text = said(empty_plan())
    assert "Nothing serves Qwen3-235B-A22B at 20 requests/s" in text
    assert "on up to 64 GPUs (h200_sxm, b300_sxm, h100_sxm)" in text
    assert "93 % of chat and 41 % of reasoning are in time where 99 % must be" in text
    assert (
        "It would take a TPOT of 95 ms for reasoning instead of 80 ms or 108 GPUs instead of 64."
        in text
    )


def test_a_model_that_fits_nowhere_is_told_from_objectives_that_nothing_meets():
    screened = replace(NO_COUNTS, candidates=12, screened=12)
    miss = NearestMiss(
        deployment=H100,
        attainment={},
        reason=plan().rejected[0].reason,
        takes=("16 GPUs a replica (pipeline_parallel=2)", "weights in fp8 (precisions=fp8)"),
    )
    text = said(empty_plan(offers=(), nearest_miss=miss, counts=screened))
    assert "without speculation: Qwen3-235B-A22B takes 470 GB" in text
    assert "It would take 16 GPUs a replica (pipeline_parallel=2) or weights in fp8" in text
    assert "All 12 candidates were ruled out before any simulation: 1 for not fitting in" in text
    helpless = replace(miss, takes=())
    assert "Nothing that was tried would" in said(empty_plan(nearest_miss=helpless))


def test_an_empty_set_of_candidates_says_what_to_widen():
    nothing = empty_plan(offers=(), nearest_miss=None, rejected=(), counts=NO_COUNTS)
    assert "No candidate is left to try" in said(nothing)
    assert "tensor_parallel=" in said(nothing)


def test_a_budget_is_named_where_nothing_holds_within_it():
    short = question(limits=Limits(max_gpus=64, max_usd_per_hour=30.0))
    assert "up to 64 GPUs for up to 30.0 USD an hour" in said(empty_plan(question=short))


def test_a_price_that_is_not_known_is_said(printed):
    unpriced = plan(offers=(offer(B300, usd_per_hour=None),))
    assert "at a price that is not known" in said(unpriced)
    assert "No price is known of b300_sxm: ranked by GPUs" in shown(printed, unpriced)


def test_headroom_says_what_n_plus_1_and_the_peak_hour_take():
    lost, peak = headroom(plan(), offer(H200))
    assert "97 % of chat and 71 % of reasoning are in time" in lost
    assert "N+1 takes 4 replicas (16 GPUs, 101 USD an hour)" in lost
    assert "1.71 times the mean" in peak
    assert "takes 5 replicas (20 GPUs, 126 USD an hour)" in peak
    calm = replace(HEADROOM, one_less_holds=True, peak_holds=True)
    lost, peak = headroom(plan(), offer(H200, headroom=calm))
    assert "that is N+1 already" in lost
    assert "every objective still holds" in peak
    (lost, _) = headroom(plan(), offer(H200, headroom=replace(HEADROOM, one_less=None)))
    assert "With its one replica lost" in lost
    assert list(headroom(plan(), offer(H200, headroom=None))) == []


def test_the_crossover_is_told_in_batches_and_in_load():
    found = plan().crossover
    text = " ".join(crossover(found))
    assert "stops paying at a batch of 180 in a replica" in text
    assert "it pays at every load up to 20 requests/s" in text
    never = " ".join(crossover(replace(found, batch=None, rate_per_s=30.0)))
    assert "at every batch of a replica up to 256" in never
    assert "shorter without it from 30 requests/s on" in never
    assert "lengthens the time per token at every batch" in next(crossover(replace(found, batch=1)))
    assert list(crossover(None)) == []


def shown(printed, one, served=None, width=80):
    return printed(lambda console: print_plan(one, served or {}, console), width=width)


@pytest.mark.parametrize("width", [60, 80])
def test_the_ranked_table_loses_nothing_whatever_stands_in_it(printed, width):
    wide = replace(
        H200,
        gpu="rtx_pro_6000_server",
        precision="bfloat16/nvfp4",
        data_parallel=4,
        expert_parallel=16,
        gamma=3,
        policy="batch_schedule",
        split=Split(1, 3),
        replicas=64,
    )
    rows = (offer(H200), offer(wide, usd_per_hour=1234.5, binding_constraint="max_num_seqs"))
    text = shown(printed, plan(offers=rows), width=width)
    table = text[text.index("deployment") : text.index("No price")]
    assert max(map(len, table.splitlines())) <= WIDTH
    assert "…" not in table
    for cell in (
        "12 x h200_sxm",
        "3 x TP 4, EP 4",
        "22.7-24.1",
        "1.31x",
        "/ 80.0 ms",
        "2.21",
        "tpot",
    ):
        assert cell in table
    assert "4096 x" in table


def test_a_percentile_that_too_few_stand_behind_gives_way_to_the_next(printed):
    few = {"p50": 0.3, "p90": None, "p99": None}
    one = offer(H200, classes=(replace(outcome("chat", 0.99), ttft_s=few),))
    assert "p50 300 ms" in shown(printed, plan(offers=(one,)))


def test_offers_that_fail_say_why_below_the_table(printed):
    text = shown(printed, plan())
    assert "3 fails: 95.1 % of reasoning are in time, 99 % must be." in text
    assert text.count("fails") >= 2


def test_what_people_copy_is_not_wrapped(printed):
    served = {"vllm": Export("vLLM", ("vllm serve m " + "--flag " * 20,), ("One server.",))}
    text = shown(printed, plan(), served)
    assert "# One server.\nvllm serve m --flag" in text
    commands = re.findall(r"^[123]: moesim simulate .*run\.replications=3$", text, re.MULTILINE)
    assert len(commands) == 3


def test_assumptions_and_counts_stand_in_every_plan(printed):
    for one in (plan(), empty_plan()):
        text = " ".join(shown(printed, one).split())
        assert "Of 420 deployments 300 were ruled out by closed forms" in text
        assert "Acceptance of 2.21 tokens a round" in text


def test_the_pareto_front_is_drawn_with_a_legend_of_gpus_and_marks(tmp_path):
    text = plot_pareto(plan(), tmp_path / "front.svg").read_text("utf-8")
    for label in ("NVIDIA H200 SXM 141 GB", "Pareto front", "SD off, simulated", "closed form"):
        assert f"<!-- {label} -->" in text
