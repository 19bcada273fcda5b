"""From a trace to the result of a paired run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from simulator.scenario import Scenario
from simulator.study.assumptions import assumptions
from simulator.study.decomposition import Decomposition, decompose
from simulator.trace.summary import Json, summarise, write_json


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
    point = operating_point(scenario, summary)
    summary |= {
        "scenario": _scenario(scenario),
        "target_efficiency": point.target_efficiency if point else None,
        "decomposition": point.as_dict() if point else None,
        "assumptions": assumptions(scenario, point),
        "files": {name: str(path) for name, path in files.items()},
    }
    write_json(files["summary"], summary)
    return summary


def operating_point(scenario: Scenario, summary: Json) -> Decomposition | None:
    """Evaluate the closed form at the mean batch and context that the speculative arm ran at."""
    arm = summary["speculative"]
    if not arm["mean_batch"]:
        return None
    return decompose(
        scenario.step_model,
        scenario.acceptance,
        arm["mean_batch"],
        scenario.config.speculation.gamma,
        arm["mean_context_tokens"],
    )


def _scenario(scenario: Scenario) -> Json:
    """Return the lines that head a report."""
    config = scenario.config
    gpus = scenario.tensor_parallel * config.hardware.replicas
    replicas = f", {config.hardware.replicas} replicas" if config.hardware.replicas > 1 else ""
    return {
        "title": config.title,
        "model": config.model.title,
        "hardware": f"{gpus} x {scenario.gpu.title}, TP {scenario.tensor_parallel}{replicas}",
        "workload": scenario.workload.title,
        "speculation": f"{scenario.drafter.title}, gamma {config.speculation.gamma}",
        "gamma": config.speculation.gamma,
        "requests": config.run.requests,
        "replications": config.run.replications,
        "seed": config.run.seed,
    }
