"""The folder of options of the user's own, so that commands to copy find them again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any


def own_options(sources: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the flag that names the folder given with ``--config-dir``; none if none was.

    Parameters
    ----------
    sources
        Where Hydra looked for options (``hydra.runtime.config_sources``).

    Examples
    --------
    >>> own_options([{"provider": "main", "path": "simulator.conf"}])
    []
    >>> own_options([{"provider": "command-line", "path": "/tmp/mine"}])
    ['--config-dir=/tmp/mine']
    """
    given = [Path(one["path"]) for one in sources if one["provider"] == "command-line"]
    here = Path.cwd()
    shown = [path.relative_to(here) if path.is_relative_to(here) else path for path in given]
    return [f"--config-dir={path}" for path in shown]
