"""Run what is missing of a sweep, and end with one dataset, however often it was interrupted."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from simulator.config import Config
from simulator.errors import InvariantError, SimulatorError
from simulator.study.executors import Executor
from simulator.study.sweep.dataset import common_columns, conform, row_table, write_row
from simulator.study.sweep.folder import Entry, Sweep, claim, locked, write_state
from simulator.study.sweep.points import Scalar, flatten, run_point
from simulator.study.sweep.reading import status_of
from simulator.trace.schema import versions

BUG = "a bug in moesim: "
"""What the reason of a point begins with that should have run, or been refused in words."""

_EXHAUSTED = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM}
"""What the machine has run out of, not the point."""

Row = dict[str, Scalar]


@dataclass(frozen=True, slots=True)
class Started:
    """A sweep at work in its folder.

    Parameters
    ----------
    sweep, folder
        What runs, and where it is written.
    statuses
        Status of every point that is there, by its file; kept up to date.
    removed
        Files of points that another moesim, or other files of the user's, had led to.
    """

    sweep: Sweep
    folder: Path
    statuses: dict[Path, str]
    removed: int

    @property
    def there(self) -> int:
        """How many points are there."""
        return len(self.statuses)

    def missing(self) -> list[Entry]:
        """Return the points that are not there."""
        return [entry for entry in self.sweep.entries if entry.file not in self.statuses]

    def add(self, entry: Entry, row: Row) -> None:
        """Write the file of a point."""
        config = entry.point.config
        notes = {
            "config": json.dumps(None if config is None else asdict(config), sort_keys=True),
            "overrides": json.dumps(entry.point.overrides),
            "versions": json.dumps(versions(), sort_keys=True),
        }
        # An axis stands in the path alone, and some are called as figures are (slo.ttft_s).
        figures = {name: row[name] for name in row if name not in self.sweep.grid.axes}
        table = row_table({"point": entry.key, **figures}, notes)
        write_row(self.folder / entry.file, table)
        self.statuses[entry.file] = str(row["status"])


@contextmanager
def at_work(sweep: Sweep, folder: Path) -> Iterator[Started]:
    """Hold the folder of a sweep, and leave it with what there is counted in ``sweep.json``.

    Raises
    ------
    ConfigError
        As `simulator.study.sweep.folder.locked` and `claim`.
    """
    with locked(folder):
        removed = claim(folder, sweep)
        files = [entry.file for entry in sweep.entries if (folder / entry.file).exists()]
        statuses = {file: status_of(folder / file) for file in files}
        write_state(folder, sweep, statuses.values())
        try:
            yield Started(sweep, folder, statuses, removed)
        finally:
            write_state(folder, sweep, statuses.values())


def run_missing(
    started: Started, executor: Executor, workers: int | None, advance: Callable[[int], None]
) -> None:
    """Run the points that are not there yet, and give all files the same columns.

    Whatever stops this, the points that ended are there; another call goes on.

    Parameters
    ----------
    started
        From `at_work`.
    executor, workers
        Where to run.
    advance
        Called with 1 after every point.

    Raises
    ------
    CapacityError
        If a worker was killed.
    """
    missing = started.missing()
    for entry in missing:
        if entry.point.config is None:
            started.add(entry, failed(entry.point.problem))
            advance(1)
    to_run = [(entry, entry.point.config) for entry in missing if entry.point.config is not None]
    for position, row in executor.run(outcome, [config for _, config in to_run], workers):
        started.add(to_run[position][0], row)
        advance(1)
    files = [started.folder / entry.file for entry in started.sweep.entries]
    columns = common_columns(files)
    for file in files:
        conform(file, columns)


def outcome(config: Config) -> Row:
    """Run a point and return its row: its figures, or why it has none."""
    try:
        return {"status": "done", **flatten(run_point(config))}
    except (MemoryError, OSError):  # the machine's fault: another time it may run
        raise
    except InvariantError as error:
        return failed(f"{BUG}{error}")
    except SimulatorError as error:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno in _EXHAUSTED:
            raise
        return failed(str(error))
    except Exception as error:  # told in the row, and the command ends as of a bug
        return failed(f"{BUG}{type(error).__name__}: {error}")


def failed(reason: str) -> Row:
    """Return the row of a point that cannot run."""
    return {"status": "failed", "reason": reason}
