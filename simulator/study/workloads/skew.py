"""How unevenly requests come from clients."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from simulator.workload.requests import RequestBlock

TOP = (1, 5, 10)
"""How many of the busiest clients are looked at together."""


@dataclass(slots=True)
class ClientSkew:
    """Requests by client: the tenant, where requests say whose they are.

    Memory grows with the number of clients, of which there are at most a million.
    """

    requests: Counter[int] = field(default_factory=Counter)

    def add(self, block: RequestBlock) -> None:
        """Count the requests of a block."""
        if block.traits is None:
            return
        tenants, counts = np.unique(block.traits.tenant, return_counts=True)
        self.requests.update(dict(zip(tenants.tolist(), counts.tolist(), strict=True)))

    @property
    def told_apart(self) -> bool:
        """Whether requests come from more than one client."""
        return len(self.requests) > 1

    def top_share(self, clients: int) -> float:
        """Return the share of requests that the busiest so many clients have."""
        return sum(n for _, n in self.requests.most_common(clients)) / self.requests.total()

    def clients_of(self, share: float) -> int:
        """Return how many of the busiest clients have so large a share of the requests.

        Examples
        --------
        >>> ClientSkew(Counter({7: 80, 8: 15, 9: 5})).clients_of(0.9)
        2
        """
        counts = np.sort(np.array(list(self.requests.values())))[::-1]
        return int(np.searchsorted(np.cumsum(counts), share * counts.sum() - 1e-9)) + 1
