"""The summary of a paired run, as it stands in ``summary.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from simulator.trace.arms import GROWS_WITH_QUEUE, arm_figures, as_json
from simulator.trace.groups import class_figures, tenant_figures
from simulator.trace.json_file import Json, json_safe
from simulator.trace.latencies import LATENCIES, QUANTILES, percentile
from simulator.trace.metrics import RunMetrics, measure
from simulator.trace.objectives import read_objectives
from simulator.trace.schema import ARMS
from simulator.trace.statistics import Interval, mean_interval, paired_ratio
from simulator.trace.warnings import warnings

Pairs = Sequence[tuple[RunMetrics, RunMetrics]]
"""Both arms of every replication that has both."""


def summarise(
    requests_path: Path | str,
    iterations_path: Path | str,
    *,
    warmup_fraction: float,
    extra: Mapping[str, Any],
) -> Json:
    """Summarise a paired trace: both arms, their ratios with intervals, and warnings.

    A speedup is above 1 where speculation is better: baseline / speculative for latencies,
    speculative / baseline for throughput and goodput. It is the geometric mean over replications of
    the ratio within each, with its 95 % t interval. Percentiles of an arm pool the requests of all
    replications and are None on too few (:func:`~simulator.trace.latencies.enough`); other figures
    are means over replications, their intervals under ``intervals``. TTFT and E2E latency of a
    saturated arm are None: they grow with the length of the run.

    =========================== ================================================================
    key                         holds
    =========================== ================================================================
    speedup                     ratios by figure, each ``value``, ``low``, ``high``
    baseline, speculative       figures of the arms (:mod:`simulator.trace.definitions`)
    slo                         the objective, ``attainment_gain`` with it; null without one
    classes                     by traffic class, where there are several
    tenants                     those that ask for most, where there are several
    mean_acceptance_length,     of the speculative arm
    target_efficiency
    replications                that have both arms
    warmup_fraction             as given
    warnings                    sentences
    =========================== ================================================================

    Parameters
    ----------
    requests_path, iterations_path
        The two files of the trace.
    warmup_fraction
        Share of the arrivals' span that is cut, in [0, 1).
    extra
        Joined in: ``target_efficiency``, ``scenario``, ``decomposition``, ``assumptions``,
        ``files``. Its ``warnings`` come before ours.

    Returns
    -------
    dict
        JSON-safe: no NaN or infinity.

    Raises
    ------
    DataError
        If a file is not a complete trace of its table.
    ConfigError
        If the fraction is outside [0, 1).
    """
    objectives = read_objectives(requests_path)
    runs = measure(requests_path, iterations_path, warmup_fraction)
    arms = {
        arm: {run.replication: found for run, found in sorted(runs.items()) if run.arm == arm}
        for arm in ARMS
    }
    figures = {arm: arm_figures(list(arms[arm].values())) for arm in ARMS}
    common = sorted(set(arms[ARMS[0]]) & set(arms[ARMS[1]]))
    pairs = [(arms[ARMS[0]][index], arms[ARMS[1]][index]) for index in common]
    lists = {arm: list(arms[arm].values()) for arm in ARMS}
    gain = as_json(_attainment_gain(pairs))
    summary = {
        "speedup": _speedups(pairs, figures),
        **figures,
        "slo": asdict(objectives.slo) | {"attainment_gain": gain} if objectives.given else None,
        "classes": class_figures(lists, objectives),
        "tenants": tenant_figures(lists, objectives),
        "mean_acceptance_length": figures["speculative"]["mean_acceptance_length"],
        "target_efficiency": None,
        "replications": len(common),
        "warmup_fraction": warmup_fraction,
        **extra,
    }
    summary["warnings"] = [*extra.get("warnings", []), *warnings(figures, pairs)]
    return dict(json_safe(summary))


def _attainment_gain(pairs: Pairs) -> Interval | None:
    gains = [
        on.attainment - off.attainment
        for off, on in pairs
        if off.attainment is not None and on.attainment is not None
    ]
    return mean_interval(gains) if gains else None


def _speedups(pairs: Pairs, figures: Json) -> Json:
    saturated = any(figures[arm]["saturated"] for arm in ARMS)
    found = {
        "throughput": paired_ratio(
            [on.load.output_tokens_per_s for _, on in pairs],
            [off.load.output_tokens_per_s for off, _ in pairs],
        ),
        "goodput": paired_ratio(
            [on.goodput_per_s for _, on in pairs], [off.goodput_per_s for off, _ in pairs]
        ),
    }
    for name in LATENCIES:
        for label, q in QUANTILES.items():
            # The median's ratio carries its own interval, so it stands on few requests too.
            printed = label == "p50" or all(figures[arm][name][label] is not None for arm in ARMS)
            hidden = saturated and name in GROWS_WITH_QUEUE
            off, on = (
                [percentile(pair[side].latencies[name], q) for pair in pairs] for side in (0, 1)
            )
            key = f"{name.removesuffix('_s')}_{label}"
            found[key] = paired_ratio(off, on) if printed and not hidden else None
    return {key: as_json(value) for key, value in found.items()}
