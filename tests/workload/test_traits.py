"""Traffic classes, shared prefixes and conversations."""

import numpy as np
import pytest
from helpers.workloads import columns_of
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import ConfigError
from simulator.streams import Streams
from simulator.workload.build import build_workload
from simulator.workload.config import WorkloadConfig
from simulator.workload.spans import HASH_TOKENS
from simulator.workload.traits import TraitedWorkload
from simulator.workload.traits_config import SessionsConfig, SharedPrefixConfig, TrafficClassConfig

CHAT = TrafficClassConfig(name="chat", share=3.0, tenants=2)
BATCH = TrafficClassConfig(name="batch", share=1.0, priority=5, tenants=3, cancel_after_s=20.0)


def build(requests=4000, **settings):
    return build_workload(
        WorkloadConfig(**({"preset": "chat", "arrivals": "poisson"} | settings)), requests
    )


def whole(workload, seed=0):
    """Columns of all blocks."""
    return columns_of(
        workload, "traffic_class", "tenant", "priority", "session", "cancel_after_s", seed=seed
    )


def test_nothing_set_leaves_the_workload_alone():
    workload = build()
    assert not isinstance(workload, TraitedWorkload)
    assert next(workload.blocks(Streams(0))).traits is None


def test_classes_have_their_shares_tenants_priorities_and_patience():
    found = whole(build(20_000, traffic_classes=(CHAT, BATCH)))
    batch = found["traffic_class"] == 1
    # A share of 1/4 of 20,000 has a standard deviation of .003.
    assert batch.mean() == pytest.approx(0.25, abs=0.012)
    assert set(found["tenant"][~batch]) == {0, 1}
    assert set(found["tenant"][batch]) == {2, 3, 4}
    assert (found["tenant"] == 3).mean() == pytest.approx(0.25 / 3, abs=0.008)
    assert set(found["priority"][batch]) == {5}
    assert np.isinf(found["cancel_after_s"][~batch]).all()
    patience = found["cancel_after_s"][batch]
    assert patience.mean() == pytest.approx(20.0, rel=4 / np.sqrt(batch.sum()))
    assert patience.std() == pytest.approx(20.0, rel=8 / np.sqrt(batch.sum()))
    assert (found["session"] == -1).all()


def test_arrivals_and_lengths_stay_and_a_class_shifts_no_other_draw():
    plain = list(build().blocks(Streams(3)))
    some = whole(build(traffic_classes=(CHAT, BATCH)), seed=3)
    more = whole(
        build(traffic_classes=(CHAT, BATCH), shared_prefix=SharedPrefixConfig(tokens=100)), seed=3
    )
    for name in ("arrival_s", "prompt_tokens", "output_tokens"):
        assert (some[name] == np.concatenate([getattr(block, name) for block in plain])).all()
    for name in ("traffic_class", "tenant", "cancel_after_s"):
        assert (some[name] == more[name]).all()


@given(st.integers(1, 2500), st.integers(0, 5))
@settings(max_examples=8)
def test_a_shorter_run_sees_the_beginning_of_a_longer_one(requests, seed):
    traits = {
        "traffic_classes": (CHAT, BATCH),
        "shared_prefix": SharedPrefixConfig(tokens=200, groups=5),
        "sessions": SessionsConfig(live=7, turns=3.0, max_tokens=20_000),
    }
    short, long = whole(build(requests, **traits), seed), whole(build(2500, **traits), seed)
    for name, column in short.items():
        assert list(column) == list(long[name][:requests])


@pytest.mark.parametrize(("zipf", "first"), [(0.0, 1 / 4), (1.0, 12 / 25)])
def test_prompts_share_the_prefix_of_their_group(zipf, first):
    """Of popularities 1, 1/2, 1/3, 1/4 the first is 12/25."""
    prefix = SharedPrefixConfig(tokens=500, groups=4, zipf=zipf)
    found = whole(build(10_000, shared_prefix=prefix))
    lengths = np.array([len(hashes) for hashes in found["prefixes"]])
    assert (lengths == np.minimum(found["prompt_tokens"], 500) // HASH_TOKENS).all()
    begun = np.array([hashes[0] for hashes in found["prefixes"] if hashes])
    texts, counts = np.unique(begun, return_counts=True)
    assert len(texts) == 4
    assert counts[0] / counts.sum() == pytest.approx(first, abs=0.02)
    longest = {hashes[0]: hashes for hashes in sorted(filter(None, found["prefixes"]), key=len)}
    for hashes in filter(None, found["prefixes"]):
        assert hashes == longest[hashes[0]][: len(hashes)]


def test_a_turn_begins_with_all_that_was_said():
    sessions = SessionsConfig(live=12, turns=4.0, max_tokens=16_000)
    found = whole(build(6000, sessions=sessions))
    drawn = np.concatenate([block.prompt_tokens for block in build(6000).blocks(Streams(0))])
    turns = {}
    for index, session in enumerate(found["session"]):
        turns.setdefault(session, []).append(index)
    for own in turns.values():
        said = 0
        for index in own:
            assert found["prompt_tokens"][index] == said + drawn[index]
            said = found["prompt_tokens"][index] + found["output_tokens"][index]
            assert len(found["prefixes"][index]) == said // HASH_TOKENS
            longest = found["prefixes"][own[-1]]
            assert found["prefixes"][index] == longest[: len(found["prefixes"][index])]
    assert found["prompt_tokens"].max() <= 16_000
    heads = [found["prefixes"][own[-1]][:1] for own in turns.values()]
    assert len({head for head in heads if head}) == sum(map(bool, heads))


def test_conversations_are_as_many_and_as_long_as_asked():
    """A conversation ends by chance, never for want of room: then turns are geometric."""
    sessions = SessionsConfig(live=30, turns=4.0, max_tokens=10_000_000)
    config = {"prompt_tokens": 10, "output_tokens": 10}
    found = whole(build(20_000, sessions=sessions, **config))["session"]
    _, counts = np.unique(found, return_counts=True)
    assert counts.mean() == pytest.approx(4.0, rel=4 * np.sqrt(12) / 4 / np.sqrt(len(counts)))
    assert (counts == 1).mean() == pytest.approx(1 / 4, abs=0.03)
    gaps = np.concatenate([np.diff(np.flatnonzero(found == one)) for one in range(200)])
    assert gaps.min() >= 25  # 30 others, few of which have just ended


def test_a_conversation_has_one_tenant_and_one_prefix():
    found = whole(
        build(
            traffic_classes=(CHAT, BATCH),
            shared_prefix=SharedPrefixConfig(tokens=64, groups=3),
            sessions=SessionsConfig(live=20, turns=6.0, max_tokens=30_000),
        )
    )
    for session in range(50):
        own = found["session"] == session
        assert np.unique(found["tenant"][own]).size == 1
        assert np.unique(found["priority"][own]).size == 1
    texts = {hashes[0] for hashes in found["prefixes"] if hashes}
    assert len(texts) >= 3  # the prefixes, and texts of their own where a first turn was short
    # Patience is drawn turn by turn, with the mean of the conversation's class.
    impatient = np.isfinite(found["cancel_after_s"])
    assert np.array_equal(impatient, found["traffic_class"] == 1)
    assert np.unique(found["cancel_after_s"][impatient]).size == impatient.sum() > 0


def test_bounds_are_known_before_the_run():
    sessions = SessionsConfig(live=2, turns=9.0, max_tokens=15_000)
    workload = build(sessions=sessions)
    assert workload.max_prompt_tokens == 15_000
    assert whole(workload)["prompt_tokens"].max() <= 15_000
    assert workload.max_output_tokens == build().max_output_tokens
    assert (workload.title, workload.mean_rate) == (build().title, build().mean_rate)


def test_what_was_assumed_is_said():
    said = " | ".join(
        build(
            traffic_classes=(CHAT, BATCH),
            shared_prefix=SharedPrefixConfig(tokens=64, groups=3),
            sessions=SessionsConfig(live=20, turns=6.0, max_tokens=30_000),
        ).assumptions
    )
    assert "chat 75%, batch 25%" in said
    assert "class batch give up after 20 s on average" in said
    assert "one of 3 prefixes of 64 tokens" in said
    assert "20 conversations of 6 turns" in said
    assert "3.62 s on average" in said  # 20 conversations at 5.53 requests/s
    assert "no prefix is shared" not in said
    assert "no prefix is shared" in " | ".join(build().assumptions)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (lambda: {"traffic_classes": (CHAT, CHAT)}, "two classes named 'chat'"),
        (lambda: {"traffic_classes": (TrafficClassConfig(name="a", share=0.0),)}, "share is 0"),
        (lambda: {"traffic_classes": (TrafficClassConfig(name="a", tenants=0),)}, "tenants is 0"),
        (
            lambda: {"traffic_classes": (TrafficClassConfig(name="a", cancel_after_s=-1.0),)},
            "cancel_after_s is -1; set it above 0",
        ),
        (lambda: {"shared_prefix": SharedPrefixConfig(tokens=0)}, "tokens is 0"),
        (lambda: {"shared_prefix": SharedPrefixConfig(tokens=9, zipf=1.0)}, "but there is one"),
        (lambda: {"sessions": SessionsConfig(live=0, turns=2.0, max_tokens=9)}, "live is 0"),
        (lambda: {"sessions": SessionsConfig(live=1, turns=1.0, max_tokens=9)}, "turns is 1"),
        (
            lambda: {"sessions": SessionsConfig(live=1, turns=2.0, max_tokens=900)},
            "raise it to at least 14050",
        ),
        (
            lambda: {
                "kind": "closed_loop",
                "arrivals": None,
                "concurrency": 2,
                "sessions": SessionsConfig(live=1, turns=2.0, max_tokens=900_000),
            },
            "conversations need an open loop",
        ),
    ],
)
def test_the_impossible_is_refused(settings, words):
    with pytest.raises(ConfigError, match=words):
        build(**settings())


def test_conversations_in_a_closed_loop_are_refused_in_words_of_the_user():
    with pytest.raises(ConfigError, match=r"workload\.sessions is set, which means nothing"):
        WorkloadConfig(
            kind="closed_loop",
            preset="chat",
            concurrency=4,
            sessions=SessionsConfig(live=5, turns=3.0, max_tokens=20_000),
        )
