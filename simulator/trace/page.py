"""The page that documents a trace, made of the schemas themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pyarrow as pa

from simulator.trace.schema import CONSTANTS, PREFIX, SCHEMA_VERSION, TABLES, notes_of

_HEAD = f"""\
# Traces

A run leaves Parquet tables in its folder: any tool that reads Parquet reads them. Times are seconds
of simulated time, sizes bytes. Units and descriptions stand in the field metadata of the files as
well, definitions of the figures in their file metadata.

This page is made from the code (schema version {SCHEMA_VERSION}); `python scripts/trace_page.py`
writes it again.

```sql
-- DuckDB: both arms of all replications lie in one file
SELECT arm, quantile_cont(first_token_s - arrival_s, 0.5) AS ttft_p50_s
FROM 'runs/*/*/requests.parquet' WHERE outcome = 'finished' GROUP BY arm;
```

`moesim recover FOLDER` makes such files of a run that was cut off,
`moesim export FOLDER --perfetto` a timeline of one that ended.

## Files

Rows of one arm of one replication follow each other. The file metadata, keys prefixed `{PREFIX}`,
hold the resolved configuration (`config`, JSON), `seed`, `versions`, `schema_version`, `table`,
`complete`, and the definitions below. All tables begin with these columns:
"""

_TABLES = {
    "requests": "One row per request, written when it leaves.",
    "iterations": "One row per iteration (engine step) of a replica.",
    "events": "One row per change of the cluster; only where a cluster can change.",
    "expert_loads": (
        "One row per rank and MoE layer of every so-many-th iteration; only where loads are drawn "
        "(`experts.fidelity=sampled` or `event`)."
    ),
    "step_times": "One row per iteration; only where loads are drawn.",
    "links": (
        "One row per link and interval in which something went over it; only where transfers are "
        "events (`experts.fidelity=event`)."
    ),
}

_NOT_DEFINITIONS = {"schema_version", "table"}


def trace_page() -> str:
    """Return the page in Markdown."""
    lines = [_HEAD]
    first = next(iter(TABLES.values()))
    lines += _columns([first.field(name) for name in CONSTANTS])
    for name, schema in TABLES.items():
        lines += ["", f"## `{name}.parquet`", "", _TABLES[name], ""]
        lines += _columns([field for field in schema if field.name not in CONSTANTS])
        lines += ["", "Figures that stand on it:", ""]
        lines += _definitions(notes_of(schema.metadata))
    return "\n".join(lines) + "\n"


def _columns(fields: list[pa.Field]) -> Iterator[str]:
    yield "| column | type | unit | what it is |"
    yield "| --- | --- | --- | --- |"
    for field in fields:
        told = {key.decode(): value.decode() for key, value in field.metadata.items()}
        kind = "string" if pa.types.is_dictionary(field.type) else str(field.type)
        null = ", null" if field.nullable else ""
        yield f"| `{field.name}` | {kind}{null} | {told['unit']} | {told['description']} |"


def _definitions(notes: Mapping[str, str]) -> Iterator[str]:
    for name, definition in notes.items():
        if name not in _NOT_DEFINITIONS:
            yield f"- `{name}`: {definition}"
