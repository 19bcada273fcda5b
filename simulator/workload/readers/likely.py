"""What a file looks like, for the hint when it is read as something else."""

from __future__ import annotations

import json
from pathlib import Path

from simulator.errors import DataError
from simulator.workload.readers.files import line_chunks

FIRST_LINE_BYTES = 1 << 20
"""Bytes of a first line that are looked at."""

FIELDS = {
    "azure": {"TIMESTAMP", "ContextTokens", "GeneratedTokens"},
    "burstgpt": {"Timestamp", "Request tokens", "Response tokens"},
    "csv": {"arrival_s", "prompt_tokens", "output_tokens"},
    "bailian": {"chat_id", "timestamp", "input_length", "output_length"},
    "mooncake": {"timestamp", "input_length", "output_length", "hash_ids"},
    "agentic": {"requests"},
}
"""Names in the first line of a file by which its format is known, the more special first."""


def likely_format(path: Path) -> str | None:
    """Return the format that a file seems to have, None if neither names nor suffix tell.

    Examples
    --------
    >>> likely_format(Path("/nowhere")) is None
    True
    """
    by_suffix = "parquet" if path.suffix == ".parquet" else None
    try:
        with path.open("rb") as file:
            if file.read(4) == b"PAR1":
                return "parquet"
        first = next(line_chunks(path, FIRST_LINE_BYTES)).data.lstrip().partition(b"\n")[0]
    except (OSError, StopIteration, DataError):
        return by_suffix
    names = _names(first.decode("utf-8", "replace"))
    return next((name for name, needed in FIELDS.items() if needed <= names), by_suffix)


def _names(line: str) -> set[str]:
    """Return the fields of a JSON object, or of the header of a CSV."""
    if line.startswith("{"):
        try:
            return set(json.loads(line))
        except (ValueError, RecursionError):
            return set()
    return {name.strip().strip('"') for name in line.split(",")}
