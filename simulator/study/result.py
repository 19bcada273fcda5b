"""From a trace to the result of a paired run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from simulator.models.draft_tree import DraftTree
from simulator.scenario import Scenario
from simulator.serving.cluster_config import ClusterConfig
from simulator.speculation.config import SpeculationConfig
from simulator.speculation.policies import FIXED
from simulator.study.assumptions import assumptions
from simulator.study.decomposition import best_draft_length, decompose, longest_proposed
from simulator.trace.dispatch import summarise_dispatch
from simulator.trace.fleet import summarise_fleet
from simulator.trace.json_file import Json, write_json
from simulator.trace.summary import summarise


def conclude(scenario: Scenario, files: Mapping[str, Path]) -> Json:
    """Summarise a paired run and write ``summary.json``.

    Parameters
    ----------
    scenario
        What ran.
    files
        Files of the run by name: the trace (``requests``, ``iterations``), the ``summary`` to
        write, and whatever else the summary should name.

    Returns
    -------
    dict
        The summary as written.
    """
    warmup = scenario.config.run.warmup_fraction
    summary = summarise(files["requests"], files["iterations"], warmup_fraction=warmup, extra={})
    terms = _terms(scenario, summary["speculative"])
    summary |= {
        "scenario": _scenario(scenario),
        "target_efficiency": terms["target_efficiency"] if terms else None,
        "decomposition": terms,
        "assumptions": assumptions(scenario, terms),
        "files": {name: str(path) for name, path in files.items()},
    }
    if "events" in files:
        summary["cluster"] = summarise_fleet(files["events"])
    if "expert_loads" in files:
        overlapping = scenario.config.experts.two_batch_overlap
        summary["experts"] = {**summarise_dispatch(files), "two_batch_overlap": overlapping}
    write_json(files["summary"], summary)
    return summary


def _terms(scenario: Scenario, arm: Json) -> Json | None:
    """Evaluate the closed form at the mean batch and context that the speculative arm ran at.

    Returns
    -------
    dict or None
        The terms at the draft length that ran, the mean one if a policy chose, and the draft length
        that the formula prefers there (``best_gamma``, ``best_speedup``); None when nothing
        decoded.
    """
    if not arm["mean_batch"]:
        return None
    where = arm["mean_batch"], arm["mean_context_tokens"]
    parts = scenario.step_model, scenario.acceptance
    speculation = scenario.config.speculation
    fixed = speculation.policy == FIXED
    gamma = speculation.gamma if fixed else _depth(speculation, arm["mean_draft_tokens"])
    terms = decompose(*parts, *where, gamma)
    best = best_draft_length(*parts, *where)
    return asdict(terms) | {"best_gamma": best.gamma, "best_speedup": best.speedup}


def _depth(speculation: SpeculationConfig, draft_tokens: float) -> int:
    """Return the draft length whose drafts have about so many tokens."""
    tree = DraftTree(tuple(speculation.tree))
    lengths = range(speculation.gamma + 1)
    return min(lengths, key=lambda gamma: abs(tree.nodes(gamma) - draft_tokens))


def draft_length(speculation: SpeculationConfig) -> str:
    """Say how long drafts are.

    Examples
    --------
    >>> draft_length(SpeculationConfig(gamma=3, alpha=0.7))
    'gamma 3'
    >>> draft_length(SpeculationConfig(gamma=3, alpha=0.7, policy="cost_model"))
    'gamma 0 to 3 by cost_model'
    >>> draft_length(SpeculationConfig(gamma=2, alpha=0.7, tree=[4, 2], tree_ranks=[0.3]))
    'gamma 2, tree of 12 tokens'
    """
    tree = f", tree of {speculation.draft_tokens} tokens" if speculation.tree else ""
    if speculation.policy == FIXED:
        return f"gamma {speculation.gamma}{tree}"
    return f"gamma 0 to {speculation.gamma} by {speculation.policy}{tree}"


def _scenario(scenario: Scenario) -> Json:
    """Return the lines that head a report."""
    config = scenario.config
    return {
        "title": config.title,
        "model": config.model.title,
        "hardware": _hardware(scenario),
        "workload": scenario.workload.title,
        "speculation": f"{scenario.drafter.title}, {draft_length(config.speculation)}",
        "gamma": config.speculation.gamma,
        "policy": config.speculation.policy,
        "longest_gamma": longest_proposed(scenario.step_model, scenario.acceptance),
        "replicas_setting": _replicas_setting(config.cluster),
        "requests": scenario.workload.requests,
        "mean_rate_per_s": scenario.workload.mean_rate,
        "replications": config.run.replications,
        "seed": config.run.seed,
    }


def _replicas_setting(cluster: ClusterConfig) -> str:
    """Name the setting that says how many replicas there are, for advice to add some."""
    if cluster.autoscaling is not None:
        return "cluster.autoscaling"
    return "cluster.pools" if cluster.pools else "hardware.replicas"


def _hardware(scenario: Scenario) -> str:
    """Say which GPUs serve, pool by pool, and which pool is scaled."""
    config = scenario.config
    pools = config.cluster.fleet(config.hardware.replicas)
    scaled, scaling = config.cluster.scaled(config.hardware.replicas), config.cluster.autoscaling
    parts = []
    for position, (pool, part) in enumerate(zip(pools, scenario.pools or [scenario], strict=True)):
        each, spread = part.parallelism.gpus + part.drafter_gpus, part.parallelism
        name = f"{pool.name}: " if scenario.pools else ""
        if scaling is not None and position == scaled:
            bounds = f"{scaling.min_replicas} to {scaling.max_replicas} replicas of "
            parts.append(f"{name}{bounds}{each} x {part.gpu.title}, {spread}")
        else:
            several = f", {pool.replicas} replicas" if pool.replicas > 1 else ""
            parts.append(f"{name}{each * pool.replicas} x {part.gpu.title}, {spread}{several}")
    return "; ".join(parts)
