"""Sessions in a closed loop: each turn comes some time after the answer to the one before.

So a slow deployment is asked less often, as by people and agents who wait for it. A turn begins
with all that was said before, which a prefix cache may hold; a context that would outgrow its
limit is compacted to a summary first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from simulator.streams import Streams
from simulator.workload.arrivals import ArrivalLaw
from simulator.workload.columns import Ints, RequestColumns, in_blocks, joined
from simulator.workload.counts import CountLaw
from simulator.workload.lengths import LengthLaw
from simulator.workload.requests import RequestBlock
from simulator.workload.spans import HASH_TOKENS, OWN_TEXTS, STRIDE
from simulator.workload.times import TimeLaw

MOST_BEFORE = 50_000
"""Most sessions drawn from before the run (kind: assumed): it bounds the work at high rates."""

CHUNK_SESSIONS = 128
"""Sessions drawn at once. Part of the meaning of a seed."""

HEAD_START = 8.0
"""Mean spans of a session by which the first begin before the run. Without any a run would begin
with first turns and short contexts; with 8 it lacks the turns that come later than that in a
session: 0.03 % of geometric sessions', 1.6 % of the agentic preset's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionLaws:
    """What sessions are like.

    Parameters
    ----------
    turns
        How many turns, at least 1.
    first
        Prompt of the first turn, tokens.
    growth
        By how much the next prompt is longer than this one, tokens: the answer, and what comes
        after it; at least the answer. None: by the answer and a prompt drawn from ``first``.
    think
        Time from when a turn leaves to the next, s.
    shared_tokens
        Beginning that all sessions have in common (system prompt, tools), tokens.
    max_tokens
        Longest prompt.
    compacted_tokens
        What is left of a context when the next prompt would be longer than that, tokens; 0: the
        conversation starts anew.
    """

    turns: CountLaw
    first: LengthLaw
    growth: LengthLaw | None
    think: TimeLaw
    shared_tokens: int
    max_tokens: int
    compacted_tokens: int

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What these laws assume."""
        past = "starts anew"
        if self.compacted_tokens:
            past = f"is compacted to {self.compacted_tokens:,}"
        shared = f"{self.shared_tokens:,} tokens of all sessions" if self.shared_tokens else "none"
        return (
            f"sessions of {self.turns.mean():.3g} turns on average in a closed loop: a turn comes "
            f"after the one before has left, by a time {self.think.assumption}; if that one was "
            "refused, lost or given up, its session goes on all the same",
            f"a turn begins with all before it (shared beginning: {shared}); a context beyond "
            f"{self.max_tokens:,} tokens {past}",
            "sessions that began before the run are under way, with nothing cached",
        )

    @property
    def mean_span_s(self) -> float:
        """Mean time that the turns of a session take if every answer is out at once, s."""
        return (self.turns.mean() - 1.0) * self.think.mean()


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionWorkload:
    """Sessions that begin by an arrival law.

    Chunk ``c``, of `CHUNK_SESSIONS` sessions, draws from block ``c`` of the streams
    ``sessions.turns``, ``sessions.growth``, ``sessions.think``, ``prompt_lengths`` and
    ``output_lengths``. Turns are in order of their earliest arrival, that with answers in no time.

    Parameters
    ----------
    title, requests, mean_rate, assumptions
        As in ``Workload``; requests are turns.
    starts
        When sessions begin; those of the time before the run (`HEAD_START`) are in it with the
        turns that they have yet to come.
    laws, output
        What sessions and answers are like.
    """

    title: str
    requests: int
    mean_rate: float
    assumptions: tuple[str, ...]
    starts: ArrivalLaw
    laws: SessionLaws
    output: LengthLaw

    @property
    def concurrency(self) -> None:
        """None: sessions begin whether or not others have ended."""
        return

    @property
    def max_prompt_tokens(self) -> int:
        """Longest prompt possible, tokens."""
        return self.laws.max_tokens

    @property
    def max_output_tokens(self) -> int:
        """Longest output possible, tokens."""
        return self.output.max_tokens

    def blocks(self, streams: Streams) -> Iterator[RequestBlock]:
        """Draw the turns, block after block."""
        return in_blocks(self._in_order(streams), self.requests, linked=True)

    def _in_order(self, streams: Streams) -> Iterator[RequestColumns]:
        """Yield turns by their earliest arrival: all up to where the next session may begin."""
        pool: list[RequestColumns] = []
        links, texts = _Links(), OWN_TEXTS
        for chunk, start_s in enumerate(self._chunks(streams)):
            drawn, texts = self._draw(chunk, start_s, streams, texts)
            pool.append(drawn.taken(drawn.arrival_s >= 0.0))
            if start_s[-1] < 0.0:
                continue
            known = joined(pool)
            ready = known.arrival_s <= start_s[-1]
            pool, due = [known.taken(~ready)], known.taken(ready)
            yield links.follow(due.taken(np.argsort(due.arrival_s, kind="stable")))

    def _chunks(self, streams: Streams) -> Iterator[NDArray[np.float64]]:
        """Yield the times at which sessions begin, s, from before the run on."""
        session_rate = self.mean_rate / self.laws.turns.mean()
        head_s = min(HEAD_START * self.laws.mean_span_s, MOST_BEFORE / session_rate)
        for times_s in self.starts.times(streams):
            yield from np.split(times_s - head_s, times_s.size // CHUNK_SESSIONS)

    def _draw(
        self, chunk: int, start_s: NDArray[np.float64], streams: Streams, first_text: int
    ) -> tuple[RequestColumns, int]:
        """Draw the sessions of a chunk that have turns to come; return them and the next text.

        All turns of a session follow each other. Their ``follows`` is the number of turns left in
        the session, until `_Links` has seen it.
        """
        laws, n = self.laws, start_s.size
        turns = laws.turns.sample(streams.block("sessions.turns", chunk), n)
        total, first = int(turns.sum()), np.cumsum(turns) - turns
        think_s = laws.think.sample(streams.block("sessions.think", chunk), total)
        think_s[first] = 0.0
        since_s = np.cumsum(think_s)
        arrival_s = np.repeat(start_s - since_s[first], turns) + since_s
        goes_on = arrival_s[first + turns - 1] >= 0.0
        kept = np.repeat(goes_on, turns)
        opening = laws.first.sample(streams.block("prompt_lengths", chunk), n)[goes_on]
        outputs = self.output.sample(streams.block("output_lengths", chunk), total)[kept]
        growth = (laws.growth or laws.first).sample(streams.block("sessions.growth", chunk), total)
        # What comes after the answer of a turn and before the next.
        said = growth[kept] if laws.growth is None else np.maximum(growth[kept] - outputs, 0)
        prompts, texts = self._contexts(turns[goes_on], opening, said, outputs)
        drawn = RequestColumns.plain(arrival_s[kept], prompts, outputs)._replace(
            session=np.repeat(chunk * CHUNK_SESSIONS + np.arange(n), turns)[kept],
            spans=self._spans(first_text + texts, prompts, outputs),
            think_s=think_s[kept],
            follows=(np.repeat(turns + first, turns) - np.arange(total) - 1)[kept],
        )
        return drawn, first_text + int(texts.max(initial=-1)) + 1

    def _contexts(self, turns: Ints, opening: Ints, said: Ints, outputs: Ints) -> tuple[Ints, Ints]:
        """Return the prompt of each turn, tokens, and the number of the text that it goes on with.

        A session has one text of its own until it is compacted, and another afterwards.
        """
        most, rest = self.laws.max_tokens, self.laws.compacted_tokens
        prompts, texts, text = [], [], -1
        turn_tokens = zip((said + outputs).tolist(), said.tolist(), strict=True)
        for count, first in zip(turns.tolist(), opening.tolist(), strict=True):
            prompt, text = min(first, most), text + 1
            for added, kept in islice(turn_tokens, count):
                prompts.append(prompt)
                texts.append(text)
                prompt += added
                if prompt > most:
                    prompt, text = max(1, min(rest + kept, most)), text + 1
        return np.array(prompts, dtype=np.int64), np.array(texts, dtype=np.int64)

    def _spans(self, texts: Ints, prompts: Ints, outputs: Ints) -> Ints:
        """Return what turns leave for the next: the text of all sessions, then their own.

        How much is of the former the first prompt of a text says: what follows is its own.
        """
        begun = prompts[np.searchsorted(texts, texts)]
        shared = np.minimum(self.laws.shared_tokens, begun) // HASH_TOKENS
        own = (prompts + outputs) // HASH_TOKENS - shared
        return np.stack([np.zeros_like(shared), shared, texts * STRIDE + shared, own], axis=1)


class _Links:
    """Gives turns their numbers, and tells each which one it follows."""

    def __init__(self) -> None:
        self._next = 0
        self._last: dict[int, int] = {}

    def follow(self, turns: RequestColumns) -> RequestColumns:
        """Return turns in the order of the run with what they follow, in place of turns left."""
        follows = []
        for session, left in zip(turns.session.tolist(), turns.follows.tolist(), strict=True):
            follows.append(self._last.pop(session, -1))
            if left:
                self._last[session] = self._next
            self._next += 1
        found = np.array(follows, dtype=np.int64)
        return turns._replace(follows=found, think_s=np.where(found < 0, 0.0, turns.think_s))
