"""What tells requests apart: their traffic class, the prefix they share, their conversation.

Put around any workload (`TraitedWorkload`), drawn from streams of its own: arrivals and lengths
stay those of the workload, but that a conversation adds to a prompt all that was said before.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from simulator.streams import Streams
from simulator.workload.requests import BLOCK_REQUESTS, RequestBlock, RequestTraits
from simulator.workload.spans import HASH_TOKENS, OWN_TEXTS, STRIDE
from simulator.workload.traits_config import (
    SessionsConfig,
    SharedPrefixConfig,
    TrafficClassConfig,
)
from simulator.workload.transforms import uniforms
from simulator.workload.wrapped import WrappedWorkload

_ONE_CLASS = (TrafficClassConfig(name=""),)
"""Traffic that no classes tell apart."""

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class TraitedWorkload(WrappedWorkload):
    """A workload whose requests differ in more than arrivals and lengths.

    Block ``b`` draws from block ``b`` of the streams ``traffic_classes``, ``prefix_groups`` and
    ``sessions``, always for a whole block, so that a shorter run sees a prefix of a longer one.

    Parameters
    ----------
    inner
        Arrivals and lengths.
    classes
        Traffic classes; none: all requests are of one.
    shared_prefix, sessions
        What prompts share; None: nothing.
    told
        What the inner workload tells of its requests, names of ``RequestTraits``; it stays.
    """

    classes: tuple[TrafficClassConfig, ...] = ()
    shared_prefix: SharedPrefixConfig | None = None
    sessions: SessionsConfig | None = None
    told: frozenset[str] = frozenset()

    @property
    def max_prompt_tokens(self) -> int:
        """Longest prompt possible, what was said before included, tokens."""
        return self.sessions.max_tokens if self.sessions else self.inner.max_prompt_tokens

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What was assumed."""
        return (*self.inner.assumptions, *_assumptions(self))

    def blocks(self, streams: Streams) -> Iterator[RequestBlock]:
        """Draw the requests, block after block."""
        conversations = Conversations(self.sessions) if self.sessions else None
        for number, drawn in enumerate(self.inner.blocks(streams)):
            block, traits = drawn, self._single(drawn, number, streams)
            if conversations is not None:
                ends = streams.block("sessions", number).random(BLOCK_REQUESTS)
                block, traits = conversations.follow(block, traits, ends)
            yield replace(block, traits=self._patient(traits))

    def _single(self, block: RequestBlock, number: int, streams: Streams) -> RequestTraits:
        """Draw the traits of requests that are no turns of a conversation.

        Their ``cancel_after_s`` is yet to be multiplied by the mean of their class (`_patient`).
        """
        classes = self.classes or _ONE_CLASS
        generator = streams.block("traffic_classes", number)
        which, whose = generator.random((2, BLOCK_REQUESTS))[:, : block.size]
        if "session" in self.told and block.traits is not None:  # all its turns are of one class
            session = block.traits.session
            which = np.where(session < 0, which, uniforms(session))
            whose = np.where(session < 0, whose, uniforms(~session))
        patience = generator.standard_exponential(BLOCK_REQUESTS)[: block.size]
        index = _choose(which, np.array([one.share for one in classes]))
        tenants = np.array([one.tenants for one in classes])
        prefixes: list[tuple[int, ...]] = [()] * block.size
        if self.shared_prefix is not None:
            which = streams.block("prefix_groups", number).random(BLOCK_REQUESTS)[: block.size]
            popularity = np.arange(1.0, self.shared_prefix.groups + 1) ** -self.shared_prefix.zipf
            shared = np.minimum(block.prompt_tokens, self.shared_prefix.tokens) // HASH_TOKENS
            groups = _choose(which, popularity)
            prefixes = [
                tuple(range(group * STRIDE, group * STRIDE + hashes))
                for group, hashes in zip(groups.tolist(), shared.tolist(), strict=True)
            ]
        drawn = RequestTraits(
            traffic_class=index,
            tenant=(np.cumsum(tenants) - tenants)[index]
            + (whose * tenants[index]).astype(np.int64),
            priority=np.array([one.priority for one in classes])[index],
            session=np.full(block.size, -1),
            cancel_after_s=patience,
            prefixes=prefixes,
            hash_tokens=HASH_TOKENS,
            think_s=None if block.traits is None else block.traits.think_s,
        )
        return drawn if block.traits is None else self._with_told(drawn, block.traits)

    def _with_told(self, drawn: RequestTraits, told: RequestTraits) -> RequestTraits:
        """Put what is told of requests over what was drawn."""
        kept = {name: getattr(told, name) for name in self.told}
        if "prefixes" in self.told:
            kept["hash_tokens"] = told.hash_tokens
        if self.classes and "traffic_class" in self.told:
            priorities = np.array([one.priority for one in self.classes])
            kept["priority"] = priorities[told.traffic_class]
        return replace(drawn, follows=told.follows, think_s=told.think_s, **kept)

    def _patient(self, traits: RequestTraits) -> RequestTraits:
        """Let clients be as patient as their class: that of the conversation, where it is one."""
        means_s = np.array([one.cancel_after_s or np.inf for one in self.classes] or [np.inf])
        return replace(traits, cancel_after_s=traits.cancel_after_s * means_s[traits.traffic_class])


@dataclass(slots=True)
class Conversation:
    """What the next turn of a conversation needs to know."""

    number: int
    traffic_class: int
    tenant: int
    priority: int
    shared: tuple[int, ...]
    """Hashes of what it shares with others."""
    tokens: int = 0
    """All that was said so far."""


@dataclass(slots=True)
class Conversations:
    """The conversations that go on, in the order of who was silent longest.

    Parameters
    ----------
    config
        How many there are and how long they last.
    """

    config: SessionsConfig
    _live: deque[Conversation] = field(default_factory=deque)
    _begun: int = 0

    def follow(
        self, block: RequestBlock, single: RequestTraits, ends: NDArray[np.float64]
    ) -> tuple[RequestBlock, RequestTraits]:
        """Turn requests into turns of conversations; return them and their traits.

        Parameters
        ----------
        block
            The requests; their prompts are what is said anew.
        single
            Their traits if none were a turn; who begins a conversation gives it its own, but each
            keeps its draw of patience.
        ends
            Uniforms: where one is below ``1 / turns``, its turn is the last.
        """
        turns, prompts, prefixes = [], [], []
        columns = (block.prompt_tokens.tolist(), block.output_tokens.tolist(), ends.tolist())
        for index, (said, output, end) in enumerate(zip(*columns, strict=False)):
            turn = self._next(said, index, single)
            prompts.append(turn.tokens + said)
            turn.tokens += said + output
            turns.append(turn)
            prefixes.append(_hashes(turn))
            if end >= 1.0 / self.config.turns:
                self._live.append(turn)
        whose = replace(
            single,
            traffic_class=np.array([turn.traffic_class for turn in turns]),
            tenant=np.array([turn.tenant for turn in turns]),
            priority=np.array([turn.priority for turn in turns]),
            session=np.array([turn.number for turn in turns]),
            prefixes=prefixes,
        )
        return replace(block, prompt_tokens=np.array(prompts)), whose

    def _next(self, said_tokens: int, index: int, single: RequestTraits) -> Conversation:
        """Return the conversation that goes on with so many tokens, or begin one."""
        if len(self._live) == self.config.live:
            silent = self._live.popleft()
            if silent.tokens + said_tokens <= self.config.max_tokens:
                return silent
        self._begun += 1
        return Conversation(
            number=self._begun - 1,
            traffic_class=int(single.traffic_class[index]),
            tenant=int(single.tenant[index]),
            priority=int(single.priority[index]),
            shared=single.prefixes[index],
        )


def _hashes(turn: Conversation) -> tuple[int, ...]:
    """Return the hashes of all that was said, the answer to come included."""
    first = (OWN_TEXTS + turn.number) * STRIDE
    own = range(first + len(turn.shared), first + turn.tokens // HASH_TOKENS)
    return (*turn.shared, *own)


def _choose(uniforms: NDArray[np.float64], weights: NDArray[np.float64]) -> Ints:
    """Return indices drawn in proportion to weights."""
    steps = np.cumsum(weights)
    found: Ints = np.searchsorted(steps, uniforms * steps[-1], side="right")
    return np.minimum(found, len(weights) - 1, out=found)


def _assumptions(workload: TraitedWorkload) -> Sequence[str]:
    found = []
    if workload.classes:
        total = sum(one.share for one in workload.classes)
        shares = ", ".join(f"{one.name} {one.share / total:.0%}" for one in workload.classes)
        found.append(
            "each request is of the traffic class that the trace tells"
            if "traffic_class" in workload.told
            else f"each request is of a traffic class by chance ({shares}); all have the same "
            "lengths"
        )
    found += [
        f"clients of class {one.name} give up after {one.cancel_after_s:g} s on average "
        "(exponential), however far their request is"
        for one in workload.classes
        if one.cancel_after_s is not None
    ]
    if workload.shared_prefix is not None:
        prefix = workload.shared_prefix
        found.append(
            f"every prompt begins with one of {prefix.groups} prefixes of {prefix.tokens} tokens "
            f"(popularity k^-{prefix.zipf:g})"
        )
    if workload.sessions is not None:
        sessions, rate = workload.sessions, workload.mean_rate
        live = sessions.live or 0
        gap = f"{live / rate:.3g} s on average" if rate else f"{live} requests"
        found.append(
            f"{live} conversations of {sessions.turns:g} turns on average: the lengths "
            f"drawn are what each turn adds, whatever context of earlier turns the trace had in "
            f"them, and turns follow each other after {gap}, whether or "
            "not the answer is out"
        )
    return found
