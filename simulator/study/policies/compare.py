"""Goodput of every arm on the same arrivals, lengths and draws of acceptance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory

from simulator.compose import compose
from simulator.config import Config
from simulator.errors import ConfigError
from simulator.scenario import build
from simulator.study.paired import Run, run_arm, trace_metadata
from simulator.study.policies.arms import Arm, arms
from simulator.study.workers import in_processes
from simulator.trace.json_file import Json
from simulator.trace.load import ratio
from simulator.trace.merge import merge
from simulator.trace.metrics import RunMetrics, measure
from simulator.trace.statistics import Interval, paired_ratio

SHIPPED = ("chat", "code", "private_serving", "swinging")
"""Scenarios that are compared unless others are named."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an arm showed, one element per replication.

    Parameters
    ----------
    name
        The arm.
    fixed
        Whether every draft is as long.
    schedule
        Rows of its schedule, if it has one.
    goodput_per_s
        Requests per second that meet their objective.
    attainment
        Share of the requests that meet it.
    decode_tokens_per_s
        Output tokens per second in which a replica decodes (the goodput of SmartSpec,
        arXiv 2406.14066).
    e2e_s
        Mean end-to-end latency, s.
    draft_tokens
        Mean draft length.
    """

    name: str
    fixed: bool
    schedule: list[list[int]]
    goodput_per_s: list[float]
    attainment: list[float]
    decode_tokens_per_s: list[float]
    e2e_s: list[float]
    draft_tokens: list[float]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The arms of one scenario.

    Parameters
    ----------
    name, title
        The scenario.
    outcomes
        Its arms, fixed draft lengths first.
    """

    name: str
    title: str
    outcomes: list[Outcome]

    @property
    def best_fixed(self) -> Outcome:
        """The fixed draft length with the highest mean goodput: known only afterwards.

        Where all requests are in time goodput is the load: of equals, that which decodes fastest.
        """
        fixed = [outcome for outcome in self.outcomes if outcome.fixed]
        return max(
            fixed, key=lambda one: (fmean(one.goodput_per_s), fmean(one.decode_tokens_per_s))
        )

    def over_best(self, outcome: Outcome, figure: str = "goodput_per_s") -> Interval | None:
        """Paired ratio of a figure to that of the best fixed draft length."""
        return paired_ratio(getattr(outcome, figure), getattr(self.best_fixed, figure))


Plan = Sequence[tuple[str, Config, list[Arm]]]
"""By scenario: its name, its configuration and its arms."""


def plan(
    scenarios: Sequence[str], *, longest: int, replications: int, overrides: Sequence[str] = ()
) -> Plan:
    """Compose scenarios and lay out their arms.

    Raises
    ------
    ConfigError
        If a scenario is unknown or has no objective, so that it has no goodput.
    """
    planned = []
    for name in scenarios:
        config = compose([f"scenario={name}", f"run.replications={replications}", *overrides])
        if not config.slo.bounds:
            raise ConfigError(
                f"scenario={name} has no objective, so there is no goodput to compare; give it a "
                "slo, for example with slo=chat."
            )
        planned.append((name, config, list(arms(config, longest))))
    return planned


def compare(
    planned: Sequence[tuple[str, Config, list[Arm]]],
    *,
    workers: int,
    advance: Callable[[int], None],
) -> list[Comparison]:
    """Run all arms of all scenarios; ``advance`` is called with 1 after each."""
    jobs = [arm for *_, found in planned for arm in found]
    outcomes = []
    results = in_processes(run, jobs, workers, _ready, ()) if workers > 1 else map(run, jobs)
    for outcome in results:
        outcomes.append(outcome)
        advance(1)
    comparisons = []
    for name, config, found in planned:
        mine, outcomes = outcomes[: len(found)], outcomes[len(found) :]
        comparisons.append(Comparison(name, config.title, mine))
    return comparisons


def run(arm: Arm) -> Outcome:
    """Run the replications of an arm and measure them from their traces."""
    scenario, config = build(arm.config), arm.config
    found: list[RunMetrics] = []
    with TemporaryDirectory() as folder:
        tables = Path(folder) / "requests.parquet", Path(folder) / "iterations.parquet"
        for replication in range(config.run.replications):
            part = Run("speculative", replication)
            run_arm(scenario, part, tables)
            for table in tables:
                merge([part.part(table)], table, trace_metadata(config))
            found += measure(*tables, config.run.warmup_fraction).values()
    return Outcome(
        arm.name,
        arm.fixed,
        config.speculation.schedule,
        goodput_per_s=[one.goodput_per_s or 0.0 for one in found],
        attainment=[one.attainment or 0.0 for one in found],
        decode_tokens_per_s=[_decode_tokens_per_s(one) for one in found],
        e2e_s=[float(one.latencies["e2e_s"].mean()) for one in found],
        draft_tokens=[one.load.mean_draft_tokens or 0.0 for one in found],
    )


def _decode_tokens_per_s(metrics: RunMetrics) -> float:
    return ratio(metrics.load.emitted_tokens, metrics.load.decode_s) or 0.0


def _ready() -> None:
    """Set nothing up: every job builds its own scenario."""


def summary(comparisons: Sequence[Comparison]) -> Json:
    """Return what ``summary.json`` says: metrics, and every arm of every scenario."""
    metrics: dict[str, float | None] = {}
    for found in comparisons:
        for outcome in found.outcomes:
            if outcome.fixed:
                continue
            gain = found.over_best(outcome)
            key = f"{found.name}_{outcome.name}_goodput_over_best_fixed"
            metrics[key] = gain.value if gain else None
            metrics[f"{key}_low"] = gain.low if gain else None
            metrics[f"{key}_high"] = gain.high if gain else None
    return {
        "metrics": metrics,
        "scenarios": {
            found.name: {
                "best_fixed": found.best_fixed.name,
                "arms": [asdict(outcome) for outcome in found.outcomes],
            }
            for found in comparisons
        },
    }
