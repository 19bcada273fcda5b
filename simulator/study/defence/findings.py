"""What a study found, as files: ``summary.json``, and a table of sessions."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa

from simulator.study.defence.frontier import Frontier, Measured
from simulator.study.defence.measure import FIGURES
from simulator.trace.json_file import Json
from simulator.trace.parquet import ParquetStream
from simulator.trace.statistics import Interval, value_of


def write_sessions(frontier: Frontier, path: Path) -> Path:
    """Write one row per attack session of all cases and replications, as Parquet."""
    rows = []
    for found in frontier.measured:
        case = found.case
        for replication, outcome in enumerate(found.outcomes):
            for session, majority in zip(outcome.sessions, outcome.majority, strict=True):
                row = session._asdict()
                del row["candidate"]
                own = {"defence": case.defence, "nu": case.nu}
                own["rate_limit_per_s"] = case.rate_limit_per_s
                rows.append({**own, "replication": replication, **row, "majority": majority})
    stream = ParquetStream(path, SESSIONS)
    stream.write(pa.Table.from_pylist(rows, SESSIONS))
    stream.finish()
    return path


SESSIONS = pa.schema(
    [
        ("defence", pa.string()),
        ("nu", pa.float64()),
        ("rate_limit_per_s", pa.float64()),
        ("replication", pa.int32()),
        ("tenant", pa.int32()),
        ("session", pa.int32()),
        ("picture", pa.int32()),
        ("started_s", pa.float64()),
        ("ended_s", pa.float64()),
        ("outcome", pa.string()),
        ("queries", pa.int64()),
        ("refused", pa.int64()),
        ("first_hit_queries", pa.int64()),
        ("distortion", pa.float64()),
        ("gpu_s", pa.float64()),
        ("majority", pa.bool_()),
    ]
)
"""Columns of a session (`serving.tenants.clients.SessionRow`), its case and its judgement."""


def summary(frontier: Frontier) -> Json:
    """Return what ``summary.json`` says: metrics of bare attacks, and every case."""
    bare, peace = frontier.bare, frontier.peace
    metrics = {name: value_of(bare.mean(name)) for name in FIGURES if name.startswith("attack")}
    metrics |= {"clean_accuracy": bare.accuracy}
    for name in ("benign_p50_s", "benign_p95_s", "benign_p99_s", "benign_goodput_per_s"):
        metrics[f"{name}_attacked_over_peace"] = value_of(bare.ratio(name, peace))
    return {
        "metrics": metrics,
        "figures": FIGURES,
        "cases": [_told(found, frontier) for found in frontier.measured],
        "flips": [asdict(one) for one in frontier.flips],
    }


def _told(found: Measured, frontier: Frontier) -> Json:
    case = found.case
    own = asdict(case) | {"clean_accuracy": found.accuracy}
    if math.isinf(case.rate_limit_per_s):
        own["rate_limit_per_s"] = None
    compared = {
        "figures": {name: _interval(found.mean(name)) for name in FIGURES},
        "change_from_bare": {
            name: _interval(found.change(name, frontier.bare)) for name in FIGURES
        },
        "ratio_to_bare": {name: _interval(found.ratio(name, frontier.bare)) for name in FIGURES},
        "ratio_to_peace": {name: _interval(found.ratio(name, frontier.peace)) for name in FIGURES},
    }
    return own | compared


def _interval(found: Interval | None) -> Json | None:
    return None if found is None else asdict(found)
