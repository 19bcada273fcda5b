"""The files that a configuration names: traces, profiles, specifications, placements."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from simulator.errors import SimulatorError
from simulator.quantities import names_a_file, read_data_file

FILES = ("path", "table", "predictor")
"""Last parts of settings that name a file whatever it is called: traces, routes, belief tables,
predictors."""


def digests(settings: Mapping[str, Any]) -> dict[str, str | None]:
    """Return a digest of every file and folder that settings name, by its name.

    A setting of `FILES` is a file; any other text is one where it looks so
    (`simulator.quantities.names_a_file`). A specification of a GPU may name a folder of tables.

    Parameters
    ----------
    settings
        A configuration as nested mappings.

    Returns
    -------
    dict
        SHA-256, hexadecimal; None where there is no such file, as the run will say.

    Examples
    --------
    >>> digests({"workload": {"path": "nowhere.csv"}, "hardware": {"gpu": "h100_sxm"}})
    {'nowhere.csv': None}
    """
    return {name: _digest(Path(name).expanduser()) for name in sorted(set(_names(settings)))}


def _names(value: Any, key: str = "") -> Iterator[str]:
    if isinstance(value, Mapping):
        for inner, item in value.items():
            yield from _names(item, inner)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _names(item, key)
    elif isinstance(value, str) and value and (key in FILES or _looks_like_one(key, value)):
        yield value


def _looks_like_one(key: str, value: str) -> bool:
    return key != "title" and names_a_file(value)


def _digest(path: Path) -> str | None:
    if path.is_dir():
        return _folder_digest(path)
    if not path.is_file():
        return None
    tables = _tables_beside(path)
    own = _file_digest(path)
    return own if tables is None else f"{own} {_folder_digest(tables)}"


def _folder_digest(folder: Path) -> str:
    """Digest the files that lie in a folder, without those of folders in it."""
    inside = sorted(file for file in folder.iterdir() if file.is_file())
    parts = [(file.name, _file_digest(file)) for file in inside]
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _file_digest(path: Path) -> str:
    now = path.stat()
    return _unchanged_digest(path.absolute(), now.st_size, now.st_mtime_ns)


@cache
def _unchanged_digest(path: Path, size_bytes: int, modified_ns: int) -> str:
    """Digest a file; as long as its size and time stay, once a process, for a trace is long."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _tables_beside(path: Path) -> Path | None:
    """Return the folder of tables that a specification of a GPU names, if it does."""
    if path.suffix not in (".yaml", ".yml"):
        return None
    try:
        tables = read_data_file(path, "file").get("tables")
    except SimulatorError:  # the run will say what is wrong with it
        return None
    if not isinstance(tables, str) or not names_a_file(tables):
        return None
    folder = path.parent / tables
    return folder if folder.is_dir() else None
