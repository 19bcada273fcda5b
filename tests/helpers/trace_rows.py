"""Rows of a trace from the figures that matter to a test, whatever columns the schema has."""

from __future__ import annotations

import math
from typing import Any

from simulator.trace.schema import FINISHED, ITERATIONS, REJECTED, REQUESTS, row_columns

Row = tuple[Any, ...]


def request_row(
    request_id: int,
    arrival_s: float,
    first_token_s: float = math.nan,
    finish_s: float = math.nan,
    output_tokens: int = 1,
    rounds: int = 0,
    accepted: int = 0,
    *,
    admitted_s: float | None = None,
    outcome: int | None = None,
    preemptions: int = 0,
    **others: float,
) -> Row:
    """Make a row of the table of requests: finished if it has a last token, else rejected.

    ``others`` set columns by name.
    """
    finished = not math.isnan(finish_s)
    if admitted_s is None:
        admitted_s = arrival_s if finished else math.nan
    if outcome is None:
        outcome = FINISHED if finished else REJECTED
    values = {
        "request_id": request_id,
        "traffic_class": 0,
        "tenant": 0,
        "outcome": outcome,
        "replica": 0,
        "prefill_replica": 0 if finished else -1,
        "arrival_s": arrival_s,
        "admitted_s": admitted_s,
        "first_token_s": first_token_s,
        "finish_s": finish_s,
        "left_s": finish_s if finished else arrival_s,
        "prompt_tokens": 10,
        "cached_tokens": 0,
        "output_tokens": output_tokens,
        "emitted_tokens": output_tokens if finished else 0,
        "rounds": rounds,
        "accepted_draft_tokens": accepted,
        "preemptions": preemptions,
        "recomputed_tokens": 10 * preemptions,
        "retries": 0,
    } | others
    return _ordered(values, row_columns(REQUESTS))


def iteration_row(
    index: int,
    start_s: float,
    duration_s: float,
    decode_requests: int,
    emitted_tokens: int,
    *,
    replica: int = 0,
    prefill_tokens: int = 0,
    waiting: int = 0,
    active_experts: float = 0.0,
    query_tokens: int = 1,
    kv_usage: float = 0.5,
) -> Row:
    """Make a row of the table of iterations."""
    values = {
        "replica": replica,
        "iteration": index,
        "start_s": start_s,
        "duration_s": duration_s,
        "decode_requests": decode_requests,
        "query_tokens": query_tokens,
        "prefill_tokens": prefill_tokens,
        "emitted_tokens": emitted_tokens,
        "context_tokens": 100,
        "waiting_requests": waiting,
        "active_experts": active_experts,
        "kv_usage": kv_usage,
    }
    return _ordered(values, row_columns(ITERATIONS))


def request_column(name: str) -> int:
    """Return the position of a column in the rows of the table of requests."""
    return row_columns(REQUESTS).index(name)


def _ordered(values: dict[str, Any], columns: list[str]) -> Row:
    assert sorted(values) == sorted(columns)
    return tuple(values[name] for name in columns)
