"""What a study found, as files: ``summary.json``, and tables of sessions and of tenants."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa

from simulator.serving.tenants.attacker import HIT
from simulator.study.defence.columns import SESSIONS, TENANTS
from simulator.study.defence.figures import FIGURES
from simulator.study.defence.frontier import Frontier, Measured
from simulator.study.defence.measure import Outcome
from simulator.study.defence.models import NONE
from simulator.study.defence.question import PEACE
from simulator.study.defence.variants import Tried
from simulator.trace.json_file import Json
from simulator.trace.parquet import ParquetStream
from simulator.trace.statistics import Interval, value_of


def write_sessions(frontier: Frontier, path: Path) -> Path:
    """Write one row per attack session of all cases and replications, as Parquet."""
    rows = []
    for case, outcome in _runs(frontier):
        for session, majority in zip(outcome.sessions, outcome.majority, strict=True):
            row = session._asdict()
            del row["candidate"]
            row["wall_s"] = session.ended_s - session.started_s
            row["success_first"] = session.first_hit_queries > 0
            row["success_believed"] = session.outcome == HIT
            rows.append({**case, **row, "success_majority": majority})
    return _write(rows, SESSIONS, path)


def write_tenants(frontier: Frontier, path: Path) -> Path:
    """Write one row per tenant of all cases and replications, as Parquet."""
    horizon_s = frontier.question.tenants.horizon_s
    rows = [
        {**case, **tenant._asdict(), "queries_per_s": tenant.queries / horizon_s}
        for case, outcome in _runs(frontier)
        for tenant in outcome.tenants
    ]
    return _write(rows, TENANTS, path)


def summary(frontier: Frontier) -> Json:
    """Return what ``summary.json`` says: metrics of bare attacks and of noises, and every case."""
    bare, peace = frontier.bare, frontier.peace
    metrics = {name: value_of(bare.mean(name)) for name in FIGURES if name not in _OF_USERS}
    metrics |= {"clean_accuracy": bare.accuracy}
    for name in ("benign_p50_s", "benign_p95_s", "benign_p99_s", "benign_goodput_per_s"):
        metrics[f"{name}_attacked_over_peace"] = value_of(bare.ratio(name, peace))
    for found in frontier.measured:
        case = found.case
        if case.attacked and not case.limited and case.defence != NONE:
            of = f"{case.defence}_nu_{case.nu:g}"
            metrics[f"clean_accuracy_{of}"] = found.accuracy
            for name in _OF_NOISES:
                metrics[f"{name}_{of}"] = value_of(found.mean(name))
    return {
        "metrics": metrics,
        "figures": FIGURES,
        "cases": [_told(found, frontier) for found in frontier.measured],
        "variants": [_told_variant(one) for one in frontier.tried],
        "flips": [asdict(one) for one in frontier.flips],
    }


_OF_NOISES = ("majority", "successes_per_h", "queries_per_session", "attack_gpu_s_per_h")
"""Metrics that are told of every noise without a limit."""

_OF_USERS = {name for name in FIGURES if name.startswith(("benign", "llm"))}


def _runs(frontier: Frontier) -> Iterator[tuple[dict[str, Any], Outcome]]:
    """Yield every run with the columns that say which it is."""
    for found in frontier.measured:
        for replication, outcome in enumerate(found.outcomes):
            yield asdict(found.case) | {"replication": replication}, outcome


def _write(rows: list[dict[str, Any]], schema: pa.Schema, path: Path) -> Path:
    stream = ParquetStream(path, schema)
    stream.write(pa.Table.from_pylist(rows, schema))
    stream.finish()
    return path


def _told(found: Measured, frontier: Frontier) -> Json:
    case = found.case
    own = asdict(case) | {"clean_accuracy": found.accuracy}
    if math.isinf(case.rate_limit_per_s):
        own["rate_limit_per_s"] = None
    compared: Json = {"figures": {name: _interval(found.mean(name)) for name in FIGURES}}
    if case != PEACE:
        bare, peace = frontier.bare, frontier.peace
        compared |= {
            "change_from_bare": {name: _interval(found.change(name, bare)) for name in FIGURES},
            "ratio_to_bare": {name: _interval(found.ratio(name, bare)) for name in FIGURES},
            "ratio_to_peace": {
                name: _interval(found.ratio(name, peace)) for name in FIGURES if name in _OF_USERS
            },
        }
    return own | compared


def _told_variant(tried: Tried) -> Json:
    shares = {name: asdict(tried.share(name)) for name in ("first_hit", "believed", "majority")}
    return asdict(tried) | shares


def _interval(found: Interval | None) -> Json | None:
    return None if found is None else asdict(found)
