"""Run the benchmarks: ``python benchmarks/run.py [NAME ...] --json FILE``."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import engine
import events
import memory
import million
import peer
import start
import sweep
import traces
import w1
from rich.console import Console
from rich.table import Table

from simulator.errors import unknown

BENCHMARKS: dict[str, Callable[[], dict[str, float]]] = {
    "engine": engine.measure,
    "events": events.measure,
    "w1": w1.measure,
    "memory": memory.measure,
    "million": million.measure,
    "traces": traces.measure,
    "sweep": sweep.measure,
    "start": start.measure,
}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks/run.py", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    parser.add_argument(
        "--peer-python", metavar="FILE", help=f"Python with the peer of w1; {peer.PYTHON_VARIABLE}"
    )
    options = parser.parse_args(arguments)
    if options.peer_python:
        os.environ[peer.PYTHON_VARIABLE] = options.peer_python
    for name in options.names:
        if name not in BENCHMARKS:
            print(unknown("benchmark", name, BENCHMARKS, "benchmarks/run.py"), file=sys.stderr)
            return 2
    results = {}
    for name in options.names or BENCHMARKS:
        results[name] = BENCHMARKS[name]()
        _show(name, results[name])
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")
    return 0


def _show(name: str, figures: dict[str, float]) -> None:
    table = Table("figure", "value", title=name, title_justify="left")
    for figure, value in figures.items():
        table.add_row(figure, f"{value:,.0f}" if value >= 1000 else f"{value:.4g}")
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
