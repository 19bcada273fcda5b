import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.report.advice import (
    FIXED_LENGTH,
    MORE_REPLICAS,
    advice,
    headline,
    limiting_term,
    next_override,
    sweep,
    verdict,
)

TERMS = ("draft_ratio", "verify_ratio", "rejection_ratio")


def _set(summary, key, value, low=None, high=None):
    summary["speedup"][key] = {"value": value, "low": low, "high": high}


def _saturate(summary, *arms):
    for arm in arms:
        summary[arm]["saturated"] = True
        for key in ("ttft_p50", "e2e_p50"):
            _set(summary, key, None)


def test_it_says_that_it_pays_what_it_costs_why_and_what_to_try(summary):
    assert advice(summary) == (
        "Speculative decoding pays: the median time per output token falls by a factor of 1.82 "
        "(95 % interval 1.78 to 1.86). But the median time to first token rises by a factor of "
        "1.18 (95 % interval 1.15 to 1.20). What holds it back most is acceptance: of the 4 tokens "
        "that a round could yield, 2.46 come out. Try other draft lengths."
    )


def test_a_loss_is_a_factor_above_one_too(summary):
    _set(summary, "tpot_p50", 0.8, 0.75, 0.85)
    assert verdict(summary, "tpot_p50") == (
        "Speculative decoding does not pay: the median time per output token rises by a factor of "
        "1.25 (95 % interval 1.18 to 1.33)."
    )


def test_throughput_falls_where_latency_would_rise(summary):
    _set(summary, "throughput", 0.8, 0.75, 0.85)
    assert "throughput falls by a factor of 1.25" in verdict(summary, "throughput")
    _set(summary, "throughput", 1.3, 1.2, 1.4)
    assert "throughput rises by a factor of 1.30" in verdict(summary, "throughput")


def test_an_interval_around_one_claims_nothing(summary):
    _set(summary, "tpot_p50", 1.02, 0.97, 1.07)
    text = verdict(summary, "tpot_p50")
    assert "no difference that these replications can tell" in text
    assert "0.97 to 1.07" in text


def test_a_change_beyond_doubt_but_too_small_to_matter_is_no_verdict(summary):
    _set(summary, "tpot_p50", 0.99, 0.985, 0.995)
    assert verdict(summary, "tpot_p50") == (
        "Speculative decoding changes next to nothing: the median time per output token rises by a "
        "factor of 1.01 (95 % interval 1.01 to 1.02)."
    )


@pytest.mark.parametrize(("value", "claim"), [(1.5, "pays: "), (0.5, "does not pay: ")])
def test_a_single_replication_is_named(summary, value, claim):
    _set(summary, "tpot_p50", value)
    text = advice(summary)
    assert claim in text
    assert "in a single replication" in text
    assert "But" not in text  # nothing beyond doubt without intervals


def test_side_effects_of_a_loss_are_gains(summary):
    _set(summary, "tpot_p50", 0.8, 0.75, 0.85)
    _set(summary, "ttft_p50", 1.2, 1.1, 1.3)
    assert "But the median time to first token falls by a factor of 1.20" in advice(summary)


@pytest.mark.parametrize(
    ("arm", "claim"),
    [
        ("baseline", "pays: with it the deployment keeps up with this load, without it the queue"),
        ("speculative", "does not pay: without it the deployment keeps up with this load, with it"),
    ],
)
def test_an_arm_that_alone_keeps_up_decides(summary, arm, claim):
    _saturate(summary, arm)
    text = verdict(summary, headline(summary))
    assert text.startswith(f"Speculative decoding {claim}")
    assert "At this load the median time per output token falls by a factor of 1.82" in text


def test_two_saturated_arms_are_compared_by_throughput_and_need_replicas(summary):
    _saturate(summary, "baseline", "speculative")
    _set(summary, "throughput", 1.3, 1.2, 1.4)
    assert headline(summary) == "throughput"
    assert next_override(summary) == MORE_REPLICAS
    text = advice(summary)
    assert text.startswith("Speculative decoding pays: throughput rises by a factor of 1.30")
    assert text.endswith("Neither arm keeps up with this load: try more replicas, or less load.")


def test_side_effects_too_small_to_matter_are_left_out(summary):
    _set(summary, "ttft_p50", 0.99, 0.985, 0.995)
    assert "But" not in advice(summary)


def test_without_time_per_token_the_verdict_is_in_latency_then_throughput(summary):
    _set(summary, "tpot_p50", None)
    assert headline(summary) == "e2e_p50"
    _set(summary, "e2e_p50", None)
    assert headline(summary) == "throughput"


def test_speculation_that_is_off_is_not_compared(summary):
    summary["scenario"]["gamma"] = 0
    assert "both arms are the same run" in advice(summary)
    assert next_override(summary) == "speculation.gamma=3"


def test_nothing_measured_is_nothing_to_compare(summary):
    for key in summary["speedup"]:
        _set(summary, key, None)
    assert advice(summary) == (
        "No request was measured in both arms, so there is nothing to compare."
    )
    assert next_override(summary) == sweep(summary)


@pytest.mark.parametrize(
    ("terms", "sigma", "expected", "words"),
    [
        ((0.1, 1.2, 0.0), 0.5, "acceptance", "2.00 come out"),
        ((0.1, 1.8, 0.0), 0.9, "verification", "1.80 plain steps (target efficiency 0.56)"),
        ((1.5, 1.2, 0.0), 0.9, "drafting", "it takes 1.50 plain steps a round"),
        ((0.1, 1.1, 0.9), 0.9, "rejection", "it takes 0.90 plain steps a round"),
    ],
)
def test_the_largest_loss_is_named(summary, terms, sigma, expected, words):
    summary["decomposition"] |= {"sigma": sigma, "expected_tokens_per_round": 4 * sigma}
    summary["decomposition"] |= dict(zip(TERMS, terms, strict=True))
    assert limiting_term(summary["decomposition"]) == expected
    assert words in advice(summary)


@given(st.floats(0.05, 1.0), st.floats(0.0, 5.0), st.floats(1.0, 20.0), st.floats(0.0, 5.0))
def test_the_named_loss_explains_at_least_a_quarter_of_the_gap(sigma, draft, verify, rejection):
    """The four losses multiply to the gap, so the largest is at least its fourth root."""
    terms = dict(zip(TERMS, (draft, verify, rejection), strict=True)) | {"sigma": sigma}
    gap = (draft + verify + rejection) / sigma
    losses = {
        "acceptance": 1 / sigma,
        "verification": verify,
        "drafting": 1 + draft / verify,
        "rejection": 1 + rejection / (verify + draft),
    }
    assert losses[limiting_term(terms)] >= gap**0.25 * (1 - 1e-9)


@pytest.mark.parametrize("terms", [None, {}, {"sigma": 0.5}, {"sigma": None}])
def test_without_a_decomposition_the_reason_is_left_out(summary, terms):
    summary["decomposition"] = terms
    assert "holds it back" not in advice(summary)


def test_without_a_scenario_there_is_still_advice(summary):
    del summary["scenario"]
    assert advice(summary).startswith("Speculative decoding pays")


def test_the_best_draft_length_is_recommended_with_its_promise(summary):
    summary["decomposition"] |= {"best_gamma": 2, "best_speedup": 1.66}
    assert next_override(summary) == "speculation.gamma=2"
    assert advice(summary).endswith(
        "Try speculation.gamma=2: the closed form promises 1.66x at this batch."
    )


def test_a_best_draft_length_that_gains_next_to_nothing_is_put_so(summary):
    summary["decomposition"] |= {"speedup": 1.63, "best_gamma": 2, "best_speedup": 1.64}
    assert next_override(summary) == sweep(summary)
    assert advice(summary).endswith(
        "By the closed form no draft length does much better at this batch: 1.64x with "
        "speculation.gamma=2, 1.63x here."
    )


def test_a_draft_length_that_is_the_best_already_is_not_recommended(summary):
    summary["decomposition"] |= {"best_gamma": 3, "best_speedup": 1.59}
    assert next_override(summary) == sweep(summary)
    assert advice(summary).endswith(
        "finds no better draft length at this batch; to be sure, try others."
    )


def test_a_best_draft_length_that_does_not_pay_is_not_recommended(summary):
    summary["decomposition"] |= {"best_gamma": 1, "best_speedup": 0.93}
    _set(summary, "tpot_p50", 0.8, 0.75, 0.85)
    assert next_override(summary) == sweep(summary)
    assert advice(summary).endswith("By the closed form no draft length pays at this batch.")


def test_a_loss_without_a_known_best_tries_one_draft_less(summary):
    _set(summary, "tpot_p50", 0.8, 0.75, 0.85)
    assert next_override(summary) == "speculation.gamma=2"
    assert advice(summary).endswith("Try speculation.gamma=2.")
    summary["scenario"]["gamma"] = 1
    assert next_override(summary) == sweep(summary)


def test_beside_a_policy_a_fixed_draft_length_is_tried(summary):
    summary["decomposition"]["best_gamma"] = 2
    summary["scenario"]["policy"] = "cost_model"
    assert next_override(summary) == FIXED_LENGTH
    assert advice(summary).endswith("to see what choosing the draft length is worth.")
    _saturate(summary, "baseline", "speculative")
    assert next_override(summary) == MORE_REPLICAS


def test_no_draft_is_swept_that_cannot_be_run(summary):
    summary["scenario"]["longest_gamma"] = 3
    assert sweep(summary) == "-m speculation.gamma=0,1,2,3"
    assert advice(summary).endswith("Try other draft lengths.")
    summary["scenario"] |= {"gamma": 0, "longest_gamma": 2}
    assert next_override(summary) == "speculation.gamma=2"
    assert advice(summary).endswith("Try speculation.gamma=2.")


@pytest.mark.parametrize("setting", ["cluster.pools", "cluster.autoscaling"])
@pytest.mark.parametrize("policy", ["fixed", "cost_model"])
def test_more_replicas_are_added_where_they_are_set(summary, setting, policy):
    """``hardware.replicas`` is refused beside pools, and no more than a start when scaled."""
    _saturate(summary, "baseline", "speculative")
    summary["scenario"] |= {"replicas_setting": setting, "policy": policy}
    assert "hardware.replicas" not in next_override(summary)
    assert f"try more replicas ({setting}), or less load." in advice(summary)


def test_nothing_holds_back_what_did_not_draft(summary):
    summary["decomposition"] |= {"gamma": 0, "sigma": 1.0, "expected_tokens_per_round": 1.0}
    assert "What holds it back" not in advice(summary)
