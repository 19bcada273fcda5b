"""Commands with subjects: ``moesim validate kernels``, ``moesim calibrate fit``."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from simulator.commands.folders import check_folder
from simulator.commands.words import Words, help_text, read_words
from simulator.errors import ConfigError, unknown


class Subject(NamedTuple):
    """A subject: the module that runs it (see `SubjectModule`), and what it is for."""

    module: str
    purpose: str


class SubjectModule(Protocol):
    """What the module of a subject holds. Slow imports belong into ``run``."""

    PURPOSE: str
    """What the subject does and needs, for ``--help``."""

    EXAMPLES: Sequence[str]
    """Command lines, without ``moesim``."""

    Settings: type
    """Its settings: a frozen dataclass, each field with ``metadata={"help": ...}``."""

    def run(self, settings: Any, folder: Path) -> None:
        """Do it, write into the folder, and show what came out."""


def run_subject(command: str, subjects: Mapping[str, Subject], words: Sequence[str]) -> int:
    """Run the subject that the first word names.

    Parameters
    ----------
    command
        The command that has the subjects.
    subjects
        Its subjects by name.
    words
        Of the command line, after the command.

    Returns
    -------
    int
        0.

    Raises
    ------
    SimulatorError
        If there is no such subject, or it refuses its settings.
    """
    name, *rest = words or ["--help"]
    if name in {"--help", "-h"}:
        width = max(map(len, subjects)) + 2
        listing = "\n".join(f"  {key:{width}}{what.purpose}" for key, what in subjects.items())
        sys.stdout.write(
            f"usage: moesim {command} SUBJECT [key=value ...]\n\nsubjects:\n{listing}\n\n"
            f"moesim {command} SUBJECT --help tells more.\n"
        )
        return 0
    if name not in subjects:
        raise ConfigError(unknown(f"subject of moesim {command}", name, subjects))
    module: SubjectModule = import_module(subjects[name].module)
    called = f"{command} {name}"
    if {"--help", "-h"} & set(rest):
        sys.stdout.write(help_text(called, module.PURPOSE, module.Settings, module.EXAMPLES))
        return 0
    read: Words[Any] = read_words(rest, module.Settings, called)
    check_folder(read.folder)
    module.run(read.settings, read.folder)
    return 0
