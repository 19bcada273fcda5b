"""The configuration that a run was made with, from the metadata of its trace."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from simulator.config import Config
from simulator.mapping import from_mapping
from simulator.trace.read import notes, open_trace


def stored_settings(requests_path: Path) -> dict[str, Any]:
    """Return the resolved configuration of a run, group by group, as plain JSON.

    Raises
    ------
    DataError
        If the file is not a whole trace of requests.
    """
    with open_trace(requests_path, "requests") as file:
        settings: dict[str, Any] = json.loads(notes(file)["config"])
    return settings


def stored_config(requests_path: Path) -> Config:
    """Return the configuration of a run; `scenario.build` makes its parts of it again.

    Raises
    ------
    DataError
        If the file is not a whole trace of requests.
    ConfigError
        If another version wrote settings that this one does not know.
    """
    settings = stored_settings(requests_path)
    if settings["workload"].get("mix"):  # its classes are told to readers; they follow from the mix
        settings["workload"].pop("traffic_classes", None)
    return from_mapping(Config, settings, "")
