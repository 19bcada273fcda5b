import re

import pytest

from simulator.report.objective import objective_advice
from simulator.report.service import objective
from simulator.report.terminal import print_summary

SLO = {"ttft_s": 2.0, "tpot_s": 0.1, "e2e_s": None, "share": 0.99}
NOBODY = dict.fromkeys(("rejected", "timed_out", "cancelled", "failed"), 0.0)


def promise(summary, off=0.951, on=0.999):
    """Give a summary an objective that both arms nearly meet."""
    summary["slo"] = SLO
    for arm, met in (("baseline", off), ("speculative", on)):
        summary[arm] |= {
            "attainment": met,
            "goodput_per_s": 1.845 * met,
            "slo_missed": {"ttft_s": 0.0, "tpot_s": 1 - met, "e2e_s": 0.0},
            "outcome_shares": dict(NOBODY),
            "queue_s": {"p50": 0.01, "p90": 0.02, "p99": 0.03},
            "verdict": {"label": "stable", "signal": ""},
        }
    summary["speedup"]["goodput"] = {"value": 1.05, "low": 1.04, "high": 1.06}


def line(text, label):
    found = re.search(rf"^ {re.escape(label)} +(.*)$", text, re.MULTILINE)
    return re.split(r"  +", found[1]) if found else None


def test_an_objective_that_all_requests_meet_is_not_mentioned(summary, printed):
    before = printed(print_summary, summary)
    promise(summary, off=1.0, on=1.0)
    assert printed(print_summary, summary) == before


def test_goodput_is_shown_where_requests_miss_the_objective(summary, printed):
    promise(summary)
    text = printed(print_summary, summary)
    assert line(text, "goodput/s") == ["1.75", "1.84", "1.05x", "1.04 to 1.06"]
    assert line(text, "SLO attainment") == ["95.1 %", "99.9 %"]
    assert "SLO (TTFT 2.00 s, TPOT 100 ms)" in text
    assert line(text, "verdict") is None


def test_outcomes_are_shown_where_requests_leave_unserved(summary, printed):
    promise(summary, 1.0, 1.0)
    summary["baseline"]["outcome_shares"] |= {"rejected": 0.03, "timed_out": 0.0004}
    text = printed(print_summary, summary)
    assert line(text, "rejected") == ["3.0 %", "0.0 %"]
    assert line(text, "timed out") is line(text, "cancelled") is None


def test_a_verdict_is_shown_where_an_arm_does_not_keep_up(summary, printed):
    promise(summary)
    summary["baseline"]["verdict"]["label"] = "backlogged"
    assert line(printed(print_summary, summary), "verdict") == ["backlogged", "stable"]


@pytest.mark.parametrize(("queued_s", "shown"), [(0.2, False), (0.21, True)])
def test_the_queue_is_shown_where_it_is_most_of_the_ttft(summary, printed, queued_s, shown):
    promise(summary)
    summary["baseline"]["queue_s"]["p90"] = queued_s  # of 0.4138 s
    assert bool(line(printed(print_summary, summary), "queue p90")) == shown


def test_cache_and_fairness_are_shown_where_there_are_any(summary, printed):
    promise(summary)
    assert line(printed(print_summary, summary), "prefix hit rate") is None
    for arm in ("baseline", "speculative"):
        summary[arm] |= {"prefix_hit_rate": 0.41, "jain_service": 0.5, "jain_demand": 0.75}
    text = printed(print_summary, summary)
    assert line(text, "prefix hit rate") == ["41 %", "41 %"]
    assert line(text, "Jain, service") == ["0.500", "0.500"]
    assert line(text, "Jain, demand") == ["0.750", "0.750"]


def test_classes_have_a_table_of_their_own_in_eighty_columns(summary, printed):
    promise(summary)
    times = {"p50": 0.1, "p90": 0.1234, "p99": None}
    arm = {"requests": 12345, "attainment": 0.987, "ttft_s": times, "tpot_s": times}
    arm |= {"goodput_per_s": 1.5, "slo_missed": {"ttft_s": 0.01}}
    names = ("[interactive] chat", "batch")
    summary["classes"] = [
        {"name": name, "slo": SLO, "baseline": arm, "speculative": arm} for name in names
    ]
    text = printed(print_summary, summary | {"files": {}})
    figures = ["12,345", "123 ms", "123 ms", "1.50", "98.7 %"]
    for name in names:
        assert line(text, name) == ["SD off", *figures]
    assert len(re.findall(r"^  +SD on", text, re.MULTILINE)) == 2
    assert max(map(len, text.splitlines())) <= 80


def test_an_objective_is_written_with_its_units():
    assert objective(SLO | {"e2e_s": 30.0, "ttft_s": None}) == "TPOT 100 ms, E2E 30.0 s"
    assert objective(dict.fromkeys(SLO)) == "that of each class"


def test_no_objective_and_no_miss_need_no_advice(summary):
    assert objective_advice(summary) is None
    promise(summary, 0.995, 0.991)
    assert objective_advice(summary) is None


def test_speculation_may_decide_whether_the_objective_is_met(summary):
    promise(summary)
    assert objective_advice(summary) == (
        "Only SD on meets the SLO: 95.1 % of the requests are in time with SD off, 99.9 % "
        "with SD on, where 99 % must be. With SD off 5 % decode too slowly: let fewer share a step "
        "(scheduler.max_num_seqs, hardware.replicas) or spread it over more GPUs "
        "(hardware.tensor_parallel)."
    )
    promise(summary, off=0.999, on=0.951)
    assert objective_advice(summary).startswith("Only SD off meets the SLO: 99.9 %")


def test_the_class_that_falls_short_most_is_named(summary):
    promise(summary)

    def traffic_class(name, share, off, on):
        missed = {"slo_missed": {"ttft_s": 0.02, "tpot_s": 0.03, "e2e_s": 0.27}}
        met = {"baseline": off, "speculative": on}
        arms = {arm: {"attainment": share} | missed for arm, share in met.items()}
        return {"name": name, "slo": SLO | {"share": share}} | arms

    summary["classes"] = [
        traffic_class("chat", 0.99, 0.98, 0.999),
        traffic_class("batch", 0.5, 0.55, 0.6),
        traffic_class("agents", 0.9, 0.7, 0.95),
        {"name": "free", "slo": None, "baseline": {}, "speculative": {}},
    ]
    assert objective_advice(summary).startswith(
        "Only SD on meets the SLO: 70.0 % of the requests of class agents are in time with SD off, "
        "95.0 % with SD on, where 90 % must be. With SD off 27 % take too long "
    )
    del summary["classes"][2], summary["classes"][0]
    assert objective_advice(summary) is None


CAUSES = [
    ({}, {}, "8 % decode too slowly"),
    ({"ttft_s": 0.3}, {}, "30 % wait too long for the first token, most of that in prefill"),
    ({"ttft_s": 0.3}, {"queue_s": {"p50": 1.0, "p90": 4.0}}, "most of that in the queue: add rep"),
    ({"ttft_s": 0.3}, {"queue_s": {"p50": 0.1, "p90": None}}, "in the queue"),
    ({"ttft_s": 0.3}, {"queue_s": {"p50": None, "p90": None}}, "in prefill"),
    ({"ttft_s": 0.3}, {"saturated": True}, "most of that in the queue: add replicas"),
    ({"e2e_s": 0.3}, {}, "30 % take too long from end to end"),
    ({}, {"outcome_shares": NOBODY | {"rejected": 0.2, "timed_out": 0.1}}, "30 % are turned away"),
    ({}, {"outcome_shares": NOBODY | {"cancelled": 0.3}}, "30 % are given up by their clients"),
    ({}, {"outcome_shares": NOBODY | {"failed": 0.3}}, "30 % are lost with replicas that fail"),
]


@pytest.mark.parametrize(("missed", "figures", "said"), CAUSES)
def test_the_remedy_suits_what_most_requests_miss_it_by(summary, missed, figures, said):
    promise(summary, 0.91, 0.92)
    arm = summary["speculative"]
    arm["slo_missed"] |= missed
    summary["speculative"] = arm | figures
    advice = objective_advice(summary)
    assert advice.startswith("Neither arm meets the SLO: 91.0 %")
    assert said in advice


def test_where_neither_keeps_up_that_is_said_already(summary):
    promise(summary, 0.1, 0.2)
    for arm in ("baseline", "speculative"):
        summary[arm]["saturated"] = True
    assert objective_advice(summary) is None


def test_a_run_in_which_nobody_was_measured_has_no_advice(summary):
    promise(summary)
    summary["baseline"]["attainment"] = None
    assert objective_advice(summary) is None


@pytest.mark.parametrize("setting", ["hardware.replicas", "cluster.pools", "cluster.autoscaling"])
def test_replicas_are_added_where_they_are_set(summary, setting):
    promise(summary)
    summary["scenario"]["replicas_setting"] = setting
    assert f"(scheduler.max_num_seqs, {setting})" in objective_advice(summary)
