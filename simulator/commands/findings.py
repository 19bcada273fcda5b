"""What a command found: saved, printed, and its files named."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from simulator.commands.screen import screen
from simulator.trace.json_file import json_safe, write_json


def finish(
    folder: Path,
    found: Mapping[str, Any],
    show: Callable[[Console], None],
    pictures: Mapping[str, Callable[[Path], Path]],
    *,
    files: Mapping[str, Path] | None = None,
    as_json: bool = False,
) -> None:
    """Save what was found, print it, and name the files.

    Parameters
    ----------
    folder
        Folder of the run; made if need be.
    found
        What goes into ``summary.json``, figures under ``"metrics"``.
    show
        Prints tables and advice.
    pictures
        Draws a file, by its name in the folder.
    files
        What was written already, by what it is.
    as_json
        Print the metrics alone, as JSON.
    """
    written = dict(files or {})
    written["summary"] = write_json(folder / "summary.json", found)
    for name, draw in pictures.items():
        written[Path(name).stem] = draw(folder / name)
    console = screen()
    if as_json:
        text = json.dumps(json_safe(found["metrics"]), indent=2)
        console.print(text, soft_wrap=True, markup=False)
        return
    show(console)
    for name, path in written.items():  # never wrapped: people copy them
        console.print(f"{name}: {path}", soft_wrap=True, markup=False)
