"""Registries: the choice of a part by its ``kind:`` name, open to third parties.

A part registers itself with a decorator; an installed package registers one through the entry-point
group ``moesim.<what>``, with ``_`` for spaces. Configs name kinds, never Python targets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar

from simulator.errors import ConfigError, unknown

T = TypeVar("T", bound=Callable[..., Any])


class Registry(Generic[T]):
    """A table from kind to factory.

    Parameters
    ----------
    what
        What the registry holds, in the singular ("router"); also names the entry-point group.

    Examples
    --------
    >>> shapes: Registry[Callable[[], str]] = Registry("shape")
    >>> @shapes.register("round")
    ... def circle() -> str:
    ...     return "o"
    >>> shapes.get("round")()
    'o'
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self._factories: dict[str, T] = {}
        self._plugins_loaded = False

    def register(self, kind: str) -> Callable[[T], T]:
        """Return a decorator that files its argument under ``kind``."""

        def file(factory: T) -> T:
            self._factories[kind] = factory
            return factory

        return file

    def get(self, kind: str, origin: str = "") -> T:
        """Return the factory of ``kind``.

        Raises
        ------
        ConfigError
            If there is none; the message names the nearest kind.
        """
        if kind not in self._factories:
            self._load_plugins()
        if kind not in self._factories:
            raise ConfigError(unknown(self.what, kind, self, origin))
        return self._factories[kind]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the known kinds, plug-ins included."""
        self._load_plugins()
        return iter(sorted(self._factories))

    def _load_plugins(self) -> None:
        if self._plugins_loaded:
            return
        self._plugins_loaded = True
        # Packaging allows no spaces in the name of a group.
        for point in entry_points(group=f"moesim.{self.what.replace(' ', '_')}"):
            self._factories.setdefault(point.name, point.load())
