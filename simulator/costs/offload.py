"""What it costs that experts live in host memory: stalls of the layers, and memory that is spared.

A layer uses the experts that are there, and then waits for the others: every missing one crosses
the host link of its GPU, one after another, in ``bytes / bandwidth``. Nothing hides this by
default; what a prefetcher brings is hidden behind the layers before. GPUs that split an expert load
their shares side by side.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from simulator.costs.forward import Parts, add_part
from simulator.errors import ConfigError
from simulator.experts.config import LEARNED, NO_PREFETCH, PINNED, ExpertsConfig, OffloadConfig
from simulator.experts.offload import ExpertStore, Ints, Transfers, most_used
from simulator.experts.pool import RoutePool
from simulator.experts.popularity import MOST_REQUESTS, batch_exposure, overall_popularity
from simulator.experts.predictor import check_predictor, load_predictor
from simulator.experts.prefetch import PREFETCHERS
from simulator.experts.residency import chances_of, lru_misses, pinned_misses
from simulator.experts.sampling import Archetype
from simulator.hardware.gpu import Gpu
from simulator.models.architecture import Architecture
from simulator.models.parallelism import Parallelism, stage_layers
from simulator.models.parameters import expert_bytes

PART = "expert_transfers"
"""The part of a step that stands for these stalls."""

Floats = NDArray[np.float64]

_DENSE = "experts.offload keeps experts in host memory, but {title} is dense; leave it null."
"""What is said of a model without experts."""

_KNOTS = 33
"""Numbers of distinct experts at which LRU is evaluated; on lines between them."""


@dataclass(frozen=True, slots=True)
class ExpertTransfers:
    """Prices the experts that a replica brings from host memory.

    Parameters
    ----------
    offload
        What is resident.
    archetype
        How popular experts are; without deviations where that is not known.
    layers
        MoE layers of a pass.
    expert_s
        Time of one expert (its share of a GPU) over the host link, s.
    """

    offload: OffloadConfig
    archetype: Archetype
    layers: int
    expert_s: float

    def expected(self, requests: float, distinct: float) -> Parts:
        """Price a step by closed forms (`experts.residency`).

        The resident set is taken to be what equal steps before it left.

        Parameters
        ----------
        requests
            Requests whose tokens meet in the experts; between two counts, on the line between
            their values.
        distinct
            Distinct experts that the step activates in one layer.
        """
        parts: Parts = {}
        seconds = self.layers * self.missing(requests, distinct) * self.expert_s
        add_part(parts, PART, seconds, "assumed")
        return parts

    def missing(self, requests: float, distinct: float) -> float:
        """Return the experts of a layer that the step finds missing; arguments as in `expected`."""
        if self.offload.resident_experts >= self.archetype.experts:
            return 0.0
        if self.offload.policy == PINNED:
            popularity = overall_popularity(self.archetype)
            return pinned_misses(popularity, self.offload.resident_experts, distinct)
        few = min(max(math.floor(requests), 1), MOST_REQUESTS)
        missing = self._lru_missing(few, distinct)
        if few < min(requests, MOST_REQUESTS):
            missing += (requests - few) * (self._lru_missing(few + 1, distinct) - missing)
        return missing

    def _lru_missing(self, requests: int, distinct: float) -> float:
        table = _missing_by_distinct(self.archetype, requests, self.offload.resident_experts)
        return float(np.interp(distinct, *table))

    def store(self, copies: Ints) -> ExpertStore:
        """Return the resident set of a replica, to be followed step by step.

        Parameters
        ----------
        copies
            Token copies by expert in a profile of the traffic, shape (layers, E). Those with most
            are resident, for good or at first.
        """
        offload, new = self.offload, None
        if offload.prefetch != NO_PREFETCH:
            new = PREFETCHERS.get(offload.prefetch, "experts.offload.prefetch")
        return ExpertStore(
            most_used(copies, offload.resident_experts),
            offload.policy,
            prefetcher=None if new is None else new(self.archetype.experts, offload),
            prefetch_slots=offload.prefetch_experts,
        )

    def drafts(self, pool: RoutePool) -> Floats | None:
        """Return what a drafter sees of every token of a pool; None where nobody asks or knows."""
        if self.offload.prefetch != LEARNED:
            return pool.features
        return load_predictor(str(self.offload.predictor)).features_of(pool)

    def stall_s(self, transfers: Transfers, compute_s: float) -> float:
        """Return the time by which transfers of experts lengthen a step, s.

        Parameters
        ----------
        transfers
            Experts that cross the link, by layer.
        compute_s
            Time that the layers take otherwise, the same each.

        Notes
        -----
        Prefetched experts cross the link in the order of their layers from the start of the step
        on, and give way to what is missing. So layer l of L starts no earlier than the prefetches
        up to it are through, ``P_l``, and the step lasts
        ``max(L c, max_l(P_l + (L - l) c)) + demand`` with ``c`` the time of a layer, l from 0.

        Examples
        --------
        Two layers of 1 s; an expert takes 0.5 s. The first layer waits for its prefetch.

        >>> one, of_four = OffloadConfig(resident_experts=1), Archetype(experts=4, top_k=1)
        >>> transfers = Transfers(np.array([0, 1]), np.array([1, 1]), np.array([1, 1]))
        >>> ExpertTransfers(one, of_four, layers=2, expert_s=0.5).stall_s(transfers, compute_s=2.0)
        1.0
        """
        demand_s = self.expert_s * float(transfers.missing.sum())
        if not transfers.prefetched.any():
            return demand_s
        left = 1.0 - np.arange(len(transfers.prefetched)) / len(transfers.prefetched)
        ends_s = self.expert_s * transfers.prefetched.cumsum() + compute_s * left
        return demand_s + max(float(ends_s.max()) - compute_s, 0.0)


@lru_cache(maxsize=1024)
def _missing_by_distinct(
    archetype: Archetype, requests: int, resident: int
) -> tuple[Floats, Floats]:
    """Return numbers of distinct experts, none to all, and how many of each LRU finds missing."""
    distinct = np.linspace(0.0, archetype.experts, _KNOTS)
    exposure = batch_exposure(archetype, requests)
    chances = np.stack([chances_of(exposure, count) for count in distinct])
    return distinct, lru_misses(chances, resident)


def expert_transfers(
    offload: OffloadConfig,
    archetype: Archetype | None,
    gpu: Gpu,
    arch: Architecture,
    parallelism: Parallelism,
) -> ExpertTransfers:
    """Return what prices the transfers of a model's experts to a GPU.

    Parameters
    ----------
    offload
        What is resident; checked by `check_offload`.
    archetype
        How popular the model's experts are; None: all alike.
    gpu, arch, parallelism
        Whose host link, which experts, and over how many GPUs each is split.

    Raises
    ------
    ConfigError
        If the bandwidth of the host link is not known.
    """
    if arch.moe is None:
        raise ConfigError(_DENSE.format(title=arch.title))
    bandwidth = offload.host_bandwidth or gpu.host_bandwidth
    if bandwidth is None:
        raise ConfigError(
            f"experts.offload needs the bandwidth of the host link, which the specification of "
            f"{gpu.title} lacks; give experts.offload.host_bandwidth (bytes/s, PCIe 4.0 x16: "
            f"3.15e10)."
        )
    flat = Archetype(experts=arch.moe.experts, top_k=arch.moe.top_k)
    expert_s = _share_bytes(arch, parallelism) / bandwidth
    return ExpertTransfers(offload, archetype or flat, arch.moe_layers, expert_s)


def check_offload(
    arch: Architecture, experts: ExpertsConfig, law: str, expert_parallel: int
) -> None:
    """Refuse an ``experts.offload`` that does not fit the model, or that nothing follows.

    Raises
    ------
    ConfigError
        For a dense model, a resident set that the model has too few experts for or that could not
        hold those of one token, experts spread over GPUs, and what the fidelity does not follow.
    DataError
        For a predictor that cannot be read, or is for another model.
    """
    offload = experts.offload
    if offload is None:
        return
    if arch.moe is None:
        raise ConfigError(_DENSE.format(title=arch.title))
    total, top_k, resident = arch.moe.experts, arch.moe.top_k, offload.resident_experts
    if not top_k <= resident <= total or offload.slots > total:
        more = f" and {offload.prefetch_experts} prefetched" if offload.prefetch_experts else ""
        raise ConfigError(
            f"experts.offload.resident_experts={resident}{more}: a layer of {arch.title} has "
            f"{total} experts, and a token uses {top_k} of them. Take {top_k} to {total} in all."
        )
    if expert_parallel > 1:
        raise ConfigError(
            f"experts.offload with hardware.expert_parallel={expert_parallel}: each GPU would have "
            f"a resident set of its own, and a step would wait for the slowest, which is not "
            f"modelled. Split the experts instead (hardware.expert_parallel=1 with "
            f"hardware.tensor_parallel), or leave experts.offload null."
        )
    _check_followed(offload, experts, law)
    if offload.prefetch == LEARNED:
        path = str(offload.predictor)
        check_predictor(load_predictor(path), arch, path)


def _check_followed(offload: OffloadConfig, experts: ExpertsConfig, law: str) -> None:
    """Refuse what needs the resident set followed where it is not, and the reverse."""
    if experts.events:
        raise ConfigError(
            "experts.offload stalls a step as a whole, which experts.fidelity=event does not "
            "follow; take experts.fidelity=sampled."
        )
    if law == "recorded" and not experts.drawn:
        raise ConfigError(
            "experts.offload with routing.law=recorded: which experts are resident shows only "
            "where the recorded routes are followed; take experts.fidelity=sampled."
        )
    if offload.prefetch == NO_PREFETCH:
        return
    PREFETCHERS.get(offload.prefetch, "experts.offload.prefetch")
    if not experts.drawn:
        raise ConfigError(
            f"experts.offload.prefetch={offload.prefetch} must see which experts a step chose, "
            f"which experts.fidelity={experts.fidelity} does not follow; take "
            f"experts.fidelity=sampled."
        )


def spared_bytes(arch: Architecture, parallelism: Parallelism, offload: OffloadConfig) -> float:
    """Return the bytes of weights that one GPU need not hold.

    Experts that pass by a pinned set need a buffer, of one expert for all layers.

    Examples
    --------
    >>> from simulator.models.catalog import load_architecture
    >>> half = OffloadConfig(resident_experts=4)
    >>> spared_bytes(load_architecture("mixtral_8x7b"), Parallelism(), half) / 1e9
    45.097156608
    """
    if arch.moe is None:
        return 0.0
    layers = min(stage_layers(arch.layers, parallelism.pipeline), arch.moe_layers)
    absent = layers * (arch.moe.experts - offload.slots)
    buffered = 1 if offload.policy == PINNED and absent else 0
    return (absent - buffered) * _share_bytes(arch, parallelism)


def _share_bytes(arch: Architecture, parallelism: Parallelism) -> float:
    """Return the bytes of one expert of one layer on one GPU."""
    return expert_bytes(arch) / parallelism.expert_tensor
