"""What a command found: saved, printed, and its files named."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from simulator.commands.screen import screen
from simulator.errors import ConfigError
from simulator.trace.json_file import json_safe, write_json

_OWNERS = {
    "plan.json": "plan",
    "sweep.json": "sweep",
    "requests.parquet": "simulate",
}
"""Files that tell whose results a folder holds, and the command that wrote them."""


def claim_folder(folder: Path, mark: str) -> None:
    """Refuse a folder of files in which they would mix with those of another command.

    Parameters
    ----------
    folder
        Where files are to go; it need not be there.
    mark
        The file that tells a folder of the command that asks.

    Raises
    ------
    ConfigError
        If it is a file, or holds what another command found.
    """
    choose = "choose another folder with hydra.run.dir=FOLDER."
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{str(folder)!r} is a file; {choose}")
    for other, command in _OWNERS.items():
        if other != mark and (folder / other).exists():
            raise ConfigError(
                f"{str(folder)!r} holds results of moesim {command}, whose summary.json would be "
                f"lost; {choose}"
            )


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
