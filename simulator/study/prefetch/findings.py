"""What the study found, as files: figures for ``summary.json``, and tables as Parquet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa

from simulator.study.prefetch.canvases import Labelled
from simulator.study.prefetch.crossover import crossover
from simulator.study.prefetch.model_run import ServedStudy
from simulator.study.prefetch.replay import Replayed
from simulator.study.prefetch.served import AFTER, BEFORE, tpot_ratio
from simulator.study.prefetch.shift import (
    ON_DEMAND,
    UNTRAINED,
    Row,
    coverage_difference,
    figures,
    misses_ratio,
    spared_share,
)
from simulator.study.prefetch.study import PrefetchStudy
from simulator.study.prefetch.theory import foretold
from simulator.trace.json_file import Json
from simulator.trace.parquet import ParquetStream
from simulator.trace.statistics import Interval, mean_interval, value_of

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


def rank_area(rows: Sequence[Row], name: str, group: str) -> Interval:
    """Return the area under the ROC curve of a group of experts (`replay.ranking`)."""
    return mean_interval([row.ranks[group] for row in rows if row.recipe == name])


def tail_difference(rows: Sequence[Labelled], name: str, field: str) -> Interval:
    """Return a figure of labelled pixels less that of cross-entropy, paired by repetition."""
    found = {(row.recipe, row.seed): getattr(row, field) for row in rows}
    seeds = sorted({row.seed for row in rows})
    return mean_interval([found[name, seed] - found["ce", seed] for seed in seeds])


def foretold_crossover(served: ServedStudy, arm: str, traffic: str) -> float | None:
    """Return the batch from which on theory sees no use in an arm (`theory.foretold`)."""
    odds = served.odds[traffic]
    return foretold([one.margin(arm) for one in odds], [one.batch for one in odds])


COUNTED, INDEPENDENT, ALIKE = BOUNDS = ("counted", "independent", "alike")
"""What h is taken from: routes, popularity with steps independent of each other, or N / E alone."""


def foretold_bound(served: ServedStudy, traffic: str, kept_from: str) -> float | None:
    """Return the batch from which on no predictor is of use, not even one that never errs.

    Parameters
    ----------
    served
        What was served.
    traffic
        On what.
    kept_from
        One of `BOUNDS`.
    """
    odds, experts = served.odds[traffic], served.serving.experts
    kept = {
        COUNTED: [one.kept for one in odds],
        INDEPENDENT: [one.independent for one in odds],
        ALIKE: [one.alike / experts for one in odds],
    }[kept_from]
    margins = [1.0 - mine - one.exposed for mine, one in zip(kept, odds, strict=True)]
    return foretold(margins, [one.batch for one in odds])


def summary(found: PrefetchStudy) -> Json:
    """Return what ``summary.json`` says."""
    rows, question = found.rows, found.task.question
    metrics: dict[str, float | int | None] = {}
    for name in question.recipes:
        for when in WHEN:
            metrics[f"misses_{name}_over_ce_{when}"] = value_of(misses_ratio(rows, name, when))
            metrics[f"spared_{name}_{when}"] = value_of(spared_share(rows, name, when))
        difference = coverage_difference(rows, name, BEFORE)
        metrics[f"coverage_{name}_less_ce_before"] = difference.value
    told: dict[str, Any] = {
        "metrics": metrics,
        "question": asdict(question),
        "recipes": {name: _recipe(rows, name) for name in recipe_names(rows)},
        "memory": [one._asdict() for one in found.memory],
        "labelled": [row._asdict() for row in found.labelled],
    }
    if found.served is not None:
        told |= _served(found.served, metrics)
    return told


def _served(served: ServedStudy, metrics: dict[str, float | int | None]) -> Json:
    """Return what was served, and add its figures to the metrics."""
    metrics["most_distinct"] = served.most_distinct
    arms = [arm for arm in served_arms(served) if arm != ON_DEMAND]
    ratios = {
        traffic: {arm: tpot_ratio(served.measured, arm, traffic) for arm in arms}
        for traffic in WHEN
    }
    for traffic, by_arm in ratios.items():
        for arm in served.serving.predictors:
            metrics[f"crossover_{arm}_{traffic}"] = crossover(served.measured, arm, traffic)
            metrics[f"foretold_{arm}_{traffic}"] = foretold_crossover(served, arm, traffic)
        for kept_from in BOUNDS:
            name = f"foretold_bound_{kept_from}_{traffic}"
            metrics[name] = foretold_bound(served, traffic, kept_from)
        for batch, ratio in by_arm[served.hand_over].items():
            metrics[f"tpot_over_on_demand_batch_{batch}_{traffic}"] = ratio.value
    return {
        "handed_over": served.hand_over,
        "tpot_over_on_demand": {
            traffic: {
                arm: {batch: _told(one) for batch, one in found.items()}
                for arm, found in by_arm.items()
            }
            for traffic, by_arm in ratios.items()
        },
        "odds": {traffic: [asdict(one) for one in odds] for traffic, odds in served.odds.items()},
    }


def served_arms(served: ServedStudy) -> list[str]:
    """Return the arms that served, in their order."""
    return list(dict.fromkeys(run.point.arm for run in served.measured))


def _recipe(rows: Sequence[Row], name: str) -> Json:
    told: dict[str, Any] = {
        when: {field: _told(figure(rows, name, when, field)) for field in Replayed._fields}
        for when in WHEN
    }
    for when in WHEN:
        told[f"misses_over_ce_{when}"] = _told(misses_ratio(rows, name, when))
        told[f"spared_{when}"] = _told(spared_share(rows, name, when))
    if name not in UNTRAINED:
        told["missing_tail"] = _told(missing_tail(rows, name))
        told["auc"] = {
            group: _told(rank_area(rows, name, group)) for group in ("head", "mid", "tail")
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
        | {"missing_tail": None if row.recipe in UNTRAINED else row.missing_tail}
        for row in found.rows
        for when in WHEN
    ]
    tables: dict[str, list[Mapping[str, Any]]] = {
        "recipes": recipes,
        "memory": [one._asdict() for one in found.memory],
    }
    if found.served is not None:
        tables["served"] = [
            one.point._asdict() | {key: getattr(one, key) for key in one._fields[1:]}
            for one in found.served.measured
        ]
        tables["odds"] = [
            {"traffic": traffic, "arm": arm, "prefetch_hits": hits}
            | {key: value for key, value in asdict(one).items() if key != "hits"}
            for traffic, odds in found.served.odds.items()
            for one in odds
            for arm, hits in one.hits.items()
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
