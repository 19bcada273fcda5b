"""Run what is missing of a sweep, and end with one dataset, however often it was interrupted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from simulator.config import Config
from simulator.errors import InvariantError, SimulatorError
from simulator.study.executors import Executor
from simulator.study.sweep.dataset import common_columns, conform, row_table, write_row
from simulator.study.sweep.folder import Entry, Sweep, claim, write_state
from simulator.study.sweep.points import Scalar, flatten, run_point
from simulator.trace.schema import versions

BUG = "a bug in moesim: "
"""What the reason of a point begins with that should have run, or been refused in words."""

Row = dict[str, Scalar]


@dataclass(frozen=True, slots=True)
class Started:
    """What a folder held when a sweep began.

    Parameters
    ----------
    there
        Points that were there.
    removed
        Files of points that another moesim, or other files of the user's, had led to.
    """

    there: int
    removed: int


def begin(sweep: Sweep, folder: Path) -> Started:
    """Make a folder the sweep's own; points that cannot be configured fail here.

    Raises
    ------
    ConfigError
        As `simulator.study.sweep.folder.claim`.
    """
    removed = claim(folder, sweep)
    there = sum((folder / entry.file).exists() for entry in sweep.entries)
    write_state(folder, sweep)
    for entry in sweep.entries:
        if entry.point.config is None:
            _write(folder, sweep, entry, failed(entry.point.problem))
    return Started(there, removed)


def run_missing(
    sweep: Sweep,
    folder: Path,
    executor: Executor,
    workers: int | None,
    advance: Callable[[int], None],
) -> None:
    """Run the points that are not there yet, and give all files the same columns.

    Whatever stops this, the points that ended are there; another call goes on.

    Parameters
    ----------
    sweep, folder
        What to run and where to, after `begin`.
    executor, workers
        Where.
    advance
        Called with 1 after every point.

    Raises
    ------
    CapacityError
        If a worker was killed.
    """
    given: list[Entry] = []

    def missing() -> Iterator[Config]:
        for entry in sweep.entries:
            # Asked late: another sweep into this folder may have run it meanwhile.
            if entry.point.config is not None and not (folder / entry.file).exists():
                given.append(entry)
                yield entry.point.config

    try:
        for position, row in executor.run(outcome, missing(), workers):
            _write(folder, sweep, given[position], row)
            advance(1)
        files = [folder / entry.file for entry in sweep.entries]
        columns = common_columns(files)
        for file in files:
            conform(file, columns)
    finally:
        write_state(folder, sweep)


def _write(folder: Path, sweep: Sweep, entry: Entry, row: Row) -> None:
    config = entry.point.config
    notes = {
        "config": json.dumps(None if config is None else asdict(config), sort_keys=True),
        "overrides": json.dumps(entry.point.overrides),
        "versions": json.dumps(versions(), sort_keys=True),
    }
    # An axis stands in the path alone, and some are called as figures are (slo.ttft_s).
    figures = {name: value for name, value in row.items() if name not in sweep.grid.axes}
    write_row(folder / entry.file, row_table({"point": entry.key, **figures}, notes))


def outcome(config: Config) -> Row:
    """Run a point and return its row: its figures, or why it has none."""
    try:
        return {"status": "done", **flatten(run_point(config))}
    except (MemoryError, OSError):  # the machine's fault: another time it may run
        raise
    except InvariantError as error:
        return failed(f"{BUG}{error}")
    except SimulatorError as error:
        return failed(str(error))
    except Exception as error:  # told in the row, and the command ends as of a bug
        return failed(f"{BUG}{type(error).__name__}: {error}")


def failed(reason: str) -> Row:
    """Return the row of a point that cannot run."""
    return {"status": "failed", "reason": reason}
