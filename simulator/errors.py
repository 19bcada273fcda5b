"""The error tree. Every error a user can cause says what, the value, where from, and what to do.

::

    SimulatorError
    ├── ConfigError        a setting is unknown, malformed or impossible
    │   ├── SchemaError    a setting has a name that is not known, or a value of another type
    │   └── CapacityError  a deployment cannot hold what it is asked to hold
    ├── DataError          an input file is malformed (names the file and the line)
    ├── TableError         a kernel table or specification lacks what is asked of it
    └── InvariantError     the simulator broke a promise to itself: a bug, please report

The command line prints the message alone and exits with code 2 (70 for ``InvariantError``).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping


class SimulatorError(Exception):
    """Base of all errors raised on purpose."""


class ConfigError(SimulatorError):
    """A setting is unknown, malformed or impossible."""


class SchemaError(ConfigError):
    """A setting is unknown, missing or of another type: wrong whatever stands beside it."""


class CapacityError(ConfigError):
    """A deployment cannot hold what it is asked to hold."""


class DataError(SimulatorError):
    """An input file is malformed."""


class TableError(SimulatorError):
    """A kernel table or a specification lacks what is asked of it."""


class InvariantError(SimulatorError):
    """A promise of the simulator to itself is broken."""


def nearest(name: str, choices: Iterable[str], cutoff: float = 0.5) -> str | None:
    """Return the choice closest to ``name``, or None when nothing is as alike as the cutoff.

    Examples
    --------
    >>> nearest("h100", ["a100_sxm", "h100_sxm"])
    'h100_sxm'
    """
    matches = difflib.get_close_matches(name.lower(), list(choices), n=1, cutoff=cutoff)
    return matches[0] if matches else None


def unknown(what: str, name: str, choices: Iterable[str], origin: str = "") -> str:
    """Compose the message for an unknown name: the value, the nearest name and all valid ones.

    Examples
    --------
    >>> print(unknown("router", "round-robin", ["least_outstanding", "round_robin"]))
    unknown router 'round-robin'. Did you mean 'round_robin'? Known: least_outstanding, round_robin.
    """
    known = sorted(choices)
    close = nearest(name, known)
    hint = f" Did you mean {close!r}?" if close else ""
    place = f" in {origin}" if origin else ""
    return f"unknown {what} {name!r}{place}.{hint} Known: {', '.join(known)}."


def written(value: object) -> str:
    """Return a value as users write it: nothing is ``null`` in YAML, not ``None``.

    Examples
    --------
    >>> written(None), written("h100_sxm"), written(0.5)
    ('null', "'h100_sxm'", '0.5')
    """
    return "null" if value is None else repr(value)


def refuse_below(settings: object, least: Mapping[str, float]) -> None:
    """Refuse settings that are less than they must be; one that is None is not given.

    Parameters
    ----------
    settings
        Has the attributes.
    least
        The least value by attribute.

    Raises
    ------
    ConfigError
        For the first that is less.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> refuse_below(SimpleNamespace(seeds=0, workers=None), {"workers": 1, "seeds": 1})
    Traceback (most recent call last):
        ...
    simulator.errors.ConfigError: seeds=0 must be 1 or more.
    """
    for key, bound in least.items():
        value = getattr(settings, key)
        if value is not None and value < bound:
            raise ConfigError(f"{key}={value} must be {bound} or more.")
