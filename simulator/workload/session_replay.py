"""Replay of recorded sessions: each request some time after the one before it has left.

Recorded sessions tell times since they began, not when that was. So they begin as those of users
who always have one going on (a closed loop), or by chance at a rate (a Poisson process).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from simulator.errors import InvariantError
from simulator.streams import Streams
from simulator.workload.extent import Extent
from simulator.workload.ragged import Ragged
from simulator.workload.readers.policy import ReadPolicy, ReadReport, TraceReader
from simulator.workload.requests import BLOCK_REQUESTS, MAX_TOKENS, RequestBlock, RequestTraits
from simulator.workload.transforms import cut


class Turn(NamedTuple):
    """One request on its way into a block.

    Attributes
    ----------
    earliest_s
        When it would come were every answer instant, s.
    follows, think_s, session, prefixes
        As in ``RequestTraits``.
    prompt_tokens, output_tokens
        Lengths.
    """

    earliest_s: float
    follows: int
    think_s: float
    session: int
    prefixes: tuple[int, ...]
    prompt_tokens: int
    output_tokens: int


@dataclass(slots=True)
class Live:
    """A session that goes on.

    Parameters
    ----------
    turns
        Its requests, those that wait for one of it by its place among them.
    begins_s
        When it begins at the earliest, s.
    after
        Id of the request after which it begins; -1: none.
    ids
        Those that its requests have got so far.
    """

    turns: list[Turn]
    begins_s: float
    after: int
    ids: list[int] = field(default_factory=list)

    @property
    def next_s(self) -> float:
        """When its next request may come, s."""
        return self.begins_s + self.turns[len(self.ids)].earliest_s

    def take(self, number: int) -> Turn:
        """Return its next request, which gets this id."""
        turn, next_s = self.turns[len(self.ids)], self.next_s
        self.ids.append(number)
        if turn.follows >= 0:
            return turn._replace(earliest_s=next_s, follows=self.ids[turn.follows])
        think_s = turn.earliest_s if self.after >= 0 else 0.0
        return turn._replace(earliest_s=next_s, follows=self.after, think_s=think_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionTraceWorkload:
    """The sessions of a trace, in the order of the file.

    Parameters
    ----------
    title, requests, max_prompt_tokens, max_output_tokens, assumptions
        As in ``Workload``.
    path, reader, policy
        The file and how to read it; the reader yields a block a session.
    users
        Users who have a session each, the next after the one before; None: see ``rate``.
    rate
        Sessions that begin, 1/s; None: see ``users``.
    hash_tokens
        Tokens of a prefix hash.
    """

    title: str
    requests: int
    max_prompt_tokens: int
    max_output_tokens: int
    assumptions: tuple[str, ...]
    path: Path
    reader: TraceReader
    policy: ReadPolicy
    users: int | None
    rate: float | None
    hash_tokens: int

    @property
    def concurrency(self) -> None:
        """None: who waits for whom is in the traits."""
        return

    @property
    def mean_rate(self) -> None:
        """None: it depends on how long answers take."""
        return

    @property
    def told(self) -> frozenset[str]:
        """What the trace tells of its requests."""
        return frozenset({"session", "prefixes"})

    def blocks(self, streams: Streams) -> Iterator[RequestBlock]:
        """Read the sessions and yield their requests in order of the earliest possible arrival.

        Sessions begin at the times of stream ``session_starts``, where they begin at a rate.
        """
        sessions = self.reader(self.path, replace(self.policy, report=ReadReport()))
        turns = islice(self._turns(map(_turns_of, sessions), streams), self.requests)
        first_id = 0
        while some := list(islice(turns, BLOCK_REQUESTS)):
            block = _block(first_id, some, self.hash_tokens)
            yield cut(block, self.max_prompt_tokens, self.max_output_tokens)
            first_id += len(some)

    def _turns(self, sessions: Iterator[list[Turn]], streams: Streams) -> Iterator[Turn]:
        """Merge sessions by the earliest times of their requests."""
        waiting = _beginnings(sessions, self.users, self.rate, streams)
        coming = next(waiting, None)
        live: list[tuple[float, int, Live]] = []  # by time, then by the order of beginning
        begun = 0
        for number in count():
            while coming is not None and not (live and live[0][0] < coming.next_s):
                heapq.heappush(live, (coming.next_s, begun, coming))
                begun += 1
                coming = next(waiting, None)
            if not live:
                return
            next_s, order, session = heapq.heappop(live)
            yield session.take(number)
            if len(session.ids) < len(session.turns):
                heapq.heappush(live, (session.next_s, order, session))
            elif self.users is not None and (turns := next(sessions, None)) is not None:
                after = Live(turns, next_s, session.ids[-1])
                heapq.heappush(live, (after.next_s, order, after))


def open_sessions(
    path: Path,
    reader: TraceReader,
    requests: int,
    *,
    policy: ReadPolicy | None = None,
    users: int | None = None,
    rate: float | None = None,
    max_prompt_tokens: int = MAX_TOKENS,
    max_output_tokens: int = MAX_TOKENS,
) -> SessionTraceWorkload:
    """Read the sessions of a trace once, check them and return their replay.

    Parameters
    ----------
    path, reader, policy
        The file or folder, and how to read it.
    requests
        Replay at most so many.
    users, rate
        As in ``SessionTraceWorkload``; one of them.
    max_prompt_tokens, max_output_tokens
        Cut longer lengths to these.

    Raises
    ------
    DataError
        If a session is malformed; the message names the file.
    """
    policy = policy or ReadPolicy()
    extent = Extent(max_prompt_tokens, max_output_tokens)
    sessions, hash_tokens = 0, 1
    for block in reader(path, policy):
        extent.add(block)
        sessions += 1
        hash_tokens = block.traits.hash_tokens if block.traits else 1
    began = f"{users} users have one each, the next after the one before"
    if rate is not None:
        began = f"they begin by chance, {rate:g} a second"
    notes = [
        f"{sessions} recorded session{'s' * (sessions > 1)}: {began}; a request comes its recorded "
        "time to think, tools included, after the one before it has left",
        "the hashes recorded are of prompts: answers are computed anew in the next turn, and "
        "sessions share no system prompt",
        *policy.report.sentences(),
        *extent.notes(),
    ]
    return SessionTraceWorkload(
        title=f"sessions of {path.name}",
        requests=min(extent.requests, requests),
        max_prompt_tokens=extent.prompt_tokens,
        max_output_tokens=extent.output_tokens,
        assumptions=tuple(notes),
        path=path,
        reader=reader,
        policy=policy,
        users=users,
        rate=rate,
        hash_tokens=hash_tokens,
    )


def _beginnings(
    sessions: Iterator[list[Turn]], users: int | None, rate: float | None, streams: Streams
) -> Iterator[Live]:
    """Yield the sessions that begin by themselves: the first of each user, or all at a rate."""
    if rate is None:
        for turns in islice(sessions, users):
            yield Live(turns, 0.0, -1)
        return
    begins_s = 0.0
    for number, turns in enumerate(sessions):
        block, place = divmod(number, BLOCK_REQUESTS)
        if place == 0:
            gaps_s = streams.block("session_starts", block).exponential(1 / rate, BLOCK_REQUESTS)
        begins_s += float(gaps_s[place])
        yield Live(turns, begins_s, -1)


def _turns_of(block: RequestBlock) -> list[Turn]:
    """Return the requests of a session, which wait for one another by place."""
    traits = block.traits
    if traits is None or traits.follows is None or traits.think_s is None:
        raise InvariantError("a reader of sessions did not say who follows whom.")
    return list(
        map(
            Turn,
            block.arrival_s.tolist(),
            np.where(traits.follows < 0, -1, traits.follows - block.first_id).tolist(),
            traits.think_s.tolist(),
            traits.session.tolist(),
            traits.prefixes,
            block.prompt_tokens.tolist(),
            block.output_tokens.tolist(),
        )
    )


def _block(first_id: int, turns: list[Turn], hash_tokens: int) -> RequestBlock:
    columns = list(zip(*turns, strict=True))
    zeros = np.zeros(len(turns), np.int64)
    traits = RequestTraits(
        traffic_class=zeros,
        tenant=zeros,
        priority=zeros,
        session=np.array(columns[3], np.int64),
        cancel_after_s=np.full(len(turns), np.inf),
        prefixes=Ragged.of(columns[4]),
        hash_tokens=hash_tokens,
        follows=np.array(columns[1], np.int64),
        think_s=np.array(columns[2], np.float64),
    )
    lengths = (np.array(columns[5], np.int64), np.array(columns[6], np.int64))
    return RequestBlock(first_id, np.array(columns[0], np.float64), *lengths, traits)
