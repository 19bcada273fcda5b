"""Acceptance from a metrics page: rates, intervals, and pages that are refused."""

import numpy as np
import pytest
from helpers.pages import page, server
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from simulator.errors import ConfigError, DataError
from simulator.speculation.acceptance import PositionAcceptance
from simulator.study.calibration.acceptance import (
    Acceptance,
    by_model,
    metrics_of,
    read_acceptance,
    share,
)


@pytest.fixture
def read(tmp_path):
    """Read a page given as text."""

    def one(text, before=None, model=None):
        file = tmp_path / "metrics.txt"
        file.write_text(text)
        if before is not None:
            (tmp_path / "before.txt").write_text(before)
            before = tmp_path / "before.txt"
        return read_acceptance(file, before, model)

    return one


def accepted(drafts, by_position):
    return Acceptance("m", "0", drafts, drafts * len(by_position), sum(by_position), by_position)


@pytest.mark.parametrize("suffix", ["", "_total"])
def test_rates_are_conditional_by_position(read, suffix):
    (found,) = read(page(server(1000, (800, 600, 150)), suffix=suffix))
    assert [alpha.value for alpha in found.alphas] == [0.8, 0.75, 0.25]
    assert found.gamma == 3
    assert found.length.value == pytest.approx(1 + 1.55)
    assert (found.model, found.engine) == ("m", "0")


def test_the_length_is_that_of_the_acceptance_model_with_these_rates(read):
    (found,) = read(page(server(1000, (800, 600, 150))))
    model = PositionAcceptance([alpha.value for alpha in found.alphas])
    assert model.tokens_per_round(3) == pytest.approx(found.length.value)


def test_published_rates_come_out_of_their_counts(read):
    """Qwen3-30B-A3B with EAGLE-3: .603, .619 and .626 give 2.21 (conf/speculation/chat.yaml)."""
    counts = np.rint(100_000 * np.cumprod([0.603, 0.619, 0.626])).tolist()
    (found,) = read(page(server(100_000, counts)))
    assert [alpha.value for alpha in found.alphas] == pytest.approx([0.603, 0.619, 0.626], abs=1e-4)
    assert found.length.value == pytest.approx(2.21, abs=0.005)


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_intervals_are_clopper_and_pearsons(counts):
    successes, trials = counts
    exact = binomtest(successes, trials).proportion_ci(0.95, "exact")
    found = share(successes, trials)
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high), abs=1e-9)
    assert found.low <= found.value <= found.high


@pytest.mark.parametrize("truth", [0.03, 0.6, 0.95])
def test_intervals_hold_the_truth_as_often_as_they_say(truth):
    """Exactly, over all outcomes of 200 rounds: at least 95 %, by Clopper and Pearson's design."""
    outcomes = np.arange(201)
    held = [share(int(k), 200.0).low <= truth <= share(int(k), 200.0).high for k in outcomes]
    assert binom.pmf(outcomes, 200, truth)[held].sum() >= 0.95


def test_the_interval_of_the_length_covers_independent_rounds():
    """Nominal 95 % over 400 simulated servers; 91 % is four standard errors below."""
    model, rng = PositionAcceptance([0.7, 0.5, 0.4]), np.random.default_rng(1)
    covered = 0
    for _ in range(400):
        runs = model.accepted(rng.random(500), gamma=3)
        length = accepted(500, tuple(int((runs > i).sum()) for i in range(3))).length
        covered += length.low <= model.tokens_per_round(3) <= length.high
    assert covered >= 0.91 * 400


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=6))
def test_lengths_stay_between_one_and_gamma_plus_one(counts):
    found = accepted(1000, tuple(sorted(counts, reverse=True)))
    assert 1 <= found.length.low <= found.length.value <= found.length.high <= 1 + found.gamma


def test_rates_end_where_no_draft_came(read):
    (found,) = read(page(server(500, (200, 0, 0, 0))))
    assert [alpha.value for alpha in found.alphas] == [0.4, 0.0]
    assert found.gamma == 4


def test_drafts_shorter_than_the_longest_show(read):
    (found,) = read(page(server(100, (60, 30, 10), num_draft_tokens=240)))
    assert found.short_share == pytest.approx(0.2)
    assert accepted(100, (60, 30)).short_share == 0.0


def test_servers_stay_apart_and_a_model_can_be_chosen(read):
    text = page(
        server(100, (50,), "a", "0"), server(300, (240,), "a", "1"), server(10, (9, 8), "b")
    )
    assert [(one.model, one.engine) for one in read(text)] == [("a", "0"), ("a", "1"), ("b", "0")]
    assert [one.model for one in read(text, model="b")] == ["b"]
    with pytest.raises(ConfigError, match=r"unknown model 'c'.*Known: a, b"):
        read(text, model="c")


def test_engines_of_a_model_are_pooled_count_by_count(read):
    text = page(server(100, (50, 20), "a", "0"), server(300, (240,), "a", "1"))
    (pooled,) = by_model(read(text)).values()
    assert (pooled.drafts, pooled.by_position) == (400, (290, 20))
    assert [alpha.value for alpha in pooled.alphas] == [290 / 400, 20 / 290]


def test_two_pages_give_what_happened_between(read):
    after = page(server(1000, (800, 600)))
    (found,) = read(after, before=page(server(600, (500, 450))))
    assert (found.drafts, found.by_position) == (400, (300, 150))
    assert [alpha.value for alpha in found.alphas] == [0.75, 0.5]


def test_a_server_that_came_up_in_between_counts_from_zero(read):
    text = page(server(100, (50,), "a"), server(200, (100,), "b"))
    found = read(text, before=page(server(40, (20,), "a")))
    assert [one.drafts for one in found] == [60, 200]


def test_metrics_are_flat_and_named_by_model_if_there_are_several():
    one, two = accepted(100, (50,)), accepted(10, (9,))
    alone = metrics_of({"m": one})
    assert alone["alpha_1"] == 0.5
    assert alone["alpha_1_low"] < 0.5 < alone["alpha_1_high"]
    assert (alone["drafts"], alone["gamma"], alone["acceptance_length"]) == (100, 1.0, 1.5)
    assert metrics_of({"a": one, "b": two})["alpha_1_b"] == 0.9


REFUSED = {
    "not a page": ("<html>\n", r"metrics\.txt, line 1: '<html>' is no line of a Prometheus"),
    "broken line": (page(server(9, (5,))) + "vllm:x{y 1\n", r"line 10: 'vllm:x\{y 1'"),
    "nothing": ("\n# only a comment\n", "is no vLLM metrics page: it holds no metrics"),
    "other server": ("http_requests 3\n", "its 1 metrics are not vLLM's"),
    "off": (page(), r"speculative decoding was off.*--speculative-config"),
    "no round": (page(server(0, (0, 0))), "drafted nothing"),
    "old server": (page(server(9, (), num_accepted_tokens=0)), "num_accepted_tokens_per_pos; vLLM"),
    "no drafts": (page(server(9, (5,), num_drafts=None)), "lacks vllm:spec_decode_num_drafts;"),
    "accepted": (
        page(server(100, (90,), num_draft_tokens=50)),
        r"line 7: 90 tokens accepted of 50 drafted",
    ),
    "more than drafts": (
        page(server(100, (120,), num_draft_tokens=200)),
        r"line 9: 120 tokens accepted at position 0, but 100 drafts were made",
    ),
    "increasing": (
        page(server(100, (50, 60))),
        r"line 10: 60 tokens accepted at position 1, but 50 at position 0",
    ),
    "sum": (page(server(100, (50, 20), num_accepted_tokens=90)), "90 tokens .* but 70 summed"),
    "negative": (page(server(-5, (5,))), r"line 5: .*num_drafts_total is -5; a counter"),
    "nan": (page(server("NaN", (5,), num_draft_tokens=9)), "is nan; a counter"),
    "twice": (page(server(9, (5,)), server(9, (5,))), "stands on line 5 already"),
    "gap": (page(server(9, (5, 2))).replace('"1"', '"2"'), "positions 0, 2; they must run from 0"),
    "place": (page(server(9, (5,))).replace('n="0"}', 'n="x"}'), "position='x', no whole number"),
}


@pytest.mark.parametrize(("text", "said"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_is_refused_and_says_where(read, text, said):
    with pytest.raises(DataError, match=said):
        read(text)


def test_pages_swapped_or_a_server_started_anew_are_refused(read):
    with pytest.raises(DataError, match=r"num_drafts of model 'm'.* less than in .*before\.txt"):
        read(page(server(10, (5,))), before=page(server(100, (50,))))


def test_pages_of_no_round_between_are_refused(read):
    text = page(server(10, (5,)))
    with pytest.raises(DataError, match=r"drafted nothing since .*before\.txt"):
        read(text, before=text)


def test_a_missing_or_unreadable_page_is_named(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.txt' not found"):
        read_acceptance(tmp_path / "nowhere.txt")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\xff")
    with pytest.raises(DataError, match=r"picture\.png' cannot be read"):
        read_acceptance(tmp_path / "picture.png")


def test_counters_an_instant_apart_pass(read):
    (found,) = read(page(server(100_000, (100_001,), num_accepted_tokens=100_003)))
    assert found.alphas[0].value == 1.0
