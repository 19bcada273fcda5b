"""Where commands print."""

from __future__ import annotations

from typing import NoReturn

from rich.console import Console


class _Screen(Console):
    """Standard output. A reader that leaves (``| head``) ends the command, not the process."""

    def on_broken_pipe(self) -> NoReturn:
        """Let `cli.main` decide the exit code; Rich would exit with 1 on the spot."""
        raise BrokenPipeError


def screen() -> Console:
    """Return a console on standard output.

    Examples
    --------
    >>> screen().print("[b]4[/b] GPUs")
    4 GPUs
    """
    return _Screen(highlight=False)
