"""Tasks and tenants of a trace, by name."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from simulator.workload.readers.fields import shown
from simulator.workload.readers.policy import BadRow
from simulator.workload.readers.rows import Ints

MAX_TENANTS = 1_000_000
"""Most tenants of a trace (kind: assumed); each is numbered, which takes memory."""


@dataclass(slots=True)
class Names:
    """Numbers for the names in a trace.

    Parameters
    ----------
    tasks
        Names of the traffic classes, in their order.

    Examples
    --------
    >>> names = Names(("chat", "code"))
    >>> names.task("code"), names.tenant("alice"), names.tenant("bob"), names.tenant("alice")
    (1, 0, 1, 0)
    """

    tasks: tuple[str, ...] = ()
    _tenants: dict[str, int] = field(default_factory=dict)

    def task(self, name: str) -> int:
        """Return the traffic class of a task.

        Raises
        ------
        BadRow
            If none has its name.
        """
        if name in self.tasks:
            return self.tasks.index(name)
        close = difflib.get_close_matches(name, self.tasks, n=1)
        raise BadRow(
            "task without a traffic class",
            f"task {shown(name)} has no class of its name in workload.traffic_classes"
            + (f"; did you mean {close[0]!r}?" if close else f" ({', '.join(self.tasks)})."),
        )

    def tenant(self, name: str) -> int:
        """Return the number of a tenant, in the order of appearance.

        Raises
        ------
        BadRow
            If there are too many.
        """
        if name not in self._tenants and len(self._tenants) == MAX_TENANTS:
            raise BadRow("too many tenants", f"tenant {shown(name)} is one too many.")
        return self._tenants.setdefault(name, len(self._tenants))


def numbered(column: pa.ChunkedArray, number: Callable[[str], int]) -> Ints:
    """Return the numbers of the names in a column, asking once for each name.

    Raises
    ------
    BadRow
        If a name has no number, or is missing.
    """
    coded = column.cast(pa.string()).combine_chunks().dictionary_encode()
    if coded.null_count:
        raise BadRow("a name is missing", "a name is null.")
    numbers = np.array([number(name) for name in coded.dictionary.to_pylist()], dtype=np.int64)
    found: Ints = numbers[coded.indices.to_numpy()] if numbers.size else np.empty(0, np.int64)
    return found


def name_of(value: object, column: str) -> str:
    """Return a name as text.

    Raises
    ------
    BadRow
        If there is none.
    """
    if value is None:
        raise BadRow(f"{column} is missing", f"{column} is null; name it in every row.")
    return str(value)
