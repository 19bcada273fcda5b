"""The command ``moesim``. Next to nothing is imported here: ``--help`` answers at once."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module

from simulator.commands import COMMANDS
from simulator.commands.arguments import Parser
from simulator.errors import ConfigError, InvariantError, SimulatorError, unknown

EXIT_OK, EXIT_REFUSED, EXIT_BUG, EXIT_INTERRUPTED, EXIT_PIPE = 0, 2, 70, 130, 141
"""Done; refused; a bug (``EX_SOFTWARE`` of sysexits.h); interrupted, or its reader left: 128 plus
the signal, as shells count."""

_BUG = "This is a bug in moesim; please report it with the command that led here."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    Parameters
    ----------
    arguments
        Words of the command line after ``moesim``; None takes them from the process.

    Returns
    -------
    int
        0 done, 1 done and nothing found (moesim plan), 2 refused, 70 a bug, 130 interrupted, 141
        the reader of the output left.

    Examples
    --------
    >>> main([])  # doctest: +ELLIPSIS
    usage: moesim COMMAND ...
    ...
    0
    """
    if arguments is None:
        _print_anything()
        arguments = sys.argv[1:]
    try:
        code = _run(list(arguments))
        if sys.stdout is not None:  # None: closed by whoever started us
            sys.stdout.flush()
    except SystemExit as leaving:  # argparse and Hydra leave after --help and the like
        return int(leaving.code or EXIT_OK)
    except BrokenPipeError:
        _discard_output()
        return EXIT_PIPE
    except (KeyboardInterrupt, Exception) as error:
        message, code = _worded(error)
        sys.stderr.write(f"moesim: {message}\n")
    return code


def _worded(error: BaseException) -> tuple[str, int]:
    """Return the message and the exit code of an error."""
    if isinstance(error, ImportError) and isinstance(error.__cause__, KeyboardInterrupt):
        error = error.__cause__  # a compiled module that is interrupted in the making says so
    if isinstance(error, KeyboardInterrupt):
        # A command that can go on later says so in the exception.
        what = str(error) or "what had not ended has no summary."
        return f"interrupted; {what}", EXIT_INTERRUPTED
    if isinstance(error, InvariantError):
        return f"{error}\n{_BUG}", EXIT_BUG
    if isinstance(error, SimulatorError):
        return str(error), EXIT_REFUSED
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        _discard_output()
        return f"cannot write: {error.strerror}. Free the disk.", EXIT_REFUSED
    traceback.print_exception(error)
    return f"unexpected {type(error).__name__}, see above.\n{_BUG}", EXIT_BUG


def _run(words: list[str]) -> int:
    """Run the command that the first word names."""
    parser = _parser()
    name = parser.parse_args(words[:1]).command
    if name is None:
        parser.print_help()
        return EXIT_OK
    if name not in COMMANDS:
        raise ConfigError(unknown("command", name, COMMANDS))
    return _command(name)(words[1:])


def _parser() -> Parser:
    width = max(map(len, COMMANDS)) + 2
    listing = "\n".join(f"  {name:{width}}{what.purpose}" for name, what in COMMANDS.items())
    parser = Parser(
        prog="moesim",
        usage="moesim COMMAND ...",
        description="Will speculative decoding speed up my Mixture-of-Experts model?"
        f"\n\ncommands:\n{listing}",
        epilog="moesim COMMAND --help tells more. Start with: moesim simulate",
    )
    parser.add_version()
    parser.add_argument("command", nargs="?", help="one of the above")
    return parser


def _command(name: str) -> Callable[[list[str]], int]:
    """Import and return a command."""
    command: Callable[[list[str]], int]
    command = import_module(f"simulator.commands.{COMMANDS[name].module}").main
    return command


def _print_anything() -> None:
    """Let a terminal that lacks a character show its code instead of stopping the run."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _discard_output() -> None:
    """Send what is still buffered nowhere: flushing it at exit would complain once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
