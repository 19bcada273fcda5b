"""What one simulation of one deployment at one load showed: all that a plan keeps of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from simulator.mapping import from_mapping
from simulator.slo import BOUNDS
from simulator.trace.json_file import Json, json_safe
from simulator.trace.latencies import QUANTILES, Samples, percentile
from simulator.trace.metrics import RunMetrics
from simulator.trace.verdict import OVERLOADED


@dataclass(frozen=True, slots=True, kw_only=True)
class Percentiles:
    """Percentiles of a latency, s; None where nothing has one."""

    p50: float | None
    p90: float | None
    p99: float | None

    @classmethod
    def of(cls, samples: Samples) -> Percentiles:
        """Take them from samples."""
        return cls(**{label: percentile(samples, q) for label, q in QUANTILES.items()})


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed:
    """Requests that exceed each bound of their objective (`slo.BOUNDS`)."""

    ttft_s: int
    tpot_s: int
    e2e_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassSeen:
    """What one class of requests saw, among those that arrive in the measured stretch.

    Parameters
    ----------
    requests, attained
        How many there are, and how many met their objective.
    missed
        How many exceeded which bound.
    ttft_s, tpot_s, e2e_s
        Latencies of those that finished.
    """

    requests: int
    attained: int
    missed: Missed
    ttft_s: Percentiles
    tpot_s: Percentiles
    e2e_s: Percentiles

    @property
    def attainment(self) -> float:
        """Share of the requests that met their objective; 1 where there is none."""
        return self.attained / self.requests if self.requests else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one simulation showed.

    Parameters
    ----------
    classes
        What each class of requests saw, in the order of the classes.
    saturated, overloaded
        Whether the queue grew to the end, and whether the run counts as overloaded
        (`trace.verdict`).
    tpot_p50_s
        Median time per output token of all requests, s; None where none has one.
    output_tokens_per_s, utilisation, mean_batch, kv_usage, kv_usage_peak
        Of the measured stretch (`trace.load.Load`), None where nothing ran.
    acceptance_length
        Tokens that a round emits.
    """

    classes: tuple[ClassSeen, ...]
    saturated: bool
    overloaded: bool
    tpot_p50_s: float | None
    output_tokens_per_s: float | None
    utilisation: float | None
    mean_batch: float | None
    kv_usage: float | None
    kv_usage_peak: float
    acceptance_length: float | None

    def to_json(self) -> Json:
        """Return it as a JSON object."""
        return dict(json_safe(asdict(self)))

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Outcome:
        """Read it back."""
        return from_mapping(cls, values, "outcome")


def outcome_of(run: RunMetrics, classes: int) -> Outcome:
    """Keep of a run's metrics what a plan needs.

    Parameters
    ----------
    run
        The metrics of the run.
    classes
        How many classes of requests there are.
    """
    return Outcome(
        classes=_several(run, classes) if classes > 1 else (_all(run),),
        saturated=run.saturated,
        overloaded=run.verdict.label == OVERLOADED,
        tpot_p50_s=percentile(run.latencies["tpot_s"], QUANTILES["p50"]),
        output_tokens_per_s=run.load.output_tokens_per_s,
        utilisation=run.load.utilisation,
        mean_batch=run.load.mean_batch,
        kv_usage=run.load.kv_usage,
        kv_usage_peak=run.load.kv_usage_peak,
        acceptance_length=run.mean_acceptance_length,
    )


def _several(run: RunMetrics, classes: int) -> tuple[ClassSeen, ...]:
    """Return what each class saw; a class of which no request came saw nothing."""
    nothing = ClassSeen(
        requests=0,
        attained=0,
        missed=Missed(**dict.fromkeys(BOUNDS, 0)),
        **{name: Percentiles(p50=None, p90=None, p99=None) for name in BOUNDS},
    )
    return tuple(
        nothing
        if (found := run.classes.get(index)) is None
        else ClassSeen(
            requests=found.requests,
            attained=found.attained,
            missed=Missed(**{name: found.missed.get(name, 0) for name in BOUNDS}),
            **{name: Percentiles.of(found.latencies[name]) for name in BOUNDS},
        )
        for index in range(classes)
    )


def _all(run: RunMetrics) -> ClassSeen:
    """Return what all requests saw."""
    requests = run.arrived
    shares = {name: run.missed.get(name) or 0.0 for name in BOUNDS}
    return ClassSeen(
        requests=requests,
        attained=round((run.attainment or 0.0) * requests),
        missed=Missed(**{name: round(share * requests) for name, share in shares.items()}),
        **{name: Percentiles.of(run.latencies[name]) for name in BOUNDS},
    )
