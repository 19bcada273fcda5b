"""Columns of measured data, field by field, with errors that name file and line."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from simulator.errors import DataError, nearest
from simulator.quantities import missing_file
from simulator.units import MS, US

SECONDS = {"_s": 1.0, "_ms": MS, "_us": US}
"""Units that a column of times may state in its name."""

ABSENT = {"", "-", "nan", "none", "null", "na"}
"""What stands for no figure."""


@dataclass(frozen=True, slots=True)
class Line:
    """One row of a file.

    Parameters
    ----------
    path, number
        The file, and the line in it.
    fields
        Text by column.
    """

    path: Path
    number: int
    fields: Mapping[str, str]

    def refuse(self, problem: str) -> DataError:
        """Return the error that names file and line."""
        return DataError(f"{self.path}, line {self.number}: {problem}")

    def text(self, column: str) -> str:
        """Return a field; empty where there is none."""
        return self.fields.get(column, "").strip()

    def number_of(self, column: str) -> float | None:
        """Return a field as a finite number, or None where it is absent."""
        return None if self.text(column).lower() in ABSENT else self.finite(column)

    def finite(self, column: str) -> float:
        """Return a field as a finite number; refuse all else, `ABSENT` too."""
        text = self.text(column)
        try:
            value = float(text)
        except ValueError:
            raise self.refuse(f"{column} is {text!r}, no number.") from None
        if not math.isfinite(value):
            raise self.refuse(f"{column} is {text!r}, no finite number.")
        return value

    def count(self, column: str, least: int) -> int | None:
        """Return a field as a whole number of at least ``least``, or None where it is absent."""
        value = self.number_of(column)
        if value is None:
            return None
        if value != int(value) or value < least:
            raise self.refuse(
                f"{column} is {self.text(column)}; it must be a whole number, {least} or more."
            )
        return int(value)

    def seconds(self, name: str) -> float | None:
        """Return a time whose column is ``name`` with its unit (`SECONDS`), s; None if absent."""
        for suffix, scale in SECONDS.items():
            value = self.number_of(name + suffix)
            if value is None:
                continue
            if value < 0:
                raise self.refuse(f"{name + suffix} is {value:g}; a time is not negative.")
            return value * scale
        return None


def read_lines(path: Path, *, what: str) -> list[Line]:
    """Read a CSV file with a header.

    Parameters
    ----------
    path
        The file.
    what
        What it holds, for messages.

    Raises
    ------
    DataError
        If it cannot be read, is empty, names a column twice, or a row has more or fewer fields than
        the header.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return list(_lines(path, file, what))
    except FileNotFoundError:
        raise DataError(missing_file(what, path)) from None
    except OSError as error:
        raise DataError(f"{what} {str(path)!r} cannot be read: {error.strerror}.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is no CSV file in UTF-8: {error}.") from error


def _lines(path: Path, file: Iterable[str], what: str) -> Iterator[Line]:
    reader = csv.reader(file, strict=True)
    header = [name.strip() for name in next(reader, [])]
    if not any(header):
        raise DataError(f"{path}: empty; expected a header and {what}.")
    for name in header:
        if name and header.count(name) > 1:
            raise DataError(f"{path}, line 1: has the column {name!r} twice; keep one.")
    for row in reader:
        if not any(field.strip() for field in row):
            continue
        if len(row) != len(header):
            raise DataError(
                f"{path}, line {reader.line_num}: {len(row)} fields, but the header has "
                f"{len(header)}; leave fields empty that were not measured."
            )
        yield Line(path, reader.line_num, dict(zip(header, row, strict=True)))


def require(line: Line, choices: Sequence[Sequence[str]]) -> None:
    """Refuse a header that lacks columns; each choice is a list of names of which one must be.

    Raises
    ------
    DataError
        Names what is missing, and the column that looks like it.
    """
    missing = [names for names in choices if not set(names) & set(line.fields)]
    if not missing:
        return
    known = {name for names in choices for name in names}
    strange = [name for name in line.fields if name not in known]
    wanted = []
    for names in missing:
        close = next((n for n in (nearest(name, strange) for name in names) if n), None)
        wanted.append(" or ".join(names) + (f" (is {close!r} that?)" if close else ""))
    raise DataError(f"{line.path}: lacks the column {'; and '.join(wanted)}.")
