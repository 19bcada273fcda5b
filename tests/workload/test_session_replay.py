"""Recorded sessions: closed loops of users, or beginnings at a rate."""

import json

import numpy as np
import pytest
from helpers.traces import agentic_session

from simulator.errors import ConfigError
from simulator.streams import Streams
from simulator.workload.build import build_workload
from simulator.workload.config import WorkloadConfig
from simulator.workload.transforms import joined

SESSIONS = 40


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Forty sessions, every fourth with a subagent, of 2 to 6 requests of their own."""
    file = tmp_path_factory.mktemp("sessions") / "sessions.jsonl"
    sessions = [agentic_session(rows=2 + n % 5) for n in range(SESSIONS)]
    for number, session in enumerate(sessions):
        if number % 4:
            session["requests"] = [one for one in session["requests"] if "in" in one]
    file.write_text("\n".join(map(json.dumps, sessions)))
    return file


def requests_of(path, limit=10_000, replication=0, **settings):
    config = WorkloadConfig(kind="trace", format="agentic", path=str(path), **settings)
    workload = build_workload(config, limit)
    blocks = list(workload.blocks(Streams(1, replication)))
    assert sum(block.size for block in blocks) == workload.requests
    parts = [block.traits for block in blocks]
    follows, think_s = (
        np.concatenate([getattr(one, name) for one in parts]) for name in ("follows", "think_s")
    )
    return workload, joined(blocks), follows, think_s


@pytest.mark.parametrize("settings", [{"concurrency": 3}, {"rate": 0.5}])
def test_requests_come_in_order_each_after_an_earlier_one(path, settings):
    workload, block, follows, think_s = requests_of(path, **settings)
    assert workload.requests == block.size == sum(2 + n % 5 for n in range(40)) + 2 * 10
    assert np.all(np.diff(block.arrival_s) >= 0)
    assert np.all(follows < np.arange(block.size))
    waits = follows >= 0
    earliest_s = block.arrival_s[follows[waits]] + think_s[waits]
    assert block.arrival_s[waits] == pytest.approx(earliest_s)
    assert sorted(set(block.traits.session.tolist())) == list(range(SESSIONS))


def test_users_have_one_session_at_a_time(path):
    """Each but the first of a user begins after the last request of the one before."""
    _, block, follows, _ = requests_of(path, concurrency=3)
    session = block.traits.session
    first = np.unique(session, return_index=True)[1]
    assert np.flatnonzero(follows < 0).tolist() == [0, 1, 2]
    before = session[follows[np.sort(first)[3:]]]
    assert np.unique(before).size == before.size  # no session is followed by two


def test_sessions_begin_by_chance_at_a_rate(path):
    _, block, follows, _ = requests_of(path, rate=0.5)
    starts_s = block.arrival_s[follows < 0]
    assert starts_s.size == SESSIONS
    assert np.diff(starts_s).mean() == pytest.approx(2.0, rel=4 / np.sqrt(SESSIONS))
    other = requests_of(path, rate=0.5, replication=1)[1].arrival_s
    assert not np.array_equal(other, block.arrival_s)


def test_a_shorter_replay_is_the_beginning_of_a_longer_one(path):
    whole, short = (requests_of(path, limit, concurrency=5)[1] for limit in (10_000, 20))
    assert short.size == 20
    assert np.array_equal(short.arrival_s, whole.arrival_s[:20])


def test_caps_cut_prompts_and_what_they_share(path):
    workload, block, *_ = requests_of(path, concurrency=2, max_prompt_tokens=650)
    assert block.prompt_tokens.max() == workload.max_prompt_tokens == 650
    assert max(map(len, block.traits.prefixes)) == 650 // 64


def test_sessions_need_to_be_told_when_they_begin(path):
    with pytest.raises(ConfigError, match=r"set workload\.concurrency .* or workload\.rate"):
        requests_of(path)
    with pytest.raises(ConfigError, match="not both"):
        requests_of(path, rate=1.0, concurrency=4)
    with pytest.raises(ConfigError, match=r"workload.rate_scale is 2.0.*set workload.concurrency"):
        requests_of(path, concurrency=4, rate_scale=2.0)


def test_classes_and_tenants_are_those_of_a_session(path):
    classes = [{"name": "a"}, {"name": "b", "priority": 3}]
    from simulator.mapping import from_mapping

    settings = {"kind": "trace", "format": "agentic", "path": str(path), "concurrency": 4}
    config = from_mapping(WorkloadConfig, settings | {"traffic_classes": classes}, "workload")
    traits = next(build_workload(config, 500).blocks(Streams(3))).traits
    pairs = set(zip(traits.session.tolist(), traits.traffic_class.tolist(), strict=True))
    assert len(pairs) == len(np.unique(traits.session))
    assert np.array_equal(traits.priority, 3 * traits.traffic_class)
    assert traits.follows is not None
    assert any(traits.prefixes)
