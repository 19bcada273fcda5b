"""How many recorded requests there are, and how long: found in one pass, before a replay."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.workload.requests import RequestBlock


@dataclass(slots=True)
class Extent:
    """Bounds of recorded requests, gathered block after block.

    Parameters
    ----------
    max_prompt_tokens, max_output_tokens
        Longer lengths are cut to these.

    Examples
    --------
    >>> extent = Extent(max_prompt_tokens=8, max_output_tokens=8)
    >>> extent.add(RequestBlock(0, np.array([1.0, 3.0]), np.array([7, 9]), np.array([1, 2])))
    >>> extent.requests, extent.prompt_tokens, extent.output_tokens, extent.mean_rate
    (2, 8, 2, 0.5)
    >>> extent.notes()
    ['1 of 2 requests are cut to the token limits set']
    """

    max_prompt_tokens: int
    max_output_tokens: int
    requests: int = 0
    prompt_tokens: int = 0
    """Longest prompt that is left, tokens."""
    output_tokens: int = 0
    """Longest output that is left, tokens."""
    too_long: int = 0
    """Requests that are cut."""
    first_s: float = 0.0
    last_s: float = 0.0

    def add(self, block: RequestBlock) -> None:
        """Take a block, as recorded, into account."""
        if self.requests == 0:
            self.first_s = float(block.arrival_s[0])
        self.last_s = float(block.arrival_s[-1])
        self.requests += block.size
        longest = int(block.prompt_tokens.max()), int(block.output_tokens.max())
        self.prompt_tokens = min(max(self.prompt_tokens, longest[0]), self.max_prompt_tokens)
        self.output_tokens = min(max(self.output_tokens, longest[1]), self.max_output_tokens)
        self.too_long += int(
            np.count_nonzero(
                (block.prompt_tokens > self.max_prompt_tokens)
                | (block.output_tokens > self.max_output_tokens)
            )
        )

    @property
    def mean_rate(self) -> float | None:
        """Requests/s between the first and the last; None where all came at once."""
        span_s = self.last_s - self.first_s
        return (self.requests - 1) / span_s if span_s > 0 else None

    def notes(self) -> list[str]:
        """Say how many are cut, for the report."""
        if not self.too_long:
            return []
        return [f"{self.too_long} of {self.requests} requests are cut to the token limits set"]
