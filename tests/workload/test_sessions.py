"""Sessions in a closed loop: turns, contexts, shared texts, and the links between turns."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.workloads import columns_of

from simulator.errors import ConfigError
from simulator.streams import Streams
from simulator.workload.arrivals import Poisson
from simulator.workload.build import build_workload
from simulator.workload.config import WorkloadConfig
from simulator.workload.counts import GeometricCount
from simulator.workload.lengths import FixedLength, LognormalMixture
from simulator.workload.presets import read_preset
from simulator.workload.sessions import SessionLaws, SessionWorkload
from simulator.workload.spans import HASH_TOKENS
from simulator.workload.times import ExponentialTimes
from simulator.workload.traits_config import SessionsConfig, TrafficClassConfig

SAID = LognormalMixture((1.0,), (5.0,), (1.0,), 1, 4000)
LAWS = SessionLaws(
    turns=GeometricCount(5.0),
    first=SAID,
    growth=SAID,
    think=ExponentialTimes(20.0),
    shared_tokens=96,
    max_tokens=4000,
    compacted_tokens=1000,
)


def sessions(requests=6000, rate=10.0, **laws):
    """Sessions of a mean of requests/s."""
    found = replace(LAWS, **laws)
    return SessionWorkload(
        title="sessions",
        requests=requests,
        mean_rate=rate,
        assumptions=found.assumptions,
        starts=Poisson(rate / found.turns.mean()),
        laws=found,
        output=LognormalMixture((1.0,), (4.0,), (0.5,), 1, 500),
    )


def whole(workload, seed=0):
    """Columns of all blocks."""
    return columns_of(workload, "session", "follows", "think_s", seed=seed)


@pytest.fixture(scope="module")
def drawn():
    return whole(sessions())


def test_every_turn_follows_the_one_before_in_its_session(drawn):
    last = {}
    for number, session in enumerate(drawn["session"].tolist()):
        assert drawn["follows"][number] == last.get(session, -1)
        last[session] = number
    assert (np.diff(drawn["arrival_s"]) >= 0).all()
    assert drawn["arrival_s"][0] >= 0.0


def test_the_earliest_arrival_is_that_with_answers_in_no_time(drawn):
    follows = drawn["follows"]
    later = np.flatnonzero(follows >= 0)
    since_s = drawn["arrival_s"][later] - drawn["arrival_s"][follows[later]]
    assert since_s == pytest.approx(drawn["think_s"][later], abs=1e-6)
    assert since_s.mean() == pytest.approx(20.0, rel=0.06)
    assert (drawn["think_s"][follows < 0] == 0.0).all()


def test_a_context_grows_by_what_is_added_until_it_is_compacted(drawn):
    prompts, follows = drawn["prompt_tokens"], drawn["follows"]
    later = np.flatnonzero(follows >= 0)
    grown = prompts[later] - prompts[follows[later]]
    compacted = grown < drawn["output_tokens"][follows[later]]
    assert prompts.max() <= 4000
    assert 0.01 < compacted.mean() < 0.2
    assert (prompts[later][compacted] >= 1000).all()
    assert (grown[~compacted] >= drawn["output_tokens"][follows[later]][~compacted]).all()


def test_a_turn_leaves_its_text_to_the_next_until_it_is_compacted(drawn):
    prompts, outputs, prefixes = (
        drawn[name] for name in ("prompt_tokens", "output_tokens", "prefixes")
    )
    owners, begun, restarts = {}, 0, 0
    for number, before in enumerate(drawn["follows"].tolist()):
        own = prefixes[number]
        assert len(own) == (prompts[number] + outputs[number]) // HASH_TOKENS
        begun += own[:6] == tuple(range(6))
        for text in own[6:7]:
            assert owners.setdefault(text, drawn["session"][number]) == drawn["session"][number]
        if before >= 0:
            known, grown = prefixes[before], prompts[number] - prompts[before] - outputs[before]
            if own[: len(known)] == known:
                assert grown >= 0 or len(known) <= 6
            else:
                assert prompts[number] >= 1000
                assert set(own[6:]).isdisjoint(known)
                restarts += 1
    assert 0.01 < restarts / len(prefixes) < 0.1
    assert 0.5 < begun / len(prefixes) < 0.95  # a session that opens with less has no such text


def test_a_run_begins_in_the_middle_of_things(drawn):
    """The rate is there from the start; sessions of before go on with contexts that have grown."""
    early = drawn["arrival_s"] < 100.0
    assert early.sum() == pytest.approx(1000, abs=250)
    first = drawn["follows"] < 0
    assert np.median(drawn["prompt_tokens"][first & early]) > 1.3 * SAID.quantile(0.5)


def test_turns_come_at_the_mean_rate():
    found = whole(sessions(20_000))
    # Sessions of n turns: Var(count) / mean is E[n^2] / E[n] = 9 for a geometric n of mean 5.
    assert 20_000 / found["arrival_s"][-1] == pytest.approx(10.0, rel=4 * np.sqrt(9 / 20_000))


def test_a_shorter_run_sees_the_beginning_of_a_longer_one(drawn):
    for requests in (1, 1500):
        short = whole(sessions(requests))
        for name, column in short.items():
            assert list(column) == list(drawn[name][:requests])


def test_without_growth_of_its_own_a_turn_adds_a_prompt_to_the_answer():
    found = whole(sessions(2000, first=FixedLength(50), growth=None, max_tokens=10**6))
    later = np.flatnonzero(found["follows"] >= 0)
    before = found["follows"][later]
    grown = found["prompt_tokens"][later] - found["prompt_tokens"][before]
    assert np.array_equal(grown, found["output_tokens"][before] + 50)


def config(**settings):
    return WorkloadConfig(**({"preset": "chat", "rate": 3.0} | settings))


def test_conversations_of_any_preset_may_wait_for_their_answers():
    asked = SessionsConfig(turns=4.0, think_s=15.0, max_tokens=20_000)
    workload = build_workload(config(sessions=asked), 3000)
    assert isinstance(workload, SessionWorkload)
    assert workload.mean_rate == 3.0
    assert workload.max_prompt_tokens == 20_000
    said = " | ".join(workload.assumptions)
    assert "sessions of 4 turns on average in a closed loop" in said
    assert "beyond 20,000 tokens starts anew" in said
    assert "0.75 sessions/s" in said
    assert "no prefix is shared" not in said


def test_the_agentic_preset_brings_sessions():
    workload = build_workload(config(preset="agentic", max_prompt_tokens=30_000), 500)
    found = whole(workload)
    assert found["prompt_tokens"].max() <= workload.max_prompt_tokens == 30_000
    assert (found["follows"] >= 0).mean() > 0.7


def test_the_agentic_preset_is_like_its_trace():
    """kv-cache-tester: 96.3 % of the input was said before, the median prompt has 104k tokens."""
    blocks = list(build_workload(config(preset="agentic", rate=1.0), 4000).blocks(Streams(0)))
    prompts, outputs = (
        np.concatenate([getattr(block, name) for block in blocks])
        for name in ("prompt_tokens", "output_tokens")
    )
    follows = np.concatenate([block.traits.follows for block in blocks])
    texts = np.concatenate([block.traits.prefixes.columns[:, 2] for block in blocks])
    later = np.flatnonzero(follows >= 0)
    before = follows[later]
    known = np.where(texts[later] == texts[before], prompts[before] + outputs[before], 15_200)
    # Sessions under way are cut off by the beginning of the run: one first turn belongs to 70.
    laws = read_preset("agentic")
    firsts = later.size / (laws.sessions.turns.mean() - 1.0)
    said = known.sum() + firsts * 15_200
    asked = prompts[later].sum() + firsts * laws.prompt.mean()
    assert said / asked == pytest.approx(0.963, abs=0.015)
    assert np.median(prompts) == pytest.approx(104_000, rel=0.15)
    assert np.median(outputs) == pytest.approx(216, rel=0.05)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: SessionsConfig(turns=2.0, max_tokens=9), "either live.*or think_s"),
        (lambda: SessionsConfig(turns=2.0, max_tokens=9, live=3, think_s=1.0), "either live"),
        (
            lambda: SessionsConfig(turns=2.0, max_tokens=9, live=3, compacted_tokens=5),
            "set workload.sessions.think_s",
        ),
        (
            lambda: build_workload(
                config(preset="agentic", traffic_classes=(TrafficClassConfig(name="a"),)), 5
            ),
            r"workload\.traffic_classes is set, but preset 'agentic' brings sessions",
        ),
        (
            lambda: build_workload(
                config(
                    traffic_classes=(TrafficClassConfig(name="a"),),
                    sessions=SessionsConfig(turns=2.0, think_s=1.0, max_tokens=50_000),
                ),
                5,
            ),
            "brings conversations in a closed loop",
        ),
        (
            lambda: build_workload(
                config(sessions=SessionsConfig(turns=2.0, think_s=1.0, max_tokens=900)), 5
            ),
            "raise it to at least 14050",
        ),
        (lambda: config(think_s=3.0), r"workload\.think_s is 3\.0, which means nothing"),
    ],
)
def test_what_makes_no_sense_is_refused(make, words):
    with pytest.raises(ConfigError, match=words):
        make()
