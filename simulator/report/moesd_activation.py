"""N(t): measured experts beside uniform routing and the overlap law, as table and picture."""

from __future__ import annotations

from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from simulator.models.catalog import load_architecture
from simulator.report.figures import fine_percent
from simulator.report.plots import double, drawing, legend_above
from simulator.study.moesd.activation import ActivationCurve, ActivationStudy

_COLOURS = {"uniform": "#d1495b", "overlap": "#0b6bcb", "predicted": "#2a9d5c"}


def print_activation_study(study: ActivationStudy, console: Console) -> None:
    """Print experts by tokens for every model, and what to make of it; fits 80 columns.

    Parameters
    ----------
    study
        The curves.
    console
        Where to print.
    """
    for curve in study.curves:
        title = load_architecture(curve.published.model).title
        console.print(Text(f"Active experts of {title} ({curve.published.source})", style="bold"))
        console.print(_table(curve))
    titles = [load_architecture(curve.published.model).title for curve in study.curves]
    errors = [fine_percent(curve.error(curve.uniform)) for curve in study.curves]
    sentences = ", ".join(f"{e} for {title}" for e, title in zip(errors, titles, strict=True))
    console.print(
        Text(
            f"Uniform routing (eq. 8) counts too many experts: mean error {sentences}. Requests of "
            "one benchmark route alike. law: the overlap law with one exponent, which follows the "
            "curves. fitted: to the curve itself; elsewhere: the exponent of other traces of the "
            "model, so a prediction. Set routing.across_requests to use it."
        )
    )
    console.print()


def _table(curve: ActivationCurve) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, safe_box=True)
    laws = {"uniform": curve.uniform, f"law {curve.exponent:.2f}, fitted": curve.overlap}
    if curve.predicted is not None:
        laws[f"law {curve.elsewhere:.2f}, elsewhere"] = curve.predicted
    for heading in ("tokens", "measured", *laws):
        table.add_column(heading, justify="right", no_wrap=True)
    for index, tokens in enumerate(curve.published.tokens):
        cells = (f"{law[index]:.1f}" for law in laws.values())
        table.add_row(str(tokens), f"{curve.published.value[index]:.1f}", *cells)
    table.add_row("mean error", "", *(fine_percent(curve.error(law)) for law in laws.values()))
    return table


def plot_activation_study(study: ActivationStudy, destination: Path | str) -> Path:
    """Draw measured experts against tokens and the laws beside them, a panel per model.

    Parameters
    ----------
    study
        The curves.
    destination
        File to write, as `plots.drawing` says; it is returned.
    """
    with drawing(destination, width=8.4, height=3.6) as figure:
        panels = figure.subplots(1, len(study.curves), squeeze=False)[0]
        for axes, curve in zip(panels, study.curves, strict=True):
            tokens, predicted = curve.published.tokens, curve.predicted
            axes.plot(tokens, curve.published.value, "o", color="#333333", label="measured")
            axes.plot(tokens, curve.uniform, color=_COLOURS["uniform"], label="uniform routing")
            axes.plot(tokens, curve.overlap, color=_COLOURS["overlap"], label="overlap law, fitted")
            if predicted is not None:
                label = "overlap law, exponent from elsewhere"
                axes.plot(tokens, predicted, "--", color=_COLOURS["predicted"], label=label)
            axes.set_title(load_architecture(curve.published.model).title)
            double(axes)
            axes.set_xlabel("tokens of the step")
        panels[0].set_ylabel("distinct experts of a layer")
        legend_above(figure, panels[-1])
    return Path(destination)
