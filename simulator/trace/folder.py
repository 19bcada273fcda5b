"""The folder of a run: which tables it has."""

from __future__ import annotations

from pathlib import Path

from simulator.errors import DataError
from simulator.trace.schema import TABLES

_NEEDED = ("requests", "iterations")


def run_tables(folder: Path) -> dict[str, Path]:
    """Return the tables that a run has left, by name.

    Raises
    ------
    DataError
        If the folder is not that of a run that ended.
    """
    found = {name: folder / f"{name}.parquet" for name in TABLES}
    found = {name: path for name, path in found.items() if path.is_file()}
    if all(name in found for name in _NEEDED):
        return found
    raise DataError(f"{str(folder)!r} {_instead(folder)}")


def _instead(folder: Path) -> str:
    """Say what it is, and what to do."""
    if not folder.is_dir():
        return "is no folder; give that of a run of moesim simulate, as in runs/DATE/TIME."
    if (folder / "parts").is_dir():
        return f"holds a run that was cut off; see moesim recover {folder}, or run it again."
    inner = sorted(path.parent for path in folder.glob("*/requests.parquet"))
    if inner:
        return f"holds folders of runs, not a run; give one of them, as in {inner[0]}."
    return (
        "holds no trace of a run (requests.parquet, iterations.parquet); give the folder of a "
        "run of moesim simulate."
    )
