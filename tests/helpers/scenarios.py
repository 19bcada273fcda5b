"""Scenarios for tests, built without Hydra."""

from simulator.config import Config, HardwareConfig, RunConfig
from simulator.models.catalog import load_architecture
from simulator.scenario import Scenario, build
from simulator.speculation.config import SpeculationConfig
from simulator.workload.config import WorkloadConfig


def make_config(model="qwen2_57b_a14b", **groups) -> Config:
    """A configuration of the default deployment; ``groups`` replace whole config groups."""
    defaults = {"speculation": SpeculationConfig(alpha=0.7)}
    return Config(model=load_architecture(model), **(defaults | groups))


def fixed_batch(
    batch, gamma, *, output_tokens=1000, requests=None, alpha=0.8, **groups
) -> Scenario:
    """A full batch without queueing: a closed loop of ``batch`` users with one-token prompts."""
    workload = WorkloadConfig(
        kind="closed_loop", concurrency=batch, prompt_tokens=1, output_tokens=output_tokens
    )
    defaults = {
        "workload": workload,
        "speculation": SpeculationConfig(gamma=gamma, alpha=alpha),
        "hardware": HardwareConfig(gpu="a100_sxm"),
        "run": RunConfig(requests=requests or 2 * batch, replications=1, workers=1),
    }
    return build(make_config(**(defaults | groups)))
