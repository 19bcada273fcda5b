"""What the timed cells say of the machine: bandwidths, rates, launch time, spread, the line."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.kernels.microbench.cells import ROUTINGS
from simulator.kernels.microbench.line import ExpertLine, expert_line
from simulator.kernels.microbench.runner import Measurement, Results


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures of a machine.

    Parameters
    ----------
    dtype
        Format of the tables.
    copy_bandwidth
        Bytes read and written per second by a copy.
    read_bandwidth
        Bytes read per second by a sum.
    peak_flops
        Highest rate of any timed kernel, FLOP/s, by format.
    launch_s
        Time of a kernel on one number in a row of such, s: what any takes at least.
    median_spread, worst_spread
        Distance between the quartiles of a cell's repeats over their median, over all cells.
    line, drawn
        Time against distinct experts, under balanced and under uniform routing.
    verify_ratio
        Attention of the most query rows per KV head over that of one: what verifying costs beside
        decoding, at the longest context of one request.
    """

    dtype: str
    copy_bandwidth: float
    read_bandwidth: float
    peak_flops: dict[str, float]
    launch_s: float
    median_spread: float
    worst_spread: float
    line: ExpertLine
    drawn: ExpertLine
    verify_ratio: float

    @property
    def memory_bandwidth(self) -> float:
        """The higher of both bandwidths, bytes/s: a peak that no kernel should exceed."""
        return max(self.copy_bandwidth, self.read_bandwidth)


def figures_of(results: Results) -> Figures:
    """Compute the figures of a machine from what was timed on it."""
    every = (*results.tables, *results.line)
    probes = {m.cell.operator: m for m in results.tables}
    peaks: dict[str, float] = {}
    for found in every:
        rate = found.cell.work().flops / found.seconds
        if rate > 0:
            peaks[found.cell.dtype] = max(rate, peaks.get(found.cell.dtype, 0.0))
    spreads = [found.spread for found in every]
    balanced, drawn = (
        expert_line([m for m in results.line if m.cell.routing == routing]) for routing in ROUTINGS
    )
    return Figures(
        dtype=results.line[0].cell.dtype,
        copy_bandwidth=_bandwidth(probes["copy"]),
        read_bandwidth=_bandwidth(probes["read"]),
        peak_flops=peaks,
        launch_s=probes["launch"].seconds / probes["launch"].cell.keys["kernels"],
        median_spread=float(np.median(spreads)),
        worst_spread=max(spreads),
        line=balanced,
        drawn=drawn,
        verify_ratio=_verify_ratio(results),
    )


def _bandwidth(found: Measurement) -> float:
    return found.cell.work().moved_bytes / found.seconds


def _verify_ratio(results: Results) -> float:
    """Compare the widest query with the narrowest at the longest context that both were timed at.

    NaN if no two cells differ in their queries alone.
    """
    cells = [m for m in results.tables if m.cell.operator == "decode_attention"]
    best = (0, float("nan"))
    groups: dict[tuple[int, ...], list[Measurement]] = {}
    for found in cells:
        keys = found.cell.keys
        if keys["batch"] == 1:
            same = (keys["context"], keys["head_dim"], keys["kv_heads"])
            groups.setdefault(same, []).append(found)
    for (context, *_), group in groups.items():
        group.sort(key=lambda m: m.cell.keys["heads"])
        if len(group) > 1 and context >= best[0]:
            best = (context, group[-1].seconds / group[0].seconds)
    return best[1]


def metrics(results: Results, figures: Figures) -> dict[str, float]:
    """Return the figures by flat name, SI units, for ``summary.json``."""
    line = figures.line
    found = {
        "experts_linearity_r2": line.r_squared,
        "experts_uniform_r2": figures.drawn.r_squared,
        "experts_bandwidth": line.bandwidth,
        "experts_layer_bytes": line.layer_bytes,
        "copy_bandwidth": figures.copy_bandwidth,
        "read_bandwidth": figures.read_bandwidth,
        "launch_s": figures.launch_s,
        "verify_over_decode": figures.verify_ratio,
        "median_spread": figures.median_spread,
        "worst_spread": figures.worst_spread,
        "cells_timed": float(len(results.tables) + len(results.line)),
        "cells_skipped": float(len(results.skipped)),
    }
    return found | {f"peak_flops_{dtype}": rate for dtype, rate in figures.peak_flops.items()}
