"""Sampled routes against measured ones, on the terminal."""

from __future__ import annotations

from rich.console import Console

from simulator.report.tables import frame, say, show
from simulator.study.routing.published import TOLERANCE
from simulator.study.routing.validate import RoutingValidation


def print_routing(found: RoutingValidation, console: Console) -> None:
    """Print the figures side by side, and how far the overlap law is off."""
    table = frame("model", "figure", "measured>", "drawn>", "error>", "archetype", unbroken=2)
    for one in found.published:
        table.add_row(
            one.model,
            _named(one.figure),
            f"{one.measured.value:.4g}",
            f"{one.sampled:.3g}",
            f"{one.error:+.1%}",
            one.use.removesuffix(" by"),
        )
    show(console, "Routes drawn from archetypes, against what was measured", table)
    off = [one for one in found.published if abs(one.error) > TOLERANCE]
    worst = max(found.published, key=lambda one: abs(one.error))
    say(
        console,
        f"{len(found.published) - len(off)} of {len(found.published)} figures are within "
        f"{TOLERANCE:.0%}; the worst is {_named(worst.figure)} of {worst.model}, "
        f"{worst.error:+.1%}.",
    )
    law = frame("model", "decode and verify steps>", "prompts of 64 and 512>")
    for model in found.models:
        steps, prompts = (found.law_error(model, prompts=which) for which in (False, True))
        law.add_row(model, f"{steps:.1%}", f"{prompts:.1%}")
    show(console, "Distinct experts by the overlap law, mean error against those routes", law)
    say(
        console,
        "The law has one exponent a model, so it counts too many experts where a long prompt keeps "
        "to its own; routing=sampled does not.",
    )


def _named(figure: str) -> str:
    kind, count = figure.split("_")
    return f"overlap, {count} apart" if kind == "overlap" else f"experts, {count} tokens"
