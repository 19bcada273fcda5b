"""One clear message for whatever Hydra or OmegaConf object to."""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from collections.abc import Iterator

from hydra.errors import HydraException, MissingConfigException
from omegaconf.errors import OmegaConfBaseException

from simulator.config import Config
from simulator.errors import nearest

CONFIG_ERRORS = (HydraException, OmegaConfBaseException)
"""What composing a configuration can raise because of its input."""


def explain(error: BaseException) -> str:
    """Say what is wrong with the configuration, and the nearest valid name where one is near."""
    if isinstance(error, MissingConfigException):
        return _missing_option(error)
    innermost = _innermost(error)
    first_line = str(innermost).strip().splitlines()[0]
    key = getattr(innermost, "full_key", None) or _overridden_key(error)
    if "not in" in first_line and key:
        close = nearest(str(key), setting_names())
        hint = f" Did you mean {close}?" if close else ""
        return f"unknown setting {key}.{hint} All settings: moesim simulate --help."
    place = f"{key}: " if key and str(key) not in first_line else ""
    return f"{place}{first_line}"


def setting_names() -> list[str]:
    """List all settings as dotted names."""
    return list(_leaves(Config, ""))


def _leaves(schema: type, prefix: str) -> Iterator[str]:
    hints = typing.get_type_hints(schema)
    for field in dataclasses.fields(schema):
        kinds = _alternatives(hints[field.name])
        nested = next((kind for kind in kinds if dataclasses.is_dataclass(kind)), None)
        if nested is None:
            yield prefix + field.name
        else:
            yield from _leaves(nested, f"{prefix}{field.name}.")


def _alternatives(hint: object) -> tuple[typing.Any, ...]:
    is_union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    return typing.get_args(hint) if is_union else (hint,)


def _missing_option(error: MissingConfigException) -> str:
    """Word an unknown group option, like ``model=mixtrl``."""
    missing = str(error.missing_cfg_file or "")
    group, _, option = missing.rpartition("/")
    options = list(error.options or [])
    if not options:
        return str(error).strip().splitlines()[0]
    close = nearest(option, options)
    hint = f" Did you mean {group}={close}?" if close else ""
    return f"unknown {group} {option!r}.{hint} Known: {', '.join(sorted(options))}."


def _innermost(error: BaseException) -> BaseException:
    while error.__cause__ is not None and isinstance(error.__cause__, CONFIG_ERRORS):
        error = error.__cause__
    return error


def _overridden_key(error: BaseException) -> str | None:
    found = re.search(
        r"(?:override|append to config\.? ?|merging override) ?'?([\w.@/]+)", str(error)
    )
    return found.group(1) if found else None
