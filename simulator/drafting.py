"""From settings to how drafts come about: their shape, look-ups, and the drafter's GPUs."""

from __future__ import annotations

from dataclasses import replace

from simulator.config import Config
from simulator.costs.drafting import Drafting
from simulator.costs.memory import MemoryPlan
from simulator.errors import CapacityError, ConfigError
from simulator.hardware.gpu import Gpu
from simulator.models.architecture import Architecture
from simulator.models.catalog import default_drafter
from simulator.models.draft_tree import DraftTree
from simulator.models.drafters import Drafter, shares_vocabulary
from simulator.models.parallelism import Parallelism
from simulator.speculation.acceptance import ACCEPTANCE, Acceptance
from simulator.speculation.by_class import ClassAcceptance
from simulator.speculation.config import SpeculationConfig
from simulator.units import GIGA
from simulator.workload.mix import tasks


def drafting_of(speculation: SpeculationConfig, drafter: Drafter) -> Drafting:
    """Return what a round costs beyond the passes of the models.

    Examples
    --------
    >>> from simulator.models.catalog import load_drafter
    >>> settings = SpeculationConfig(gamma=3, alpha=0.8, proposal_rate=0.4)
    >>> round(drafting_of(settings, load_drafter("ngram")).mean_query_tokens(3), 1)
    2.2
    """
    return Drafting(
        tree=DraftTree(tuple(speculation.tree)),
        proposal_rate=speculation.proposal_rate,
        lookup_request_s=drafter.lookup_request_s,
        lookup_token_s=drafter.lookup_token_s,
        own_gpus=speculation.drafter_gpus == "own",
        link_s=speculation.link_s or 0.0,
    )


def acceptance_of(config: Config) -> Acceptance:
    """Return how much of a draft is accepted.

    Under a profile, a preset has the acceptance of its task, and so has each part of a mix, unless
    the settings name one for all.

    Raises
    ------
    ConfigError
        If the acceptance model, a profile or a task is unknown.
    """
    given, workload = config.speculation, config.workload
    make = ACCEPTANCE.get(given.acceptance, "speculation.acceptance")
    if given.profile is None or given.task is not None:
        return make(given)
    parts = [make(replace(given, task=task)) for task in tasks(workload).values()]
    if workload.mix:
        return ClassAcceptance(parts, [part.share for part in workload.mix])
    return parts[0] if parts else make(given)


def drafter_parallelism(
    speculation: SpeculationConfig, drafter: Drafter, target: Parallelism
) -> Parallelism:
    """Return what a drafter is split along: the target's grid, or its own GPUs."""
    own = speculation.drafter_gpus == "own"
    return Parallelism(drafter.tensor_parallel) if own else target


def own_gpus(speculation: SpeculationConfig, drafter: Drafter, target: Parallelism) -> int:
    """Return the GPUs of a replica that hold nothing but its drafter.

    Every attention group has its own copy of the draft model, as where it shares their GPUs.
    """
    if not speculation.gamma or speculation.drafter_gpus != "own":
        return 0
    return target.data * drafter.tensor_parallel


def check_drafter(speculation: SpeculationConfig, drafter: Drafter, target: Architecture) -> None:
    """Refuse drafts that this drafter cannot make for this target.

    Raises
    ------
    ConfigError
        If it has another vocabulary, or a setting is for drafters of another kind.
    """
    name = f"speculation.drafter={drafter.name}"
    if not shares_vocabulary(drafter, target):
        raise ConfigError(
            f"{name} has another vocabulary than {target.title} "
            f"({target.vocab} tokens), so its drafts are not tokens of the target. Use "
            f"speculation.drafter={default_drafter(target.name)}."
        )
    if speculation.drafter_gpus == "own" and drafter.kind != "model":
        raise ConfigError(
            f"speculation.drafter_gpus=own with {name}: only a separate draft model can have GPUs "
            f"of its own, and {drafter.title} is none. Use speculation.drafter_gpus=shared."
        )
    if speculation.proposal_rate != 1.0 and drafter.kind != "ngram":
        raise ConfigError(
            f"speculation.proposal_rate={speculation.proposal_rate:g} with {name}: it belongs to "
            f"look-ups that may find nothing (speculation.drafter=ngram); {drafter.title} drafts "
            f"in every round. Set it to 1."
        )
    if speculation.tree and drafter.kind == "ngram":
        raise ConfigError(
            f"speculation.tree={speculation.tree!r} with {name}: a look-up finds a chain of "
            f"tokens, not a tree. Set speculation.tree=[]."
        )


def check_own_memory(gpu: Gpu, drafter: Drafter, memory: MemoryPlan, tokens: int) -> None:
    """Refuse a draft model whose own GPUs do not hold it and the cache of so many tokens.

    Raises
    ------
    CapacityError
        If they do not.
    """
    if memory.kv_capacity_tokens < tokens:
        raise CapacityError(
            f"drafter {drafter.title} on GPUs of its own needs {memory.weight_bytes / GIGA:.1f} GB "
            f"of weights on each; {gpu.title} offers {memory.usable_bytes / GIGA:.1f} GB, which "
            f"leaves {memory.kv_capacity_tokens} tokens of KV cache where {tokens} are needed. Use "
            f"larger GPUs, a smaller drafter, or shorter requests."
        )
