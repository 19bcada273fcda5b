"""BurstGPT traces: CSV of a campus's requests to ChatGPT and GPT-4."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from simulator.workload.readers.blocks import read_lines
from simulator.workload.readers.csv_lines import fields_of, split_header, table_of, wrong_header
from simulator.workload.readers.fields import identity, seconds, tokens
from simulator.workload.readers.files import line_chunks
from simulator.workload.readers.names import Names, numbered
from simulator.workload.readers.policy import READERS, BadRow, ReadPolicy
from simulator.workload.readers.rows import Columns, Row
from simulator.workload.requests import RequestBlock

REQUIRED = ("Timestamp", "Request tokens", "Response tokens")
SESSION, TASK = "Session ID", "Log Type"
"""Columns that must be there, and those that may."""


@dataclass(slots=True)
class BurstLines:
    """Lines of a BurstGPT trace; times are seconds.

    Parameters
    ----------
    columns
        Names of the columns, in order.
    names
        Numbers of the tasks.
    """

    columns: tuple[str, ...]
    names: Names
    longest_bytes: int = 4096
    per_second: float = 1.0
    hash_tokens: int = 1

    @property
    def traits(self) -> frozenset[str]:
        """What is told of requests."""
        told = {"session"} if SESSION in self.columns else set()
        told |= {"traffic_class"} if self.names.tasks and TASK in self.columns else set()
        return frozenset(told)

    def parse(self, data: bytes) -> Columns | None:
        """Parse whole lines."""
        types = dict.fromkeys(self.columns, pa.string())
        types |= {"Timestamp": pa.float64()} | dict.fromkeys(REQUIRED[1:], pa.int64())
        table = table_of(data, types)
        if table is None:
            return None
        time, prompts, outputs = (table[name].to_numpy() for name in REQUIRED)
        if np.any(time < 0):
            return None
        try:
            return Columns(
                time,
                prompts,
                outputs,
                numbered(table[TASK], self.names.task) if "traffic_class" in self.traits else None,
                session=numbered(table[SESSION], _session) if "session" in self.traits else None,
            )
        except BadRow:
            return None

    def row(self, line: str) -> Row | None:
        """Read one line."""
        fields = fields_of(line, self.columns)
        if fields is None:
            return None
        named = dict(zip(self.columns, fields, strict=True))
        return Row(
            seconds(named["Timestamp"], "Timestamp"),
            tokens(named["Request tokens"], "Request tokens"),
            tokens(named["Response tokens"], "Response tokens"),
            self.names.task(named[TASK]) if "traffic_class" in self.traits else 0,
            session=_session(named[SESSION]) if "session" in self.traits else -1,
        )


@READERS.register("burstgpt")
def read_burstgpt(path: Path, policy: ReadPolicy) -> Iterator[RequestBlock]:
    """Read BurstGPT's traces, CSV.

    ``Timestamp, [Session ID, Elapsed time,] Model, Request tokens, Response tokens, Total tokens,
    Log Type``, times in seconds. Failed requests have no response tokens and are bad rows: take the
    files without failures, or ``workload.on_bad_row=skip``. ``Log Type`` is the task.

    Source: HPMLL/BurstGPT (CC-BY-4.0); Wang et al., BurstGPT, KDD 2025.

    Raises
    ------
    DataError
        If the file is empty or malformed; the message names the file and the line.
    """
    number, header, chunks = split_header(line_chunks(path, 4096), path, 4096, ",".join(REQUIRED))
    if not set(REQUIRED) <= set(header) or len(set(header)) < len(header):
        raise wrong_header(path, number, header, "burstgpt", *REQUIRED)
    lines = BurstLines(tuple(header), Names(policy.tasks))
    yield from read_lines(chunks, path, policy, lines)


def _session(text: str) -> int:
    """Return the number of a conversation; a request without one is part of none."""
    return identity(text) if text else -1
