"""What a folder holds that can be reported: a run, a sweep or a plan."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from simulator.errors import DataError, nearest
from simulator.trace.files import partial_path
from simulator.trace.recover import PARTS

RUN, SWEEP, PLAN = "run", "sweep", "plan"

_MARKS = {PLAN: "plan.json", SWEEP: "sweep.json", RUN: "summary.json"}
"""The file that tells each kind; the first that is there decides: a plan has a summary too."""

_TRACE = ("requests.parquet", "iterations.parquet")
"""Files that a run leaves beside its summary."""

_MAKES = "A report is made of the folder of moesim simulate, moesim sweep or moesim plan."


def kind_of(folder: Path) -> str:
    """Tell what a folder holds: `RUN`, `SWEEP` or `PLAN`.

    Raises
    ------
    DataError
        If there is no such folder, or nothing whole in it that can be reported.
    """
    if not folder.exists():
        raise DataError(f"no folder {str(folder)!r}.{_beside(folder)} {_MAKES}")
    if not folder.is_dir():
        raise DataError(
            f"{str(folder)!r} is a file. Give its folder: moesim report {folder.parent}"
        )
    found = next((kind for kind, mark in _MARKS.items() if (folder / mark).is_file()), None)
    if found is None:
        raise DataError(f"{str(folder)!r} {_instead(folder)}")
    missing = [name for name in _TRACE if not (folder / name).is_file()] if found == RUN else []
    if missing:
        raise DataError(
            f"{str(folder)!r} has a summary.json, but no {' and no '.join(missing)}: it is not the "
            f"folder of a whole run of moesim simulate. {_MAKES}"
        )
    return found


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises
    ------
    DataError
        If the file is not there, not JSON, or no object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(
            f"no file {str(path)!r}: the folder is incomplete. Run it again."
        ) from error
    except (OSError, ValueError) as error:
        raise DataError(f"{str(path)!r} is not readable JSON: {error}.") from error
    if not isinstance(content, dict):
        raise DataError(f"{str(path)!r} holds no JSON object, so it is not a file of moesim's.")
    return content


def require(content: dict[str, Any], keys: tuple[str, ...], path: Path) -> None:
    """Refuse a JSON object that lacks what a report stands on.

    Raises
    ------
    DataError
        If a key is missing; the message names all that are.
    """
    missing = [key for key in keys if key not in content]
    if missing:
        raise DataError(
            f"{str(path)!r} lacks {', '.join(missing)}: another command, or another version of "
            f"moesim, wrote it. {_MAKES}"
        )


def _instead(folder: Path) -> str:
    """Say what is in a folder that holds nothing to report."""
    cut_off = [folder / PARTS, *(partial_path(folder / name) for name in _TRACE)]
    if any(path.exists() for path in cut_off):
        return (
            "holds a run that was cut off. Run it again, or read what it has left: moesim recover "
            f"{folder}"
        )
    inner = sorted(
        mark.parent.name for name in _MARKS.values() for mark in folder.glob(f"*/{name}")
    )
    if inner:
        return (
            f"holds no results of its own, but folders that do. Report one of them: moesim report "
            f"{folder / inner[0]}"
        )
    return f"holds none of {', '.join(_MARKS.values())}. {_MAKES}"


def _beside(folder: Path) -> str:
    """Propose the folder beside with the nearest name."""
    parent = folder.parent
    names = [path.name for path in parent.iterdir() if path.is_dir()] if parent.is_dir() else []
    close = nearest(folder.name, names)
    return f" Did you mean {str(parent / close)!r}?" if close else ""
