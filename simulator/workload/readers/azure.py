"""Azure LLM inference traces of 2023 and 2024: CSV with a timestamp and two lengths."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pyarrow as pa

from simulator.workload.readers.blocks import read_lines
from simulator.workload.readers.csv_lines import fields_of, split_header, table_of, wrong_header
from simulator.workload.readers.fields import shown, tokens
from simulator.workload.readers.files import line_chunks
from simulator.workload.readers.policy import READERS, BadRow, ReadPolicy
from simulator.workload.readers.rows import Columns, Row
from simulator.workload.requests import RequestBlock

AZURE_COLUMNS = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
"""The header, word for word."""

_TIMESTAMP = re.compile(
    r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?"
    r"(?:Z|([+-](?:[01]\d|2[0-3])):?([0-5]\d))?",
    re.ASCII,
)
_EPOCH = datetime(1970, 1, 1)


class AzureLines:
    """Lines of an Azure trace; times are nanoseconds since 1970."""

    longest_bytes = 4096
    per_second = 1e9
    hash_tokens = 1
    traits: frozenset[str] = frozenset()

    def parse(self, data: bytes) -> Columns | None:
        """Parse whole timestamps, all with or all without an offset from UTC."""
        for zone, colons in ((None, (2,)), ("UTC", (2, 3))):
            types = {AZURE_COLUMNS[0]: pa.timestamp("ns", zone)}
            types |= dict.fromkeys(AZURE_COLUMNS[1:], pa.int64())
            table = table_of(data, types)
            # pyarrow also takes dates, hours and minutes alone
            if table is not None and data.count(b":") in [n * table.num_rows for n in colons]:
                return Columns(*(column.cast(pa.int64()).to_numpy() for column in table.columns))
        return None

    def row(self, line: str) -> Row | None:
        """Read one line."""
        fields = fields_of(line, AZURE_COLUMNS)
        if fields is None:
            return None
        return Row(
            _nanoseconds(fields[0]),
            tokens(fields[1], AZURE_COLUMNS[1]),
            tokens(fields[2], AZURE_COLUMNS[2]),
        )


@READERS.register("azure")
def read_azure(path: Path, policy: ReadPolicy) -> Iterator[RequestBlock]:
    """Read Azure's LLM inference traces of 2023 and 2024, CSV.

    ``TIMESTAMP, ContextTokens, GeneratedTokens``; timestamps are ``2023-11-16 18:15:46.6805900``,
    up to nine decimals, with or without an offset from UTC; rows are in order of time. Rows without
    prompt or without output tokens are bad: such a request has no time to first token.

    Source: Azure/AzurePublicDataset (CC-BY-4.0); Patel et al., Splitwise, ISCA 2024; Stojkovic et
    al., DynamoLLM, HPCA 2025.

    Raises
    ------
    DataError
        If the file is empty or malformed; the message names the file and the line.
    """
    lines = AzureLines()
    number, header, chunks = split_header(
        line_chunks(path, lines.longest_bytes), path, lines.longest_bytes, ",".join(AZURE_COLUMNS)
    )
    if tuple(header) != AZURE_COLUMNS:
        raise wrong_header(path, number, header, "azure", *AZURE_COLUMNS)
    yield from read_lines(chunks, path, policy, lines)


def _nanoseconds(text: str) -> int:
    """Return the time since 1970 that a timestamp tells."""
    match = _TIMESTAMP.fullmatch(text.strip())
    if match is None:
        raise BadRow(
            "TIMESTAMP is no time",
            f"TIMESTAMP is {shown(text)}; expected a time such as 2023-11-16 18:15:46.6805900.",
        )
    date, time, decimals, hours, minutes = match.groups()
    try:
        moment = datetime.fromisoformat(f"{date} {time}") - _EPOCH
    except ValueError as error:
        raise BadRow("TIMESTAMP is no time", f"TIMESTAMP is {shown(text)}: {error}.") from error
    seconds = moment.days * 86_400 + moment.seconds
    if hours is not None:
        sign = -1 if hours[0] == "-" else 1
        seconds -= sign * (abs(int(hours)) * 3600 + int(minutes) * 60)
    nanoseconds = seconds * 10**9 + int((decimals or "0").ljust(9, "0"))
    if not -(1 << 63) <= nanoseconds < 1 << 63:
        raise BadRow("TIMESTAMP is no time", f"TIMESTAMP is {shown(text)}; no trace is of then.")
    return nanoseconds
