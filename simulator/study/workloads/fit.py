"""A preset fitted to a trace: arrivals by moments, lengths by likelihood, judged on a half."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from simulator.errors import ConfigError, DataError
from simulator.streams import Streams
from simulator.study.workloads.goodness import (
    COMPARED,
    Comparison,
    compared,
    drawn_figures,
    ks_between,
    ks_distance,
)
from simulator.study.workloads.mixture import fit_mixture
from simulator.study.workloads.modulation import arrival_law, fit_modulations
from simulator.study.workloads.sample import Sample, halves
from simulator.workload.lengths import LognormalMixture
from simulator.workload.modulation import Modulation
from simulator.workload.requests import Workload
from simulator.workload.synthetic import SyntheticWorkload

FEWEST_REQUESTS = 200
"""Fewer leave a half whose 99th percentile is the longest of its requests (kind: assumed)."""

_ENDLESS = 10**12
"""Requests of a workload that is drawn up to a time."""

_DRAWN_REQUESTS, _FEWEST_RECORDINGS = 3_000_000, 10
"""Requests drawn to judge by, about, in at least so many recordings (kind: assumed)."""

_STEPS = 2 + 2 * 3
"""Steps of progress beside recordings: two passes, and three fits of the whole and of a half."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """Laws fitted to a sample.

    Parameters
    ----------
    rate
        Mean rate, requests/s.
    modulations
        Fluctuations of the rate; empty for Poisson arrivals.
    prompt, output
        Laws of lengths.
    """

    rate: float
    modulations: tuple[Modulation, ...]
    prompt: LognormalMixture
    output: LognormalMixture

    def workload(self) -> SyntheticWorkload:
        """Return the open loop that these laws make, without end."""
        return SyntheticWorkload(
            title="fitted",
            requests=_ENDLESS,
            concurrency=None,
            mean_rate=self.rate,
            assumptions=(),
            prompt=self.prompt,
            output=self.output,
            arrivals=arrival_law(self.rate, self.modulations),
        )


@dataclass(frozen=True, slots=True)
class Judged:
    """Laws beside a recording.

    Parameters
    ----------
    figures
        Rate, CVs of counts and quantiles of lengths, each beside its mean over drawn recordings.
    prompt_ks, output_ks
        Kolmogorov-Smirnov distances of the laws of lengths.
    """

    figures: tuple[Comparison, ...]
    prompt_ks: float
    output_ks: float


@dataclass(frozen=True, slots=True)
class Fit:
    """A fit to a whole trace, and what the same fit of its first half says of its second.

    Parameters
    ----------
    title, requests, span_s
        Of the trace.
    fitted, own
        Laws fitted to all of it, and how well they stand for it.
    held_out
        How well laws fitted to the first half stand for the second.
    prompt_drift, output_drift
        Kolmogorov-Smirnov distances between the halves: no law of the first half can be expected
        to come closer to the second.
    sample
        What the laws were fitted to.
    recordings
        How many were drawn to judge by.
    following
        Requests of the trace that waited for the answer to an earlier one.
    """

    title: str
    requests: int
    span_s: float
    fitted: Fitted
    own: Judged
    held_out: Judged
    prompt_drift: float
    output_drift: float
    sample: Sample
    recordings: int
    following: int

    @property
    def worst(self) -> Comparison:
        """The figure, of those that a preset must reproduce, that is furthest off."""
        compared = [one for one in self.own.figures if one.name in COMPARED]
        return max(compared, key=lambda one: abs(one.deviation))


def affordable(recordings: int, requests: int) -> int:
    """Return how many recordings are drawn: fewer of long traces, whose means are sharp anyway.

    Examples
    --------
    >>> affordable(100, 9_739), affordable(100, 1_000_000)
    (100, 10)
    """
    return min(recordings, max(_DRAWN_REQUESTS // requests, _FEWEST_RECORDINGS))


def steps(recordings: int) -> int:
    """Return how often `fit_workload` tells that it advanced."""
    return _STEPS + 2 * recordings


def fit_workload(
    workload: Workload,
    *,
    max_components: int,
    recordings: int,
    seed: int,
    advance: Callable[[int], object] = lambda _: None,
) -> Fit:
    """Fit a preset to a workload, and judge it.

    Parameters
    ----------
    workload
        A trace, or anything else in an open loop.
    max_components
        Most lognormals in a law of lengths.
    recordings
        Recordings drawn to judge by.
    seed
        Of what is drawn: by the workload if it draws, to correct the fit, and to judge it, each
        from seeds of its own.
    advance
        Called with how many steps are done.

    Raises
    ------
    ConfigError
        If the workload is a closed loop.
    DataError
        If there is too little to fit, or a trace is malformed.
    """
    if workload.concurrency is not None:
        raise ConfigError(
            f"{workload.title} is a closed loop: its requests come as others leave, so that there "
            "are no arrivals to fit. Take a trace, or an open loop."
        )
    whole, first, second, following = halves(workload, Streams(seed))
    advance(2)
    if whole.arrivals.requests < FEWEST_REQUESTS or not second.arrivals.span_s:
        raise DataError(
            f"{workload.title} has {whole.arrivals.requests} requests in "
            f"{whole.arrivals.span_s:g} s; a fit needs {FEWEST_REQUESTS}, and time between them."
        )
    fitted = _fit(whole, max_components, seed + 1, advance)
    carried = _fit(first, max_components, seed + 1, advance)
    return Fit(
        title=workload.title,
        requests=whole.arrivals.requests,
        span_s=whole.arrivals.span_s,
        fitted=fitted,
        own=_judge(fitted, whole, recordings, seed + 2, advance),
        held_out=_judge(carried, second, recordings, seed + 2, advance),
        prompt_drift=ks_between(first.prompt, second.prompt),
        output_drift=ks_between(first.output, second.output),
        sample=whole,
        recordings=recordings,
        following=following,
    )


def _fit(
    sample: Sample, max_components: int, seed: int, advance: Callable[[int], object]
) -> Fitted:
    if not sample.arrivals.rate:
        raise DataError("the first half of the requests came at one time; there is no rate to fit.")
    modulations = fit_modulations(sample.arrivals, seed)
    advance(1)
    prompt = fit_mixture(sample.prompt, max_components)
    advance(1)
    output = fit_mixture(sample.output, max_components)
    advance(1)
    return Fitted(float(f"{sample.arrivals.rate:.6g}"), modulations, prompt, output)


def _judge(
    fitted: Fitted,
    sample: Sample,
    recordings: int,
    seed: int,
    advance: Callable[[int], object],
) -> Judged:
    span_s = sample.arrivals.span_s
    drawn = drawn_figures(fitted.workload(), span_s, recordings, seed, advance)
    return Judged(
        figures=tuple(compared(sample, drawn)),
        prompt_ks=ks_distance(fitted.prompt, sample.prompt),
        output_ks=ks_distance(fitted.output, sample.output),
    )


def summary(fit: Fit) -> dict[str, Any]:
    """Return what ``summary.json`` holds of a fit.

    Figures of drawn recordings are under ``drawn_``, their relative deviations under ``off_``,
    those of the half that was held out with ``held_out_`` before. A deviation that says how a
    trace drifts is no error of the fit.
    """
    flat: dict[str, float] = {"requests": fit.requests, "span_s": fit.span_s}
    for prefix, judged in (("", fit.own), ("held_out_", fit.held_out)):
        for one in judged.figures:
            flat |= {
                f"{prefix}{one.name}": one.recorded,
                f"{prefix}drawn_{one.name}": one.drawn,
                f"{prefix}off_{one.name}": one.deviation,
            }
        flat |= {f"{prefix}prompt_ks": judged.prompt_ks, f"{prefix}output_ks": judged.output_ks}
    flat |= {"drift_prompt_ks": fit.prompt_drift, "drift_output_ks": fit.output_drift}
    flat |= {"largest_deviation": abs(fit.worst.deviation)}
    flat |= {
        "prompt_components": len(fit.fitted.prompt.weights),
        "output_components": len(fit.fitted.output.weights),
    }
    return {"workload": fit.title, "recordings": fit.recordings, "metrics": flat}
