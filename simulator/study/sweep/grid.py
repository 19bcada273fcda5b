"""The grid of a sweep, from words in Hydra's syntax: ``a=1,2``, ``range(1,9)``, ``choice(...)``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, product
from math import prod
from typing import Any

from hydra import initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

from simulator.errors import ConfigError

MAX_POINTS = 100_000
"""Most points of a sweep, whose configurations are all in memory (kind: assumed)."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word of the command line: a setting or a group, and its values.

    Parameters
    ----------
    key
        As Hydra writes it: ``speculation.gamma``, ``model``, ``+run.seed``, ``~slo``.
    texts
        Its values in Hydra's grammar; one if it is not swept.
    swept
        Whether it is an axis, of one value or several.
    """

    key: str
    texts: tuple[str, ...]
    swept: bool

    @property
    def axis(self) -> str:
        """Name of the axis: the key without what tells Hydra to add it."""
        return self.key.lstrip("+")


@dataclass(frozen=True)
class Grid:
    """All words of a sweep, in the order in which they apply.

    Parameters
    ----------
    words
        Fixed and swept ones; each key once.
    """

    words: tuple[Word, ...]

    @cached_property
    def axes(self) -> dict[str, list[Any]]:
        """Values of every axis by its name: numbers, texts, lists, null."""
        return {
            word.axis: [value_of(word.key, text) for text in word.texts]
            for word in self.words
            if word.swept
        }

    @property
    def fixed(self) -> list[str]:
        """The words that hold for all points."""
        return [f"{word.key}={word.texts[0]}" for word in self.words if not word.swept]

    @property
    def size(self) -> int:
        """How many points there are."""
        return prod(len(word.texts) for word in self.words)

    def points(self) -> Iterator[tuple[str, ...]]:
        """Yield the overrides of every point, the last axis fastest, as ``simulate -m`` runs them.

        Examples
        --------
        >>> [" ".join(words) for words in read_grid(["run.seed=1", "model=a,b"]).points()]
        ['run.seed=1 model=a', 'run.seed=1 model=b']
        """
        choices = [[f"{word.key}={text}" for text in word.texts] for word in self.words]
        yield from product(*choices)

    def coordinates(self) -> Iterator[tuple[Any, ...]]:
        """Yield the values of the axes, point by point in the same order."""
        yield from product(*self.axes.values())


def read_grid(words: Sequence[str]) -> Grid:
    """Read the words of a sweep.

    Parameters
    ----------
    words
        Overrides in Hydra's grammar. As there, the last of several for one key counts.

    Raises
    ------
    ConfigError
        If nothing is swept, a sweep cannot be enumerated, or there are over `MAX_POINTS`.
    HydraException
        If a word cannot be read.

    Examples
    --------
    >>> read_grid(["speculation.gamma=range(0,3)", "model=choice(a,b)"]).axes
    {'speculation.gamma': [0, 1, 2], 'model': ['a', 'b']}
    """
    found = {override.get_key_element(): _word(override) for override in parsed(words)}
    grid = Grid(tuple(found.values()))
    if not any(word.swept for word in grid.words):
        raise ConfigError(
            "nothing is swept; give a setting several values, such as speculation.gamma=0,2,4. For "
            "one point: moesim simulate."
        )
    if grid.size > MAX_POINTS:
        sizes = " x ".join(str(len(word.texts)) for word in grid.words if word.swept)
        raise ConfigError(
            f"the sweep has {sizes} = {grid.size:,} points, more than {MAX_POINTS:,}; take fewer "
            "values, or several sweeps."
        )
    return grid


def parsed(words: Sequence[str]) -> list[Override]:
    """Parse overrides; one that takes ``glob(...)`` of a group knows its options.

    Raises
    ------
    HydraException
        If a word cannot be read.
    """
    with initialize_config_module("simulator.conf", version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
    return OverridesParser.create(loader).parse_overrides(list(words))


def value_of(key: str, text: str) -> Any:
    """Return the value that a text of Hydra's grammar stands for.

    Examples
    --------
    >>> value_of("a", "[1,x]"), value_of("a", "'1,2'"), value_of("a", "null")
    ([1, 'x'], '1,2', None)
    """
    return OverridesParser.create().parse_override(f"{key}={text}").value()


def _word(override: Override) -> Word:
    key = override.get_key_element()
    if not override.is_sweep_override():
        return Word(key, (override.get_value_element_as_str(),), swept=False)
    if not override.is_discrete_sweep():
        raise ConfigError(
            f"{override.input_line} has no end of values; list some, or give range(start,stop)."
        )
    texts = tuple(islice(override.sweep_string_iterator(), MAX_POINTS + 1))
    if len(texts) > MAX_POINTS:
        raise ConfigError(
            f"{override.input_line} has more than {MAX_POINTS:,} values; take fewer, or several "
            "sweeps."
        )
    if not texts:
        raise ConfigError(f"{override.input_line} has no value, so the sweep has no point.")
    return Word(key, tuple(_distinct(key, texts)), swept=True)


def _distinct(key: str, texts: Iterable[str]) -> Iterable[str]:
    """Return the first text of each value: two ways to write one, 0.5 and 5e-1, are one point."""
    found: dict[str, str] = {}
    for text in texts:
        found.setdefault(repr(value_of(key, text)), text)
    return found.values()
