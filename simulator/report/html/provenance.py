"""What made the figures of a page, so that others can make them again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from simulator.report.html.blocks import Block, Command, Pairs, Section


def command_line(words: Sequence[str]) -> str:
    """Return words as a shell takes them.

    Examples
    --------
    >>> command_line(["moesim", "simulate", "speculation.alphas=[0.7, 0.6]"])
    "moesim simulate 'speculation.alphas=[0.7, 0.6]'"
    """
    return " ".join(map(shlex.quote, words))


def versions_text(versions: Mapping[str, Any]) -> str:
    """Write versions on one line.

    Examples
    --------
    >>> versions_text({"moesim": "0.1.0", "python": "3.11.7"})
    'moesim 0.1.0, python 3.11.7'
    """
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def provenance_section(
    command: str | None,
    pairs: Mapping[str, Any],
    label: str = "The command that reproduces them, byte for byte",
) -> Section:
    """Return the last section of a page.

    Parameters
    ----------
    command
        What reproduces the figures; None where that is not known.
    pairs
        Facts by name: seed, versions, hashes, folders; what is None or empty is left out.
    label
        What the command does.
    """
    known = [(name, str(value)) for name, value in pairs.items() if value not in (None, "")]
    blocks: list[Block] = [Pairs(known)]
    if command is not None:
        blocks.insert(0, Command(label, command))
    return Section("provenance", "Provenance", blocks)
