"""A measurement in a Python process of its own: its figures as JSON, its peak memory."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path


def figures_of(script: str, *arguments: str, python: str = sys.executable) -> dict[str, float]:
    """Run a script of this folder and return what it prints, one JSON object of figures.

    Parameters
    ----------
    script
        File name; the folder is this one.
    arguments
        Words of its command line.
    python
        Who runs it.

    Raises
    ------
    subprocess.CalledProcessError
        If it fails; what it said stands in the terminal.
    """
    command = [python, str(Path(__file__).with_name(script)), *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def peak_bytes() -> float:
    """Return the peak resident memory of this process."""
    status = Path("/proc/self/status")
    if not status.exists():  # macOS; its getrusage counts bytes
        return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    # Linux's getrusage would count the process that started this one, too.
    peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return float(peak.split()[1]) * 1024
