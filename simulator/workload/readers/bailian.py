"""Qwen-Bailian usage traces: JSON lines with conversations and prefix hashes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from simulator.workload.readers.blocks import read_lines
from simulator.workload.readers.fields import shown
from simulator.workload.readers.json_lines import LONGEST_BYTES, JsonRows, json_chunks, object_of
from simulator.workload.readers.names import Names, name_of, numbered
from simulator.workload.readers.policy import READERS, BadRow, ReadPolicy
from simulator.workload.readers.rows import Columns, Row
from simulator.workload.requests import RequestBlock

HASH_TOKENS = 16
"""Tokens of a block in the published traces."""

MAX_CHATS = 1_000_000
"""Requests whose conversation is remembered; older ones are forgotten, which bounds memory."""


@dataclass(slots=True)
class BailianLines:
    """Lines of a Bailian trace; times are seconds.

    Parameters
    ----------
    rows
        The columns that all such traces have.
    names
        Numbers of the tasks.
    """

    rows: JsonRows
    names: Names
    longest_bytes: int = LONGEST_BYTES
    per_second: float = 1.0
    _conversation: dict[int, int] = field(default_factory=dict)

    @property
    def hash_tokens(self) -> int:
        """Tokens of a hash."""
        return self.rows.hash_tokens

    @property
    def traits(self) -> frozenset[str]:
        """What is told of requests."""
        told = {"session", "prefixes"}
        return frozenset(told | {"traffic_class"} if self.names.tasks else told)

    def parse(self, data: bytes) -> Columns | None:
        """Parse whole lines."""
        table = self.rows.table(data)
        columns = None if table is None else self.rows.columns(table)
        if table is None or columns is None:
            return None
        chats, parents = table["chat_id"].to_pylist(), table["parent_chat_id"].to_pylist()
        if min(chats, default=0) < 0 or min(parents, default=0) < -1:
            return None
        try:
            tasks = numbered(table["type"], self.names.task) if self.names.tasks else None
        except BadRow:
            return None
        sessions = np.array(list(map(self._session, chats, parents)), dtype=np.int64)
        return columns._replace(traffic_class=tasks, session=sessions)

    def row(self, line: str) -> Row | None:
        """Read one line."""
        fields = object_of(line)
        if fields is None:
            return None
        row = self.rows.row(fields)
        chat, parent = _chat(fields, "chat_id", 0), _chat(fields, "parent_chat_id", -1)
        task = name_of(fields["type"], "type")
        return row._replace(
            traffic_class=self.names.task(task) if self.names.tasks else 0,
            session=self._session(chat, parent),
        )

    def _session(self, chat: int, parent: int) -> int:
        """Return the request that began the conversation, or the oldest that is known of it."""
        known = self._conversation
        session = known.get(parent, chat if parent < 0 else parent)
        known.pop(chat, None)
        known[chat] = session
        if len(known) > MAX_CHATS:
            del known[next(iter(known))]
        return session


@READERS.register("bailian")
def read_bailian(path: Path, policy: ReadPolicy) -> Iterator[RequestBlock]:
    """Read Qwen-Bailian's usage traces, JSON lines with conversations and prefix hashes.

    ``{"chat_id": .., "parent_chat_id": .., "timestamp": s, "input_length": .., "output_length":
    .., "type": .., "turn": .., "hash_ids": [..]}``, hashes of blocks of 16 tokens. A turn is of
    the conversation of its parent, even where that came before the trace. The hash of a last block
    that is not full is not used: it is another in the next turn. ``type`` is the task.

    Source: alibaba-edu/qwen-bailian-usagetraces-anon (Apache-2.0); Wang et al., KVCache Cache in
    the Wild, USENIX ATC 2025.

    Raises
    ------
    DataError
        If the file is empty or malformed; the message names the file and the line.
    """
    rows = JsonRows(
        *("timestamp", "input_length", "output_length", "hash_ids"),
        whole_time=False,
        per_second=1.0,
        hash_tokens=policy.hash_tokens or HASH_TOKENS,
        others={"chat_id": pa.int64(), "parent_chat_id": pa.int64(), "type": pa.string()},
    )
    lines = BailianLines(rows, Names(policy.tasks))
    yield from read_lines(json_chunks(path, "bailian"), path, policy, lines)


def _chat(fields: dict[str, Any], name: str, least: int) -> int:
    value = fields[name]
    if type(value) is not int or not least <= value < 1 << 62:
        raise BadRow(
            f"{name} is no number of a request",
            f"{name} is {shown(value)}; expected a whole number from {least} on.",
        )
    return value
