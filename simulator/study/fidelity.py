"""The three fidelities of expert dispatch on the same steps: where they agree, and where not.

``expected`` prices experts by closed forms of even routing, ``sampled`` draws the loads of every
layer, ``event`` follows every dispatch, expert computation and combine. A run under it leaves
all three times of each of its steps (``step_times``), so they are compared on the same batches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from simulator.compose import compose
from simulator.errors import ConfigError, unknown
from simulator.experts.config import FIDELITIES
from simulator.scenario import build
from simulator.study.paired import Run, dispatch_tables, run_arm, trace_metadata
from simulator.trace.dispatch import summarise_dispatch
from simulator.trace.merge import merge
from simulator.trace.read import chunks
from simulator.trace.schema import ARMS

_NODE = (
    "model=qwen3_30b_a3b",
    "hardware=h100_sxm",
    "hardware.tensor_parallel=1",
    "hardware.data_parallel=8",
    "hardware.expert_parallel=8",
    "workload=fixed_batch",
    "workload.concurrency=512",
    "workload.output_tokens=24",
    "run.requests=1024",
)
"""A node of eight GPUs, 64 requests each."""

_RUN = ("experts.fidelity=event", "run.replications=1", "run.workers=1", "experts.loads_every=10")
"""Settings of every case that is run."""

_POOLS = (
    "[{name: prefill, role: prefill, replicas: 1, tensor_parallel: 4},"
    " {name: decode, role: decode, replicas: 1, tensor_parallel: 1, data_parallel: 4,"
    " expert_parallel: 4}]"
)
"""Pools of the case whose transfers of keys and values share links with the dispatch."""


class Case(NamedTuple):
    """Settings under which the fidelities are compared.

    Parameters
    ----------
    name, title
        Key, and what is special about it.
    settings
        Overrides of the configuration.
    agree
        Whether all three should agree.
    """

    name: str
    title: str
    settings: tuple[str, ...]
    agree: bool = False

    @property
    def overlapping(self) -> bool:
        """Whether steps are cut into two batches."""
        return "experts.two_batch_overlap=true" in self.settings


CASES = (
    Case("balanced", "even routing, links to itself", (*_NODE, "routing=uniform"), agree=True),
    Case(
        "deepep",
        "even routing, copies sent to their experts only",
        (*_NODE, "routing=uniform", "hardware.all2all_backend=deepep_low_latency"),
        agree=True,
    ),
    Case(
        "skewed",
        "some experts more popular than others (deviation 1 of their scores)",
        (*_NODE, "routing=sampled", "routing.popularity_sd=1"),
    ),
    Case(
        "overlap",
        "even routing, two half-batches that overlap",
        (*_NODE, "routing=uniform", "experts.two_batch_overlap=true"),
    ),
    Case(
        "contention",
        "keys and values arrive over a link of the decoding GPUs at 3 % of its bandwidth",
        (
            "model=qwen3_30b_a3b",
            "hardware=l40s",
            "cluster=on_topology",
            "cluster.topology=pcie_host",
            f"cluster.pools={_POOLS}",
            "cluster.degraded_links=[{link: gpu4-switch1, at_s: 0, for_s: 1000, factor: 0.03}]",
            "routing=uniform",
            "workload=fixed_batch",
            "workload.prompt_tokens=1024",
            "workload.concurrency=128",
            "workload.output_tokens=24",
            "run.requests=256",
        ),
    ),
)
"""What is compared."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a case gave.

    Parameters
    ----------
    case
        The case.
    step_s
        Mean time of its steps by fidelity, s.
    figures
        What made them differ (`trace.dispatch.summarise_dispatch`).
    """

    case: Case
    step_s: dict[str, float]
    figures: dict[str, Any]

    def over_expected(self, fidelity: str) -> float:
        """Return how much longer steps take than by closed forms, as a share."""
        return self.step_s[fidelity] / self.step_s["expected"] - 1.0


def chosen(names: Sequence[str]) -> list[Case]:
    """Return the cases of some names; all if none is given.

    Raises
    ------
    ConfigError
        If there is no such case; the message names the nearest.
    """
    known = {case.name: case for case in CASES}
    for name in names:
        if name not in known:
            raise ConfigError(unknown("case", name, known, "validate fidelity"))
    return [known[name] for name in names or known]


def compare(cases: Sequence[Case], gamma: int, advance: Callable[[int], None]) -> list[Outcome]:
    """Run cases and compare the fidelities.

    Parameters
    ----------
    cases
        Some of `CASES`.
    gamma
        Draft length; 0 decodes plainly.
    advance
        Called with 1 after every case.
    """
    outcomes = []
    for case in cases:
        outcomes.append(_run(case, gamma))
        advance(1)
    return outcomes


def summary(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Return the figures of all cases, flat, and what made steps differ."""
    metrics: dict[str, float] = {}
    for found in outcomes:
        for fidelity, seconds in found.step_s.items():
            metrics[f"{found.case.name}_{fidelity}_step_s"] = seconds
        for fidelity in FIDELITIES[1:]:
            key = f"{found.case.name}_{fidelity}_over_expected"
            metrics[key] = found.over_expected(fidelity)
    return {"metrics": metrics, "figures": {found.case.name: found.figures for found in outcomes}}


def _run(case: Case, gamma: int) -> Outcome:
    config = compose([*case.settings, *_RUN, f"speculation.gamma={gamma}"])
    run, metadata = Run(ARMS[gamma > 0], 0), trace_metadata(config)
    with TemporaryDirectory() as folder:
        names = ("requests", "iterations", *dispatch_tables(config))
        files = {name: Path(folder) / f"{name}.parquet" for name in names}
        run_arm(build(config), run, tuple(files.values()))
        for path in files.values():
            merge([run.part(path)], path, metadata)
        figures = summarise_dispatch(files)[run.arm]
        columns = dict(zip(FIDELITIES, ("expected_s", "drawn_s", "duration_s"), strict=True))
        [(_, times)] = chunks(files["step_times"], "step_times", [*columns.values()])
    step_s = {fidelity: float(times[name].mean()) for fidelity, name in columns.items()}
    return Outcome(case, step_s, figures)
