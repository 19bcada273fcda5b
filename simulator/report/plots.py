"""Pictures of a run. Deterministic: the same data give the same bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.errors import ConfigError
from simulator.report.figures import seconds
from simulator.trace.latencies import Samples, latencies
from simulator.trace.metrics import read_requests
from simulator.trace.schema import ARMS
from simulator.trace.windows import windows

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".svg", ".pdf")
"""Formats that a destination may ask for."""

ARM_STYLES = {"baseline": ("SD off", "#7a7a7a"), "speculative": ("SD on", "#0b6bcb")}
"""Label and colour of each arm."""

CURVE_COLOURS = ("#0b6bcb", "#d1495b", "#2a9d5c", "#e08e0b", "#7251b5", "#7a7a7a")
"""Colours of curves of one kind, in their order."""

_PANELS = {
    "ttft_s": "time to first token (s)",
    "tpot_s": "time per output token (s)",
    "e2e_s": "end-to-end latency (s)",
}
_POINTS = 1000
"""Quantiles drawn of a distribution: as smooth as the eye sees, whatever the number of requests."""

_MARKED_POINTS = 40
"""Curves of more points are drawn without markers."""

_STYLE: Any = {
    "axes.edgecolor": "#9a9a9a",
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 9,
    "font.size": 9,
    "grid.color": "#e6e6e6",
    "svg.hashsalt": "moesim",
}


def plot_latencies(
    requests_path: Path | str, destination: Path | str, warmup_fraction: float
) -> Path:
    """Draw the distributions of TTFT, TPOT and E2E latency, both arms, replications pooled.

    Parameters
    ----------
    requests_path
        The requests of a trace.
    destination
        File to write; the suffix decides the format.
    warmup_fraction
        Share of the arrivals' span that is cut, in [0, 1).

    Returns
    -------
    Path
        ``destination``.

    Raises
    ------
    DataError
        If the trace is not one of requests.
    ConfigError
        If the format is unknown or the file cannot be written.
    """
    samples = pooled_latencies(requests_path, warmup_fraction)
    with drawing(destination, width=9.6, height=2.9) as figure:
        panels = figure.subplots(1, len(_PANELS), sharey=True)
        for axes, (name, title) in zip(panels, _PANELS.items(), strict=True):
            _draw_distribution(axes, {arm: samples[arm][name] for arm in ARMS}, title)
        panels[0].set_ylabel("share of requests")
        if panels[0].lines:
            panels[0].legend(frameon=False, loc="lower right")
    return Path(destination)


def plot_target_efficiency(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]], destination: Path | str
) -> Path:
    """Draw target efficiency against the batch.

    Parameters
    ----------
    curves
        By label: batches, > 0, and the target efficiency at each; at least one curve.
    destination
        File to write, as `plots.drawing` says; it is returned.
    """
    with drawing(destination, width=6.4, height=3.6) as figure:
        axes = figure.subplots()
        axes.axhline(1.0, color="#9a9a9a", linewidth=0.8, linestyle=(0, (4, 3)))
        for index, (label, (batches, values)) in enumerate(curves.items()):
            colour = CURVE_COLOURS[index % len(CURVE_COLOURS)]
            marker = "o" if len(batches) <= _MARKED_POINTS else None
            axes.plot(batches, values, color=colour, marker=marker, markersize=3.5, label=label)
        double(axes)
        axes.set_ylim(bottom=0.0)
        axes.set_xlabel("batch (requests)")
        axes.set_ylabel(r"target efficiency  $T(B, 1)\,/\,T(B, \gamma)$")
        figure.legend(frameon=False, loc="outside upper center", ncols=len(curves))
    return Path(destination)


def pooled_latencies(path: Path | str, warmup_fraction: float) -> dict[str, dict[str, Samples]]:
    """Return TTFT, TPOT and E2E latency by arm and name, s, replications pooled.

    Parameters
    ----------
    path, warmup_fraction
        As in `plot_latencies`.
    """
    requests = read_requests(path)
    spans = windows(requests, warmup_fraction)
    found = {run: latencies(rows, spans[run].start_s) for run, rows in requests.items()}
    return {
        arm: {
            name: np.concatenate(
                [np.empty(0), *(kept[name] for run, kept in found.items() if run.arm == arm)]
            )
            for name in _PANELS
        }
        for arm in ARMS
    }


def _draw_distribution(axes: Axes, samples: Mapping[str, Samples], title: str) -> None:
    """Draw empirical distribution functions, dot the medians and write them above."""
    shares = np.linspace(0.0, 1.0, _POINTS)
    medians = []
    for arm, values in samples.items():
        label, colour = ARM_STYLES[arm]
        if values.size:
            curve = np.quantile(values, shares)
            axes.plot(curve, shares, color=colour, label=label, linewidth=1.6)
            medians.append(float(np.median(values)))
            axes.plot(medians[-1], 0.5, "o", color=colour, markersize=4)
    axes.set_title("median " + " → ".join(map(seconds, medians)) if medians else "no request")
    if medians and min(values.min() for values in samples.values() if values.size) > 0:
        _scale_log(axes)
    axes.set_xlabel(title)
    axes.set_ylim(0.0, 1.02)


def _scale_log(axes: Axes) -> None:
    """Label every decade, and 2 and 5 within it where there is room."""
    from matplotlib.ticker import LogLocator, NullFormatter  # noqa: PLC0415 - see above

    axes.set_xscale("log")
    low, high = axes.get_xlim()
    subs = (1.0, 2.0, 5.0) if high < 200 * low else (1.0,)
    axes.xaxis.set_major_locator(LogLocator(subs=subs))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())


def double(axes: Axes) -> None:
    """Let the horizontal axis double from tick to tick, with whole numbers at the ticks."""
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")


def legend_above(figure: Figure, axes: Axes, columns: int = 4) -> None:
    """Put the legend of one panel above all of them, for panels that share their labels."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, loc="outside upper center", ncols=columns)


@contextmanager
def drawing(destination: Path | str, width: float, height: float) -> Iterator[Figure]:
    """Yield an empty figure in the style of all our pictures, and write it when it is drawn.

    The same data give the same bytes.

    Parameters
    ----------
    destination
        File to write; the suffix decides the format.
    width, height
        Of the figure, inches.

    Raises
    ------
    ConfigError
        If the format is unknown or the file cannot be written.
    """
    import matplotlib as mpl  # noqa: PLC0415 - 0.3 s that only pictures pay
    from matplotlib.figure import Figure  # noqa: PLC0415

    with mpl.rc_context(_STYLE):
        # A figure of its own, without pyplot: no global state, no display.
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure
        _save(figure, Path(destination))


def _save(figure: Figure, path: Path) -> None:
    if path.suffix not in SUFFIXES:
        raise ConfigError(
            f"cannot draw {path.name!r}: its suffix must be one of {', '.join(SUFFIXES)}."
        )
    stamp = {".png": "Software", ".svg": "Date", ".pdf": "CreationDate"}[path.suffix]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=160, metadata={stamp: None})
    except OSError as error:
        raise ConfigError(
            f"cannot write {str(path)!r}: {error.strerror}. Free the disk or choose another "
            "folder with hydra.run.dir=FOLDER."
        ) from error
