"""Names that overrides may use: settings of the schema, groups and their options."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterator
from functools import cache
from importlib.resources import files

from simulator.errors import nearest
from simulator.quantities import data_names, read_data

_CONF = "simulator.conf"


@cache
def setting_names() -> tuple[str, ...]:
    """List all settings as dotted names.

    Examples
    --------
    >>> [name for name in setting_names() if name.startswith("slo.")]
    ['slo.ttft_s', 'slo.tpot_s', 'slo.e2e_s', 'slo.share']
    """
    from simulator.config import Config  # noqa: PLC0415 - only who errs waits for NumPy

    return tuple(name for name, _ in leaves(Config))


def leaves(schema: typing.Any, prefix: str = "") -> Iterator[tuple[str, typing.Any]]:
    """Yield the dotted name and the type hint of every setting below a dataclass.

    A section that may be null is a setting itself, too.
    """
    hints = typing.get_type_hints(schema)
    for field in dataclasses.fields(schema):
        hint = hints[field.name]
        nested = next(
            (kind for kind in _alternatives(hint) if dataclasses.is_dataclass(kind)), None
        )
        if nested is None or types.NoneType in _alternatives(hint):
            yield prefix + field.name, hint
        if nested is not None:
            yield from leaves(nested, f"{prefix}{field.name}.")


def _alternatives(hint: object) -> tuple[typing.Any, ...]:
    is_union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    return typing.get_args(hint) if is_union else (hint,)


@cache
def groups() -> tuple[str, ...]:
    """List the groups that a command line chooses options of.

    Examples
    --------
    >>> groups()  # doctest: +NORMALIZE_WHITESPACE
    ('cluster', 'experts', 'hardware', 'model', 'routing', 'scenario', 'scheduler', 'slo',
     'speculation', 'workload')
    """
    sections = {name.partition(".")[0] for name in setting_names()} | {"scenario"}
    folders = {entry.name for entry in files(_CONF).iterdir() if entry.is_dir()}
    return tuple(sorted(sections & folders))


def group_options(group: str) -> list[str]:
    """List the shipped options of a group.

    Examples
    --------
    >>> group_options("routing")
    ['measured', 'recorded', 'sampled', 'uniform']
    """
    return data_names(f"{_CONF}.{group}")


def option_named(option: str) -> str | None:
    """Return the group that has an option of this name.

    Examples
    --------
    >>> option_named("mixtral_8x7b")
    'model'
    """
    return next((group for group in groups() if option in group_options(group)), None)


def options_with(setting: str) -> list[str]:
    """Return the options whose files have a setting that not all of their group have.

    Examples
    --------
    >>> options_with("routing.popularity_sd"), options_with("slo.share")
    (['sampled'], [])
    >>> options_with("cluster.autoscaling.min_replicas")
    ['autoscaled']
    """
    group, *path = setting.split(".")
    if group not in groups():
        return []
    contents = {name: read_data(f"{_CONF}.{group}", name, group) for name in group_options(group)}
    having = [name for name, content in contents.items() if _holds(content, path)]
    return having if len(having) < len(contents) else []


def _holds(content: typing.Any, path: list[str]) -> bool:
    """Tell whether mappings within mappings have a key."""
    for key in path:
        if not isinstance(content, dict) or key not in content:
            return False
        content = content[key]
    return True


def nearest_setting(key: str) -> str | None:
    """Return the setting or group that was probably meant.

    A last part that is right counts more than a likeness of the whole.

    Examples
    --------
    >>> nearest_setting("speculation.gama"), nearest_setting("rate"), nearest_setting("modle")
    ('speculation.gamma', 'workload.rate', 'model')
    """
    last = {name.rpartition(".")[2]: name for name in reversed(setting_names())}
    part = key.rpartition(".")[2]
    if part in last:
        return last[part]
    whole = nearest(key, setting_names() if "." in key else groups())
    if whole is not None:
        return whole
    close = nearest(part, last)
    return last[close] if close else None
