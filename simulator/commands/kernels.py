"""``moesim kernels import``: distil the measured kernel database again."""

from __future__ import annotations

import argparse
from importlib.resources import files
from pathlib import Path

from rich.console import Console
from rich.table import Table

from simulator.kernels.importer import import_tables


def main(arguments: list[str]) -> int:
    """Import the kernel tables and print what came of each."""
    parser = argparse.ArgumentParser(prog="moesim kernels")
    commands = parser.add_subparsers(dest="command", required=True)
    importer = commands.add_parser(
        "import",
        help="distil the tables from aiconfigurator-core (pip install 'moesim[kernels]')",
        description="Distil aiconfigurator-core's measured kernel database into moesim's tables.",
    )
    importer.add_argument(
        "--to", type=Path, default=None, help="folder to write (default: where moesim reads them)"
    )
    importer.add_argument(
        "--from", type=Path, default=None, dest="source", help="the package's 'systems' folder"
    )
    options = parser.parse_args(arguments)
    destination = options.to or Path(str(files("simulator.hardware_specs"))) / "kernel_tables"
    table = Table(title=f"Kernel tables in {destination}")
    for column in ("table", "rows", "dropped", "MB"):
        table.add_column(column, justify="left" if column == "table" else "right")
    for imported in import_tables(destination, options.source):
        table.add_row(
            imported.name,
            f"{imported.rows:,}",
            f"{sum(imported.dropped.values()):,}",
            f"{imported.bytes / 1e6:.2f}",
        )
    Console().print(table)
    return 0
