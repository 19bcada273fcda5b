"""A fit as a preset, each number with where it came from."""

from __future__ import annotations

from pathlib import Path

from simulator.quantities import Quantity
from simulator.study.workloads.fit import Fit
from simulator.trace.files import disk_errors, partial_path
from simulator.workload.presets import Origin, Preset, dump_preset, read_preset


def fitted_preset(fit: Fit, name: str, trace: str, like: str) -> Preset:
    """Return the preset that a fit makes.

    Parameters
    ----------
    fit
        The fit.
    name
        Of the preset.
    trace
        What it was fitted to, for provenance.
    like
        Preset whose SLO class and acceptance profile it takes: a trace does not say what its
        requests were promised, nor how well a drafter guesses their texts.

    Raises
    ------
    TableError
        If there is no preset ``like``.
    """
    model, fitted = read_preset(like), fit.fitted
    source = f"moesim workload fit, {trace}: {fit.requests:,} requests in {fit.span_s:,.0f} s"
    provenance = {"arrivals.rate": Quantity(fitted.rate, "request/s", source, "measured")}
    for number, one in enumerate(fitted.modulations):
        place = f"arrivals.modulation[{number}]"
        provenance |= {
            f"{place}.variance": Quantity(one.variance, "squared mean rate", source, "fitted"),
            f"{place}.time_constant": Quantity(one.time_constant_s, "s", source, "fitted"),
        }
    origins = {}
    for what, mixture, ks in (
        ("prompt_tokens", fitted.prompt, fit.own.prompt_ks),
        ("output_tokens", fitted.output, fit.own.output_ks),
    ):
        distance = f"{source}; expectation-maximisation, Kolmogorov-Smirnov distance {ks:.3f}"
        origins[what] = Origin("token", "fitted", distance)
        for bound, tokens in (("min", mixture.min_tokens), ("max", mixture.max_tokens)):
            provenance[f"{what}.{bound}"] = Quantity(tokens, "token", source, "measured")
    provenance |= {
        key: Quantity(one.value, one.unit, f"as the preset {like}: {one.source}", "assumed")
        for key, one in model.provenance.items()
        if key.startswith("slo.")
    }
    return Preset(
        name=name,
        title=f"{name}, fitted to {fit.requests:,} requests of {trace}",
        trace=trace,
        arrivals="gamma_modulated" if fitted.modulations else "poisson",
        rate=fitted.rate,
        modulations=fitted.modulations,
        prompt=fitted.prompt,
        output=fitted.output,
        slo=model.slo,
        acceptance=model.acceptance,
        assumptions=_assumptions(fit, like),
        provenance=provenance,
        origins=origins,
    )


def _assumptions(fit: Fit, like: str) -> tuple[str, ...]:
    found = [
        "prompt and output lengths are independent of each other and of arrivals",
        "no shared prefixes, conversations or hours of the day: they were not fitted",
        f"SLO class and acceptance profile are those of the preset {like}",
    ]
    if fit.following:
        found.append(
            f"arrivals are fitted as they were recorded, though {fit.following:,} of "
            f"{fit.requests:,} requests waited for the answer to an earlier one"
        )
    return tuple(found)


def write_preset(preset: Preset, path: Path) -> Path:
    """Write a preset; the file appears whole or not at all.

    Raises
    ------
    ConfigError
        If the folder cannot be written.
    """
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = partial_path(path)
        partial.write_text(dump_preset(preset), encoding="utf-8")
        partial.replace(path)
    return path
