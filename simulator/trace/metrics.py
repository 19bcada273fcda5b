"""Metrics of every run in a trace, from the trace alone (:mod:`simulator.trace.definitions`).

Latencies are those of the finished requests that arrive in the window
(:mod:`simulator.trace.windows`). Attainment and the shares of outcomes are over *all* requests that
arrive in it: what was rejected, timed out, was cancelled or lost does not meet an objective.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simulator.trace.classes import ClassMetrics, classes
from simulator.trace.latencies import Samples, happened, times_s
from simulator.trace.load import Load, loads, ratio
from simulator.trace.objectives import Bools, Objectives, read_objectives
from simulator.trace.read import Columns, Run, chunks
from simulator.trace.schema import FINISHED, OUTCOMES, REJECTED, TIMED_OUT
from simulator.trace.tenants import Tenants, tenants
from simulator.trace.verdict import Verdict, judge
from simulator.trace.windows import Window, windows

_COLUMNS = (
    "traffic_class",
    "tenant",
    "outcome",
    "arrival_s",
    "admitted_s",
    "first_token_s",
    "finish_s",
    "left_s",
    "prompt_tokens",
    "cached_tokens",
    "output_tokens",
    "emitted_tokens",
    "rounds",
    "accepted_draft_tokens",
    "preemptions",
)


@dataclass(frozen=True, slots=True)
class RunMetrics:
    """What one run (one arm of one replication) showed.

    Parameters
    ----------
    latencies
        Samples by name (`simulator.trace.latencies.TIMES`).
    window, load
        The measured stretch and the replicas' work in it.
    requests_per_s, goodput_per_s
        Requests finished per second of the window, and those of them that met their objective;
        None for an empty window, goodput also without an objective.
    arrived
        Requests that arrive in the window.
    outcomes
        Requests of the whole run by how they left.
    outcome_shares, attainment, missed
        Among the requests that arrive in the window: shares by how they left, of those that met
        their objective, and of those that exceeded each of its bounds. None without requests or
        without an objective.
    prefix_hit_rate
        Share of the prompt tokens of admitted requests that the prefix cache held.
    rounds, accepted_draft_tokens
        Sums over the measured requests.
    num_accepted_tokens
        Accepted draft tokens of the whole run.
    preemptions, preempted
        How often requests of the whole run lost their KV blocks, and how many requests did.
    classes, tenants
        By traffic class where there are several; by tenant where there are several.
    verdict
        Whether it kept up (:mod:`simulator.trace.verdict`).
    """

    latencies: dict[str, Samples]
    window: Window
    load: Load
    requests_per_s: float | None
    goodput_per_s: float | None
    arrived: int
    outcomes: dict[str, int]
    outcome_shares: dict[str, float | None]
    attainment: float | None
    missed: dict[str, float | None]
    prefix_hit_rate: float | None
    rounds: int
    accepted_draft_tokens: int
    num_accepted_tokens: int
    preemptions: int
    preempted: int
    classes: dict[int, ClassMetrics]
    tenants: Tenants | None
    verdict: Verdict

    @property
    def completed(self) -> int:
        """Requests of the whole run that finished."""
        return self.outcomes["finished"]

    @property
    def rejected(self) -> int:
        """Requests of the whole run that found the queue full."""
        return self.outcomes["rejected"]

    @property
    def saturated(self) -> bool:
        """Whether the queue grew to the end (:mod:`simulator.trace.saturation`)."""
        return self.verdict.saturated

    @property
    def mean_acceptance_length(self) -> float | None:
        """Tokens a round emits: 1 + accepted draft tokens / rounds."""
        return ratio(self.rounds + self.accepted_draft_tokens, self.rounds)


def measure(
    requests_path: Path | str, iterations_path: Path | str, warmup_fraction: float
) -> dict[Run, RunMetrics]:
    """Measure every run of a trace, against the objectives in its file metadata.

    One pass over each file. Memory grows with the number of requests (the columns read here), not
    of iterations.

    Parameters
    ----------
    requests_path, iterations_path
        The two files of the trace.
    warmup_fraction
        Share of the arrivals' span that is cut, in [0, 1).

    Raises
    ------
    DataError
        If a file is not a complete trace of its table.
    ConfigError
        If the fraction is outside [0, 1).
    """
    objectives = read_objectives(requests_path)
    requests = read_requests(requests_path)
    spans = windows(requests, warmup_fraction)
    work = loads(iterations_path, spans)
    return {run: _measure(columns, work[run], objectives) for run, columns in requests.items()}


def read_requests(path: Path | str) -> dict[Run, Columns]:
    """Read the columns of the requests that metrics need, by run, runs in file order.

    Raises
    ------
    DataError
        If the file is not a trace of requests.
    """
    found: dict[Run, list[Columns]] = {}
    for run, rows in chunks(path, "requests", _COLUMNS):
        found.setdefault(run, []).append(rows)
    return {
        run: {name: np.concatenate([part[name] for part in parts]) for name in _COLUMNS}
        for run, parts in found.items()
    }


def _measure(requests: Columns, load: Load, objectives: Objectives) -> RunMetrics:
    window = load.window
    counts = np.bincount(requests["outcome"], minlength=len(OUTCOMES)).tolist()
    finished = _within(requests["finish_s"], window)
    times, missed = times_s(requests), {}
    attained = requests["outcome"] == FINISHED
    if objectives.given:
        missed = objectives.missed(times, requests["traffic_class"])
        attained = attained & ~np.logical_or.reduce(list(missed.values()))
    kept = requests["arrival_s"] >= window.start_s
    measured = {name: values[kept] for name, values in requests.items()}
    shares = np.bincount(measured["outcome"], minlength=len(OUTCOMES)) / max(1, kept.sum())
    admitted = ~np.isnan(measured["admitted_s"])
    good = attained & finished if objectives.given else None
    several = bool(requests["tenant"].any())
    return RunMetrics(
        latencies={name: happened(values[kept]) for name, values in times.items()},
        window=window,
        load=load,
        requests_per_s=ratio(int(finished.sum()), window.length_s),
        goodput_per_s=None if good is None else ratio(int(good.sum()), window.length_s),
        arrived=int(kept.sum()),
        outcomes=dict(zip(OUTCOMES, counts, strict=True)),
        outcome_shares=dict(zip(OUTCOMES, shares.tolist(), strict=True)),
        attainment=_share(attained[kept]) if objectives.given else None,
        missed={name: _share(values[kept]) for name, values in missed.items()},
        prefix_hit_rate=ratio(
            int(measured["cached_tokens"][admitted].sum()),
            int(measured["prompt_tokens"][admitted].sum()),
        ),
        rounds=int(measured["rounds"].sum()),
        accepted_draft_tokens=int(measured["accepted_draft_tokens"].sum()),
        num_accepted_tokens=int(requests["accepted_draft_tokens"].sum()),
        preemptions=int(requests["preemptions"].sum()),
        preempted=int((requests["preemptions"] > 0).sum()),
        classes=dict(classes(requests, kept, times, missed, attained, good, window)),
        tenants=tenants(requests, kept, attained, attained & finished, window) if several else None,
        verdict=judge(load, float(shares[REJECTED] + shares[TIMED_OUT])),
    )


def _within(times: Samples, window: Window) -> Bools:
    inside: Bools = (times > window.start_s) & (times <= window.end_s)
    return inside


def _share(values: Bools) -> float | None:
    return ratio(int(values.sum()), values.size)
