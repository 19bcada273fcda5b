"""Drawn workloads: lengths from laws, arrivals from a law (open loop) or users (closed loop)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from simulator.streams import Streams
from simulator.workload.arrivals import ArrivalLaw
from simulator.workload.lengths import LengthLaw
from simulator.workload.requests import BLOCK_REQUESTS, RequestBlock, RequestTraits
from simulator.workload.spans import HASH_TOKENS, Spans
from simulator.workload.times import TimeLaw


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticWorkload:
    """Requests drawn from laws.

    Block ``b`` draws its lengths from block ``b`` of the streams ``prompt_lengths`` and
    ``output_lengths``. Whole blocks are drawn and the last is cut, so that a shorter run sees a
    prefix of a longer one.

    Parameters
    ----------
    title, requests, concurrency, mean_rate, assumptions
        As in ``Workload``.
    prompt, output
        Length laws.
    arrivals
        Arrival law of an open loop; None in a closed loop.
    think
        How long users of a closed loop think before a request, drawn from the stream ``think``;
        None: not at all.

    Examples
    --------
    >>> from simulator.workload.lengths import FixedLength
    >>> loop = SyntheticWorkload(title="loop", requests=1500, concurrency=8, mean_rate=None,
    ...     assumptions=(), prompt=FixedLength(128), output=FixedLength(1024), arrivals=None)
    >>> [block.size for block in loop.blocks(Streams(seed=1))]
    [1024, 476]
    """

    title: str
    requests: int
    concurrency: int | None
    mean_rate: float | None
    assumptions: tuple[str, ...]
    prompt: LengthLaw
    output: LengthLaw
    arrivals: ArrivalLaw | None
    think: TimeLaw | None = None

    @property
    def max_prompt_tokens(self) -> int:
        """Longest prompt possible, tokens."""
        return self.prompt.max_tokens

    @property
    def max_output_tokens(self) -> int:
        """Longest output possible, tokens."""
        return self.output.max_tokens

    def blocks(self, streams: Streams) -> Iterator[RequestBlock]:
        """Draw the requests, block after block."""
        times: Iterator[NDArray[np.float64]] = (
            repeat(np.zeros(BLOCK_REQUESTS))
            if self.arrivals is None
            else self.arrivals.times(streams)
        )
        for index, first_id in enumerate(range(0, self.requests, BLOCK_REQUESTS)):
            prompts = self.prompt.sample(streams.block("prompt_lengths", index), BLOCK_REQUESTS)
            outputs = self.output.sample(streams.block("output_lengths", index), BLOCK_REQUESTS)
            n = min(BLOCK_REQUESTS, self.requests - first_id)
            traits = _thinking(self.think, index, n, streams) if self.think else None
            yield RequestBlock(first_id, next(times)[:n], prompts[:n], outputs[:n], traits)


def _thinking(think: TimeLaw, index: int, n: int, streams: Streams) -> RequestTraits:
    """Return traits that tell requests apart by the time before them alone."""
    think_s = think.sample(streams.block("think", index), BLOCK_REQUESTS)[:n]
    zeros = np.zeros(n, dtype=np.int64)
    return RequestTraits(
        traffic_class=zeros,
        tenant=zeros,
        priority=zeros,
        session=zeros - 1,
        cancel_after_s=np.full(n, np.inf),
        prefixes=Spans.none(n),
        hash_tokens=HASH_TOKENS,
        think_s=think_s,
    )
