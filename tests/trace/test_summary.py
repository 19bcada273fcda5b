import json

import numpy as np
import pytest
from helpers.trace_rows import request_column

from simulator.trace.definitions import DEFINITIONS
from simulator.trace.json_file import write_json
from simulator.trace.summary import summarise

FIGURES = {
    *(set(DEFINITIONS) - {"percentiles"}),
    "intervals",
}
TIMES = ("arrival_s", "admitted_s", "first_token_s", "finish_s")
NOTHING = {"value": None, "low": None, "high": None}


def _fields(runs, column):
    return np.array([row[request_column(column)] for rows in runs for row in rows])


def no_rows(runs):
    return dict.fromkeys(runs, ())


@pytest.fixture
def paired(write_trace, queue_run, request_row, iteration_row):
    """Summarise pairs in which speculation shortens every latency to a share of the baseline's."""

    def run(share=0.5, replications=3, requests=400, load=0.5, **extra):
        tables = {"requests": {}, "iterations": {}}
        for replication in range(replications):
            rows, steps = queue_run(load, requests, seed=replication)
            fast = []
            for row in rows:
                arrival_s, admitted_s, *late_s = (row[request_column(name)] for name in TIMES)
                times_s = (arrival_s + share * (t - arrival_s) for t in late_s)
                fast.append(
                    request_row(row[0], arrival_s, *times_s, 11, 4, 6, admitted_s=admitted_s)
                )
            tables["requests"] |= {("baseline", replication): rows}
            tables["requests"] |= {("speculative", replication): fast}
            for arm in ("baseline", "speculative"):
                tables["iterations"] |= {(arm, replication): steps}
        paths = write_trace(tables["requests"], tables["iterations"])
        return summarise(*paths, warmup_fraction=0.1, extra=extra), tables

    return run


def test_the_summary_has_the_agreed_keys(paired):
    summary, _ = paired()
    assert set(summary) >= {
        "speedup",
        "baseline",
        "speculative",
        "target_efficiency",
        "mean_acceptance_length",
        "warnings",
    }
    ratios = {f"{name}_{p}" for name in ("ttft", "tpot", "e2e") for p in ("p50", "p90", "p99")}
    assert set(summary["speedup"]) == {"throughput", "goodput"} | ratios
    for interval in summary["speedup"].values():
        assert set(interval) == {"value", "low", "high"}
    for arm in ("baseline", "speculative"):
        assert set(summary[arm]) == FIGURES
        assert set(summary[arm]["tpot_s"]) == {"p50", "p90", "p99"}


def test_ratios_above_one_mean_that_speculation_is_better(paired):
    summary, _ = paired(share=0.5)
    for key in ("ttft_p50", "tpot_p50", "e2e_p50"):
        assert summary["speedup"][key]["value"] == pytest.approx(2.0)
        assert summary["speedup"][key]["low"] == pytest.approx(2.0)
    assert summary["speedup"]["throughput"] == {"value": 1.0, "low": 1.0, "high": 1.0}


def test_equal_arms_are_exactly_equal(write_trace, queue_run):
    requests, iterations = {}, {}
    for replication in range(3):
        rows, steps = queue_run(0.5, 400, seed=replication)
        for arm in ("baseline", "speculative"):
            requests[(arm, replication)], iterations[(arm, replication)] = rows, steps
    summary = summarise(*write_trace(requests, iterations), warmup_fraction=0.1, extra={})
    assert summary["baseline"] == summary["speculative"]
    for key, interval in summary["speedup"].items():
        expected = None if key.endswith("p99") or key == "goodput" else 1.0
        assert interval == dict.fromkeys(("value", "low", "high"), expected)


def test_percentiles_of_an_arm_pool_its_replications(paired):
    summary, tables = paired(requests=400, replications=3)
    e2e_s = []
    for (arm, _), rows in tables["requests"].items():
        if arm == "baseline":
            arrival_s, finish_s = _fields([rows], "arrival_s"), _fields([rows], "finish_s")
            start_s = arrival_s[0] + 0.1 * (arrival_s[-1] - arrival_s[0])
            e2e_s.append((finish_s - arrival_s)[arrival_s >= start_s])
    pooled = np.concatenate(e2e_s)
    assert summary["baseline"]["measured"] == pooled.size > 1000
    assert summary["baseline"]["e2e_s"]["p50"] == pytest.approx(np.quantile(pooled, 0.5))
    assert summary["baseline"]["e2e_s"]["p90"] == pytest.approx(np.quantile(pooled, 0.9))


def test_percentiles_are_withheld_on_too_few_requests(paired):
    summary, _ = paired(requests=400, replications=3)
    assert summary["baseline"]["tpot_s"]["p99"] is None
    assert summary["speedup"]["tpot_p99"] == NOTHING
    assert summary["speedup"]["tpot_p90"]["value"] is not None


def test_the_ratio_of_medians_stands_even_on_few_requests(paired):
    summary, _ = paired(requests=40, replications=2)
    assert summary["baseline"]["tpot_s"] == {"p50": None, "p90": None, "p99": None}
    assert summary["speedup"]["tpot_p50"]["value"] == pytest.approx(2.0)
    assert summary["speedup"]["tpot_p90"] == NOTHING


def test_scalars_are_means_over_replications_with_their_intervals(paired):
    summary, _ = paired(replications=3)
    arm = summary["baseline"]
    for name, interval in arm["intervals"].items():
        assert interval["value"] == arm[name]
        if name not in ("goodput_per_s", "attainment"):  # nothing was promised
            assert interval["low"] <= interval["value"] <= interval["high"]


def test_the_acceptance_length_pools_rounds(paired):
    summary, _ = paired()
    assert summary["baseline"]["mean_acceptance_length"] == 1.0
    assert summary["mean_acceptance_length"] == 1 + 6 / 4
    assert summary["mean_acceptance_length"] == summary["speculative"]["mean_acceptance_length"]


def test_one_replication_has_values_and_says_it_has_no_interval(paired):
    summary, _ = paired(replications=1)
    assert summary["speedup"]["tpot_p50"]["value"] == pytest.approx(2.0)
    assert summary["speedup"]["tpot_p50"]["low"] is summary["speedup"]["tpot_p50"]["high"] is None
    assert summary["warnings"] == ["one replication: speedups have no confidence interval."]


def test_a_saturated_arm_withholds_what_grows_with_the_run(paired):
    summary, _ = paired(load=2.0, requests=1500)
    assert summary["baseline"]["saturated"]
    for name in ("ttft_s", "e2e_s"):
        assert summary["baseline"][name] == {"p50": None, "p90": None, "p99": None}
        assert summary["speedup"][f"{name[:-2]}_p50"] == NOTHING
    assert summary["baseline"]["tpot_s"]["p50"] is not None
    assert summary["speedup"]["throughput"]["value"] == 1.0
    assert len(summary["warnings"]) == 1
    assert summary["warnings"][0].startswith("baseline and speculative: saturated.")


def test_half_of_the_replications_decide(write_trace, queue_run):
    requests, iterations = {}, {}
    for replication, load in enumerate((2.0, 0.5, 0.5)):
        for arm in ("baseline", "speculative"):
            key = (arm, replication)
            requests[key], iterations[key] = queue_run(load, 1500, seed=replication)
    paths = write_trace(requests, iterations)
    summary = summarise(*paths, warmup_fraction=0.1, extra={})
    assert not summary["baseline"]["saturated"]
    halves = {key: value for key, value in requests.items() if key[1] < 2}
    paths = write_trace(halves, iterations)
    assert summarise(*paths, warmup_fraction=0.1, extra={})["baseline"]["saturated"]


def test_rejections_are_counted_and_told(write_trace, request_row):
    rows = [request_row(i, float(i), i + 0.5, i + 0.9, 2, 1) for i in range(9)]
    rows.append(request_row(9, 9.0))
    both = {("baseline", 0): rows, ("speculative", 0): rows}
    summary = summarise(*write_trace(both, no_rows(both)), warmup_fraction=0.0, extra={})
    assert (summary["baseline"]["completed"], summary["baseline"]["rejected"]) == (9, 1)
    assert (
        "baseline: 1 of all 10 requests (10.0%) were rejected at a full queue."
        in summary["warnings"]
    )


def test_preemptions_are_counted_and_told(write_trace, request_row):
    rows = [request_row(i, i + 0.0, i + 0.5, i + 0.9, 2, 1, preemptions=i % 3) for i in range(9)]
    rows.append(request_row(9, 9.0))  # rejected
    both = {("baseline", 0): rows, ("speculative", 0): rows[:1]}
    summary = summarise(*write_trace(both, no_rows(both)), warmup_fraction=0.0, extra={})
    assert (summary["baseline"]["preempted"], summary["baseline"]["preemptions"]) == (6, 9)
    assert summary["speculative"]["preemptions"] == 0
    (told,) = (warning for warning in summary["warnings"] if "KV blocks" in warning)
    assert told.startswith("baseline: 6 of 10 requests lost their KV blocks to others, 9 times")
    assert "scheduler.max_num_seqs" in told


def test_an_empty_trace_says_so_and_does_not_fail(write_trace):
    both = {("baseline", 0): [], ("speculative", 0): []}
    summary = summarise(*write_trace(both, both), warmup_fraction=0.1, extra={})
    assert set(summary["speedup"]["throughput"].values()) == {None}
    assert summary["warnings"] == [
        "baseline: no request finished; there is nothing to measure.",
        "speculative: no request finished; there is nothing to measure.",
    ]
    json.dumps(summary, allow_nan=False)


def test_a_missing_arm_is_an_empty_arm(write_trace, request_row):
    rows = {("baseline", 0): [request_row(i, float(i), i + 0.5, i + 0.9, 2, 1) for i in range(9)]}
    summary = summarise(*write_trace(rows, no_rows(rows)), warmup_fraction=0.1, extra={})
    assert summary["baseline"]["completed"] == 9
    assert summary["speculative"]["completed"] == 0
    assert summary["speedup"]["tpot_p50"]["value"] is None


def test_only_replications_of_both_arms_are_compared(write_trace, request_row):
    def rows(service_s):
        return [request_row(i, float(i), i + 0.1, i + 0.1 + service_s, 2, 1) for i in range(9)]

    runs = {("baseline", 0): rows(0.4), ("baseline", 1): rows(0.9), ("speculative", 0): rows(0.2)}
    summary = summarise(*write_trace(runs, no_rows(runs)), warmup_fraction=0.1, extra={})
    assert summary["replications"] == 1
    assert summary["speedup"]["tpot_p50"]["value"] == pytest.approx(2.0)


def test_a_burst_is_told(write_trace, request_row):
    rows = [request_row(i, 0.0, 1.0, 2.0, 3, 2) for i in range(4)]
    both = {("baseline", 0): rows, ("speculative", 0): rows}
    summary = summarise(*write_trace(both, no_rows(both)), warmup_fraction=0.1, extra={})
    assert any("measured whole" in warning for warning in summary["warnings"])


def test_what_the_caller_adds_is_joined_in(paired):
    summary, _ = paired(
        replications=1, target_efficiency=0.7, warnings=["mind"], scenario={"gamma": 3}
    )
    assert summary["target_efficiency"] == 0.7
    assert summary["scenario"] == {"gamma": 3}
    assert summary["warnings"][0] == "mind"
    assert len(summary["warnings"]) == 2


def test_the_summary_is_strict_json_and_survives_the_file(paired, tmp_path):
    summary, _ = paired(target_efficiency=float("nan"))
    assert summary["target_efficiency"] is None
    assert json.loads(write_json(tmp_path / "summary.json", summary).read_text()) == summary


def test_a_saved_trace_gives_the_same_numbers_again(write_trace, queue_run):
    requests, iterations = queue_run(0.6, 300, seed=1)
    runs = ({("baseline", 0): requests}, {("baseline", 0): iterations})
    paths = write_trace(*runs)
    first = summarise(*paths, warmup_fraction=0.1, extra={})
    assert summarise(*paths, warmup_fraction=0.1, extra={}) == first


SLO = {"ttft_s": 1.0, "tpot_s": None, "e2e_s": None, "share": 0.9}


@pytest.fixture
def promised(write_trace, request_row):
    """Summarise arms whose requests have a TTFT of 0.5 s or, some of them, of 1.5 s."""

    def run(late, replications=3, classes=1, tenants=1, requests=400):
        tables = {}
        for arm, share in late.items():
            for replication in range(replications):
                tables[(arm, replication)] = [
                    request_row(
                        i,
                        float(i),
                        i + (1.5 if (i + replication) % 10 < 10 * share else 0.5),
                        i + 2.5,
                        11,
                        traffic_class=i % classes,
                        tenant=(i // 2) % tenants,
                    )
                    for i in range(requests)
                ]
        names = [{"name": f"class {index} of mine"} for index in range(classes)]
        config = {"slo": SLO, "workload": {"traffic_classes": names}}
        paths = write_trace(tables, no_rows(tables), config)
        return summarise(*paths, warmup_fraction=0.0, extra={})

    return run


def test_goodput_and_attainment_are_compared_in_pairs(promised):
    summary = promised({"baseline": 0.2, "speculative": 0.1})
    assert summary["baseline"]["attainment"] == pytest.approx(0.8)
    assert summary["speculative"]["attainment"] == pytest.approx(0.9)
    assert summary["baseline"]["slo_missed"]["ttft_s"] == pytest.approx(0.2)
    gain = summary["slo"].pop("attainment_gain")
    assert summary["slo"] == SLO
    assert gain["value"] == pytest.approx(0.1)
    assert gain["low"] == pytest.approx(0.1)
    ratio = summary["speedup"]["goodput"]
    assert ratio["low"] <= ratio["value"] == pytest.approx(0.9 / 0.8, rel=0.01)
    assert summary["classes"] == summary["tenants"] == []


def test_where_an_arm_has_no_goodput_the_gain_still_stands(promised):
    summary = promised({"baseline": 1.0, "speculative": 0.1})
    assert summary["baseline"]["goodput_per_s"] == 0.0
    assert summary["speedup"]["goodput"] == NOTHING
    assert summary["slo"]["attainment_gain"]["value"] == pytest.approx(0.9)


def test_classes_are_reported_by_name(promised):
    summary = promised({"baseline": 0.2, "speculative": 0.1}, classes=2)
    first, second = summary["classes"]
    assert (first["name"], second["name"]) == ("class 0 of mine", "class 1 of mine")
    assert first["slo"] == SLO
    arms = "baseline", "speculative"
    for arm in arms:
        assert first[arm]["requests"] + second[arm]["requests"] == summary[arm]["measured"]
        goodput = first[arm]["goodput_per_s"] + second[arm]["goodput_per_s"]
        assert goodput == pytest.approx(summary[arm]["goodput_per_s"])
        assert first[arm]["ttft_s"] == {"p50": 0.5, "p90": None, "p99": None}  # 600 requests
        assert first[arm]["outcome_shares"]["finished"] == 1.0
    assert set(first["goodput"]) == {"value", "low", "high"}


def test_tenants_are_listed_largest_first_and_compared_by_jain(promised):
    summary = promised({"baseline": 0.2, "speculative": 0.1}, tenants=30)
    assert len(summary["tenants"]) == 20
    demands = [tenant["baseline"]["demand_tokens"] for tenant in summary["tenants"]]
    assert demands == sorted(demands, reverse=True)
    first = summary["tenants"][0]["speculative"]
    window_s = 3 * 399.0
    assert first["goodput_per_s"] == pytest.approx(
        first["attainment"] * first["requests"] / window_s, rel=0.1
    )
    assert 0.99 < summary["baseline"]["jain_service"] <= 1.0
    json.dumps(summary, allow_nan=False)


def test_what_vllm_counts_is_counted_over_the_whole_run(write_trace, request_row, iteration_row):
    rows = [request_row(i, float(i), i + 0.5, i + 0.9, 6, 3, 2) for i in range(9)]
    steps = [
        iteration_row(0, 0.0, 0.5, 4, 6, query_tokens=4),
        iteration_row(1, 0.5, 0.5, 4, 4, query_tokens=1),  # a policy left the drafts out
        iteration_row(2, 99.0, 0.5, 2, 5, query_tokens=3),  # after the window
    ]
    runs = {("speculative", 0): rows, ("speculative", 1): rows}
    summary = summarise(
        *write_trace(runs, dict.fromkeys(runs, steps)), warmup_fraction=0.5, extra={}
    )
    arm = summary["speculative"]
    assert arm["num_drafts"] == 2 * (4 + 2)
    assert arm["num_draft_tokens"] == 2 * (4 * 3 + 2 * 2)
    assert arm["num_accepted_tokens"] == 2 * 9 * 2


def test_a_backlog_is_told_with_its_signal(write_trace, request_row, iteration_row):
    rows = [request_row(i, float(i), i + 0.5, i + 0.9, 2, 1) for i in range(99)]
    steps = [iteration_row(i, float(i), 1.0, 8, 8, waiting=20 * (30 < i < 60)) for i in range(99)]
    both = {("baseline", 0): rows, ("speculative", 0): rows}
    summary = summarise(*write_trace(both, dict.fromkeys(both, steps)), warmup_fraction=0, extra={})
    verdict = summary["baseline"]["verdict"]
    assert verdict["label"] == "backlogged"
    assert verdict["runs"] == {"stable": 0, "backlogged": 1, "overloaded": 0}
    assert f"baseline: backlogged, {verdict['signal']}." in summary["warnings"]
    assert not summary["baseline"]["saturated"]
