"""A batch-size schedule from step times: what a server without an online optimiser can be given."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.speculation.policies import StepPrice

TOLERANCE = 0.01
"""A row goes on while its draft length yields this close to the most tokens per second: kernels'
times jump from tile to tile, and a schedule that followed every jump would tell of nothing else."""


def best_schedule(
    price: StepPrice,
    tokens_by_gamma: Sequence[float],
    *,
    last_batch: int,
    context_tokens: float,
    tolerance: float = TOLERANCE,
) -> list[list[int]]:
    """Return the rows of ``speculation.schedule`` with the most expected tokens per second.

    For every batch n the rate of a draft length is ``n E[tokens] / step time``, as in the policy
    ``cost_model``, but with a context and an acceptance that are known beforehand.

    Parameters
    ----------
    price
        Time of a step.
    tokens_by_gamma
        Expected tokens of a round by draft length, from 0 up to the longest.
    last_batch
        Largest batch.
    context_tokens
        Cached tokens of a request, on average.
    tolerance
        Share of the best rate that a row may lose before another begins.

    Returns
    -------
    list of list of int
        Rows ``[first batch, last batch, draft length]`` (vLLM's
        ``num_speculative_tokens_per_batch_size``).

    Examples
    --------
    >>> from simulator.costs.curves import Window
    >>> def price(gamma, requests, context_tokens):  # a step takes as long as 8 tokens, or more
    ...     return Window(float(max(8, (gamma + 1) * requests)), 0.0, 0, 10**9, 0.0)
    >>> best_schedule(price, [1.0, 1.7, 2.2], last_batch=16, context_tokens=100.0)
    [[1, 3, 2], [4, 6, 1], [7, 16, 0]]
    """
    rows: list[list[int]] = []
    for batch in range(1, last_batch + 1):
        context = round(batch * context_tokens)
        rates = []
        for gamma, tokens in enumerate(tokens_by_gamma):
            line = price(gamma, batch, context)
            rates.append(tokens / (line.base_s + line.slope_s * context))
        if rows and rates[rows[-1][2]] >= (1.0 - tolerance) * max(rates):
            rows[-1][1] = batch
        else:
            rows.append([batch, batch, rates.index(max(rates))])
    return rows
