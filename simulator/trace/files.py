"""Files that get their name only when they are complete."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from simulator.errors import ConfigError

INCOMPLETE = ".incomplete"
"""Suffix of a file that is still being written, or whose run was cut off."""


def partial_path(path: Path) -> Path:
    """Return what a file is called until it is complete.

    Examples
    --------
    >>> partial_path(Path("requests.parquet")).name
    'requests.parquet.incomplete'
    """
    return path.with_name(path.name + INCOMPLETE)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn errors of the disk into one that tells the user what to do.

    Raises
    ------
    ConfigError
        If the file cannot be written.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(
            f"cannot write the trace {str(path)!r}: {reason}. Free the disk or choose "
            "another folder with hydra.run.dir=FOLDER."
        ) from error
