"""The two tables of a trace: what each column means and its unit.

Units and descriptions travel in the field metadata of the Parquet file, definitions of derived
figures in its file metadata, so that a trace explains itself to DuckDB, polars or pandas.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import pyarrow as pa

SCHEMA_VERSION = "3"
"""Rises when a column that a summary needs comes, changes its meaning, unit or type, or goes."""

PREFIX = "moesim."
"""Prefix of our keys in the file metadata."""

ARMS = ("baseline", "speculative")
"""The two arms of a paired run: decoding without and with speculation."""

FINISHED, REJECTED, TIMED_OUT, CANCELLED, FAILED = range(5)
"""How a request leaves, as the engine writes it: the index of its name in `OUTCOMES`."""

OUTCOMES = ("finished", "rejected", "timed_out", "cancelled", "failed")
"""How a request leaves: served to its last token; refused at a full queue; waited too long in it;
given up by its client; lost with a replica, retries exhausted."""

NAMES = {"outcome": OUTCOMES}
"""Columns that hold names, of which the engine writes the index."""

CONSTANTS = ("arm", "replication")
"""Columns that hold one value in all rows of one engine run; the engine does not write them."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Parameters
    ----------
    name, type
        Name and Arrow type.
    unit
        SI unit, or what is counted.
    description
        One sentence.
    nullable
        Whether NaN stands for "did not happen"; stored as null.
    """

    name: str
    type: pa.DataType
    unit: str
    description: str
    nullable: bool = False

    def field(self) -> pa.Field:
        """Return the Arrow field, with unit and description as its metadata."""
        notes = {"unit": self.unit, "description": self.description}
        return pa.field(self.name, self.type, nullable=self.nullable, metadata=notes)


_RUN = (
    Column("arm", pa.dictionary(pa.int8(), pa.string()), "name", "baseline or speculative."),
    Column("replication", pa.int16(), "index", "Which independent repetition, from 0."),
)

_REQUESTS = (
    Column("request_id", pa.int64(), "index", "Position in the arrival sequence; pairs the arms."),
    Column("traffic_class", pa.int16(), "index", "Its traffic class, in the order of the config."),
    Column("tenant", pa.int32(), "index", "Whom it belongs to; 0 where there is one tenant."),
    Column("outcome", pa.dictionary(pa.int8(), pa.string()), "name", f"One of {OUTCOMES}."),
    Column("replica", pa.int16(), "index", "Replica it was last at; -1 if it never reached one."),
    Column("prefill_replica", pa.int16(), "index", "Replica of its first prefill; -1 without one."),
    Column("arrival_s", pa.float64(), "s", "Arrival at the router."),
    Column("admitted_s", pa.float64(), "s", "Start of its first prefill; null without one.", True),
    Column("first_token_s", pa.float64(), "s", "First output token; null without one.", True),
    Column("finish_s", pa.float64(), "s", "Last output token; null unless finished.", True),
    Column("left_s", pa.float64(), "s", "When it left, whatever its outcome."),
    Column("prompt_tokens", pa.int32(), "tokens", "Length of the prompt."),
    Column("cached_tokens", pa.int32(), "tokens", "Of these, found in the prefix cache at first."),
    Column("output_tokens", pa.int32(), "tokens", "Length of the output that was asked for."),
    Column("emitted_tokens", pa.int32(), "tokens", "Output tokens until it left."),
    Column("rounds", pa.int32(), "rounds", "Draft-and-verify rounds; decode steps at baseline."),
    Column("accepted_draft_tokens", pa.int32(), "tokens", "Draft tokens kept, over all rounds."),
    Column("preemptions", pa.int32(), "count", "How often it lost its KV blocks to another."),
    Column("recomputed_tokens", pa.int32(), "tokens", "Prefilled again after preemptions."),
    Column("retries", pa.int16(), "count", "How often it began anew after the loss of a replica."),
)

_ITERATIONS = (
    Column("replica", pa.int16(), "index", "Replica that ran it."),
    Column("iteration", pa.int64(), "index", "Position among the iterations of its replica."),
    Column("start_s", pa.float64(), "s", "Start of the iteration."),
    Column("duration_s", pa.float64(), "s", "Time until its tokens are out."),
    Column("decode_requests", pa.int32(), "requests", "Requests that decode in it."),
    Column("query_tokens", pa.int16(), "tokens", "Per decoding request: 1, or its draft and 1."),
    Column(
        "prefill_tokens", pa.int32(), "tokens", "Tokens prefilled beside them: prompts, recomputed."
    ),
    Column("emitted_tokens", pa.int32(), "tokens", "Output tokens it produced."),
    Column("context_tokens", pa.int64(), "tokens", "Cached tokens of the requests that decode."),
    Column("waiting_requests", pa.int32(), "requests", "Requests queued at the replica."),
    Column("active_experts", pa.float32(), "experts", "Expected distinct experts per MoE layer."),
    Column("kv_usage", pa.float32(), "1", "Share of the KV blocks that are taken."),
)

_DEFINITIONS = {
    "ttft_s": "first_token_s - arrival_s",
    "tpot_s": "(finish_s - first_token_s) / (output_tokens - 1); undefined for one output token",
    "e2e_s": "finish_s - arrival_s",
    "mean_acceptance_length": "1 + sum(accepted_draft_tokens) / sum(rounds)",
}


def _table(name: str, columns: tuple[Column, ...], notes: Mapping[str, str]) -> pa.Schema:
    metadata = {"schema_version": SCHEMA_VERSION, "table": name, **notes}
    prefixed = {PREFIX + key: value for key, value in metadata.items()}
    return pa.schema([column.field() for column in _RUN + columns], metadata=prefixed)


REQUESTS: pa.Schema = _table("requests", _REQUESTS, _DEFINITIONS)
"""One row per request, written when it leaves."""

ITERATIONS: pa.Schema = _table("iterations", _ITERATIONS, {})
"""One row per iteration of a replica."""


TABLES: dict[str, pa.Schema] = {"requests": REQUESTS, "iterations": ITERATIONS}
"""Both schemas by the name of their table."""


def row_columns(schema: pa.Schema) -> list[str]:
    """List the columns of the tuples an engine appends, in order.

    Examples
    --------
    >>> row_columns(ITERATIONS)[:3]
    ['replica', 'iteration', 'start_s']
    """
    return [name for name in schema.names if name not in CONSTANTS]


def with_notes(schema: pa.Schema, notes: Mapping[str, str]) -> pa.Schema:
    """Return the schema with file metadata added, keys prefixed ``moesim.``.

    Examples
    --------
    >>> with_notes(REQUESTS, {"seed": "7"}).metadata[b"moesim.seed"]
    b'7'
    """
    prefixed = {(PREFIX + key).encode(): value.encode() for key, value in notes.items()}
    return schema.with_metadata({**(schema.metadata or {}), **prefixed})


def versions() -> dict[str, str]:
    """Return the versions that decide the numbers: moesim, python, numpy, pyarrow, simpy."""
    found = {"python": platform.python_version()}
    for package in ("moesim", "numpy", "pyarrow", "simpy"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # a source tree on the path, not installed
            found[package] = "unknown"
    return found
