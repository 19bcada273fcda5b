"""A plan as Parquet tables: offers, their latencies, operating points, and what was ruled out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, NamedTuple

import pyarrow as pa

from simulator.slo import BOUNDS
from simulator.study.plan.deployment import Deployment
from simulator.study.plan.result import Offer, Plan
from simulator.trace.statistics import Interval

_TEXT, _WHOLE, _NUMBER, _FLAG = pa.string(), pa.int64(), pa.float64(), pa.bool_()


class _Column(NamedTuple):
    """A column: its type and unit."""

    kind: pa.DataType
    unit: str


_DEPLOYMENT = {
    "deployment": _Column(_TEXT, "name"),
    "model": _Column(_TEXT, "name"),
    "gpu": _Column(_TEXT, "name"),
    "gpus": _Column(_WHOLE, "GPU"),
    "replicas": _Column(_WHOLE, "1"),
    "precision": _Column(_TEXT, "name"),
    "tensor_parallel": _Column(_WHOLE, "GPU"),
    "data_parallel": _Column(_WHOLE, "1"),
    "expert_parallel": _Column(_WHOLE, "GPU"),
    "pipeline_parallel": _Column(_WHOLE, "1"),
    "split": _Column(_TEXT, "prefill:decode"),
    "gamma": _Column(_WHOLE, "token"),
    "policy": _Column(_TEXT, "name"),
    "max_num_seqs": _Column(_WHOLE, "request"),
}


def _with_bounds(name: str, unit: str) -> dict[str, _Column]:
    return {f"{name}{suffix}": _Column(_NUMBER, unit) for suffix in ("", "_low", "_high")}


COLUMNS: dict[str, dict[str, _Column]] = {
    "offers": {
        "rank": _Column(_WHOLE, "1"),
        **_DEPLOYMENT,
        "meets": _Column(_FLAG, "1"),
        "reason": _Column(_TEXT, "text"),
        **_with_bounds("max_rate", "request/s"),
        **_with_bounds("speedup", "1"),
        **_with_bounds("tpot_speedup", "1"),
        "binding_constraint": _Column(_TEXT, "name"),
        "acceptance_length": _Column(_NUMBER, "token"),
        "output_tokens_per_s": _Column(_NUMBER, "token/s"),
        "utilisation": _Column(_NUMBER, "1"),
        "usd_per_hour": _Column(_NUMBER, "USD/h"),
        "usd_per_million_tokens": _Column(_NUMBER, "USD/1e6 token"),
        "joules_per_token": _Column(_NUMBER, "J/token"),
    },
    "latencies": {
        "rank": _Column(_WHOLE, "1"),
        "traffic_class": _Column(_TEXT, "name"),
        "latency": _Column(_TEXT, "name"),
        "p50": _Column(_NUMBER, "s"),
        "p90": _Column(_NUMBER, "s"),
        "p99": _Column(_NUMBER, "s"),
        "bound": _Column(_NUMBER, "s"),
        "missed": _Column(_NUMBER, "1"),
        "required": _Column(_NUMBER, "1"),
        "attainment": _Column(_NUMBER, "1"),
    },
    "pareto": {
        **_DEPLOYMENT,
        "batch": _Column(_NUMBER, "request"),
        "tokens_per_s_per_gpu": _Column(_NUMBER, "token/s"),
        "tokens_per_s_per_user": _Column(_NUMBER, "token/s"),
        "simulated": _Column(_FLAG, "1"),
        "pareto": _Column(_FLAG, "1"),
    },
    "rejected": {
        **_DEPLOYMENT,
        "kind": _Column(_TEXT, "name"),
        "reason": _Column(_TEXT, "text"),
    },
}
"""Columns of each table by name; their units stand in the field metadata of the files."""


_OF_OFFER = (
    "meets",
    "reason",
    "binding_constraint",
    "acceptance_length",
    "output_tokens_per_s",
    "utilisation",
    "usd_per_hour",
    "usd_per_million_tokens",
    "joules_per_token",
)
"""Columns of ``offers`` that an offer has by the same name."""


def tables(plan: Plan) -> dict[str, pa.Table]:
    """Return the tables of a plan by name, one row of each offer, latency, point or rejection."""
    rows = {
        "offers": [_offer(rank, offer) for rank, offer in enumerate(plan.offers, start=1)],
        "latencies": list(_latencies(plan)),
        "pareto": [
            _named(point.deployment) | _without_deployment(asdict(point))
            for point in plan.operating_points
        ],
        "rejected": [
            _named(one.deployment) | _without_deployment(asdict(one)) for one in plan.rejected
        ],
    }
    return {name: pa.Table.from_pylist(found, _schema(name)) for name, found in rows.items()}


def _schema(name: str) -> pa.Schema:
    return pa.schema(
        [
            pa.field(column, told.kind, metadata={"unit": told.unit})
            for column, told in COLUMNS[name].items()
        ]
    )


def _named(deployment: Deployment) -> dict[str, Any]:
    row = {name: getattr(deployment, name) for name in _DEPLOYMENT if name != "deployment"}
    split = deployment.split
    return row | {"deployment": str(deployment), "split": None if split is None else str(split)}


def _without_deployment(row: dict[str, Any]) -> dict[str, Any]:
    del row["deployment"]
    return row


def _offer(rank: int, offer: Offer) -> dict[str, Any]:
    gain = offer.gain
    intervals = {
        "max_rate": offer.max_rate_per_s,
        "speedup": gain.max_rate if gain else None,
        "tpot_speedup": gain.tpot if gain else None,
    }
    row = {name: getattr(offer, name) for name in _OF_OFFER}
    for name, interval in intervals.items():
        row |= _spread(name, interval)
    return {"rank": rank, **_named(offer.deployment), **row}


def _spread(name: str, interval: Interval | None) -> dict[str, float | None]:
    if interval is None:
        return {}
    return {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}


def _latencies(plan: Plan) -> Iterator[dict[str, Any]]:
    """Yield a row for each offer, class and latency, its bound beside it."""
    objectives = plan.question.objectives
    for rank, offer in enumerate(plan.offers, start=1):
        for each in offer.classes:
            bounds = objectives[each.name].bounds if each.name in objectives else {}
            for latency in BOUNDS:
                yield {
                    "rank": rank,
                    "traffic_class": each.name,
                    "latency": latency,
                    **getattr(each, latency),
                    "bound": bounds.get(latency),
                    "missed": each.missed.get(latency),
                    "required": each.required,
                    "attainment": each.attainment.value,
                }
