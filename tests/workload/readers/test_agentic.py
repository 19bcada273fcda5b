"""Agentic sessions: who waits for whom, by recorded times."""

import gzip
import json

import pytest
from helpers.traces import agentic_session, read_block

from simulator.errors import DataError
from simulator.workload.readers import READERS, ReadPolicy


def blocks(path, **policy):
    return list(READERS.get("agentic")(path, ReadPolicy(**policy)))


def session(*calls):
    """Calls as (t, api_time, think_time), None where it was not recorded."""
    requests = []
    for t, took, think in calls:
        times = {"api_time": took, "think_time": think}
        known = {name: time for name, time in times.items() if time is not None}
        requests.append({"t": t, "in": 130, "out": 2, "hash_ids": [1, 2, 3], **known})
    return {"block_size": 64, "requests": requests}


def test_a_turn_follows_the_one_before_after_its_time_to_think(write):
    (block,) = blocks(write(session((0.0, 7.9, 0.0), (19.0, 2.0, 11.0), (26.0, 1.0, 5.0))))
    assert block.traits.follows.tolist() == [-1, 0, 1]
    assert block.traits.think_s.tolist() == [0.0, 11.0, 5.0]
    assert block.arrival_s.tolist() == [0.0, 11.0, 16.0]  # were every answer instant
    assert list(block.traits.prefixes) == [(1, 2)] * 3  # the third block of 64 is not full


def test_a_call_that_was_given_up_holds_up_none(write):
    """Times to think after it count from the last call that was answered."""
    (block,) = blocks(write(session((0.0, 4.0, 0.0), (9.0, None, 5.0), (16.0, 1.0, 12.0))))
    assert block.traits.follows.tolist() == [-1, 0, 0]
    assert block.traits.think_s.tolist() == [0.0, 5.0, 12.0]


def test_what_comes_before_any_answer_comes_at_its_time(write):
    (block,) = blocks(write(session((0.0, None, 0.0), (26.0, 9.0, None), (40.0, 1.0, None))))
    assert block.traits.follows.tolist() == [-1, -1, 1]
    assert block.arrival_s.tolist() == [0.0, 26.0, 31.0]
    assert block.traits.think_s.tolist() == [0.0, 0.0, 5.0]  # from 35 s, when it was answered


def test_a_subagent_follows_the_session_and_the_session_waits_for_it(write):
    (block,) = blocks(write(agentic_session(rows=5)))
    calls = dict(enumerate(zip(block.prompt_tokens, block.traits.follows, strict=True)))
    subagent = [number for number, (prompt, _) in calls.items() if prompt == 64]
    main = [number for number, (prompt, _) in calls.items() if prompt > 64]
    assert calls[subagent[0]][1] == main[2]  # the last of the session that was sent before it
    assert calls[subagent[1]][1] == subagent[0]
    assert calls[main[3]][1] == subagent[1]  # answered at 26.5 s, after the session's own, at 24
    assert block.traits.think_s[main[3]] == pytest.approx(30 - 26.5)
    assert calls[main[4]][1] == main[3]


def test_folders_and_lines_hold_many_sessions(write, tmp_path):
    (tmp_path / "b.json.gz").write_bytes(gzip.compress(json.dumps(session((0, 1, 0))).encode()))
    write(session((0, 1, 0), (5, 1, 4)), "a.json")
    write("not a session", "readme.txt")
    of_folder = blocks(tmp_path)
    assert [block.size for block in of_folder] == [2, 1]
    assert of_folder[1].first_id == 2
    assert of_folder[1].traits.session.tolist() == [1]
    assert of_folder[0].traits.prefixes[0][0] != of_folder[1].traits.prefixes[0][0]
    line = json.dumps(session((0, 1, 0)))
    assert [block.size for block in blocks(write(f"{line}\n{line}\n", "s.jsonl"))] == [1, 1]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", ["no session"]),
        ("[]", ["no JSON object"]),
        ({"id": 1}, ["no 'requests'"]),
        ({"requests": []}, ["has no requests"]),
        ({"requests": [3]}, ["request 1 is 3"]),
        ({"requests": [{"t": 0, "in": 5}]}, ["request 1", "no field 'out'"]),
        ({"requests": [{"t": 0, "in": 5, "out": -1}]}, ["request 1", "out is -1"]),
        ({"requests": [{"t": -1, "in": 5, "out": 1}]}, ["request 1", "t is -1"]),
        ({"requests": [{"t": 0, "in": 64, "out": 1, "hash_ids": [1, "?"]}]}, ["holds '?'"]),
        ({"requests": [{"t": 0, "requests": {}}]}, ["request 1", "requests is {}"]),
        ({"requests": [{"t": 0, "requests": [{"t": 0}]}]}, ["request 1: request 1: ", "'in'"]),
    ],
)
def test_malformed_sessions_are_refused(content, words, write):
    path = write(content)
    with pytest.raises(DataError) as caught:
        read_block(path, "agentic")
    for word in [str(path), *words]:
        assert word in str(caught.value)


def test_sessions_that_are_bad_or_of_other_blocks_are_skipped(write):
    good, other = session((0, 1, 0)), session((0, 1, 0)) | {"block_size": 32}
    path = write("\n".join(map(json.dumps, (good, {"id": 3}, other, good))), "some.jsonl")
    policy = ReadPolicy(on_bad_row="skip")
    assert len(list(READERS.get("agentic")(path, policy))) == 2
    assert policy.report.skipped == {"no session": 1, "another block size": 1}


def test_a_folder_without_sessions_is_refused(tmp_path):
    with pytest.raises(DataError, match="has no file"):
        blocks(tmp_path)
