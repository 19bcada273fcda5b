"""Mooncake traces: JSON lines with prefix hashes, stamped on ticks of about 3 s."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from simulator.workload.readers.blocks import read_lines
from simulator.workload.readers.json_lines import LONGEST_BYTES, JsonRows, json_chunks, object_of
from simulator.workload.readers.policy import READERS, ReadPolicy
from simulator.workload.readers.rows import Columns, Row
from simulator.workload.requests import RequestBlock

HASH_TOKENS = 512
"""Tokens of a block in the published traces."""

TICK_S = 3.0
"""Published conversation and tool traces are stamped at multiples of about so long."""


@dataclass(frozen=True, slots=True)
class MooncakeLines:
    """Lines of a Mooncake trace; times are milliseconds."""

    rows: JsonRows
    longest_bytes: int = LONGEST_BYTES
    per_second: float = 1e3
    traits: frozenset[str] = frozenset({"prefixes"})

    @property
    def hash_tokens(self) -> int:
        """Tokens of a hash."""
        return self.rows.hash_tokens

    def parse(self, data: bytes) -> Columns | None:
        """Parse whole lines."""
        table = self.rows.table(data)
        return None if table is None else self.rows.columns(table)

    def row(self, line: str) -> Row | None:
        """Read one line."""
        fields = object_of(line)
        return None if fields is None else self.rows.row(fields)


@READERS.register("mooncake")
def read_mooncake(path: Path, policy: ReadPolicy) -> Iterator[RequestBlock]:
    """Read Mooncake's traces, JSON lines with prefix hashes of blocks of 512 tokens.

    ``{"timestamp": ms, "input_length": .., "output_length": .., "hash_ids": [..]}``. Each hash
    stands for its block and all before it; that of a last block that is not full is not used. The
    traces of real traffic are stamped on ticks of about 3 s, over which a replay spreads them
    (``workload.jitter_s=0`` for the synthetic one, whose times are exact).

    Source: kvcache-ai/Mooncake, FAST25-release (Apache-2.0); Qin et al., Mooncake, FAST 2025.

    Raises
    ------
    DataError
        If the file is empty or malformed; the message names the file and the line.
    """
    policy.report.tick_s = TICK_S
    names = ("timestamp", "input_length", "output_length", "hash_ids")
    rows = JsonRows(
        *names,
        whole_time=True,
        per_second=1e3,
        hash_tokens=policy.hash_tokens or HASH_TOKENS,
        others={},
    )
    yield from read_lines(json_chunks(path, "mooncake"), path, policy, MooncakeLines(rows))
