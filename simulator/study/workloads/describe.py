"""What describes a workload, gathered in one pass over its requests in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from simulator.streams import Streams
from simulator.study.workloads.correlations import Pairs, Serial
from simulator.study.workloads.counts import Arrivals
from simulator.study.workloads.lengths import CountedLengths
from simulator.study.workloads.over_time import OverTime
from simulator.study.workloads.reuse import PrefixReuse
from simulator.study.workloads.sample import waiting
from simulator.study.workloads.skew import ClientSkew
from simulator.workload.requests import RequestBlock, Workload


@dataclass(slots=True)
class Correlations:
    """Pairs whose ranks may go together."""

    prompt_output: Pairs = field(default_factory=Pairs)
    prompt_next: Serial = field(default_factory=Serial)
    output_next: Serial = field(default_factory=Serial)
    gap_next: Serial = field(default_factory=Serial)
    _last_s: float | None = None

    def add(self, block: RequestBlock) -> None:
        """Pair up the requests of a block."""
        prompt = block.prompt_tokens.astype(np.float64)
        output = block.output_tokens.astype(np.float64)
        self.prompt_output.add(prompt, output)
        self.prompt_next.add(prompt)
        self.output_next.add(output)
        before = [] if self._last_s is None else [self._last_s]
        self.gap_next.add(np.diff(np.concatenate([before, block.arrival_s])))
        self._last_s = float(block.arrival_s[-1])

    def by_name(self) -> dict[str, float | None]:
        """Return Spearman's rank correlations by what is paired."""
        return {
            "prompt_output": self.prompt_output.spearman(),
            "prompt_next_prompt": self.prompt_next.pairs.spearman(),
            "output_next_output": self.output_next.pairs.spearman(),
            "gap_next_gap": self.gap_next.pairs.spearman(),
        }


@dataclass(slots=True)
class Description:
    """What was gathered.

    Parameters
    ----------
    title
        Of the workload, one line.
    open_loop
        Whether arrivals have times of their own; in a closed loop they come as others leave.
    cache_tokens
        Sizes of the finite caches whose prefix reuse is followed, tokens.
    """

    title: str
    open_loop: bool
    cache_tokens: Sequence[int]
    assumptions: tuple[str, ...] = ()
    arrivals: Arrivals = field(default_factory=Arrivals)
    prompt: CountedLengths = field(default_factory=CountedLengths)
    output: CountedLengths = field(default_factory=CountedLengths)
    correlations: Correlations = field(default_factory=Correlations)
    over_time: OverTime = field(default_factory=OverTime)
    clients: ClientSkew = field(default_factory=ClientSkew)
    reuse: PrefixReuse = field(init=False)
    following: int = 0
    """Requests that wait for another one to leave: their times are only lower bounds."""

    def __post_init__(self) -> None:
        self.reuse = PrefixReuse(self.cache_tokens)

    def add(self, block: RequestBlock) -> None:
        """Gather what the requests of a block show."""
        if not block.size:
            return
        self.arrivals.add(block.arrival_s)
        self.prompt.add(block.prompt_tokens)
        self.output.add(block.output_tokens)
        self.correlations.add(block)
        tokens = block.prompt_tokens + block.output_tokens
        self.over_time.add(block.arrival_s - self.arrivals.first_s, tokens)
        self.clients.add(block)
        self.reuse.add(block)
        self.following += waiting(block)


def describe(
    workload: Workload,
    streams: Streams,
    cache_tokens: Sequence[int],
    advance: Callable[[int], object] = lambda _: None,
) -> Description:
    """Describe a workload in one pass.

    Parameters
    ----------
    workload
        A trace, a preset, a mix: anything that yields blocks of requests.
    streams
        What it draws from, if it draws.
    cache_tokens
        Sizes of the finite caches whose prefix reuse is followed, tokens.
    advance
        Called with the number of requests after each block.

    Raises
    ------
    DataError
        If a trace is malformed.
    """
    found = Description(
        workload.title, workload.concurrency is None, cache_tokens, tuple(workload.assumptions)
    )
    for block in workload.blocks(streams):
        found.add(block)
        advance(block.size)
    return found
