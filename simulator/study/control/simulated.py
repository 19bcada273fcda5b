"""Exported tables in the event simulator, against fixed draft lengths and rules, paired."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from simulator.errors import ConfigError
from simulator.scenario import build
from simulator.study.control.study import ControlStudy
from simulator.study.control.surrogate import Surrogate
from simulator.study.policies.arms import Arm, derived_schedule, fixed_policy
from simulator.study.policies.compare import Comparison, compare
from simulator.trace.statistics import Interval, paired_ratio

LEARNED, ORACLE, NEAREST = "learned table", "oracle's table", "table's schedule"
"""Arms that come from the surrogate."""


def table_arms(
    found: ControlStudy, tables: Mapping[str, Path], replications: int, requests: int
) -> list[Arm]:
    """Return the arms of a comparison.

    Parameters
    ----------
    found
        The study.
    tables
        Files of the learned table (``table``) and the oracle's (``oracle_table``).
    replications, requests
        Independent repetitions, and requests of each.

    Raises
    ------
    ConfigError
        If the scenario has no objective, so that there is no goodput.
    """
    config, gammas = found.found.config, found.found.instance.gammas
    if not config.slo.bounds:
        raise ConfigError(
            "slo has no bound, so there is no goodput to compare; choose one, for example slo=chat."
        )
    config = replace(config, run=replace(config.run, replications=replications, requests=requests))
    plain = fixed_policy(config.speculation, max(gammas))
    schedule = derived_schedule(build(replace(config, speculation=plain)))
    chosen = {f"gamma {gamma}": replace(plain, gamma=gamma) for gamma in sorted({0, *gammas})} | {
        "batch_schedule": replace(plain, policy="batch_schedule", schedule=schedule),
        "threshold": replace(
            plain, policy="threshold", threshold=middle_acceptance(found.found, max(gammas))
        ),
        "cost_model": replace(plain, policy="cost_model"),
        NEAREST: replace(plain, policy="batch_schedule", schedule=found.schedule.rows),
        LEARNED: replace(plain, policy="belief_table", table=str(tables["table"])),
        ORACLE: replace(plain, policy="belief_table", table=str(tables["oracle_table"])),
    }
    return [Arm(name, replace(config, speculation=own)) for name, own in chosen.items()]


def middle_acceptance(found: Surrogate, gamma: int) -> float:
    """Return the share of drafted tokens half-way between what the two phases accept.

    Examples
    --------
    >>> round(_accepted_share(0.9, 1), 2), round(_accepted_share(0.5, 2), 3)
    (0.9, 0.375)
    """
    phases = found.config.speculation.phases
    rates = (phases.alpha_easy, phases.alpha_hard) if phases else (1.0, 0.0)
    easy, hard = (_accepted_share(alpha, gamma) for alpha in rates)
    easy_share = float(found.drains.easy_residents.mean())
    return easy * easy_share + hard * (1.0 - easy_share)


def _accepted_share(alpha: float, gamma: int) -> float:
    """Return the share of gamma drafted tokens that is accepted at a rate."""
    return sum(alpha**position for position in range(1, gamma + 1)) / gamma


def simulate_tables(
    found: ControlStudy, arms: Sequence[Arm], *, workers: int, advance: Callable[[int], None]
) -> Comparison:
    """Run every arm on the same arrivals, lengths and draws of acceptance.

    Parameters
    ----------
    found
        The study.
    arms
        What to run (`table_arms`).
    workers
        Processes at most.
    advance
        Told of arms done.
    """
    instance = found.found.instance
    planned = [(instance.name, found.found.config, list(arms))]
    (comparison,) = compare(planned, workers=workers, advance=advance)
    return comparison


def over(comparison: Comparison, above: str, below: str) -> Interval | None:
    """Return the paired ratio of the goodput of two arms."""
    goodput = {outcome.name: outcome.goodput_per_s for outcome in comparison.outcomes}
    return paired_ratio(goodput[above], goodput[below])


def simulated_metrics(comparison: Comparison) -> dict[str, float | None]:
    """Return goodput by arm and what the learned table makes of it, by flat name."""
    flat: dict[str, float | None] = {}
    for outcome in comparison.outcomes:
        key = outcome.name.replace(" ", "_").replace("'", "")
        flat[f"goodput_{key}"] = sum(outcome.goodput_per_s) / len(outcome.goodput_per_s)
    against = {
        "best_fixed": comparison.best_fixed.name,
        "schedule": NEAREST,
        "batch_schedule": "batch_schedule",
        "threshold": "threshold",
        "cost_model": "cost_model",
        "oracle": ORACLE,
    }
    for key, name in against.items():
        ratio = over(comparison, LEARNED, name)
        flat[f"learned_goodput_over_{key}"] = ratio.value if ratio else None
        flat[f"learned_goodput_over_{key}_low"] = ratio.low if ratio else None
        flat[f"learned_goodput_over_{key}_high"] = ratio.high if ratio else None
    return flat


def simulated_words(comparison: Comparison) -> list[str]:
    """Return what the event simulator makes of the learned table."""
    best, oracle = comparison.best_fixed, over(comparison, ORACLE, comparison.best_fixed.name)
    against = {
        f"the best fixed draft length ({best.name})": best.name,
        "its own schedule by batch": NEAREST,
        "the cost model's schedule by batch": "batch_schedule",
        "the threshold": "threshold",
        "the cost model": "cost_model",
        "the oracle's table": ORACLE,
    }
    ratios = {what: over(comparison, LEARNED, name) for what, name in against.items()}
    told = ", ".join(f"{written_ratio(ratio)} of {what}" for what, ratio in ratios.items() if ratio)
    said = [
        f"In the event simulator ({len(best.goodput_per_s)} replications, paired, goodput) the "
        f"learned table reaches {told}."
    ]
    if oracle:
        said.append(
            f"The oracle's table reaches {written_ratio(oracle)} of {best.name}: the surrogate's "
            f"ceiling, as far as the simulator shares its assumptions."
        )
    return said


def written_ratio(ratio: Interval) -> str:
    """Write a ratio with its interval.

    Examples
    --------
    >>> written_ratio(Interval(1.08, 1.05, 1.11)), written_ratio(Interval(1.08, None, None))
    ('1.080 (1.050 to 1.110)', '1.080')
    """
    if ratio.low is None or ratio.high is None:
        return f"{ratio.value:.3f}"
    return f"{ratio.value:.3f} ({ratio.low:.3f} to {ratio.high:.3f})"
