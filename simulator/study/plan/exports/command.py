"""Command lines of engines as people paste them, and what they leave unsaid."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

_CONTINUED = " \\\n  "


@dataclass(frozen=True, slots=True)
class Export:
    """How one engine serves a deployment.

    Parameters
    ----------
    engine
        Its name as people write it.
    commands
        A command line for each kind of server, in the order of the pools.
    notes
        What the commands leave to the user, or cannot express, sentences.
    """

    engine: str
    commands: tuple[str, ...]
    notes: tuple[str, ...]

    def script(self) -> str:
        """Return commands and notes as a shell script.

        Examples
        --------
        >>> print(Export("vLLM", ("vllm serve m",), ("Runs on one node.",)).script())
        #!/bin/sh
        # vLLM. Written by moesim plan.
        # Runs on one node.
        <BLANKLINE>
        vllm serve m
        <BLANKLINE>
        """
        head = ["#!/bin/sh", f"# {self.engine}. Written by moesim plan."]
        head += [f"# {note}" for note in self.notes]
        return "\n".join([*head, *(f"\n{command}" for command in self.commands)]) + "\n"


def command_line(start: str, options: Iterable[tuple[str, Any]]) -> str:
    r"""Compose a command line, an option a line, quoted for a shell.

    Parameters
    ----------
    start
        Program and what it starts, quoted already.
    options
        Names and values: True for a bare flag, False or None to leave the option out, a mapping
        for JSON.

    Examples
    --------
    >>> print(command_line("vllm serve m", [("--a", 2), ("--b", True), ("--c", {"k": "v"})]))
    vllm serve m \
      --a 2 \
      --b \
      --c '{"k": "v"}'
    """
    words = [start]
    for name, value in options:
        if value is None or value is False:
            continue
        words.append(name if value is True else f"{name} {shlex.quote(_text(value))}")
    return _CONTINUED.join(words)


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, Mapping) else str(value)
