"""``moesim kernels import``: distil the measured kernel database again."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from rich.table import Table

from simulator.commands.arguments import Parser
from simulator.commands.screen import screen
from simulator.units import MEGA


def main(arguments: list[str]) -> int:
    """Import the kernel tables and print what came of each."""
    parser = Parser(
        prog="moesim kernels",
        description="Distil aiconfigurator-core's measured kernel database into moesim's tables.\n"
        "It comes with: pip install 'moesim[kernels]'",
    )
    parser.add_argument("action", choices=["import"], help="import the tables")
    parser.add_argument(
        "--to", type=Path, default=None, help="folder to write (default: where moesim reads them)"
    )
    parser.add_argument(
        "--from", type=Path, default=None, dest="source", help="the package's 'systems' folder"
    )
    options = parser.parse_args(arguments)
    destination = options.to or Path(str(files("simulator.hardware_specs"))) / "kernel_tables"
    _import(destination, options.source)
    return 0


def _import(destination: Path, source: Path | None) -> None:
    from simulator.kernels.importer import import_tables  # noqa: PLC0415 - `--help` does without

    table = Table(title=f"Kernel tables in {destination}")
    for column in ("table", "rows", "dropped", "MB"):
        table.add_column(column, justify="left" if column == "table" else "right")
    for imported in import_tables(destination, source):
        table.add_row(
            imported.key,
            f"{imported.rows:,}",
            f"{sum(imported.dropped.values()):,}",
            f"{imported.path.stat().st_size / MEGA:.2f}",
        )
    screen().print(table)
