"""The folder of a sweep: which question it answers, and which of its points are there."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from simulator.errors import ConfigError
from simulator.study.fingerprint import fingerprint
from simulator.study.sweep.composing import Point
from simulator.study.sweep.grid import Grid
from simulator.study.sweep.layout import POINTS, label_of, partition
from simulator.study.sweep.points import content_hash
from simulator.study.sweep.reading import DONE, FAILED, SWEEP, read_state
from simulator.trace.files import INCOMPLETE, disk_errors
from simulator.trace.json_file import write_json

_LOCKS: Any = import_module("fcntl") if find_spec("fcntl") else None

DEFAULT_ROOT = Path("runs/sweeps")
"""Where folders of sweeps lie unless one is given."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A point and where it goes.

    Parameters
    ----------
    point
        The point.
    key
        Its content hash; of one without a configuration the digest of its overrides and reason.
    file
        Its file below the folder of the sweep.
    """

    point: Point
    key: str
    file: Path


@dataclass(frozen=True)
class Sweep:
    """All points of a sweep.

    Parameters
    ----------
    grid
        What was asked.
    entries
        The points, in the order of the grid.
    """

    grid: Grid
    entries: Sequence[Entry]

    @property
    def default_folder(self) -> Path:
        """A folder named after all that decides the points: the same question finds it again."""
        files = sorted(str(entry.file) for entry in self.entries)
        keys = "\n".join([*self.grid.axes, *self.grid.fixed, *files])
        return DEFAULT_ROOT / hashlib.sha256(keys.encode()).hexdigest()[:12]


def plan_sweep(grid: Grid, points: Sequence[Point]) -> Sweep:
    """Find where the points of a grid go.

    Raises
    ------
    ConfigError
        If not one of the points has a configuration, or a value is too long.
    """
    if all(point.config is None for point in points):
        raise ConfigError(points[0].problem)
    return Sweep(grid, [_entry(grid, point) for point in points])


def _entry(grid: Grid, point: Point) -> Entry:
    if point.config is None:
        question = [point.overrides, point.problem, fingerprint()]
        key = hashlib.sha256(json.dumps(question).encode()).hexdigest()[:32]
    else:
        key = content_hash(point.config)
    folders = partition(dict(zip(grid.axes, point.coordinates, strict=True)))
    return Entry(point, key, Path(POINTS) / folders / f"{key}.parquet")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make a folder and hold it, so that no second sweep writes there at the same time.

    The lock is of the operating system: it ends with the process, however that ends. Where there
    are no locks on folders, on some network file systems and on Windows, there is none.

    Raises
    ------
    ConfigError
        If another process holds the folder, or it cannot be made.
    """
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    if _LOCKS is None:
        yield
        return
    held = os.open(folder, os.O_RDONLY)
    try:
        _lock(held, folder)
        yield
    finally:
        os.close(held)


def _lock(held: int, folder: Path) -> None:
    try:
        _LOCKS.flock(held, _LOCKS.LOCK_EX | _LOCKS.LOCK_NB)
    except BlockingIOError:
        raise ConfigError(
            f"another moesim sweep is at work in {str(folder)!r}; let it end, or choose another "
            "folder with hydra.run.dir=FOLDER."
        ) from None
    except OSError as error:
        if error.errno not in (errno.EBADF, errno.ENOLCK, errno.ENOTSUP):
            raise


def claim(folder: Path, sweep: Sweep) -> int:
    """Make a locked folder this sweep's own, or find that it is.

    Files of points that were computed by another moesim or from other files are removed: they
    answer the same question as the files that take their place. So are files that a killed sweep
    was writing.

    Returns
    -------
    int
        How many files of points were removed.

    Raises
    ------
    ConfigError
        If the folder holds another sweep, or files that no sweep wrote.
    """
    here = {entry.file for entry in sweep.entries}
    there = [path.relative_to(folder) for path in (folder / POINTS).rglob("*.parquet")]
    former = read_state(folder)
    if former is None and there:
        raise ConfigError(
            f"{str(folder / POINTS)!r} holds files of something else; choose another folder with "
            "hydra.run.dir=FOLDER."
        )
    if former is not None:
        _check_extends(folder, former, sweep.grid)
    stale = [path for path in there if path not in here]
    for path in (
        *stale,
        *folder.glob(f"*{INCOMPLETE}"),
        *(folder / POINTS).rglob(f"*{INCOMPLETE}"),
    ):
        (folder / path).unlink()
    return len(stale)


def _check_extends(folder: Path, former: Mapping[str, Any], grid: Grid) -> None:
    """Refuse another question; the same with more values of its axes is welcome."""
    choose = "Choose another folder with hydra.run.dir=FOLDER."
    if list(former["axes"]) != list(grid.axes) or former.get("overrides") != grid.fixed:
        asked = [
            f"{axis}={','.join(map(label_of, values))}" for axis, values in former["axes"].items()
        ]
        words = " ".join([*former.get("overrides", []), *asked])
        raise ConfigError(f"{str(folder)!r} holds another sweep: {words}. {choose}")
    for axis, values in grid.axes.items():
        missing = [label_of(value) for value in former["axes"][axis] if value not in values]
        if missing:
            raise ConfigError(
                f"{str(folder)!r} holds a sweep with {axis}={','.join(missing)}, too, which would "
                f"be lost. Sweep over them as well. {choose}"
            )


def write_state(folder: Path, sweep: Sweep, statuses: Iterable[str]) -> Path:
    """Write ``sweep.json``: the question, and how many of its points there are of each status."""
    counts = Counter(statuses)
    content = {
        "axes": sweep.grid.axes,
        "overrides": sweep.grid.fixed,
        "fingerprint": fingerprint(),
        "points": len(sweep.entries),
        "done": counts[DONE],
        "failed": counts[FAILED],
    }
    return write_json(folder / SWEEP, content)
