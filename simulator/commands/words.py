"""Settings given as ``key=value`` words, for commands that compose no scenario."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields
from datetime import datetime
from pathlib import Path
from types import NoneType
from typing import Any, Generic, TypeVar, get_args, get_origin, get_type_hints

import yaml

from simulator.errors import ConfigError, SimulatorError, nearest, unknown
from simulator.mapping import from_mapping

T = TypeVar("T")

_MISSPELT = 0.75
"""Likeness from which on a word is taken for a slip of another."""

RUN_FOLDER = "hydra.run.dir"
"""The word that sets the folder of the files, as for ``moesim simulate``."""


@dataclass(frozen=True, slots=True)
class Words(Generic[T]):
    """What a command line of words says.

    Parameters
    ----------
    settings
        The settings, as the command's own dataclass.
    folder
        Where the files of the run go; not made yet.
    """

    settings: T
    folder: Path


def read_words(words: Sequence[str], schema: type[T], command: str) -> Words[T]:
    """Read ``key=value`` words into a dataclass.

    Parameters
    ----------
    words
        As typed. A value is YAML; a list may go without brackets (``gpu=h100_sxm,l40s``).
    schema
        Dataclass of the command's settings, each documented by ``metadata={"help": ...}``. One that
        has ``"bare": True`` there is also set by a word without ``=``; one that has a
        ``"prefix"`` takes the words whose keys begin so, whole, as a tuple.
    command
        The command ("validate kernels"), for messages and the name of the folder.

    Raises
    ------
    ConfigError
        If a word is no ``key=value``, or its key or value is not for this command.

    Examples
    --------
    >>> @dataclass(frozen=True)
    ... class Toy:
    ...     rows: int = 3
    >>> read_words(["rows=5", "hydra.run.dir=here"], Toy, "toy")
    Words(settings=Toy(rows=5), folder=PosixPath('here'))
    """
    hints = get_type_hints(schema)
    folder = f"runs/{datetime.now():%Y-%m-%d/%H-%M-%S-%f}-{command.replace(' ', '-')}"
    bare, prefixes = _bare(schema), _prefixes(schema)
    values: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        taker = next((name for prefix, name in prefixes.items() if key.startswith(prefix)), None)
        if not equals and bare is not None and bare not in values:
            values[bare] = word
        elif not equals:
            raise ConfigError(f"{word!r} is no key=value. {_try(command)}")
        elif key == RUN_FOLDER:
            folder = text
        elif taker is not None:
            values.setdefault(taker, []).append(word)
        elif key in hints:
            values[key] = _value(hints[key], key, text)
        else:
            raise ConfigError(
                f"{unknown('setting', key, [*hints, RUN_FOLDER], word)} {_try(command)}"
            )
    try:
        return Words(from_mapping(schema, values, ""), Path(folder))
    except SimulatorError as error:
        raise ConfigError(f"{error} {_try(command)}") from error


def own_words(words: Sequence[str], schema: type) -> tuple[list[str], list[str]]:
    """Split words into a command's own settings and what is for the scenario.

    Examples
    --------
    >>> @dataclass(frozen=True)
    ... class Toy:
    ...     rows: int = 3
    >>> own_words(["rows=5", "model=mixtral_8x7b", "hydra.run.dir=here"], Toy)
    (['rows=5', 'hydra.run.dir=here'], ['model=mixtral_8x7b'])
    """
    keys = {field.name for field in fields(schema)} | {RUN_FOLDER}
    own = [word for word in words if word.partition("=")[0] in keys]
    return own, [word for word in words if word not in own]


def check_group(word: str, schema: type, command: str, *sections: str) -> None:
    """Refuse a word for the scenario whose key, without a dot, is neither a group nor ``title``.

    So what is likely a misspelt setting of the command is told its nearest name.

    Parameters
    ----------
    word
        One that `own_words` leaves for the scenario.
    schema, command
        As in `read_words`.
    sections
        What else may be set as a whole.

    Raises
    ------
    ConfigError
        If it is unknown.
    """
    # `--help` does without.
    from simulator.commands.settings import groups, nearest_setting, setting_names  # noqa: PLC0415

    key = word.partition("=")[0].lstrip("+~")
    if key.isidentifier() and key not in {*groups(), "title", *sections}:
        known = [*(field.name for field in fields(schema)), RUN_FOLDER, *groups(), "title"]
        of_scenario = key in {name.rpartition(".")[2] for name in setting_names()}
        if of_scenario and nearest(key, known, cutoff=_MISSPELT) is None:
            meant = f"Did you mean {nearest_setting(key)}?"
            raise ConfigError(f"unknown setting {key!r} in {word}. {meant} {_try(command)}")
        raise ConfigError(f"{unknown('setting', key, known, word)} {_try(command)}")


def passed_on(settings: Any) -> list[str]:
    """Return the words of the settings that have a ``"prefix"``: those for the scenario."""
    names = [one.name for one in fields(settings) if "prefix" in one.metadata]
    return [word for name in names for word in getattr(settings, name)]


def _bare(schema: type) -> str | None:
    """Return the setting that a word without ``=`` sets."""
    return next((field.name for field in fields(schema) if field.metadata.get("bare")), None)


def _prefixes(schema: type) -> dict[str, str]:
    """Return the setting that takes words whose keys begin in a way, by how they begin."""
    return {
        field.metadata["prefix"]: field.name
        for field in fields(schema)
        if "prefix" in field.metadata
    }


def _try(command: str) -> str:
    return f"Try: moesim {command} --help"


def _value(hint: Any, key: str, text: str) -> Any:
    """Return a value as the schema wants it: a text as it stands, anything else as YAML."""
    optional = NoneType in get_args(hint)
    if optional and text in {"null", ""}:
        return None
    if optional:
        (hint,) = (choice for choice in get_args(hint) if choice is not NoneType)
    if hint is str:
        return text
    if get_origin(hint) in (list, tuple):
        (item, *_) = get_args(hint)
        inner = text.strip().removeprefix("[").removesuffix("]")
        return [_value(item, key, one.strip()) for one in inner.split(",") if one.strip()]
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{key}={text!r} cannot be read.") from error
    if hint is float and isinstance(value, str):  # YAML takes 1e-3 for a text
        try:
            return float(value)
        except ValueError:
            return value
    return value


def help_text(
    command: str,
    purpose: str,
    schema: type,
    examples: Sequence[str],
    default_folder: str = "runs/DATE/TIME-...",
) -> str:
    """Compose the help of a command of words.

    Parameters
    ----------
    command, schema
        As in `read_words`.
    purpose
        What the command does and needs.
    examples
        Command lines without ``moesim``.
    default_folder
        Where files go unless a folder is given.
    """
    defaults = {
        field.name: None if field.default is MISSING else field.default
        for field in fields(schema)
        if field.default_factory is MISSING
    }
    # What a command shares with others comes last.
    ordered = sorted(fields(schema), key=lambda field: field.name not in schema.__annotations__)
    entries = {
        _key(field, _shown(defaults.get(field.name))): field.metadata.get("help", "")
        for field in ordered
    }
    entries[f"{RUN_FOLDER}=DIR"] = f"folder of the files (default: {default_folder})"
    lines = "\n".join(f"  moesim {example}" for example in examples)
    bare = (_bare(schema) or "").upper()
    usage = " ".join(word for word in ("moesim", command, bare, "[key=value ...]") if word)
    return f"usage: {usage}\n\n{purpose}\n\nsettings:\n{_columns(entries)}\n\nexamples:\n{lines}\n"


def _key(field: Field[Any], default: str) -> str:
    """Return how a setting is given."""
    if "prefix" in field.metadata:
        prefix = str(field.metadata["prefix"])
        return f"{prefix}SETTING=VALUE" if prefix.endswith(".") else f"{prefix}[.SETTING]=VALUE"
    return field.name.upper() if field.metadata.get("bare") else f"{field.name}={default}"


def _shown(default: Any) -> str:
    if default is None:
        return "..."
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, tuple):
        return ",".join(map(str, default)) or "..."
    return str(default)


def _columns(entries: Mapping[str, str]) -> str:
    left = max(map(len, entries)) + 4
    room = min(shutil.get_terminal_size((80, 24)).columns, 100)
    wrapper = textwrap.TextWrapper(width=max(room, left + 30), subsequent_indent=" " * left)
    return "\n".join(wrapper.fill(f"  {key:{left - 2}}{what}") for key, what in entries.items())
