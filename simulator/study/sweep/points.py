"""One point of a sweep or a plan: what identifies it, how it runs, and its figures in a row."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from simulator.config import Config
from simulator.scenario import build
from simulator.study.fingerprint import fingerprint
from simulator.study.paired import dispatch_tables, simulate
from simulator.study.result import conclude
from simulator.study.sweep.named_files import digests
from simulator.trace.json_file import Json

Scalar = str | float | int | bool | None

WITHOUT_EFFECT = ("workers", "picture")
"""Settings of ``run`` that change no figure."""


def content_hash(config: Config) -> str:
    """Return what identifies a point: equal hashes, equal figures.

    The digest is of the resolved configuration, the bytes of the files that it names, and
    moesim itself (`simulator.study.fingerprint`), but not of `WITHOUT_EFFECT`.

    Returns
    -------
    str
        Hexadecimal, 32 digits.

    Examples
    --------
    >>> from simulator.compose import compose
    >>> config = compose(["run.workers=1"])
    >>> content_hash(config) == content_hash(replace(config, run=replace(config.run, workers=2)))
    True
    """
    settings = asdict(config)
    for key in WITHOUT_EFFECT:
        del settings["run"][key]
    question = [settings, digests(settings), fingerprint()]
    return hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()[:32]


def run_point(config: Config) -> Json:
    """Run a point in this process and return its summary; of its trace nothing stays.

    Parameters
    ----------
    config
        The point. `WITHOUT_EFFECT` have none.

    Returns
    -------
    dict
        As ``summary.json`` of ``moesim simulate``, without ``files``.

    Raises
    ------
    SimulatorError
        If it cannot run.
    """
    scenario = build(replace(config, run=replace(config.run, workers=1, picture=False)))
    with TemporaryDirectory(prefix="moesim-") as folder:
        dispatch = dispatch_tables(config)
        tables = ["requests", "iterations", *dispatch]
        if config.cluster.changes:
            tables.append("events")
        files = {name: Path(folder) / f"{name}.parquet" for name in tables}
        simulate(
            scenario,
            files["requests"],
            files["iterations"],
            lambda _: None,
            files.get("events"),
            [files[name] for name in dispatch],
        )
        summary = dict(conclude(scenario, files | {"summary": Path(folder) / "summary.json"}))
    del summary["files"]
    return summary


def flatten(summary: Mapping[str, Any]) -> dict[str, Scalar]:
    r"""Return the scalars of a summary by their dotted paths.

    Things in a list go by their ``name`` if they have one, else by their position; of texts in a
    list each is a line of one text.

    Examples
    --------
    >>> flatten({"speedup": {"tpot_p50": {"value": 1.9}}, "classes": [{"name": "chat", "n": 3}]})
    {'speedup.tpot_p50.value': 1.9, 'classes.chat.name': 'chat', 'classes.chat.n': 3}
    >>> flatten({"assumptions": ["one", "two"]})
    {'assumptions': 'one\ntwo'}
    """
    return dict(_scalars(summary, ""))


def _scalars(value: Any, path: str) -> Iterator[tuple[str, Scalar]]:
    if isinstance(value, Mapping):
        items = [(str(key), item) for key, item in value.items()]
    elif isinstance(value, list | tuple) and not _are_texts(value):
        items = [(_name(item, position), item) for position, item in enumerate(value)]
    elif isinstance(value, list | tuple):
        yield path, "\n".join(value)
        return
    else:
        yield path, value
        return
    for key, item in items:
        yield from _scalars(item, f"{path}.{key}" if path else key)


def _are_texts(items: list[Any] | tuple[Any, ...]) -> bool:
    return bool(items) and all(isinstance(item, str) for item in items)


def _name(item: Any, position: int) -> str:
    name = item.get("name") if isinstance(item, Mapping) else None
    return str(position) if name is None else str(name)
