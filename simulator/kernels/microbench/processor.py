"""What the operating system tells of a processor: its name, memory and last-level cache."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

from simulator.quantities import Quantity
from simulator.units import GIB

SYSTEM = Path("/")
"""Root of the files that Linux describes the machine in."""

_FALLBACK_CACHE = 32 * 2**20
"""Where the system does not tell: most laptops have less, so that caches are still flushed."""

_SIZES = {"K": 2**10, "M": 2**20, "G": 2**30}


def processor_title(root: Path = SYSTEM) -> str:
    """Return the name of the processor and its number of cores."""
    try:
        text = (root / "proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        text = ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    name = found.group(1).strip() if found else platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores"


def busy() -> str | None:
    """Say that other processes want the cores, or nothing if they leave half of them idle."""
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    if load <= cores / 2:
        return None
    return (
        f"Other processes kept the machine busy when timing began (load {load:.1f} on {cores} "
        "cores): times are too long and scatter. OMP_NUM_THREADS=1 suffers least."
    )


def main_memory() -> Quantity:
    """Return the memory of the machine."""
    size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    source = f"operating system (SC_PHYS_PAGES), {size / GIB:.1f} GiB"
    return Quantity(float(size), "byte", source, "measured")


def last_level_cache(root: Path = SYSTEM) -> Quantity:
    """Return the largest cache of the first core; what is not told is assumed, and says so."""
    sizes = []
    for file in sorted((root / "sys/devices/system/cpu/cpu0/cache").glob("index*/size")):
        found = re.fullmatch(r"(\d+)([KMG]?)", file.read_text(encoding="utf-8").strip())
        if found:
            sizes.append(int(found.group(1)) * _SIZES.get(found.group(2), 1))
    if sizes:
        source = "operating system (/sys/devices/system/cpu/cpu0/cache)"
        return Quantity(float(max(sizes)), "byte", source, "measured")
    return Quantity(
        float(_FALLBACK_CACHE), "byte", "not told by the operating system; a common size", "assumed"
    )
