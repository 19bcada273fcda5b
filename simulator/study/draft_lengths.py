"""Which draft length at which batch: the closed form on a grid of both."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.scenario import Scenario
from simulator.study.decomposition import decompose, longest_proposed
from simulator.study.operating_point import can_run

BATCHES = (1, 4, 16, 64, 256)
"""Requests on a replica to look at, beside the batch that is asked for."""


@dataclass(frozen=True, slots=True)
class DraftLengths:
    """Closed-form speedups at equal batch, by draft length and batch.

    Parameters
    ----------
    batches
        Requests that decode together, ascending; those that a replica can run.
    speedups
        By draft length, ascending from 1, the speedup at each of the batches (MoESD eq. 4).
    """

    batches: tuple[int, ...]
    speedups: dict[int, tuple[float, ...]]

    @property
    def best(self) -> tuple[int, ...]:
        """The draft length with the highest speedup at each batch; 0 where none is above 1.

        Examples
        --------
        >>> DraftLengths((1, 64), {1: (1.2, 0.9), 2: (1.4, 0.8)}).best
        (2, 0)
        """
        columns = zip(*self.speedups.values(), strict=True)
        by_batch = [dict(zip(self.speedups, column, strict=True)) for column in columns]
        return tuple(
            max(column, key=column.__getitem__) if max(column.values()) > 1 else 0
            for column in by_batch
        )


def draft_lengths(scenario: Scenario, batch: int, context_tokens: int) -> DraftLengths:
    """Evaluate every draft length that is worth proposing, from batch 1 to the largest that runs.

    Parameters
    ----------
    scenario
        The deployment, the drafter and what is accepted.
    batch
        A batch to look at beside `BATCHES`; a replica can run it.
    context_tokens
        Cache length of each request.

    Examples
    --------
    >>> from simulator.compose import compose
    >>> from simulator.scenario import build
    >>> draft_lengths(build(compose(["model=mixtral_8x7b"])), 16, 1000).batches
    (1, 4, 16, 64, 256)
    """
    model, acceptance = scenario.step_model, scenario.acceptance
    batches = tuple(
        size
        for size in sorted({*BATCHES, batch})
        if size == batch or can_run(scenario, size, context_tokens)
    )
    return DraftLengths(
        batches,
        {
            gamma: tuple(
                decompose(model, acceptance, size, context_tokens, gamma).speedup
                for size in batches
            )
            for gamma in range(1, longest_proposed(model, acceptance) + 1)
        },
    )
