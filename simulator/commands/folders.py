"""Folders of results, checked before anything runs."""

from __future__ import annotations

import os
from pathlib import Path

from simulator.errors import ConfigError

CHOOSE = "choose another folder with hydra.run.dir=FOLDER."
"""What to do where a folder will not do."""

_OWNERS = {
    "plan.json": "plan",
    "sweep.json": "sweep",
    "requests.parquet": "simulate",
}
"""Files that tell whose results a folder holds, and the command that wrote them."""


def check_folder(folder: Path) -> None:
    """Refuse a folder in which no file can be made.

    Parameters
    ----------
    folder
        Where files are to go; it need not be there.

    Raises
    ------
    ConfigError
        If it is a file, or lies in one, or nothing may be written there.
    """
    try:
        there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    except OSError as error:
        raise ConfigError(f"cannot use {str(folder)!r}: {error.strerror}; {CHOOSE}") from error
    if not there.is_dir():
        raise ConfigError(f"{str(there)!r} is a file; {CHOOSE}")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ConfigError(f"no permission to write into {str(there)!r}; {CHOOSE}")


def claim_folder(folder: Path, mark: str) -> None:
    """Refuse a folder of files in which they would mix with those of another command.

    Parameters
    ----------
    folder
        Where files are to go; it need not be there.
    mark
        The file that tells a folder of the command that asks.

    Raises
    ------
    ConfigError
        If it cannot be written, or holds what another command found.
    """
    check_folder(folder)
    for other, command in _OWNERS.items():
        if other != mark and (folder / other).exists():
            raise ConfigError(
                f"{str(folder)!r} holds results of moesim {command}, whose summary.json would be "
                f"lost; {CHOOSE}"
            )
