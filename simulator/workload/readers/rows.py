"""What readers hand on: rows and columns, and how a format makes them of a piece of a file."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from simulator.workload.ragged import Ragged
from simulator.workload.requests import MAX_TOKENS

Ints = NDArray[np.int64]


class Row(NamedTuple):
    """One recorded request.

    Attributes
    ----------
    time
        When it came, in the format's unit of time.
    prompt_tokens, output_tokens
        Lengths.
    traffic_class, tenant, session, prefixes
        As in ``RequestTraits``; formats without traits leave them.
    """

    time: float
    prompt_tokens: int
    output_tokens: int
    traffic_class: int = 0
    tenant: int = 0
    session: int = -1
    prefixes: tuple[int, ...] = ()


class Columns(NamedTuple):
    """Rows, column by column; see ``Row``. None: nothing told requests apart by it."""

    time: NDArray[Any]
    prompt_tokens: Ints
    output_tokens: Ints
    traffic_class: Ints | None = None
    tenant: Ints | None = None
    session: Ints | None = None
    prefixes: Ragged | None = None


class Layout(Protocol):
    """What the rows of a format have in common.

    Attributes
    ----------
    per_second
        Units of time in a second.
    hash_tokens
        Tokens that a prefix hash stands for.
    traits
        Which of the optional columns of ``Columns`` there are.
    """

    @property
    def per_second(self) -> float: ...  # noqa: D102
    @property
    def hash_tokens(self) -> int: ...  # noqa: D102
    @property
    def traits(self) -> frozenset[str]: ...  # noqa: D102


class LineFormat(Layout, Protocol):
    """How the lines of a format are read.

    Attributes
    ----------
    longest_bytes
        Longest line.
    """

    @property
    def longest_bytes(self) -> int: ...  # noqa: D102

    def parse(self, data: bytes) -> Columns | None:
        """Return the rows of whole lines, or None to have them read one at a time."""
        ...

    def row(self, line: str) -> Row | None:
        """Return one row, None of a line that is none; raise ``BadRow``."""
        ...


class Piece(Protocol):
    """A part of a file.

    Attributes
    ----------
    what
        What is numbered in it ("line").
    """

    @property
    def what(self) -> str: ...  # noqa: D102

    def columns(self) -> Columns | None:
        """Return its rows at once, or None to have them read one at a time.

        Lengths and times may be out of range.
        """
        ...

    def items(self) -> Iterable[tuple[int, Any]]:
        """Return the number of each row, and what `read` takes."""
        ...

    def read(self, item: Any) -> Row | None:
        """Return one row, None where there is none; raise ``BadRow``."""
        ...


def plausible(columns: Columns) -> NDArray[np.bool_]:
    """Tell of each row whether its lengths are from 1 to ``MAX_TOKENS`` and its time is finite."""
    good: NDArray[np.bool_] = np.isfinite(columns.time)
    for tokens in (columns.prompt_tokens, columns.output_tokens):
        good &= (tokens >= 1) & (tokens <= MAX_TOKENS)
    return good
