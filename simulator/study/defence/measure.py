"""One case in one replication: run, and measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import simpy
from numpy.typing import NDArray

from simulator.mlp import one_thread
from simulator.scenario import Scenario
from simulator.serving.cluster import Cluster
from simulator.serving.collector import collector_paused
from simulator.serving.tenants.clients import HIT, HORIZON, Pictures, SessionRow
from simulator.serving.tenants.config import TenantsConfig
from simulator.serving.tenants.defended import Defended
from simulator.serving.tenants.session import margins
from simulator.serving.tenants.tenancy import Tenancy, TenantRow
from simulator.streams import Streams
from simulator.study.defence.censored import Ends
from simulator.study.defence.models import trained
from simulator.study.defence.question import Case, Question, scenario_beside
from simulator.trace.in_memory import DroppedRows, KeptRows
from simulator.trace.latencies import times_s
from simulator.trace.schema import REQUESTS
from simulator.units import HOUR_S

Floats = NDArray[np.float64]

JUDGE_REPLIES = 25
"""Replies by which it is judged whether a picture is misclassified by majority."""

_QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a case showed in a replication.

    Parameters
    ----------
    sessions
        All that began, in the order in which they ended.
    majority
        Of each, whether most fresh replies to its last candidate are wrong.
    tenants
        What each tenant of the endpoint had.
    figures
        Scalars by name (`FIGURES`); None where there is nothing to measure.
    """

    sessions: list[SessionRow]
    majority: list[bool]
    tenants: list[TenantRow]
    figures: dict[str, float | None]


FIGURES = {
    "sessions": "attack sessions that began",
    "unfinished": "share of them that the end of the run cut off",
    "successes_per_h": "sessions that end with a majority (see there), per hour, all attackers",
    "first_hit": "chance that a session sees a candidate misclassified once, on average of eot",
    "believed": "chance that it ends with what the attacker's own rule takes for a success",
    "majority": "chance that it ends with what most of 25 fresh replies misclassify",
    "queries_per_session": "replies that a session takes to its end",
    "attack_queries_per_s": "queries of attackers that were served, per second",
    "attack_gpu_s_per_h": "GPU-seconds that they took, per hour",
    "benign_p50_s": "median latency of ordinary queries, s",
    "benign_p95_s": "95th percentile of it, s",
    "benign_p99_s": "99th percentile of it, s",
    "benign_goodput_per_s": "ordinary queries answered in time, per second",
    "benign_refused": "share of ordinary queries that a limit turned away",
    "benign_right": "share of those answered that were answered rightly",
    "llm_ttft_p50_s": "median time to first token of the LLM beside it, s",
    "llm_ttft_p99_s": "99th percentile of it, s",
    "llm_tpot_p50_s": "median time per output token, s",
    "llm_tpot_p99_s": "99th percentile of it, s",
}
"""What is measured of a case."""

SHARES = ("unfinished", "first_hit", "believed", "majority", "benign_refused", "benign_right")
"""Figures that may be 0, which have differences but no ratios."""


@one_thread
def measure(job: tuple[Question, Case, int]) -> Outcome:
    """Run a case of a question in a replication.

    All cases of a replication see the same arrivals, the same directions of attacks, and the same
    pictures (but see `clients.Pictures`).
    """
    question, case, replication = job
    streams = Streams(question.seed, replication)
    model, held_out = trained(case.defence, question.seed)
    pictures = Pictures.seen_by(model, *held_out)
    tenancy = Tenancy(
        question.tenants_of(case), Defended(model, case.nu, streams), pictures, streams
    )
    figures: dict[str, float | None] = {}
    if question.beside:
        figures = _serve_beside(scenario_beside(question.beside), tenancy, streams)
    else:
        env = simpy.Environment()
        tenancy.move_in(env)
        with collector_paused():
            env.run()
    judge = Defended(model, case.nu, streams, "judge")
    sessions = tenancy.sessions
    majority = [
        misleads(judge, row.candidate, int(pictures.labels[row.picture])) for row in sessions
    ]
    if case.attacked:
        figures |= attack_figures(sessions, majority, question.tenants_of(case))
        figures |= _load_figures(question, tenancy)
    figures |= _benign_figures(question, tenancy)
    return Outcome(sessions, majority, tenancy.tenants(), figures)


def misleads(judge: Defended, candidate: Floats, label: int) -> bool:
    """Say whether most of `JUDGE_REPLIES` fresh replies to a candidate are wrong."""
    replies = judge.scores(np.repeat(candidate[None], JUDGE_REPLIES, axis=0))
    return bool((margins(replies, label) < 0.0).mean() > 0.5)


class Clean(NamedTuple):
    """What a model says of pictures that nobody attacks.

    Parameters
    ----------
    accuracy
        Share of replies to held-out pictures that are right.
    misled
        Share of targets (`clients.Pictures`) to which most replies are wrong: noise alone.
    """

    accuracy: float
    misled: float


@one_thread
def without_attack(case: Case, seed: int) -> Clean:
    """Return what the model of a case says behind its noise, without an attack."""
    model, held_out = trained(case.defence, seed)
    defended = Defended(model, case.nu, Streams(seed), "accuracy")
    replies = [defended.scores(held_out.pixels).argmax(axis=1) for _ in range(JUDGE_REPLIES)]
    right = np.stack(replies) == held_out.labels
    targets = Pictures.seen_by(model, *held_out).targets
    return Clean(float(right.mean()), float((right.mean(axis=0) < 0.5)[targets].mean()))


def _serve_beside(
    scenario: Scenario, tenancy: Tenancy, streams: Streams
) -> dict[str, float | None]:
    """Run the cluster with the endpoint beside it; return latencies of the cluster."""
    requests, horizon_s = KeptRows(REQUESTS), tenancy.horizon_s
    Cluster(
        scenario.cluster(scenario.config.speculation.gamma),
        scenario.router(),
        scenario.workload,
        scenario.acceptance,
        streams,
        requests_trace=requests,
        iterations_trace=DroppedRows(),
        neighbours=tenancy,
    ).run()
    found: dict[str, float | None] = {}
    columns = requests.columns()
    early = columns["arrival_s"] < horizon_s
    times = times_s({name: column[early] for name, column in columns.items()})
    for latency in ("ttft", "tpot"):
        for label, value in _percentiles(times[f"{latency}_s"]).items():
            found[f"llm_{latency}_{label}_s"] = value
    return {name: value for name, value in found.items() if name in FIGURES}


def attack_figures(
    rows: Sequence[SessionRow], majority: Sequence[bool], tenants: TenantsConfig
) -> dict[str, float | None]:
    """Return what sessions came to.

    A session that the end of the run cuts off is censored (`censored`); one that a quota ends has
    failed. Successes come at the rate of a renewal process, ``p / (session + pause)`` an attacker,
    which does not depend on how long the run is; behind a quota, which attackers do not outlive,
    they are counted.

    Parameters
    ----------
    rows, majority
        Sessions, and what judged of their last candidates.
    tenants
        Who attacked, and for how long.
    """
    cut = np.array([row.outcome == HORIZON for row in rows], dtype=bool)
    replies = np.array([row.queries for row in rows], dtype=np.float64)
    wall_s = np.array([row.ended_s - row.started_s for row in rows], dtype=np.float64)
    first = np.array([row.first_hit_queries for row in rows], dtype=np.float64)
    won = np.array(majority, dtype=bool)
    ends = Ends(replies, cut)
    until_first = Ends(np.where(first > 0, first, replies), cut & (first == 0))
    session_s, chance = Ends(wall_s, cut).mean(), ends.chance(won)
    successes_per_h: float | None = None
    if tenants.limits.quota is not None:
        successes_per_h = float((won & ~cut).sum()) / tenants.horizon_s * HOUR_S
    elif session_s is not None and chance is not None:
        successes_per_h = tenants.attackers * chance / (session_s + tenants.gap_s) * HOUR_S
    return {
        "sessions": float(len(rows)),
        "unfinished": float(cut.mean()) if len(rows) else None,
        "successes_per_h": successes_per_h,
        "first_hit": until_first.chance(first > 0),
        "believed": ends.chance(np.array([row.outcome == HIT for row in rows], dtype=bool)),
        "majority": chance,
        "queries_per_session": ends.mean(),
    }


def _load_figures(question: Question, tenancy: Tenancy) -> dict[str, float | None]:
    admitted, _, gpu_s = _sums(tenancy, attacks=True)
    horizon_s = question.tenants.horizon_s
    return {
        "attack_queries_per_s": admitted / horizon_s,
        "attack_gpu_s_per_h": gpu_s / horizon_s * HOUR_S,
    }


def _benign_figures(question: Question, tenancy: Tenancy) -> dict[str, float | None]:
    latency_s = np.array(tenancy.users.latency_s)
    in_time = int((latency_s <= question.objective_s).sum())
    admitted, refused, _ = _sums(tenancy, attacks=False)
    quantiles = {f"benign_{label}_s": value for label, value in _percentiles(latency_s).items()}
    return {
        **quantiles,
        "benign_goodput_per_s": in_time / question.tenants.horizon_s,
        "benign_refused": refused / max(1, admitted + refused),
        "benign_right": tenancy.users.right / admitted if admitted else None,
    }


def _sums(tenancy: Tenancy, *, attacks: bool) -> tuple[int, int, float]:
    """Return queries served and refused, and GPU-seconds, of attackers or of the others."""
    rows = [row for row in tenancy.tenants() if row.attacks == attacks]
    return (
        sum(row.queries for row in rows),
        sum(row.refused for row in rows),
        sum(row.gpu_s for row in rows),
    )


def _percentiles(values: Floats) -> dict[str, float | None]:
    happened = values[~np.isnan(values)]
    return {
        label: float(np.quantile(happened, quantile)) if happened.size else None
        for label, quantile in _QUANTILES.items()
    }
