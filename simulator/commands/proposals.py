"""What completion proposes in place of the last word of a command line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields
from importlib import import_module
from typing import get_type_hints

from simulator.commands import COMMANDS
from simulator.commands.words import RUN_FOLDER

SUBJECT_COMMANDS = ("validate", "calibrate", "show", "study", "workload")
"""Commands whose first word is a subject, with settings of its own."""

_ALIASES = {
    "gpu": "gpus",
    "hardware.gpu": "gpus",
    "hardware.engine": "engines",
    "base": "engines",
    "topology": "topologies",
    "hardware.topology": "topologies",
    "cluster.topology": "topologies",
    "drafter": "drafters",
    "speculation.drafter": "drafters",
    "speculation.profile": "acceptance",
    "archetype": "models",
    "policies": "speculation.policy",
}
"""Settings, and the topic of moesim list or the part that has their names."""

_WORDS = {
    "pictures": ("png", "svg"),
    "executor": ("processes", "ray"),
    "arm": ("both", "baseline", "speculative"),
    "device": ("cpu", "cuda"),
    "experts.fidelity": ("expected", "sampled", "event"),
    "speculation.drafter_gpus": ("shared", "own"),
    "hardware.all2all_backend": (
        "allgather_reducescatter",
        "deepep_high_throughput",
        "deepep_low_latency",
    ),
}
"""Settings that take one of a few words."""


def proposals(line: str) -> list[str]:
    """Return what may stand in place of the last word of a command line; nothing where files may.

    Parameters
    ----------
    line
        Up to the cursor, from ``moesim`` on.

    Examples
    --------
    >>> proposals("moesim show e")
    ['cluster', 'experts', '--help']
    >>> proposals("moesim show cluster pic")
    ['topology=', 'sizes_bytes=', 'check=', 'picture=', 'json=', 'hydra.run.dir=', '--help']
    >>> proposals("moesim show cluster picture=t")
    ['picture=true', 'picture=false']
    >>> proposals("moesim plan gpus=l40,h20")[5:8]
    ['gpus=l40,gb300', 'gpus=l40,h100_sxm', 'gpus=l40,h200_sxm']
    """
    command, *words = [*line.split()[1:], *([""] if line[-1:].isspace() else [])] or [""]
    current = words[-1] if words else ""
    if command in SUBJECT_COMMANDS and len(words) < 2:
        return [*_subjects(command), "--help"]
    schema = _schema(command, words)
    key, equals, given = current.partition("=")
    if not equals:
        named = _names("workload") if words[:1] == ["describe"] else ()
        return [*named, *_keys(schema, current), "--help"]
    before = "".join(given.rpartition(",")[:2])
    return [f"{key}={before}{value}" for value in _values(schema, key)]


def _subjects(command: str) -> Iterable[str]:
    subjects: Iterable[str] = import_module(f"simulator.commands.{command}").SUBJECTS
    return subjects


def _schema(command: str, words: list[str]) -> type | None:
    """Return the dataclass of the settings that are a command's own; None if it has none."""
    if command in SUBJECT_COMMANDS:
        subjects = import_module(f"simulator.commands.{command}").SUBJECTS
        module = subjects[words[0]].module if words[0] in subjects else None
    else:
        known = COMMANDS.get(command)
        module = f"simulator.commands.{known.module}" if known is not None else None
    schema: type | None = None
    if module is not None:
        schema = getattr(import_module(module), "Settings", None)
    return schema


def _keys(schema: type | None, current: str) -> Iterator[str]:
    """Yield how the settings of a command begin."""
    for field in fields(schema) if schema is not None else ():
        prefix = str(field.metadata.get("prefix", ""))
        if prefix and current.startswith(f"{prefix.rstrip('.')}."):
            from simulator.commands.settings import setting_names  # noqa: PLC0415 - slow

            yield from (f"{name}=" for name in setting_names() if name.startswith(prefix))
        elif not field.metadata.get("bare"):
            yield prefix if prefix.endswith(".") else f"{prefix or field.name}="
    if schema is not None:
        yield f"{RUN_FOLDER}="


def _values(schema: type | None, key: str) -> Iterable[str]:
    """Return the names that a setting takes, as far as they are known beforehand."""
    if key.endswith("path"):  # a file: the shell knows, and need not wait
        return ()
    from simulator.commands.settings import leaves  # noqa: PLC0415 - slow
    from simulator.config import Config  # noqa: PLC0415 - slow

    own = get_type_hints(schema) if schema is not None else {}
    if (own.get(key) or dict(leaves(Config)).get(key)) is bool:
        return ("true", "false")
    return _names(key)


def _names(key: str) -> Iterable[str]:
    """Return the names that a setting chooses among."""
    from simulator.commands.inventory import PARTS, TOPICS  # noqa: PLC0415 - slow
    from simulator.commands.settings import group_options, groups  # noqa: PLC0415 - slow
    from simulator.workload.presets import preset_names  # noqa: PLC0415 - slow

    key = _ALIASES.get(key, key)
    if key in TOPICS:
        return TOPICS[key].names()
    if key in PARTS:
        return PARTS[key]
    if key in groups():
        return group_options(key)
    return preset_names() if key == "workload.preset" else _WORDS.get(key, ())
