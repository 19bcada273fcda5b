"""The highest rate that a replica can serve, as a linear programme over the batches it may run.

A replica spends shares ``x_B`` of its time on decoding with batches of ``B`` requests, each of
which emits ``1 / token_s(B)`` tokens a second, and reads prompts in the rest. At the rate ``r``
each request asks for ``n`` tokens, adds ``p`` seconds of prefill, may stay for ``D`` seconds on
average under its objective, and holds ``c`` tokens of cache while it does::

    maximise r  so that   sum_B x_B B / token_s(B)  =  r n      all tokens are emitted
                          sum_B x_B  +  r p        <=  1        in the time that there is
                          sum_B x_B B              <=  r D      nobody stays longer (Little's law)
                          sum_B x_B B c            <=  K        the cache holds them

Any stationary run of the simulator is a point of this polytope if n, p and c are not overstated and
D and K not understated: the programme is then an upper bound (`screening`), whatever the order in
which requests run.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from simulator.errors import InvariantError

Floats = NDArray[np.float64]

SHORTEST_S = 1e-9
"""Time that a request takes at least, s: what asks for nothing has no highest rate."""


@dataclass(frozen=True, slots=True)
class Supply:
    """What a replica offers.

    Parameters
    ----------
    batches
        Requests that decode at once, ascending; the last is the most that the limits allow.
    token_s
        Time per output token of each of them, s, of the same shape.
    cache_tokens
        Tokens that its KV cache holds.
    """

    batches: Floats
    token_s: Floats
    cache_tokens: float


@dataclass(frozen=True, slots=True)
class Demand:
    """What a mean request asks for.

    Parameters
    ----------
    tokens
        Output tokens after the first.
    prefill_s
        What its prompt adds to the time of the replica, s.
    residence_s
        For how long it may decode, s; infinite where nothing bounds that.
    context_tokens
        Tokens of cache that it holds while it decodes.
    """

    tokens: float
    prefill_s: float
    residence_s: float
    context_tokens: float


@dataclass(frozen=True, slots=True)
class Capacity:
    """The solution.

    Parameters
    ----------
    rate
        Requests/s; 0 if no batch, not even of one, is fast enough.
    token_s
        Time per output token of a request at that rate, s; 0 at no rate.
    binding
        What binds: ``tpot``, ``kv_memory``, ``max_num_seqs``, ``prefill`` or ``decode``.
    """

    rate: float
    token_s: float
    binding: str


def max_rate(supply: Supply, demand: Demand) -> Capacity:
    """Solve the programme.

    Examples
    --------
    A batch of one emits 50 tokens/s, one of two 80; requests ask for 100 tokens:

    >>> offered = Supply(np.array([1.0, 2.0]), np.array([0.02, 0.025]), cache_tokens=1e6)
    >>> max_rate(offered, Demand(100, prefill_s=0.0, residence_s=10.0, context_tokens=500))
    Capacity(rate=0.8, token_s=0.025, binding='max_num_seqs')
    >>> max_rate(offered, Demand(100, prefill_s=0.0, residence_s=2.0, context_tokens=500))
    Capacity(rate=0.5, token_s=0.02, binding='tpot')

    Requests of one output token decode nothing, so that their prompts alone take time:

    >>> max_rate(offered, Demand(0, prefill_s=0.25, residence_s=0.0, context_tokens=500))
    Capacity(rate=4.0, token_s=0.0, binding='prefill')
    """
    if demand.tokens <= 0.0:
        return Capacity(1.0 / max(demand.prefill_s, SHORTEST_S), 0.0, "prefill")
    speed = supply.batches / supply.token_s
    bounded = math.isfinite(demand.residence_s)
    cached = demand.context_tokens > 0 and math.isfinite(supply.cache_tokens)
    rows = [
        (np.append(np.ones_like(speed), demand.prefill_s), 1.0),
        (np.append(supply.batches, -demand.residence_s if bounded else 0.0), 0.0),
        (np.append(supply.batches * demand.context_tokens, 0.0), supply.cache_tokens),
    ]
    used = [True, bounded, cached]
    found = linprog(
        c=np.append(np.zeros_like(speed), -1.0),
        A_ub=np.array([row for (row, _), use in zip(rows, used, strict=True) if use]),
        b_ub=np.array([limit for (_, limit), use in zip(rows, used, strict=True) if use]),
        A_eq=np.append(speed, -demand.tokens)[np.newaxis],
        b_eq=np.zeros(1),
    )
    if not found.success:
        raise InvariantError(f"the capacity of a replica has no solution: {found.message}")
    rate, shares = float(found.x[-1]), found.x[:-1]
    token_s = float(shares @ supply.batches) / (rate * demand.tokens) if rate > 0.0 else 0.0
    prices = iter(-found.ineqlin.marginals)
    price = [float(next(prices)) if use else 0.0 for use in used]
    return Capacity(rate, token_s, _binding(rate, price, shares, demand))


def _binding(rate: float, price: list[float], shares: Floats, demand: Demand) -> str:
    """Name what binds, from what a unit more of time, residence and cache would bring."""
    _, residence, cache = price
    if rate <= 0.0 or residence > 0.0:
        return "tpot"
    if cache > 0.0:
        return "kv_memory"
    if rate * demand.prefill_s > 0.5:
        return "prefill"
    return "max_num_seqs" if shares[-1] > 0.0 else "decode"
