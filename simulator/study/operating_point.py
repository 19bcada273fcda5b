"""Operating points: which batch at which context a replica can run."""

from __future__ import annotations

from simulator.errors import CapacityError, ConfigError
from simulator.scenario import Scenario


def check_point(scenario: Scenario, batch: int, context_tokens: int) -> None:
    """Refuse an operating point that a replica cannot run at.

    Parameters
    ----------
    scenario
        The scenario; gamma is its own.
    batch
        Requests that decode together on one replica.
    context_tokens
        Cache length of each.

    Raises
    ------
    ConfigError
        If batch or context is below one, or beyond the scheduler's or the model's limit.
    CapacityError
        If a replica's cache cannot hold that batch.
    """
    config = scenario.config
    for name, value in (("batch", batch), ("context", context_tokens)):
        if value < 1:
            raise ConfigError(f"{name} {value} must be at least 1.")
    deployment = scenario.deployment(config.speculation.gamma)
    if batch > deployment.limits.max_num_seqs:
        groups = scenario.parallelism.data
        each = f" in each of {groups} attention groups" if groups > 1 else ""
        raise ConfigError(
            f"batch {batch} exceeds scheduler.max_num_seqs={config.scheduler.max_num_seqs}{each}, "
            f"the most requests that a replica runs at once; lower it or raise "
            f"scheduler.max_num_seqs."
        )
    limit = config.model.max_context_tokens
    if context_tokens > limit:
        raise ConfigError(
            f"context {context_tokens} exceeds the {limit} tokens of {config.model.title}."
        )
    capacity = deployment.kv_capacity_tokens
    if batch * context_tokens > capacity:
        raise CapacityError(
            f"batch {batch} at context {context_tokens} needs {batch * context_tokens} tokens of "
            f"KV cache; a replica holds {capacity}, so context {capacity // batch} at most at this "
            f"batch. More GPUs hold more (hardware.tensor_parallel)."
        )


def can_run(scenario: Scenario, batch: int, context_tokens: int) -> bool:
    """Tell whether a replica can run at an operating point; parameters as in `check_point`."""
    try:
        check_point(scenario, batch, context_tokens)
    except ConfigError:
        return False
    return True
