"""Deployments with wide expert parallelism whose decode throughput was publicly reported."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from simulator.mapping import from_mapping
from simulator.quantities import Quantity, read_data

_PACKAGE = "simulator.hardware_specs.wide_ep"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """A deployment, and what was reported of it.

    Parameters
    ----------
    name, title
        Key, and the name people use.
    overrides
        The deployment, as on the command line of ``moesim simulate``.
    output_tokens
        Decode throughput of a node, tokens/s.
    batch, context_tokens
        Requests that decode on a GPU, and their mean cache length.
    mtp_acceptance
        Chance that a token drafted by multi-token prediction is accepted; 0 where none is used.
    overlapped
        Whether each half of a batch computed while the other communicated.
    """

    name: str
    title: str
    overrides: tuple[str, ...]
    output_tokens: Quantity
    batch: Quantity
    context_tokens: Quantity
    mtp_acceptance: Quantity
    overlapped: bool


@cache
def reported_deployments() -> tuple[Reported, ...]:
    """Return the deployments of the data file.

    Examples
    --------
    >>> [one.output_tokens.value for one in reported_deployments()]
    [22000.0, 14800.0]
    """
    data = read_data(_PACKAGE, "published", "deployments")["deployments"]
    places = [f"{_PACKAGE}.published: deployments[{index}]" for index in range(len(data))]
    return tuple(from_mapping(Reported, *one) for one in zip(data, places, strict=True))
