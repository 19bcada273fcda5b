"""Command-line arguments whose errors are ours: one message, no usage lines."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from simulator.errors import ConfigError


class Parser(argparse.ArgumentParser):
    """An argument parser that raises instead of printing and leaving.

    Line breaks of descriptions are kept.

    Parameters
    ----------
    prog, usage, description, epilog
        As `argparse.ArgumentParser`.

    Examples
    --------
    >>> Parser(prog="moesim toy").parse_args(["--fast"])
    Traceback (most recent call last):
    ...
    simulator.errors.ConfigError: unrecognized arguments: --fast. Try: moesim toy --help
    """

    def __init__(
        self,
        prog: str,
        usage: str | None = None,
        description: str | None = None,
        epilog: str | None = None,
    ) -> None:
        super().__init__(
            prog,
            usage,
            description,
            epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def error(self, message: str) -> NoReturn:
        """Refuse the arguments.

        Raises
        ------
        ConfigError
            Always.
        """
        raise ConfigError(f"{message}. Try: {self.prog} --help")

    def add_version(self) -> None:
        """Add ``--version``."""
        self.add_argument("--version", action=_Version)


class _Version(argparse.Action):
    """Prints the version, looking it up only when asked."""

    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help="print the version and exit")

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version  # noqa: PLC0415 - every command would pay for it

        sys.stdout.write(f"moesim {version('moesim')}\n")
        parser.exit()
