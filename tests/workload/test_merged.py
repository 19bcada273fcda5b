"""Superposed workloads: order, shares, numbers that no two parts share, and the links in them."""

import numpy as np
import pytest
from helpers.workloads import columns_of

from simulator.errors import ConfigError, TableError
from simulator.slo import SloConfig
from simulator.workload.build import build_workload
from simulator.workload.config import WorkloadConfig
from simulator.workload.mix import traffic_classes
from simulator.workload.mix_config import MixPartConfig
from simulator.workload.presets import read_preset

PARTS = (
    MixPartConfig(preset="chat", share=6.0, tenants=3),
    MixPartConfig(preset="agentic", share=3.0, name="agents", priority=2, cancel_after_s=50.0),
    MixPartConfig(preset="long_context_rag", slo=SloConfig(ttft_s=9.0)),
)


def mix(requests=4000, **settings):
    config = {"kind": "mix", "mix": PARTS, "rate": 2.0, "max_prompt_tokens": 20_000}
    return build_workload(WorkloadConfig(**(config | settings)), requests)


def whole(workload, seed=0):
    """Columns of all blocks, with what links requests where any are."""
    names = ("traffic_class", "tenant", "priority", "session", "cancel_after_s")
    links = ("follows", "think_s") if workload.linked else ()
    return columns_of(workload, *names, *links, seed=seed)


@pytest.fixture(scope="module")
def mixed():
    return whole(mix())


def test_parts_are_classes_with_their_shares_tenants_and_patience(mixed):
    index = mixed["traffic_class"]
    chat, agents, rag = np.bincount(index)
    assert chat / (chat + rag) == pytest.approx(6 / 7, abs=0.02)
    # Sessions of 70 turns on average come as a cluster each: their number varies much.
    assert agents / 4000 == pytest.approx(0.3, abs=0.2)
    assert [sorted(set(mixed["tenant"][index == k])) for k in range(3)] == [[0, 1, 2], [3], [4]]
    assert [set(mixed["priority"][index == k]) for k in range(3)] == [{0}, {2}, {0}]
    patience = mixed["cancel_after_s"]
    assert np.array_equal(np.isfinite(patience), index == 1)
    assert patience[index == 1].mean() == pytest.approx(50.0, rel=0.2)
    assert (np.diff(mixed["arrival_s"]) >= 0).all()


def test_links_stay_within_a_session_and_point_backwards(mixed):
    follows, session = mixed["follows"], mixed["session"]
    later = np.flatnonzero(follows >= 0)
    assert (follows[later] < later).all()
    assert np.array_equal(session[follows[later]], session[later])
    assert (mixed["traffic_class"][later] == 1).all()
    assert later.size > 0.6 * (mixed["traffic_class"] == 1).sum()
    # Each turn is followed once at most, and by the very next of its session.
    assert np.unique(follows[later]).size == later.size
    for one in np.unique(session[later])[:20]:
        own = np.flatnonzero(session == one)
        assert np.array_equal(follows[own[1:]], own[:-1])


def test_no_two_parts_share_a_text(mixed):
    texts = [
        {h for own, k in zip(mixed["prefixes"], mixed["traffic_class"], strict=True) if k == part
         for h in own[:1]}
        for part in range(3)
    ]  # fmt: skip
    assert not texts[0]
    assert texts[1]
    assert texts[2]
    assert not texts[1] & texts[2]


def test_a_part_has_the_lengths_that_it_has_alone(mixed):
    chat = mixed["traffic_class"] == 0
    law = read_preset("chat").output
    for probability in (0.25, 0.5, 0.75):
        share = (mixed["output_tokens"][chat] <= law.quantile(probability)).mean()
        assert share == pytest.approx(probability, abs=0.04)


def test_a_shorter_run_sees_the_beginning_of_a_longer_one(mixed):
    short = whole(mix(1500))
    for name, column in short.items():
        assert list(column) == list(mixed[name][:1500])


def test_clients_have_rates_bursts_and_lengths_of_their_own():
    config = WorkloadConfig(preset="reasoning_clients", rate=16.0)
    workload = build_workload(config, 12_000)
    found, laws = whole(workload), read_preset("reasoning_clients").clients
    shares = np.bincount(found["tenant"], minlength=16) / 12_000
    expected = np.array([client.share for client in laws])
    assert shares == pytest.approx(expected / expected.sum(), abs=0.02)
    assert shares[:5].sum() == pytest.approx(0.525, abs=0.03)  # ServeGen: 53 %
    for number, tolerance in ((0, 0.05), (5, 0.25), (10, 0.4)):  # the busiest, and two in bursts
        own = found["tenant"] == number
        gaps_s = np.diff(found["arrival_s"][own])
        cv = gaps_s.std() / gaps_s.mean()
        assert cv == pytest.approx(laws[number].interarrival_cv, rel=tolerance)
        half = (found["output_tokens"][own] <= laws[number].output.quantile(0.5)).mean()
        assert half == pytest.approx(0.5, abs=0.09)
    assert "16 clients at 16 requests/s" in workload.assumptions[0]


def test_classes_of_a_mix_have_the_objectives_of_their_presets():
    config = WorkloadConfig(kind="mix", mix=PARTS, rate=1.0)
    names = [one.name for one in traffic_classes(config)]
    assert names == ["chat", "agents", "long_context_rag"]
    assert [one.slo.ttft_s for one in traffic_classes(config)] == [2.0, 5.0, 9.0]
    assert traffic_classes(config)[1].slo.share == 0.9


def test_what_was_assumed_is_said_for_each_part():
    said = " | ".join(mix().assumptions)
    assert "chat (60%): arrivals: Poisson with a Gamma-distributed rate of mean 1.2" in said
    assert "agents (30%): sessions of 70.8 turns" in said
    assert "50,000 documents" in said
    assert "clients of class agents give up after 50 s" in said


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: mix(rate=None), ConfigError, "needs workload.mix"),
        (lambda: mix(mix=()), ConfigError, "needs workload.mix"),
        (lambda: mix(mix=PARTS * 2), ConfigError, "two classes named 'chat'"),
        (lambda: mix(mix=(MixPartConfig(preset="chats"),)), TableError, "Did you mean 'chat'"),
        (lambda: mix(arrivals="poisson"), ConfigError, "each preset of a mix has its own"),
        (lambda: WorkloadConfig(mix=PARTS), ConfigError, "workload.mix is set.*kind=mix"),
        (lambda: MixPartConfig(preset="chat", share=0.0), ConfigError, "share is 0"),
    ],
)
def test_what_makes_no_mix_is_refused(make, error, words):
    with pytest.raises(error, match=words):
        make()
