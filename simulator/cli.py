"""The command ``moesim``. Only argparse is imported here: ``--help`` answers at once."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from simulator.errors import InvariantError, SimulatorError

EXIT_OK, EXIT_REFUSED, EXIT_BUG, EXIT_INTERRUPTED = 0, 2, 70, 130

_COMMANDS = {
    "simulate": "one scenario with and without speculative decoding, paired",
    "kernels": "measured kernel tables: import them again from their source",
    "list": "known models, GPUs, drafters, workloads and parts, with their sources",
    "completion": 'shell completion: eval "$(moesim completion bash)"',
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0 done, 2 refused, 70 a bug, 130 interrupted."""
    argv = list(sys.argv[1:] if arguments is None else arguments)
    parser = _parser()
    options = parser.parse_args(argv[:1])
    if options.command is None:
        parser.print_help()
        return EXIT_OK
    try:
        return _command(options.command)(argv[1:])
    except InvariantError as error:
        _say(f"{error}\nThis is a bug in moesim; please report it with the command that led here.")
        return EXIT_BUG
    except SimulatorError as error:
        _say(str(error))
        return EXIT_REFUSED
    except KeyboardInterrupt:
        _say("interrupted; nothing that looks complete was left behind.")
        return EXIT_INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="moesim",
        description="Will speculative decoding speed up my Mixture-of-Experts model?",
        epilog="moesim COMMAND --help tells more. Start with: moesim simulate",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version)
    width = max(map(len, _COMMANDS)) + 2
    listing = "\n".join(f"{name:{width}}{what}" for name, what in _COMMANDS.items())
    parser.add_argument("command", nargs="?", choices=list(_COMMANDS), help=argparse.SUPPRESS)
    parser.usage = "moesim COMMAND ..."
    parser.description = f"{parser.description}\n\ncommands:\n{listing}"
    return parser


class _Version(argparse.Action):
    """Prints the version, looking it up only when asked."""

    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help="print the version and exit")

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        sys.stdout.write(f"moesim {version('moesim')}\n")
        parser.exit()


def _command(name: str) -> Callable[[list[str]], int]:
    """Import and return a command."""
    if name == "simulate":
        from simulator.commands.simulate import main as command
    elif name == "kernels":
        from simulator.commands.kernels import main as command
    elif name == "list":
        from simulator.commands.listing import main as command
    else:
        from simulator.commands.completion import main as command
    return command


def _say(message: str) -> None:
    sys.stderr.write(f"moesim: {message}\n")
