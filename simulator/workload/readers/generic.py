"""The generic formats: columns by name, in CSV or in Parquet."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from simulator.workload.readers.blocks import read_lines
from simulator.workload.readers.csv_lines import fields_of, split_header, table_of, wrong_header
from simulator.workload.readers.fields import (
    fitting,
    identity,
    prefix_hashes,
    seconds,
    shown,
    tokens,
)
from simulator.workload.readers.files import line_chunks
from simulator.workload.readers.hashes import ragged
from simulator.workload.readers.names import Names, name_of, numbered
from simulator.workload.readers.policy import READERS, BadRow, ReadPolicy
from simulator.workload.readers.rows import Columns, Row, plausible
from simulator.workload.requests import RequestBlock

REQUIRED = ("arrival_s", "prompt_tokens", "output_tokens")
OPTIONAL = ("tenant", "task", "session", "prefix_hashes")
"""Columns that must be there, and those that may."""

HASH_TOKENS = 16
"""Tokens of a prefix hash unless told otherwise: a block of vLLM."""

CSV_TYPES = {
    "arrival_s": pa.float64(),
    "prompt_tokens": pa.int64(),
    "output_tokens": pa.int64(),
}


@dataclass(slots=True)
class GenericRows:
    """Rows with the columns ``REQUIRED`` and some of ``OPTIONAL``.

    Parameters
    ----------
    columns
        Names of the columns of the file, in order.
    policy
        How to read it.
    """

    columns: tuple[str, ...]
    policy: ReadPolicy
    per_second: float = 1.0
    longest_bytes: int = 1 << 20
    hash_tokens: int = field(init=False)
    traits: frozenset[str] = field(init=False)
    names: Names = field(init=False)

    def __post_init__(self) -> None:
        self.names = Names(self.policy.tasks)
        self.hash_tokens = self.policy.hash_tokens or HASH_TOKENS
        named = {"tenant": "tenant", "session": "session", "prefix_hashes": "prefixes"}
        if self.policy.tasks:
            named["task"] = "traffic_class"
        self.traits = frozenset(trait for column, trait in named.items() if column in self.columns)

    def parse(self, data: bytes) -> Columns | None:
        """Parse lines of CSV."""
        table = table_of(data, {name: CSV_TYPES.get(name, pa.string()) for name in self.columns})
        return None if table is None else self.of_table(table)

    def row(self, line: str) -> Row | None:
        """Read one line of CSV."""
        fields = fields_of(line, self.columns)
        if fields is None:
            return None
        named: dict[str, object] = dict(zip(self.columns, fields, strict=True))
        if "prefix_hashes" in named:
            named["prefix_hashes"] = _split(str(named["prefix_hashes"]))
        return self.of_mapping(named)

    def of_mapping(self, named: Mapping[str, object]) -> Row:
        """Check one row, column by column; raise ``BadRow``."""
        prompt = tokens(named["prompt_tokens"], "prompt_tokens")
        hashes: tuple[int, ...] = ()
        if "prefixes" in self.traits:
            hashes = prefix_hashes(named["prefix_hashes"], "prefix_hashes")
            hashes = fitting(hashes, prompt, self.hash_tokens, "prefix_hashes")
        return Row(
            seconds(named["arrival_s"], "arrival_s"),
            prompt,
            tokens(named["output_tokens"], "output_tokens"),
            self.names.task(name_of(named["task"], "task"))
            if "traffic_class" in self.traits
            else 0,
            self.names.tenant(name_of(named["tenant"], "tenant")) if "tenant" in self.traits else 0,
            identity(name_of(named["session"], "session")) if "session" in self.traits else -1,
            hashes,
        )

    def of_table(self, table: pa.Table) -> Columns | None:
        """Check all rows of a table at once; None if any may be bad."""
        time, prompts, outputs = (table[name].to_numpy() for name in REQUIRED)
        if not plausible(Columns(time, prompts, outputs)).all() or np.any(time < 0):
            return None
        prefixes = None
        if "prefixes" in self.traits:
            prefixes = ragged(table["prefix_hashes"], prompts, self.hash_tokens)
            if prefixes is None:
                return None
        try:
            return Columns(
                time,
                prompts,
                outputs,
                numbered(table["task"], self.names.task)
                if "traffic_class" in self.traits
                else None,
                numbered(table["tenant"], self.names.tenant) if "tenant" in self.traits else None,
                numbered(table["session"], identity) if "session" in self.traits else None,
                prefixes,
            )
        except BadRow:
            return None


@READERS.register("csv")
def read_csv(path: Path, policy: ReadPolicy) -> Iterator[RequestBlock]:
    """Read a CSV of your own: ``arrival_s, prompt_tokens, output_tokens`` and what else is known.

    The optional columns are ``tenant`` and ``session`` (names or numbers), ``task`` (the name of
    the traffic class) and ``prefix_hashes`` (whole numbers with spaces between, each standing for
    ``workload.hash_tokens`` tokens and all before them). Others are left alone. Times are seconds
    from any beginning, in order.

    Source: this project's own format.

    Raises
    ------
    DataError
        If the file is empty or malformed; the message names the file and the line.
    """
    longest_bytes = 1 << 20
    expected = f"{','.join(REQUIRED)}[,{','.join(OPTIONAL)}]"
    number, header, chunks = split_header(
        line_chunks(path, longest_bytes), path, longest_bytes, expected
    )
    problem = not set(REQUIRED) <= set(header) or len(set(header)) < len(header)
    if problem:
        raise wrong_header(path, number, header, "csv", *REQUIRED)
    unused_columns(path, header, policy)
    yield from read_lines(chunks, path, policy, GenericRows(tuple(header), policy))


def unused_columns(path: Path, header: Sequence[str], policy: ReadPolicy) -> None:
    """Note the columns of a file that are not used; refuse one that looks misspelled.

    Raises
    ------
    DataError
        If a column has nearly the name of an optional one that is not there.
    """
    known = {*REQUIRED, *OPTIONAL}
    for name in header:
        missing = [one for one in OPTIONAL if one not in header]
        if name not in known and difflib.get_close_matches(name, missing, n=1, cutoff=0.8):
            raise wrong_header(path, 1, header, "csv", *REQUIRED, *missing)
    others = [shown(name) for name in header if name not in known]
    if others:
        policy.report.notes.append(f"columns of the trace that are not used: {', '.join(others)}")
    if "task" in header and not policy.tasks:
        policy.report.notes.append(
            "tasks of the trace are not told apart: workload.traffic_classes names none"
        )


def _split(text: str) -> list[object]:
    """Return the hashes written in a field; what is no number stays text, to be refused."""
    return [
        int(word) if word.isascii() and word.isdigit() and len(word) < 20 else word
        for word in text.split()
    ]
