"""What a command takes before it does anything: CPU time of whole processes, workers included.

Help, and jobs so small that imports, composing and building are most of them. Every process is
this Python's, with nothing to compile after the first turn if it may write bytecode.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from tempfile import TemporaryDirectory

CASES = {
    "help": "--help",
    "simulate_help": "simulate --help",
    "list": "list models",
    "explain": "explain",
    "simulate": "simulate run.requests=50 run.workers=1 run.picture=false",
}
"""Name of a case, and its words after ``moesim``."""

SCRIPT = "import sys; from simulator.cli import main; sys.exit(main())"


def measure(*, turns: int = 3, cases: dict[str, str] = CASES) -> dict[str, float]:
    """Run the benchmark.

    Parameters
    ----------
    turns
        Turns of all cases; the figures are medians over them.
    cases
        As `CASES`.

    Returns
    -------
    dict
        ``{case}_cpu_s``, user and system time of the process and those it started, s.
    """
    spent: dict[str, list[float]] = {case: [] for case in cases}
    for _ in range(turns):
        for case, words in cases.items():
            spent[case].append(_cpu_s(words.split()))
    return {f"{case}_cpu_s": statistics.median(found) for case, found in spent.items()}


def _cpu_s(words: list[str]) -> float:
    """Run a command in an empty folder, its output dropped; return the CPU time it took, s."""
    before = os.times()
    with TemporaryDirectory() as folder:
        command = [sys.executable, "-c", SCRIPT, *words]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=folder)
    after = os.times()
    ended = after.children_user + after.children_system
    return ended - before.children_user - before.children_system
