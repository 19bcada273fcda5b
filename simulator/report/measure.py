"""What the microbenchmarks of a machine say, on the terminal and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from simulator.kernels.microbench.device import Machine
from simulator.kernels.microbench.figures import Figures
from simulator.kernels.microbench.runner import Measurement, Results
from simulator.report.figures import number, percent, seconds
from simulator.report.plots import drawing
from simulator.units import GIGA, MEGA, MS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LINEAR = 0.98
"""R^2 from which the line of the experts counts as straight; a stated aim."""

CALM = 0.2
"""Median spread up to which the machine counts as undisturbed (kind: assumed)."""

_TITLES = {
    "gemm": "dense products",
    "experts": "routed experts",
    "decode_attention": "decode, verify attention",
    "prefill_attention": "prefill attention",
}
_COLOURS = ("#0b6bcb", "#d1495b", "#2a9d5c", "#e08e0b")


def print_measured(
    machine: Machine,
    results: Results,
    figures: Figures,
    spec: Path,
    console: Console,
    *,
    quick: bool = False,
) -> None:
    """Print the figures of a machine with what to make of them; fits 80 columns.

    Parameters
    ----------
    machine, results, figures
        What was timed, and what it says.
    spec
        The GPU spec written, for the next command.
    console
        Where to print.
    quick
        Whether only small shapes were timed.
    """
    _print_machine(machine, figures, console)
    _print_line(figures, console)
    _print_operators(results, console)
    for sentence in (*machine.cautions, *_advice(figures, results, quick=quick)):
        console.print(Text(f"- {sentence}"))
    console.print(Text("\nNext, with a model that fits (model.layers=N cuts one down):"))
    console.print(
        f"  moesim simulate hardware.gpu={spec} model=... workload=fixed_batch",
        soft_wrap=True,
        markup=False,
    )


def _print_machine(machine: Machine, figures: Figures, console: Console) -> None:
    console.print(Text(f"{machine.title}: {machine.setting}", style="bold"))
    table = _table("what", "measured>")
    table.add_row("copy, bytes read and written", _rate(figures.copy_bandwidth, "B/s"))
    table.add_row("read", _rate(figures.read_bandwidth, "B/s"))
    for dtype, rate in figures.peak_flops.items():
        table.add_row(f"fastest kernel, {dtype}", _rate(rate, "FLOP/s"))
    table.add_row("kernel launch", seconds(figures.launch_s))
    table.add_row("spread of repeats (quartiles / median)", percent(figures.median_spread))
    console.print(table)


def _print_line(figures: Figures, console: Console) -> None:
    line = figures.line
    console.print(Text("Routed experts: time against distinct experts", style="bold"))
    table = _table("tokens>", "experts>", "time>", "on the line>")
    for tokens, active, took in zip(line.tokens, line.active, line.seconds, strict=True):
        on_line = line.fixed_s + line.per_expert_s * active
        table.add_row(str(tokens), str(active), seconds(took), seconds(on_line))
    console.print(table)
    share = line.bandwidth / figures.memory_bandwidth
    console.print(
        Text(
            f"R2 {line.r_squared:.3f}; an expert more costs {seconds(line.per_expert_s)}, as if "
            f"its weights came at {_rate(line.bandwidth, 'B/s')}, {percent(share)} of the "
            f"bandwidth above. The layer holds {number(line.layer_bytes / MEGA)} MB. Each expert "
            f"has one row here; drawn at random, some have several: R2 "
            f"{figures.drawn.r_squared:.3f}.\n"
        )
    )


def _print_operators(results: Results, console: Console) -> None:
    console.print(Text("Kernel tables", style="bold"))
    table = _table("operator", "shapes>", "left out>", "shortest>", "longest>", "spread>")
    for operator, title in _TITLES.items():
        mine = _of(results.tables, operator)
        left_out = sum(cell.operator == operator for cell in results.skipped)
        times = [found.seconds for found in mine]
        spread = float(np.median([found.spread for found in mine]))
        ends = (seconds(min(times)), seconds(max(times)))
        table.add_row(title, str(len(mine)), str(left_out), *ends, percent(spread))
    console.print(table)


def _of(timed: Sequence[Measurement], operator: str) -> list[Measurement]:
    return [found for found in timed if found.cell.operator == operator]


def _advice(figures: Figures, results: Results, *, quick: bool) -> list[str]:
    """Say what the figures ask the user to do."""
    found = []
    if quick:
        found.append("quick=true times few small shapes: repeat without it before you plan by it.")
    if figures.median_spread > CALM:
        found.append(
            f"Repeats lie {percent(figures.median_spread)} apart: something else runs. Close it "
            "and measure again; on a shared machine OMP_NUM_THREADS=1 helps."
        )
    if figures.line.r_squared < LINEAR:
        found.append(
            f"R2 below {LINEAR:g}: here experts do not cost by their number alone. Measure again "
            "on a quiet machine; if it stays, distrust speedups of MoE models on this hardware."
        )
    if results.skipped:
        found.append(
            f"{len(results.skipped)} slow shapes were left out and are carried on from smaller "
            "ones; seconds=... gives them time."
        )
    found.append(
        "Collectives were not measured: one device serves alone (tensor_parallel=1). Attention of "
        "other kinds than grouped-query goes by the roofline of the figures above."
    )
    return found


def plot_measured(results: Results, figures: Figures, destination: Path | str) -> Path:
    """Draw time against distinct experts, and every cell under the measured roofline.

    Parameters
    ----------
    results, figures
        What was timed.
    destination
        File to write; the suffix decides the format.

    Returns
    -------
    Path
        ``destination``.

    Raises
    ------
    ConfigError
        If the format is unknown or the file cannot be written.
    """
    with drawing(destination, width=8.4, height=3.4) as figure:
        left, right = figure.subplots(1, 2)
        _draw_line(left, figures)
        _draw_roofline(right, results, figures)
    return Path(destination)


def _draw_line(axes: Axes, figures: Figures) -> None:
    line, drawn = figures.line, figures.drawn
    ends = np.array([0.0, max(line.active)])
    axes.plot(ends, (line.fixed_s + line.per_expert_s * ends) / MS, color="#7a7a7a", linewidth=1)
    for points, colour, label in (
        (line, _COLOURS[0], "one row per expert"),
        (drawn, _COLOURS[1], "drawn at random"),
    ):
        times_ms = np.array(points.seconds) / MS
        axes.plot(points.active, times_ms, "o", color=colour, markersize=4, label=label)
    axes.legend(frameon=False, fontsize=7, loc="upper left")
    axes.set(xlabel="distinct experts", ylabel="time of the layer (ms)", xlim=(0, None))
    axes.set_ylim(bottom=0)
    axes.set_title(f"routed experts, $R^2$ = {line.r_squared:.3f}")


def _draw_roofline(axes: Axes, results: Results, figures: Figures) -> None:
    """Dot the rate of every cell over its FLOP per byte, under bandwidth and peak."""
    peak = figures.peak_flops[figures.dtype]
    for (operator, title), colour in zip(_TITLES.items(), _COLOURS, strict=True):
        mine = [m for m in _of(results.tables, operator) if m.cell.dtype == figures.dtype]
        work = [found.cell.work() for found in mine]
        rates = [w.flops / found.seconds / GIGA for w, found in zip(work, mine, strict=True)]
        intensity = [w.flops / w.moved_bytes for w in work]
        axes.loglog(intensity, rates, ".", color=colour, label=title, markersize=4)
    ends = np.array([0.5, peak / figures.memory_bandwidth, 1000])
    roof = np.minimum(peak, figures.memory_bandwidth * ends) / GIGA
    axes.loglog(ends, roof, color="#7a7a7a", linewidth=1)
    axes.set(xlabel="FLOP per byte", ylabel=f"GFLOP/s, {figures.dtype}")
    axes.set_title("every shape under the measured roofline")
    axes.legend(frameon=False, fontsize=7, loc="lower right")


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, safe_box=True)
    for heading in columns:
        justify: Literal["left", "right"] = "right" if heading.endswith(">") else "left"
        table.add_column(heading.rstrip(">"), justify=justify)
    return table


def _rate(value: float, unit: str) -> str:
    return f"{number(value / GIGA)} G{unit}"
