"""What the study found, as files: figures for ``summary.json``, and tables as Parquet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa

from simulator.study.prefetch.canvases import Labelled
from simulator.study.prefetch.replay import Replayed
from simulator.study.prefetch.served import AFTER, BEFORE, Measured, by_batch
from simulator.study.prefetch.shift import (
    ON_DEMAND,
    Row,
    coverage_difference,
    figures,
    misses_ratio,
)
from simulator.study.prefetch.study import HANDED_OVER, PrefetchStudy
from simulator.trace.json_file import Json
from simulator.trace.parquet import ParquetStream
from simulator.trace.statistics import Interval, mean_interval, paired_ratio

WHEN = (BEFORE, AFTER)
"""Before the change, and after it."""


def recipe_names(rows: Sequence[Row]) -> list[str]:
    """Return the recipes of some rows, in their order."""
    return list(dict.fromkeys(row.recipe for row in rows))


def figure(rows: Sequence[Row], name: str, when: str, field: str) -> Interval:
    """Return a figure of `Replayed` of a recipe, mean over repetitions."""
    return mean_interval(figures(rows, name, when, field))


def missing_tail(rows: Sequence[Row], name: str) -> Interval:
    """Return the share of tail experts that training batches of a recipe lacked."""
    return mean_interval([row.missing_tail for row in rows if row.recipe == name])


def tail_difference(rows: Sequence[Labelled], name: str, field: str) -> Interval:
    """Return a figure of labelled pixels less that of cross-entropy, paired by repetition."""
    found = {(row.recipe, row.seed): getattr(row, field) for row in rows}
    seeds = sorted({row.seed for row in rows})
    return mean_interval([found[name, seed] - found["ce", seed] for seed in seeds])


def tpot_ratio(found: Sequence[Measured], arm: str, traffic: str) -> dict[int, Interval | None]:
    """Return median TPOT of an arm over that on demand, by batch, paired by replication."""
    mine, others = (by_batch(found, one, traffic) for one in (arm, ON_DEMAND))
    return {batch: paired_ratio(mine[batch], others[batch]) for batch in mine}


def summary(found: PrefetchStudy) -> Json:
    """Return what ``summary.json`` says."""
    rows, question = found.rows, found.task.question
    recipes = {name: _recipe(rows, name) for name in recipe_names(rows)}
    metrics: dict[str, float | int | None] = {}
    for name in question.recipes:
        for when in WHEN:
            metrics[f"misses_{name}_over_ce_{when}"] = misses_ratio(rows, name, when).value
        difference = coverage_difference(rows, name, BEFORE)
        metrics[f"coverage_{name}_less_ce_before"] = difference.value
    told: dict[str, Any] = {
        "metrics": metrics,
        "question": asdict(question),
        "recipes": recipes,
        "memory": [one._asdict() for one in found.memory],
        "labelled": [row._asdict() for row in found.labelled],
    }
    if found.served is not None:
        served = found.served
        metrics["crossover_batch"] = served.crossover
        metrics["most_distinct"] = served.most_distinct
        told["tpot_over_on_demand"] = {
            traffic: {
                arm: {batch: _told(one) for batch, one in ratios.items()}
                for arm in dict.fromkeys(run.point.arm for run in served.measured)
                if (ratios := tpot_ratio(served.measured, arm, traffic))
            }
            for traffic in WHEN
        }
        for traffic in WHEN:
            first = tpot_ratio(served.measured, HANDED_OVER, traffic)
            for batch, ratio in first.items():
                metrics[f"tpot_over_on_demand_batch_{batch}_{traffic}"] = (
                    None if ratio is None else ratio.value
                )
    return told


def _recipe(rows: Sequence[Row], name: str) -> Json:
    told: dict[str, Any] = {
        when: {field: _told(figure(rows, name, when, field)) for field in Replayed._fields}
        for when in WHEN
    }
    for when in WHEN:
        told[f"misses_over_ce_{when}"] = _told(misses_ratio(rows, name, when))
    if name != ON_DEMAND:
        told["missing_tail"] = _told(missing_tail(rows, name))
        told["auc"] = {
            group: _told(mean_interval([row.ranks[group] for row in rows if row.recipe == name]))
            for group in ("head", "mid", "tail")
        }
    return told


def _told(interval: Interval | None) -> Json | None:
    return None if interval is None else asdict(interval)


def write_records(found: PrefetchStudy, folder: Path) -> dict[str, Path]:
    """Write tables of recipes, memory, runs and pixels as Parquet; return them by what they are."""
    folder.mkdir(parents=True, exist_ok=True)
    recipes = [
        {"recipe": row.recipe, "seed": row.seed, "when": when}
        | getattr(row, when)._asdict()
        | {f"auc_{group}": row.ranks.get(group) for group in ("head", "mid", "tail")}
        | {"missing_tail": row.missing_tail}
        for row in found.rows
        for when in WHEN
    ]
    tables: dict[str, list[Mapping[str, Any]]] = {
        "recipes": recipes,
        "memory": [one._asdict() for one in found.memory],
    }
    if found.served is not None:
        tables["served"] = [
            one.point._asdict() | {"tpot_p50_s": one.tpot_p50_s, "tpot_p99_s": one.tpot_p99_s}
            for one in found.served.measured
        ]
    if found.labelled:
        tables["labelled"] = [row._asdict() for row in found.labelled]
    files = {name: _write(rows, folder / f"{name}.parquet") for name, rows in tables.items()}
    return files | ({} if found.served is None else found.served.files)


def _write(rows: Sequence[Mapping[str, Any]], path: Path) -> Path:
    table = pa.Table.from_pylist(list(rows))
    stream = ParquetStream(path, table.schema)
    stream.write(table)
    stream.finish()
    return path
