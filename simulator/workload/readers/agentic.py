"""Agentic coding sessions: JSON with think times, prefix hashes and subagents."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from simulator.errors import DataError
from simulator.workload.ragged import Ragged
from simulator.workload.readers.blocks import no_request
from simulator.workload.readers.fields import (
    fitting,
    prefix_hashes,
    seconds,
    shown,
    tokens,
    unquoted,
)
from simulator.workload.readers.files import is_compressed, line_chunks
from simulator.workload.readers.json_lines import object_of
from simulator.workload.readers.policy import READERS, BadRow, ReadPolicy
from simulator.workload.requests import RequestBlock, RequestTraits

SESSION_BYTES = 256 << 20
"""Longest session read (kind: assumed); a published one of a million tokens has about 5 MB."""

MAX_REQUESTS = 100_000
"""Most requests of a session (kind: assumed); the longest published have some hundreds."""

HASH_BITS = 40
"""Hashes are local to a session: its number goes above these bits."""


class Call(NamedTuple):
    """One request of a session as recorded.

    Attributes
    ----------
    start_s, end_s
        When it was sent and answered, s since the session began; ``end_s`` None: not recorded.
    think_s
        Recorded time from the end of the call before it; None: not recorded.
    agent
        0 for the session itself, above for its subagents.
    prompt_tokens, output_tokens, prefixes
        As in ``RequestBlock``.
    """

    start_s: float
    end_s: float | None
    think_s: float | None
    agent: int
    prompt_tokens: int
    output_tokens: int
    prefixes: tuple[int, ...]


@READERS.register("agentic")
def read_agentic(path: Path, policy: ReadPolicy) -> Iterator[RequestBlock]:
    """Read agentic coding sessions, JSON with think times, prefix hashes and subagents.

    One session a file (``.json``, ``.json.gz``), a folder of such files, or one a line
    (``.jsonl``): ``{"id": .., "block_size": 64, "requests": [{"t": s, "in": .., "out": ..,
    "hash_ids": [..], "api_time": s, "think_time": s}, ..]}``; an entry with ``requests`` of its own
    is a subagent. Yields a block a session, times since it began were every answer instant.

    Sessions tell no common time: how many go on at once is ``workload.concurrency``, or how often
    one begins ``workload.rate``.

    Source: callanjfox/kv-cache-tester (Apache-2.0), Claude Code sessions.

    Raises
    ------
    DataError
        If there is no session, or one is malformed; the message names the file and the request.
    """
    first_id = number = 0
    hash_tokens: int | None = None
    for file, where, text in _sessions(path):
        try:
            calls, found = _calls(text, policy)
            _check_block_size(found, hash_tokens)
            hash_tokens = found
        except BadRow as bad:
            refused = policy.reject(where, bad, file)
            if refused is not None:
                raise refused from bad
            continue
        yield _block(calls, first_id, number, hash_tokens)
        first_id += len(calls)
        policy.report.rows = first_id
        number += 1
    if not first_id:
        raise DataError(f"{path}: {no_request(policy)}")


def _check_block_size(found: int, before: int | None) -> None:
    if before not in (None, found):
        raise BadRow(
            "another block size",
            f"block_size is {found}, after sessions with {before}; replay them apart.",
        )


def _sessions(path: Path) -> Iterator[tuple[Path, str, str]]:
    """Yield file, place and text of each session."""
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.name.endswith((".json", ".json.gz")))
        if not files:
            raise DataError(f"{path}: no session; the folder has no file *.json or *.json.gz.")
    else:
        files = [path]
    for file in files:
        if ".jsonl" in file.suffixes:
            for chunk in line_chunks(file, SESSION_BYTES):
                for number, line in enumerate(chunk.data.split(b"\n"), chunk.first_line):
                    if line:
                        yield file, f"line {number}", line.decode("utf-8", "surrogateescape")
        else:
            yield file, "its session", _whole(file)


def _whole(file: Path) -> str:
    try:
        with gzip.open(file) if is_compressed(file) else file.open("rb") as stream:
            data = stream.read(SESSION_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{file}: cannot be read: {error}.") from error
    if len(data) > SESSION_BYTES:
        raise DataError(f"{file}: longer than {SESSION_BYTES >> 20} MiB; this is no session.")
    return data.decode("utf-8", "surrogateescape")


def _calls(text: str, policy: ReadPolicy) -> tuple[list[Call], int]:
    """Return the requests of a session, in the order sent, and the tokens of a hash."""
    session = object_of(text)
    if session is None or "requests" not in session:
        raise BadRow("no session", f"{shown(text[:60])} is no session: it has no 'requests'.")
    hash_tokens = policy.hash_tokens or tokens(session.get("block_size", 64), "block_size")
    calls: list[Call] = []
    _collect(session["requests"], 0, 0.0, hash_tokens, calls, [0])
    if not calls:
        raise BadRow("session without requests", "the session has no requests.")
    return sorted(calls, key=lambda call: call.start_s), hash_tokens


def _collect(
    entries: object,
    agent: int,
    origin_s: float,
    hash_tokens: int,
    calls: list[Call],
    agents: list[int],
) -> None:
    """Add the requests of an agent and of those under it."""
    if not isinstance(entries, list):
        raise BadRow("requests are no list", f"requests is {shown(entries)}; expected a list.")
    for number, entry in enumerate(entries, 1):
        if not isinstance(entry, dict):
            raise BadRow("no request", f"request {number} is {shown(entry)}; expected an object.")
        if len(calls) == MAX_REQUESTS:
            raise BadRow("session too long", f"a session has more than {MAX_REQUESTS:,} requests.")
        try:
            if "requests" in entry:
                agents[0] += 1
                start_s = origin_s + seconds(entry.get("t", 0.0), "t")
                inner = entry["requests"]
                # times of a subagent count from the session's begin, or from its own
                own = bool(inner) and isinstance(inner, list) and _starts_before(inner[0], start_s)
                inner_origin_s = start_s if own else origin_s
                _collect(inner, agents[0], inner_origin_s, hash_tokens, calls, agents)
            else:
                calls.append(_call(entry, agent, origin_s, hash_tokens))
        except BadRow as bad:
            raise BadRow(bad.reason, f"request {number}: {bad}") from bad


def _starts_before(entry: object, start_s: float) -> bool:
    return isinstance(entry, dict) and seconds(entry.get("t", 0.0), "t") < start_s


def _call(entry: dict[str, Any], agent: int, origin_s: float, hash_tokens: int) -> Call:
    for name in ("t", "in", "out"):
        if name not in entry:
            raise BadRow(f"{name} is missing", f"there is no field {name!r}.")
        unquoted(entry[name], name)
    start_s = origin_s + seconds(entry["t"], "t")
    took, think = (
        None if entry.get(name) is None else seconds(entry[name], name)
        for name in ("api_time", "think_time")
    )
    prompt = tokens(entry["in"], "in")
    hashes = prefix_hashes(entry.get("hash_ids", []), "hash_ids", (1 << HASH_BITS) - 1)
    return Call(
        start_s=start_s,
        end_s=None if took is None else start_s + took,
        think_s=think,
        agent=agent,
        prompt_tokens=prompt,
        output_tokens=tokens(entry["out"], "out"),
        prefixes=fitting(hashes, prompt, hash_tokens, "hash_ids"),
    )


def _links(calls: Sequence[Call]) -> list[tuple[int, float]]:
    """Say of each call which one it follows, -1 for none, and how long after.

    A call follows the last of its agent whose end was recorded: a client that gave up did not wait
    for an answer. The first of a subagent follows the last of the session itself, and that goes on
    after the subagents that had ended by then (times are whole seconds).
    """
    last: dict[int, int] = {}
    found = []
    for number, call in enumerate(calls):
        before = last.get(call.agent, last.get(0))
        if call.agent == 0 and before is not None:  # it may have waited for subagents
            ended = [one for one in last.values() if _end_s(calls[one]) <= call.start_s + 1.0]
            before = max(before, *ended, key=lambda one: _end_s(calls[one]))
        if before is None:
            found.append((-1, call.start_s))
        else:
            recorded = calls[before].agent == call.agent and call.think_s is not None
            gap_s = max(0.0, call.start_s - _end_s(calls[before]))
            found.append((before, call.think_s or 0.0 if recorded else gap_s))
        if call.end_s is not None:
            last[call.agent] = number
    return found


def _end_s(call: Call) -> float:
    return call.start_s if call.end_s is None else call.end_s


def _block(calls: Sequence[Call], first_id: int, number: int, hash_tokens: int) -> RequestBlock:
    """Return a session as a block, in order of the earliest possible arrivals."""
    links = _links(calls)
    earliest = np.zeros(len(calls))
    for index, (before, think_s) in enumerate(links):
        earliest[index] = think_s + (earliest[before] if before >= 0 else 0.0)
    order = np.argsort(earliest, kind="stable")
    place = np.argsort(order)
    size, base = len(calls), number << HASH_BITS
    follows = np.array([links[i][0] for i in order])
    traits = RequestTraits(
        traffic_class=np.zeros(size, np.int64),
        tenant=np.zeros(size, np.int64),
        priority=np.zeros(size, np.int64),
        session=np.full(size, number),
        cancel_after_s=np.full(size, np.inf),
        prefixes=Ragged.of([tuple(base + one for one in calls[i].prefixes) for i in order]),
        hash_tokens=hash_tokens,
        follows=np.where(follows < 0, -1, first_id + place[follows]),
        think_s=np.array([links[i][1] if links[i][0] >= 0 else 0.0 for i in order]),
    )
    prompts = np.array([calls[i].prompt_tokens for i in order])
    outputs = np.array([calls[i].output_tokens for i in order])
    return RequestBlock(first_id, earliest[order], prompts, outputs, traits)
