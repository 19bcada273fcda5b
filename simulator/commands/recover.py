"""``moesim recover``: what a run that was cut off has left of its trace."""

from __future__ import annotations

from pathlib import Path

from simulator.commands.arguments import Parser

_EPILOG = """\
A run that was killed leaves its rows up to the last whole block of 32,768 in
FOLDER/parts. This makes FOLDER/requests.recovered.parquet and
FOLDER/iterations.recovered.parquet of them, for DuckDB, polars or pandas. Their
metadata say that they are incomplete, so that moesim does not take them for
results. The same command line runs the whole trace again, byte for byte.

example:
  moesim recover runs/2026-01-31/12-00-00-000000"""


def main(arguments: list[str]) -> int:
    """Recover the trace of a run, and say what there was.

    Returns
    -------
    int
        0.

    Raises
    ------
    DataError
        If there is nothing to recover.
    """
    parser = Parser(
        prog="moesim recover",
        usage="moesim recover FOLDER",
        description="Make readable what a run that was cut off has left of its trace.",
        epilog=_EPILOG,
    )
    parser.add_argument("folder", type=Path, help="folder of the run")
    _recover(parser.parse_args(arguments).folder)
    return 0


def _recover(folder: Path) -> None:
    # Slow to import, and `--help` does without.
    from simulator.commands.screen import screen  # noqa: PLC0415
    from simulator.trace.recover import recover  # noqa: PLC0415

    console = screen()
    for table in recover(folder):
        runs = f"{len(table.whole)} whole runs, {len(table.cut_off)} cut off"
        console.print(f"{table.path}: {table.rows:,} rows of {runs}", soft_wrap=True, markup=False)
    console.print("Incomplete. The same command line runs all of it again, byte for byte.")
