"""What a run that was cut off, killed even, has left of its trace."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from simulator.errors import DataError
from simulator.trace.files import INCOMPLETE
from simulator.trace.merge import regrouped
from simulator.trace.parquet import ParquetStream
from simulator.trace.parts import SUFFIX, open_part
from simulator.trace.read import Run
from simulator.trace.schema import ARMS, CONSTANTS, TABLES, notes_of, with_notes

PARTS = "parts"
"""Folder, within that of a run, of what its engine runs write."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """What was left of one table.

    Parameters
    ----------
    path
        The Parquet file that was made of it; its metadata say ``moesim.complete = false``.
    rows
        Its rows.
    whole, cut_off
        Engine runs that had ended, and those of which the file has the first blocks.
    """

    path: Path
    rows: int
    whole: list[Run]
    cut_off: list[Run]


def recovered_path(folder: Path, table: str) -> Path:
    """Return the file that `recover` makes of a table.

    Examples
    --------
    >>> recovered_path(Path("run"), "requests").as_posix()
    'run/requests.recovered.parquet'
    """
    return folder / f"{table}.recovered.parquet"


def recover(folder: Path) -> list[Recovered]:
    """Make Parquet files of the parts that a run has left, each up to its last whole block.

    The parts stay, and the run may even be going on. Memory is that of one row group.

    Parameters
    ----------
    folder
        The folder of the run.

    Returns
    -------
    list of Recovered
        One per table of which there are parts; a run that was cut off while it joined them may have
        finished one of its tables.

    Raises
    ------
    DataError
        If there is no such folder, or no part with a whole block in it.
    ConfigError
        If the folder cannot be written.
    """
    if not folder.is_dir():
        raise DataError(
            f"{str(folder)!r} is no folder; give that of a run that was cut off, as in "
            "runs/DATE/TIME."
        )
    parts = sorted((folder / PARTS).glob(f"*{SUFFIX}*"))
    found = [table for name in TABLES if (table := _recover(folder, name, parts)) is not None]
    if not found:
        raise DataError(
            f"nothing to recover in {str(folder)!r}: no block of a trace in its folder {PARTS}. A "
            f"run that ended has its tables in {', '.join(f'{name}.parquet' for name in TABLES)}; "
            f"give the folder of one that was cut off."
        )
    return found


def _recover(folder: Path, table: str, parts: list[Path]) -> Recovered | None:
    """Join what is left of one table, in the order in which a whole trace has it."""
    runs = dict(sorted(_runs(table, parts), key=lambda item: _order(item[0])))
    if not runs:
        return None
    first = notes_of(open_part(next(iter(runs.values()))).schema.metadata)
    notes = {key: value for key, value in first.items() if key not in CONSTANTS}
    stream = ParquetStream(recovered_path(folder, table), with_notes(TABLES[table], notes))
    try:
        for path in runs.values():
            for rows in regrouped(open_part(path, table).blocks):
                stream.write(rows)
    except BaseException:
        stream.abandon()
        raise
    stream.finish(complete=False)
    cut_off = [run for run, path in runs.items() if path.name.endswith(INCOMPLETE)]
    whole = [run for run in runs if run not in cut_off]
    return Recovered(stream.path, stream.rows_written, whole, cut_off)


def _runs(table: str, parts: list[Path]) -> Iterator[tuple[Run, Path]]:
    """Yield the engine runs that left a block of a table, and where."""
    for path in parts:
        if not path.name.startswith(f"{table}-"):
            continue
        try:
            part = open_part(path, table)
        except DataError:  # cut off before its schema was out
            continue
        if next(part.blocks, None) is not None:
            notes = notes_of(part.schema.metadata)
            yield Run(notes["arm"], int(notes["replication"])), path


def _order(run: Run) -> tuple[int, int]:
    return run.replication, ARMS.index(run.arm)
