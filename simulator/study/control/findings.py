"""The figures of a control study: flat metrics, and what they mean in words."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from simulator.study.control.regret import bootstrap, ratio_of_means
from simulator.study.control.simulated import simulated_metrics, simulated_words
from simulator.study.control.study import ControlStudy
from simulator.study.policies.compare import Comparison
from simulator.trace.json_file import Json

NOTHING = 0.01
"""A ceiling below this share of the best fixed draft length's score is not worth learning for."""

ENOUGH_SEEDS = 8
"""From so many seeds on bands cover as much as they say, 95 %; those of four cover 87 %."""

_DAY_S = 86_400.0


def metrics(found: ControlStudy) -> dict[str, float | None]:
    """Return the figures by flat name."""
    end, best = found.checkpoints[-1], found.best_fixed
    flat: dict[str, float | None] = {
        "intervals": end,
        "seeds": len(found.runs["mixed"].seeds),
        "oracle_gain": found.gain,
        "best_fixed_gain": best.gain,
        "ceiling_over_best_fixed": found.gain / best.gain - 1.0,
        "best_fixed_gamma": float(best.name.removeprefix("gamma ")),
        "best_fixed_regret": found.rule_regret(best),
    }
    for rule in found.rules:
        flat[f"{rule.name.replace(' ', '_')}_gain"] = rule.gain
    for name, run in found.runs.items():
        band = found.bands[name]
        flat[f"{name}_regret"] = float(band.mean[-1])
        flat[f"{name}_regret_low"] = float(band.low[-1])
        flat[f"{name}_regret_high"] = float(band.high[-1])
        flat[f"{name}_over_best_fixed_regret"] = float(band.mean[-1]) / max(
            found.rule_regret(best), 1e-12
        )
        flat[f"{name}_episodes"] = float(np.mean([len(episodes) for episodes in run.episodes]))
    ratio = ratio_of_means(found.final_regret("mixed"), found.final_regret("seeu"))
    for ending, value in zip(("", "_low", "_high"), ratio, strict=True):
        flat[f"mixed_over_seeu_regret{ending}"] = float(value)
    flat["mixed_overtakes_best_fixed_at"] = found.overtakes("mixed", best)
    flat["mixed_overtakes_best_rule_at"] = found.overtakes("mixed", found.best_rule)
    for name, rewards in found.held.items():
        band = bootstrap(rewards)
        for ending, value in zip(("", "_low", "_high"), band, strict=True):
            flat[f"{name}_held_gain{ending}"] = float(value)
    last = [row for row in found.estimates if row.interval == _last_interval(found, row.seed)]
    flat["observation_error"] = float(np.mean([row.observation_error for row in last]))
    flat["transition_error"] = float(np.mean([row.transition_error for row in last]))
    flat["observation_sigma"] = float(np.mean([row.observation_sigma for row in last]))
    flat["smallest_transition"] = found.process.smallest_transition
    flat["schedule_agreement"] = min(found.schedule.agreement)
    return flat


def _last_interval(found: ControlStudy, seed: int) -> int:
    return max(row.interval for row in found.estimates if row.seed == seed)


def words(found: ControlStudy) -> list[str]:
    """Return what the figures mean, the weightiest first."""
    return [
        _ceiling(found),
        _learning(found),
        _rules(found),
        _held(found),
        _table(found),
        _caution(found),
    ]


def _ceiling(found: ControlStudy) -> str:
    best = found.best_fixed
    ceiling = found.gain / best.gain - 1.0
    said = (
        f"Knowing the regime is worth {ceiling:z.1%} at most: the oracle scores {found.gain:.4f} "
        f"an interval, the best fixed draft length ({best.name}) {best.gain:.4f}."
    )
    if ceiling < NOTHING:
        said += " A fixed draft length wins: there is next to nothing to learn."
    return said


def _learning(found: ControlStudy) -> str:
    mixed, seeu, best = _lost(found, "mixed"), _lost(found, "seeu"), found.best_fixed
    end, fixed = found.checkpoints[-1], found.rule_regret(best)
    said = (
        f"After {end:,} intervals the mixed learner has lost {mixed} against the oracle, SEEU "
        f"{seeu}, {best.name} {fixed:z,.0f}."
    )
    crossed = found.overtakes("mixed", best)
    if crossed is None:
        return f"{said} It does not overtake {best.name} in that time: learning does not pay."
    days = crossed * found.found.instance.interval_s / _DAY_S
    return (
        f"{said} It is ahead of {best.name} from {crossed:,} intervals on, {days:,.1f} days at "
        f"{found.found.instance.interval_s:g} s each."
    )


def _lost(found: ControlStudy, learner: str) -> str:
    """Write the regret of a learner at the end with its band."""
    mean, low, high = (float(curve[-1]) for curve in found.bands[learner])
    spread = "one seed, no band" if np.isnan(low) else f"{low:,.0f} to {high:,.0f}"
    return f"{mean:,.0f} ({spread})"


def _rules(found: ControlStudy) -> str:
    rule, best = found.best_rule, found.best_fixed
    said = f"Of rules that learn nothing, {rule.name} scores most: {rule.gain:.4f} ({rule.how})."
    if rule.gain - best.gain < NOTHING * best.gain:
        return f"{said} That is no more than {best.name} does."
    share = (rule.gain - best.gain) / max(found.gain - best.gain, 1e-12)
    said += f" That is {share:.0%} of what there is to win, its settings chosen afterwards."
    crossed = found.overtakes("mixed", rule)
    if crossed is None:
        return f"{said} The learner has not caught it: take the rule, and tune it by the surrogate."
    return f"{said} The learner is ahead of it from {crossed:,} intervals on."


def _held(found: ControlStudy) -> str:
    """Say what the exported table earns: the oracle's reward, and the gap on the same draws."""
    gap = bootstrap(found.held["learned"] - found.held["oracle"])
    score, low, high = (found.gain + float(bound) for bound in gap)
    rule = max(found.rules, key=lambda one: one.gain)
    against = "as much as, within the noise,"
    if low > rule.gain or high < rule.gain:
        against = "more than" if low > rule.gain else "less than"
    return (
        f"The exported table, held without learning, scores {score:.4f} an interval ({low:.4f} to "
        f"{high:.4f}): {against} {rule.name} ({rule.gain:.4f})."
    )


def _table(found: ControlStudy) -> str:
    schedule = found.schedule
    rows = str(schedule.rows).replace(" ", "")
    if schedule.collapses:
        return f"The learned table is a schedule by batch size: speculation.schedule={rows}."
    shares = ", ".join(f"{share:.0%}" for share in schedule.agreement)
    return (
        f"The learned table is no schedule by batch size: the nearest, {rows}, does as the table "
        f"in {shares} of the intervals by bucket of the backlog."
    )


def _caution(found: ControlStudy) -> str:
    settings, seeds = found.settings, len(found.runs["mixed"].seeds)
    few = "" if seeds >= ENOUGH_SEEDS else f" Bands of {seeds} seeds cover less than 95 %."
    optimism = (
        "optimism is off (c = 0)"
        if not settings.optimism
        else f"optimism c = {settings.optimism:g}"
    )
    return (
        "Not an online learner for production: it needs the number of states, a world that stays "
        f"as it is, and some {settings.first_exploration:,} intervals of blind exploration; "
        f"{optimism}.{few}"
    )


def summary(found: ControlStudy, simulated: Comparison | None = None) -> Json:
    """Return what ``summary.json`` says.

    Parameters
    ----------
    found
        The study.
    simulated
        Its tables in the event simulator, if they ran there.
    """
    content = _surrogate_summary(found)
    if simulated is not None:
        content["metrics"] |= simulated_metrics(simulated)
        content["verdict"] += simulated_words(simulated)
        content["simulated"] = [asdict(outcome) for outcome in simulated.outcomes]
    return content


def _surrogate_summary(found: ControlStudy) -> Json:
    surrogate = found.found
    return {
        "metrics": metrics(found),
        "instance": surrogate.instance.name,
        "title": surrogate.instance.title,
        "overrides": list(surrogate.instance.overrides),
        "verdict": words(found),
        "assumptions": surrogate.assumptions,
        "assumption_report": assumption_report(found),
        "surrogate": {
            "states": surrogate.states,
            "gammas": list(surrogate.instance.gammas),
            "interval_s": surrogate.instance.interval_s,
            "acceptance_edges": list(surrogate.acceptance_edges),
            "backlog_edges": list(surrogate.backlog_edges),
            "transitions": surrogate.pomdp.transitions,
            "observations": surrogate.pomdp.observations,
            "rewards": surrogate.pomdp.rewards,
            "gains_without_lumping": surrogate.full_gains,
        },
        "rules": {rule.name: {"gain": rule.gain, "how": rule.how} for rule in found.rules},
        "schedule": {
            "rows": found.schedule.rows,
            "agreement": found.schedule.agreement,
            "collapses": found.schedule.collapses,
        },
    }


def assumption_report(found: ControlStudy) -> dict[str, Any]:
    """Return how the process and the data stand to what the method assumes."""
    process = found.process
    last = [row for row in found.estimates if row.interval == _last_interval(found, row.seed)]
    return {
        "states": process.states,
        "observations": process.symbols,
        "observation_rank": process.observation_rank,
        "observation_sigma": process.observation_sigma,
        "transition_ranks": list(process.transition_ranks),
        "transition_sigmas": list(process.transition_sigmas),
        "smallest_transition": process.smallest_transition,
        "smallest_observation": process.smallest_observation,
        "pooling": "every policy is blind to the observation of its own interval",
        "visits": np.mean([one.visits for one in found.evidence], axis=0).tolist(),
        "view_sigmas": np.mean([one.sigmas for one in found.evidence], axis=0).tolist(),
        "view_over_noise": np.mean([one.ratios for one in found.evidence], axis=0).tolist(),
        "trusted_seeds": np.sum([one.trusted for one in found.evidence], axis=0).tolist(),
        "disagreement": np.mean([row.disagreement for row in last], axis=0).tolist(),
        "estimates_replaced": sum(bool(row.note) for row in found.estimates),
        "estimates": len(found.estimates),
    }
