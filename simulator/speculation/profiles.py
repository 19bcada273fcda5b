"""Acceptance profiles: what was measured of a drafter on a target, and the shape fitted to it.

``workloads/acceptance/NAME.yaml`` holds one drafter on one target: published acceptance lengths by
task, the shape that reproduces them, and what was assumed. Tasks that were not measured take the
nearest measured one, moved by the log-odds of ``workloads/tasks/acceptance.yaml``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from simulator.errors import ConfigError, TableError, unknown
from simulator.quantities import (
    Quantity,
    data_names,
    names_a_file,
    read_data,
    read_data_file,
    read_quantities,
)
from simulator.speculation.profiled import AcceptanceShape

_PACKAGE, _TASKS = "simulator.workloads.acceptance", "simulator.workloads.tasks"
_COMMON = ("spread", "gain", "high_tokens", "low_tokens")
_SHAPE = ("level", "decay", *_COMMON)
"""Keys of the shape that profiles have in common, and of all of it."""


@dataclass(frozen=True, slots=True)
class MeasuredTask:
    """What was measured of one task, and the shape fitted to it.

    Parameters
    ----------
    lengths
        Mean acceptance length by draft length, tokens, the target's own included.
    temperature
        Sampling temperature of the measurement.
    shape
        Reproduces the lengths.
    source
        Where the lengths come from.
    """

    lengths: Mapping[int, float]
    temperature: float
    shape: AcceptanceShape
    source: str


@dataclass(frozen=True, slots=True)
class AcceptanceProfile:
    """One drafter on one target.

    Parameters
    ----------
    name, title
        Key in ``workloads/acceptance``, or path, and one line for reports.
    common
        What the shapes of its tasks have in common; level and decay are nothing to go by.
    tasks
        What was measured, by task.
    temperature_slope
        Log-odds that a unit of sampling temperature adds.
    provenance
        Every figure as it stands in the data file, by dotted key.
    """

    name: str
    title: str
    common: AcceptanceShape
    tasks: Mapping[str, MeasuredTask]
    temperature_slope: float
    provenance: Mapping[str, Quantity]


class ChosenShape(NamedTuple):
    """A shape, and what was assumed for it."""

    shape: AcceptanceShape
    assumptions: tuple[str, ...]


def profile_names() -> list[str]:
    """List the profiles in ``workloads/acceptance``."""
    return data_names(_PACKAGE)


def task_offsets() -> dict[str, Quantity]:
    """Return the log-odds of tasks relative to coding.

    Examples
    --------
    >>> task_offsets()["chat"].value
    -1.15
    """
    return read_quantities(read_data(_TASKS, "acceptance", "table of tasks"), "workloads/tasks")


def read_profile(name: str) -> AcceptanceProfile:
    """Read a profile by name, or from a file of the same form by its path.

    Raises
    ------
    TableError
        If there is none, or its file is incomplete.

    Examples
    --------
    >>> sorted(read_profile("llama_3_2_1b_dspark").tasks)
    ['coding', 'math', 'question', 'tool_call', 'writing']
    """
    what = "acceptance profile"
    data = read_data_file(name, what) if names_a_file(name) else read_data(_PACKAGE, name, what)
    origin = name if names_a_file(name) else f"workloads/acceptance/{name}.yaml"
    _check_keys(data, ("title", "temperature_slope", "shape", "tasks"), origin)
    _check_keys(data["shape"], _COMMON, f"{origin}: shape")
    common = read_quantities(data["shape"], f"{origin}: shape")
    slope = Quantity.read(data["temperature_slope"], f"{origin}: temperature_slope")
    provenance = {"temperature_slope": slope}
    provenance |= {f"shape.{key}": quantity for key, quantity in common.items()}
    tasks = {}
    for task, entry in data["tasks"].items():
        tasks[task], own = _task(entry, common, f"{origin}: tasks.{task}")
        provenance |= {f"tasks.{task}.{key}": quantity for key, quantity in own.items()}
    shared = AcceptanceShape(level=0.0, **{key: common[key].value for key in _COMMON})
    return AcceptanceProfile(name, str(data["title"]), shared, tasks, slope.value, provenance)


def _task(
    entry: Mapping[str, Any], common: Mapping[str, Quantity], origin: str
) -> tuple[MeasuredTask, dict[str, Quantity]]:
    """Read what was measured of a task; its figures come before those of the whole profile."""
    rest = dict(entry)
    published = rest.pop("lengths", {})
    _check_keys(published, ("values", "source", "kind"), f"{origin}.lengths")
    own = read_quantities(rest, origin)
    figures = {**common, **own}
    _check_keys(figures, (*_SHAPE, "temperature"), origin)
    try:
        shape = AcceptanceShape(**{key: figures[key].value for key in _SHAPE})
    except ConfigError as error:
        raise TableError(f"{origin}: {error}") from error
    lengths = {int(gamma): float(length) for gamma, length in published["values"].items()}
    temperature = figures["temperature"].value
    return MeasuredTask(lengths, temperature, shape, str(published["source"])), own


def _check_keys(found: Mapping[str, Any], wanted: Sequence[str], origin: str) -> None:
    missing = [key for key in wanted if key not in found]
    if missing:
        raise TableError(f"{origin} lacks {', '.join(missing)}.")


def choose_shape(
    profile: AcceptanceProfile, task: str | None, temperature: float | None
) -> ChosenShape:
    """Return the shape of a profile for a task and temperature.

    Parameters
    ----------
    profile
        The profile.
    task
        One that was measured, or another of `task_offsets`. Null: the first that was measured.
    temperature
        Sampling temperature; null: that of the measurement.

    Raises
    ------
    ConfigError
        If nothing is known of the task.
    """
    offsets = task_offsets()
    wanted = task or next(iter(profile.tasks))
    known = {*profile.tasks, *offsets}
    if wanted not in known:
        raise ConfigError(unknown("speculation.task", wanted, sorted(known), profile.title))
    notes = []
    nearest = _nearest_task(profile, wanted, offsets)
    measured = profile.tasks[nearest]
    shape = measured.shape
    if nearest != wanted:
        logits = offsets[wanted].value - offsets[nearest].value
        shape = shape.shifted(logits)
        notes.append(
            f"{profile.title} was measured on {nearest}, not {wanted}: log-odds {logits:+.2f}, a "
            f"judgement from other drafters"
        )
    if temperature is not None and temperature != measured.temperature:
        logits = profile.temperature_slope * (temperature - measured.temperature)
        shape = shape.shifted(logits)
        notes.append(
            f"measured at temperature {measured.temperature:g}, not {temperature:g}: acceptance "
            f"has {logits:+.2f} log-odds, assumed"
        )
    return ChosenShape(shape, tuple(notes))


def _nearest_task(profile: AcceptanceProfile, wanted: str, offsets: Mapping[str, Quantity]) -> str:
    """Return the measured task that is like the one wanted."""
    if wanted in profile.tasks:
        return wanted
    comparable = [task for task in profile.tasks if task in offsets]
    if not comparable:
        raise ConfigError(
            f"speculation.task={wanted!r}: {profile.title} was measured on "
            f"{', '.join(profile.tasks)} alone, which compares with no other task; choose that."
        )
    return min(comparable, key=lambda task: abs(offsets[task].value - offsets[wanted].value))
