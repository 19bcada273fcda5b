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


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpertKernel:
    """A measured time of the expert kernel of wide deployments.

    Parameters
    ----------
    gpu
        Where it was measured.
    expert_parallel, tokens
        GPUs that the experts are spread over, and tokens of all of them.
    seconds
        Of one layer.
    """

    gpu: str
    expert_parallel: Quantity
    tokens: Quantity
    seconds: Quantity


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """All that the data file holds."""

    deployments: tuple[Reported, ...]
    expert_kernel: ExpertKernel


@cache
def published() -> Published:
    """Return the deployments, and the kernel that they are explained with.

    Examples
    --------
    >>> [one.output_tokens.value for one in published().deployments]
    [22000.0, 14800.0]
    """
    data = read_data(_PACKAGE, "published", "deployments")
    return from_mapping(Published, data, f"{_PACKAGE}.published")
