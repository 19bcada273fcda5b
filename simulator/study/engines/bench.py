"""From the models that were measured to cost models and deployments of them."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from simulator.config import Config, HardwareConfig
from simulator.costs.engine import Engine
from simulator.experts.config import RoutingConfig
from simulator.models.architecture import Architecture
from simulator.models.drafters import Drafter
from simulator.quantities import names_a_file
from simulator.scenario import Scenario, build
from simulator.serving.config import SchedulerConfig
from simulator.speculation.config import SpeculationConfig
from simulator.study.engines.models import Measured
from simulator.study.engines.times import Bench
from simulator.workload.requests import Workload

NOMINAL_MACHINE = "cpu_amx_2core"
"""Machine that stands for one whose peaks nobody stated (``hardware_specs/machines``)."""


def nominal_machine() -> str:
    """Return the path of the specification of `NOMINAL_MACHINE`."""
    folder = files("simulator.hardware_specs.machines")
    return str(folder.joinpath(f"{NOMINAL_MACHINE}.yaml"))


def copy_machine(path: Path) -> Path:
    """Write the nominal machine where a user finds it beside the profile; return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(Path(nominal_machine()).read_text(encoding="utf-8"), encoding="utf-8")
    return path


def launched_one_by_one(gpu: str, remarks: str = "") -> bool:
    """Tell whether kernels are launched one by one: what was measured says so, or has no tables.

    Measured tables hold kernels inside a CUDA graph; a machine without any is no GPU with graphs.
    """
    return "eager" in remarks or names_a_file(gpu)


def bench_of(measured: Measured, gpu: str, base: Engine) -> Bench:
    """Return the cost models of what was measured, on a GPU or machine."""
    models = {
        name: scenario_of(measured, name, gpu, base, gamma=0).step_model for name in measured.models
    }
    return Bench(models, float(measured.prompt_tokens))


def scenario_of(
    measured: Measured,
    model: str,
    gpu: str,
    engine: Engine,
    *,
    gamma: int,
    alpha: float = 0.0,
    workload: Workload | None = None,
) -> Scenario:
    """Build the scenario of a measured run, under its engine's limits.

    Raises
    ------
    SimulatorError
        If the model does not fit the machine, or a setting the model.
    """
    target: Architecture = measured.models[model]
    config = Config(
        model=target,
        hardware=HardwareConfig(gpu=gpu, tensor_parallel=1),
        routing=RoutingConfig(),
        speculation=SpeculationConfig(gamma=gamma, alpha=alpha),
        scheduler=SchedulerConfig(
            max_num_seqs=measured.max_num_seqs, max_batched_tokens=measured.max_batched_tokens
        ),
    )
    return build(config, engine, drafter=measured.drafter or _no_drafter(), workload=workload)


def _no_drafter() -> Drafter:
    """Return what stands for a drafter where none was measured."""
    return Drafter(name="none", title="no drafter", source="models.yaml has none", kind="ngram")
