"""What a fit looks at: arrivals and lengths, of a workload or of one of its halves."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from simulator.streams import Streams
from simulator.study.workloads.counts import Arrivals
from simulator.study.workloads.lengths import CountedLengths
from simulator.workload.requests import RequestBlock, Workload


@dataclass(slots=True)
class Sample:
    """Arrivals and lengths of some requests."""

    arrivals: Arrivals = field(default_factory=Arrivals)
    prompt: CountedLengths = field(default_factory=CountedLengths)
    output: CountedLengths = field(default_factory=CountedLengths)

    def add(self, block: RequestBlock) -> None:
        """Take in the requests of a block."""
        self.arrivals.add(block.arrival_s)
        self.prompt.add(block.prompt_tokens)
        self.output.add(block.output_tokens)

    def figures(self) -> dict[str, float]:
        """Return rate, CVs of gaps and counts, and quantiles of lengths, by name."""
        found = {"rate": self.arrivals.rate or 0.0, "gap_cv": self.arrivals.gap_cv or 0.0}
        for window_s, cv2 in self.arrivals.cv2().items():
            found[f"count_cv_{window_s:g}_s"] = float(np.sqrt(cv2))
        for name, lengths in (("prompt", self.prompt), ("output", self.output)):
            found |= {f"{name}_tokens_{key}": v for key, v in lengths.figures().items()}
        return found


def halves(workload: Workload, streams: Streams) -> tuple[Sample, Sample, Sample, int]:
    """Return samples of a workload, of the first half of its requests, and of the second.

    Last comes how many of all wait for the answer to an earlier one.

    Parameters
    ----------
    workload
        An open loop.
    streams
        What it draws from, if it draws.
    """
    whole, first, second = Sample(), Sample(), Sample()
    following = 0
    for block in workload.blocks(streams):
        whole.add(block)
        split = max(workload.requests // 2 - block.first_id, 0)
        first.add(_part(block, slice(None, split)))
        second.add(_part(block, slice(split, None)))
        following += waiting(block)
    return whole, first, second, following


def waiting(block: RequestBlock) -> int:
    """Return how many requests of a block arrive only after an earlier one has left."""
    follows = None if block.traits is None else block.traits.follows
    return 0 if follows is None else int((follows >= 0).sum())


def until(block: RequestBlock, end_s: float) -> RequestBlock:
    """Return the requests of a block that arrive no later than a time, s."""
    return _part(block, slice(None, int(np.searchsorted(block.arrival_s, end_s, side="right"))))


def _part(block: RequestBlock, which: slice) -> RequestBlock:
    """Return some of the requests, without what tells them apart."""
    return replace(
        block,
        arrival_s=block.arrival_s[which],
        prompt_tokens=block.prompt_tokens[which],
        output_tokens=block.output_tokens[which],
        traits=None,
    )
