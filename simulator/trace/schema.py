"""The tables of a trace: what each column means and its unit.

Units and descriptions travel in the field metadata of the Parquet file, definitions of derived
figures in its file metadata, so that a trace explains itself to DuckDB, polars or pandas.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import pyarrow as pa

from simulator.trace.definitions import (
    EVENT_DEFINITIONS,
    EXPERT_DEFINITIONS,
    ITERATION_DEFINITIONS,
    LINK_DEFINITIONS,
    REQUEST_DEFINITIONS,
    STEP_TIME_DEFINITIONS,
    TIME_DEFINITIONS,
)

SCHEMA_VERSION = "3"
"""Rises when a column that a summary needs comes, changes its meaning, unit or type, or goes."""

PREFIX = "moesim."
"""Prefix of our keys in the file metadata."""

_PREFIX = PREFIX.encode()

ARMS = ("baseline", "speculative")
"""The two arms of a paired run: decoding without and with speculation."""

FINISHED, REJECTED, TIMED_OUT, CANCELLED, FAILED = range(5)
"""How a request leaves, as the engine writes it: the index of its name in `OUTCOMES`."""

OUTCOMES = ("finished", "rejected", "timed_out", "cancelled", "failed")
"""How a request leaves: served to its last token; refused at a full queue; waited too long in it;
given up by its client; lost with a replica, retries exhausted."""

START, READY, DRAIN, STOP, LOST, LINK_SLOWER, LINK_BACK, END = range(8)
"""What happens to a cluster, as the engine writes it: the index of its name in `EVENT_NAMES`."""

EVENT_NAMES = ("start", "ready", "drain", "stop", "lost", "link_slower", "link_back", "end")
"""A replica is asked for; takes requests; takes no more; is given up; fails. The link between
prefill and decode loses bandwidth; has it back. The run ends for a replica that is there."""

NAMES = {"outcome": OUTCOMES, "event": EVENT_NAMES}
"""Columns that hold names, of which the engine writes the index; those of links are the run's."""

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
    Column(
        "prefill_replica", pa.int16(), "index", "Where its first prefill ended; -1 if none did."
    ),
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
    Column(
        "retries",
        pa.int16(),
        "count",
        "How often it began anew after the loss of a replica, as a new request to the engine: all "
        "but its arrival, preemptions and recomputed tokens is of the last attempt.",
    ),
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

_EVENTS = (
    Column("time_s", pa.float64(), "s", "When it happened."),
    Column("event", pa.dictionary(pa.int8(), pa.string()), "name", f"One of {EVENT_NAMES}."),
    Column("replica", pa.int16(), "index", "Replica that it happened to; -1 for a link."),
    Column("gpus", pa.int32(), "GPUs", "GPUs of that replica; 0 for a link."),
    Column("requests", pa.int32(), "requests", "Requests that a lost replica held."),
    Column("lost_tokens", pa.int64(), "tokens", "Output tokens of theirs, to be emitted again."),
)

_EXPERT_LOADS = (
    Column("replica", pa.int16(), "index", "Replica that ran the iteration."),
    Column("iteration", pa.int64(), "index", "As in the table of iterations; not all are here."),
    Column("layer", pa.int16(), "index", "Position among the MoE layers."),
    Column("rank", pa.int16(), "index", "Rank of the expert-parallel group."),
    Column("tokens", pa.float32(), "copies", "Token copies whose experts it computed."),
    Column("active_experts", pa.int32(), "experts", "Distinct ones of them, routed to."),
    Column("bytes_in", pa.float64(), "byte", "What the dispatch brought it from other ranks."),
    Column("bytes_out", pa.float64(), "byte", "What it sent other ranks in the combine."),
)

_STEP_TIMES = (
    Column("replica", pa.int16(), "index", "Replica that ran the iteration."),
    Column("iteration", pa.int64(), "index", "As in the table of iterations; all are here."),
    Column("expected_s", pa.float64(), "s", "What closed forms say that it takes."),
    Column("drawn_s", pa.float64(), "s", "With the loads drawn: its layers one after another."),
    Column("duration_s", pa.float64(), "s", "What it took."),
    Column(
        "held_up_s", pa.float64(), "s", "Of this, what exchanges lost to others on their links."
    ),
)

_LINKS = (
    Column("start_s", pa.float64(), "s", "Start of the interval."),
    Column("duration_s", pa.float64(), "s", "Its length."),
    Column("replica", pa.int16(), "index", "Replica whose links they are; -1: of the cluster."),
    Column("link", pa.dictionary(pa.int16(), pa.string()), "name", "Link, by its two ends."),
    Column("bytes", pa.float64(), "byte", "What went over it, both ways."),
    Column("utilisation", pa.float32(), "1", "Share of what it can carry both ways."),
)


def _table(name: str, columns: tuple[Column, ...], notes: Mapping[str, str]) -> pa.Schema:
    metadata = {"schema_version": SCHEMA_VERSION, "table": name, **notes}
    prefixed = {PREFIX + key: value for key, value in metadata.items()}
    return pa.schema([column.field() for column in _RUN + columns], metadata=prefixed)


REQUESTS: pa.Schema = _table("requests", _REQUESTS, TIME_DEFINITIONS | REQUEST_DEFINITIONS)
"""One row per request, written when it leaves."""

ITERATIONS: pa.Schema = _table("iterations", _ITERATIONS, ITERATION_DEFINITIONS)
"""One row per iteration of a replica."""

EVENTS: pa.Schema = _table("events", _EVENTS, EVENT_DEFINITIONS)
"""One row per change of the cluster; there is no such file where a cluster cannot change."""

EXPERT_LOADS: pa.Schema = _table("expert_loads", _EXPERT_LOADS, EXPERT_DEFINITIONS)
"""One row per rank and MoE layer of every so-many-th iteration, where loads are drawn."""

STEP_TIMES: pa.Schema = _table("step_times", _STEP_TIMES, STEP_TIME_DEFINITIONS)
"""One row per iteration, where loads are drawn."""

LINKS: pa.Schema = _table("links", _LINKS, LINK_DEFINITIONS)
"""One row per link and interval in which something went over it, where transfers are events."""

TABLES: dict[str, pa.Schema] = {
    "requests": REQUESTS,
    "iterations": ITERATIONS,
    "events": EVENTS,
    "expert_loads": EXPERT_LOADS,
    "step_times": STEP_TIMES,
    "links": LINKS,
}
"""All schemas by the name of their table."""


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


def notes_of(metadata: Mapping[bytes, bytes] | None) -> dict[str, str]:
    """Return the notes of ours in the metadata of a file or schema, keys without prefix.

    Examples
    --------
    >>> notes_of(with_notes(REQUESTS, {"seed": "7"}).metadata)["seed"]
    '7'
    """
    ours = [(key, value) for key, value in (metadata or {}).items() if key.startswith(_PREFIX)]
    return {key.removeprefix(_PREFIX).decode(): value.decode() for key, value in ours}


def problem_of(notes: Mapping[str, str], table: str | None) -> str | None:
    """Tell what keeps a file with these notes from being read as a table; None if nothing does.

    Parameters
    ----------
    notes
        As `notes_of` returns them.
    table
        The table that is wanted; None takes any.

    Examples
    --------
    >>> problem_of(notes_of(REQUESTS.metadata), "iterations")
    'holds the table requests, not iterations.'
    """
    if notes.get("table") not in TABLES:
        return "has no moesim metadata: it is not a trace, or another tool rewrote it."
    if table not in (None, notes["table"]):
        return f"holds the table {notes['table']}, not {table}."
    if notes.get("schema_version") != SCHEMA_VERSION:
        version = notes.get("schema_version")
        return f"has trace schema {version}, this moesim reads {SCHEMA_VERSION}; run it again."
    return None


def versions() -> dict[str, str]:
    """Return the versions that decide the numbers: moesim, python, numpy, pyarrow, simpy."""
    found = {"python": platform.python_version()}
    for package in ("moesim", "numpy", "pyarrow", "simpy"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # a source tree on the path, not installed
            found[package] = "unknown"
    return found
