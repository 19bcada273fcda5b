"""Which workload is meant: a trace file, a preset file, or a name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from simulator.commands.one_point import compose_point
from simulator.commands.settings import group_options
from simulator.errors import ConfigError, unknown
from simulator.quantities import names_a_file
from simulator.workload.build import build_workload
from simulator.workload.presets import preset_names
from simulator.workload.readers.likely import likely_format
from simulator.workload.requests import Workload

DRAWN_REQUESTS = 20_000
"""Requests drawn of a workload that has no end, unless told otherwise."""

_ALL_ROWS = 10**12
"""More requests than a trace has."""

_SAYS_HOW = ("workload.format=", "workload.kind=")
"""Settings that say how a file is read; without them it is read as what it looks like."""


def open_source(
    what: str, requests: int | None, overrides: Sequence[str], command: str
) -> Workload:
    """Open the workload that a word names.

    Parameters
    ----------
    what
        A trace file or folder, whose format is told by its first line unless a setting says it; a
        preset of ours or a YAML file of one; or an option of the config group ``workload``. A file
        that has such a name is ``./NAME``.
    requests
        How many requests to take at most. None: a trace whole, ``DRAWN_REQUESTS`` of others.
    overrides
        Settings ``workload.*``, as for ``moesim simulate``.
    command
        Who asks, for messages.

    Raises
    ------
    SimulatorError
        If nothing is called so, it cannot be read, or a setting makes no sense.
    """
    chosen = _chosen(what)
    if chosen[0] == "workload=trace" and not any(word.startswith(_SAYS_HOW) for word in overrides):
        likely = likely_format(Path(what).expanduser())
        chosen += [f"workload.format={likely}"] if likely else []
    config = compose_point([*chosen, *overrides], command).workload
    most = _ALL_ROWS if config.kind == "trace" else DRAWN_REQUESTS
    return build_workload(config, requests or most)


def _chosen(what: str) -> list[str]:
    """Return the words that choose the workload."""
    if what in group_options("workload"):
        return [f"workload={what}"]
    if what in preset_names():
        return ["workload=chat", f"workload.preset={what}"]
    if Path(what).suffix in {".yaml", ".yml"}:
        return ["workload=chat", f"workload.preset={_quoted(what)}"]
    if names_a_file(what) or Path(what).suffix or Path(what).expanduser().exists():
        return ["workload=trace", f"workload.path={_quoted(what)}"]
    known = sorted({*group_options("workload"), *preset_names()})
    raise ConfigError(f"{unknown('workload', what, known)} There is no such file either.")


def _quoted(text: str) -> str:
    """Write a text so that Hydra reads it as it stands."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
