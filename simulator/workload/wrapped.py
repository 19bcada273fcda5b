"""Workloads put around another: what they leave alone is that one's."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.workload.requests import Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class WrappedWorkload:
    """A workload that changes requests of another, not how many there are or when they arrive.

    Parameters
    ----------
    inner
        The other workload.
    """

    inner: Workload

    @property
    def title(self) -> str:
        """One line for reports."""
        return self.inner.title

    @property
    def requests(self) -> int:
        """How many."""
        return self.inner.requests

    @property
    def concurrency(self) -> int | None:
        """Users of a closed loop."""
        return self.inner.concurrency

    @property
    def max_output_tokens(self) -> int:
        """Longest output possible, tokens."""
        return self.inner.max_output_tokens

    @property
    def mean_rate(self) -> float | None:
        """Requests/s."""
        return self.inner.mean_rate
