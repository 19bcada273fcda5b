"""A file of trace events that appears whole or not at all.

The format is Chrome's JSON: an object with a list ``traceEvents``. Times are microseconds; they are
kept in whole nanoseconds here, so that a slice ends where its last part ends, to the digit.
"""

from __future__ import annotations

import gzip
import io
import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from simulator.trace.files import disk_errors, partial_path
from simulator.units import GIGA

_LEVEL = 5
"""Of gzip: a tenth of the size; higher levels take longer than writing the events."""

_HEAD = '{"displayTimeUnit":"ms","traceEvents":[\n'


class Document:
    """The file; a context manager that leaves nothing under its name unless all went well.

    Parameters
    ----------
    path
        The file to make; ``.gz`` at its end compresses it. The bytes depend on the events alone.

    Raises
    ------
    ConfigError
        If the folder cannot be written, here or later.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.events = 0
        """Written so far."""
        self._partial = partial_path(path)
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._raw = self._partial.open("wb")
        zipped = path.suffix == ".gz"
        packed = gzip.GzipFile("", "wb", _LEVEL, self._raw, mtime=0) if zipped else self._raw
        self._text = io.TextIOWrapper(packed, "utf-8", newline="\n")
        self._text.write(_HEAD)

    def add(self, events: Iterable[str]) -> None:
        """Write events, each a JSON object on a line."""
        lines = list(events)
        if lines:
            with disk_errors(self.path):
                self._text.write(",\n" if self.events else "")
                self._text.write(",\n".join(lines))
            self.events += len(lines)

    def __enter__(self) -> Document:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                with disk_errors(self.path):
                    self._text.write("\n]}\n")
                    self._text.close()
                    self._raw.close()
                    os.replace(self._partial, self.path)
        finally:
            self._raw.close()
            self._partial.unlink(missing_ok=True)


def whole_ns(time_s: float) -> int:
    """Return a time in whole nanoseconds.

    Examples
    --------
    >>> whole_ns(0.25)
    250000000
    """
    return round(time_s * GIGA)


def microseconds(time_ns: int) -> str:
    """Return a time as the format has it.

    Examples
    --------
    >>> microseconds(250_000_007)
    '250000.007'
    """
    return f"{time_ns // 1000}.{time_ns % 1000:03d}"
