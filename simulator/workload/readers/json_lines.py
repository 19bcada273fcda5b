"""JSON traces of one request a line: columns of a chunk through pyarrow, one line through json."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.json as arrow_json

from simulator.errors import DataError
from simulator.workload.ragged import Ragged
from simulator.workload.readers.fields import (
    fitting,
    prefix_hashes,
    seconds,
    shown,
    tokens,
    unquoted,
)
from simulator.workload.readers.files import Chunk, line_chunks
from simulator.workload.readers.hashes import ragged
from simulator.workload.readers.policy import READERS, BadRow
from simulator.workload.readers.rows import Columns, Row, plausible

LONGEST_BYTES = 8 << 20
"""Longest line: the hashes of ten million tokens in blocks of 16 take about half of it."""


@dataclass(frozen=True, slots=True)
class JsonRows:
    """Lines with a time, two lengths and a list of prefix hashes.

    Parameters
    ----------
    time, prompt, output, hashes
        Names of the fields.
    whole_time
        Whether times are whole numbers.
    per_second
        Units of time in a second.
    hash_tokens
        Tokens of a hash.
    others
        Further fields to read, and their types.
    """

    time: str
    prompt: str
    output: str
    hashes: str
    whole_time: bool
    per_second: float
    hash_tokens: int
    others: Mapping[str, pa.DataType]

    def table(self, data: bytes) -> pa.Table | None:
        """Parse lines, or return None if any field is missing or not of its type."""
        types = {
            self.time: pa.int64() if self.whole_time else pa.float64(),
            self.prompt: pa.int64(),
            self.output: pa.int64(),
            self.hashes: pa.list_(pa.int64()),
            **self.others,
        }
        try:
            table = arrow_json.read_json(
                pa.BufferReader(data),
                read_options=arrow_json.ReadOptions(use_threads=False, block_size=len(data) + 1),
                parse_options=arrow_json.ParseOptions(
                    explicit_schema=pa.schema(types), unexpected_field_behavior="ignore"
                ),
            )
        except pa.ArrowInvalid:
            return None
        # several objects on a line, or one on several, pass for lines in pyarrow
        whole = table.num_rows == data.count(b"\n")
        return table if whole and all(column.null_count == 0 for column in table.columns) else None

    def columns(self, table: pa.Table) -> Columns | None:
        """Check all rows of a table at once; None if any may be bad."""
        time, prompts, outputs = (
            table[name].to_numpy() for name in (self.time, self.prompt, self.output)
        )
        prefixes = self.prefixes(table, prompts)
        if prefixes is None or np.any(time < 0):
            return None
        columns = Columns(time, prompts, outputs, prefixes=prefixes)
        return columns if plausible(columns).all() else None

    def prefixes(self, table: pa.Table, prompts: np.ndarray[Any, Any]) -> Ragged | None:
        """Return the hashes of whole blocks, None if some cannot be."""
        return ragged(table[self.hashes], prompts, self.hash_tokens)

    def row(self, fields: Mapping[str, Any]) -> Row:
        """Check one row; raise ``BadRow``."""
        for name in (self.time, self.prompt, self.output, self.hashes, *self.others):
            if name not in fields:
                raise BadRow(f"{name} is missing", f"there is no field {name!r}.")
        for name in (self.time, self.prompt, self.output):
            unquoted(fields[name], name)
        prompt = tokens(fields[self.prompt], self.prompt)
        hashes = prefix_hashes(fields[self.hashes], self.hashes)
        time = fields[self.time]
        return Row(
            time if type(time) is int and 0 <= time < 1 << 62 else seconds(time, self.time),
            prompt,
            tokens(fields[self.output], self.output),
            prefixes=fitting(hashes, prompt, self.hash_tokens, self.hashes),
        )


def object_of(line: str) -> dict[str, Any] | None:
    """Return the JSON object on a line, None of an empty line.

    Raises
    ------
    BadRow
        If it is anything else.
    """
    if not line.strip():
        return None
    try:
        found = json.loads(line, strict=False)
    except (ValueError, RecursionError) as error:
        raise BadRow("not JSON", f"not JSON: {error}; it begins {shown(line)}.") from error
    if not isinstance(found, dict):
        raise BadRow("no JSON object", f"{shown(line)} is no JSON object.")
    return found


def json_chunks(path: Path, format_name: str) -> Iterator[Chunk]:
    """Yield the lines of a file that begins like JSON.

    Raises
    ------
    DataError
        If it does not.
    """
    begun = False
    for chunk in line_chunks(path, LONGEST_BYTES):
        start = chunk.data.lstrip()[:60]
        if not begun and start and not start.startswith(b"{"):
            text = shown(start.split(b"\n")[0].decode("utf-8", "surrogateescape"))
            raise DataError(
                f"{path}, line {chunk.first_line}: {text} is no JSON object; "
                f"workload.format={format_name} has one a line. Formats known: "
                f"{', '.join(READERS)}."
            )
        begun = begun or bool(start)
        yield chunk
