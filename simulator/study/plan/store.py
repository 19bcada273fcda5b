"""Results by the content of what they are results of, in a folder: whole files, or none."""

from __future__ import annotations

import json
from pathlib import Path

from simulator.trace.json_file import Json, write_json


class Store:
    """A cache of results.

    Parameters
    ----------
    folder
        Where they are kept; None keeps none.

    Examples
    --------
    >>> Store(None).get("0123") is None
    True
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def get(self, key: str) -> Json | None:
        """Return a result; None where there is none, or none that can be read."""
        if self._folder is None:
            return None
        try:
            found = json.loads(self._path(self._folder, key).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def put(self, key: str, result: Json) -> None:
        """Keep a result.

        Raises
        ------
        ConfigError
            If the folder cannot be written.
        """
        if self._folder is not None:
            write_json(self._path(self._folder, key), result)

    @staticmethod
    def _path(folder: Path, key: str) -> Path:
        return folder / key[:2] / f"{key}.json"
