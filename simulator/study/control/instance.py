"""What is controlled: a scenario, the draft lengths to choose among, and how often."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.errors import ConfigError, TableError
from simulator.quantities import (
    Quantity,
    data_names,
    names_a_file,
    read_data,
    read_data_file,
    read_quantities,
)

PACKAGE = "simulator.workloads.control"
"""Where the shipped instances are."""

SHIPPED = ("serving", "fixed_wins")
"""Instances of the study unless others are named."""

MOST_ACTIONS = 8
"""Most draft lengths to choose among: each has a model of its own to be learned."""


@dataclass(frozen=True, slots=True)
class Instance:
    """A control problem before it is priced.

    Parameters
    ----------
    name, title
        What it is called.
    overrides
        Words of ``moesim simulate`` that compose its scenario.
    gammas
        Draft lengths to choose among, rising, from 1 on: a draft of 0 would hide acceptance.
    interval_s
        Time between decisions.
    assumptions
        Sentences about its assumed numbers.

    Raises
    ------
    ConfigError
        If there is no choice, or no time between decisions.
    """

    name: str
    title: str
    overrides: tuple[str, ...]
    gammas: tuple[int, ...]
    interval_s: float
    assumptions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        gammas = self.gammas
        if not 2 <= len(gammas) <= MOST_ACTIONS or sorted(set(gammas)) != list(gammas):
            raise ConfigError(
                f"gammas={list(gammas)} must be 2 to {MOST_ACTIONS} draft lengths, rising, for "
                "example gammas=1,3,6."
            )
        if gammas[0] < 1:
            raise ConfigError(
                f"gammas={list(gammas)}: without a draft nothing is accepted, and the regime "
                "cannot be seen. Begin with 1."
            )
        if not 1e-3 <= self.interval_s <= 1e6:
            raise ConfigError(
                f"interval_s={self.interval_s!r} must lie in 0.001..1e6 s: it is the time between "
                "two decisions, for example 30."
            )

    @property
    def words(self) -> list[str]:
        """What composes its scenario: the overrides, and the longest draft."""
        return [*self.overrides, f"speculation.gamma={max(self.gammas)}"]


def instance_names() -> list[str]:
    """Return the names of the shipped instances."""
    return data_names(PACKAGE)


def read_instance(name: str, overrides: Sequence[str] = ()) -> Instance:
    """Read an instance that is shipped, or a YAML file of the same form.

    Parameters
    ----------
    name
        Its name, or the path of a file.
    overrides
        Further words of ``moesim simulate``; they come last.

    Raises
    ------
    SimulatorError
        If there is no such instance, or a number lacks unit, source or kind.
    """
    if names_a_file(name):
        content, called = read_data_file(name, "control instance"), Path(name).stem
    else:
        content, called = read_data(PACKAGE, name, "control instance"), name
    try:
        return _instance(called, name, content, overrides)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise TableError(
            f"{name} is no control instance ({error!r}); it needs title, choices, settings, "
            "interval and gammas, as workloads/control/serving.yaml has them."
        ) from error


def _instance(
    called: str, origin: str, content: Mapping[str, Any], overrides: Sequence[str]
) -> Instance:
    settings = read_quantities(content["settings"], origin)
    interval = Quantity.read(content["interval"], f"{origin}: interval")
    gammas = tuple(map(int, content["gammas"]["values"]))
    words = [*map(str, content["choices"])]
    words += [f"{key}={quantity.value:.12g}" for key, quantity in settings.items()]
    assumed = [
        f"{key} = {quantity.value:g} {quantity.unit} ({quantity.kind}: {quantity.source})"
        for key, quantity in (settings | {"interval": interval}).items()
    ]
    return Instance(
        name=called,
        title=str(content["title"]),
        overrides=(*words, *overrides),
        gammas=gammas,
        interval_s=interval.value,
        assumptions=tuple(assumed),
    )
