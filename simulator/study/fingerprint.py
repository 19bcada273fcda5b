"""What moesim is made of, in one digest: a changed simulator never answers from an old cache."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from functools import cache
from importlib.machinery import PathFinder
from importlib.metadata import entry_points
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from simulator.trace.schema import versions

_DATA = ("simulator.conf", "simulator.hardware_specs", "simulator.workloads")
"""Packages of data. In a wheel they lie inside `simulator`, in a checkout beside it."""


@cache
def fingerprint() -> str:
    """Return a digest of the bytes of moesim's sources and data, plug-ins, and versions.

    About 16 MB are read, in 0.1 s; once a process.

    Returns
    -------
    str
        Hexadecimal, 64 digits.

    Examples
    --------
    >>> len(fingerprint()), fingerprint() is fingerprint()
    (64, True)
    """
    digest = hashlib.sha256(json.dumps(versions(), sort_keys=True).encode())
    inside = {package.rpartition(".")[2] for package in _DATA}
    for package in ("simulator", *_DATA):
        skipped = inside if package == "simulator" else frozenset[str]()
        for name, data in _contents(files(package), package, skipped):
            digest.update(f"{name}\0{len(data)}\0".encode() + data)
    for name, data in _plug_ins():
        digest.update(f"{name}\0{len(data)}\0".encode() + data)
    return digest.hexdigest()


def _contents(
    folder: Traversable, name: str, skipped: frozenset[str] | set[str] = frozenset()
) -> Iterator[tuple[str, bytes]]:
    """Yield the names and bytes of the files below a folder, in order."""
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.name in skipped or entry.name == "__pycache__":
            continue
        below = f"{name}/{entry.name}"
        if entry.is_dir():
            yield from _contents(entry, below)
        elif entry.is_file():
            yield below, entry.read_bytes()


def _plug_ins() -> Iterator[tuple[str, bytes]]:
    """Yield the sources of packages that register parts (`simulator.registry`)."""
    groups = [name for name in entry_points().groups if name.startswith("moesim.")]
    points = [point for group in groups for point in entry_points(group=group)]
    for package in sorted({point.module.partition(".")[0] for point in points}):
        found = PathFinder.find_spec(package)
        for folder in (found and found.submodule_search_locations) or ():
            yield from _contents(Path(folder), package)
        if found and found.origin and not found.submodule_search_locations:
            yield package, Path(found.origin).read_bytes()
