"""One case in one replication: run, and measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import simpy
from numpy.typing import NDArray

from simulator.mlp import one_thread
from simulator.scenario import Scenario
from simulator.serving.cluster import Cluster
from simulator.serving.tenants.clients import BUDGET, HIT, Pictures, SessionRow
from simulator.serving.tenants.defended import Defended
from simulator.serving.tenants.query import ATTACK, BENIGN
from simulator.serving.tenants.session import margins
from simulator.serving.tenants.tenancy import Tenancy
from simulator.streams import Streams
from simulator.study.defence.models import trained
from simulator.study.defence.question import Case, Question, scenario_beside
from simulator.trace.in_memory import DroppedRows, KeptRows
from simulator.trace.latencies import times_s
from simulator.trace.schema import REQUESTS

Floats = NDArray[np.float64]

JUDGE_REPLIES = 25
"""Fresh replies by which it is judged whether a picture is misclassified by majority."""

ACCURACY_REPLIES = 20
"""Replies a held-out picture for the clean accuracy."""

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
    figures
        Scalars by name (`FIGURES`); None where there is nothing to measure.
    """

    sessions: list[SessionRow]
    majority: list[bool]
    figures: dict[str, float | None]


FIGURES = {
    "sessions": "attack sessions that began",
    "unfinished": "share of them that the end of the run or a quota cut off",
    "first_hit": "share in which a candidate was misclassified once",
    "believed": "share that the attacker's own rule took for a success",
    "majority": "share whose last candidate most of 25 fresh replies misclassify",
    "queries_per_session": "replies per session; of one that was cut off, those until then",
    "attack_queries_per_s": "queries of attackers that were served, per second",
    "attack_gpu_s_per_h": "GPU-seconds that they took, per hour",
    "attack_refused": "share of what attackers sent that a limit turned away",
    "benign_p50_s": "median latency of ordinary queries, s",
    "benign_p95_s": "95th percentile of it, s",
    "benign_p99_s": "99th percentile of it, s",
    "benign_goodput_per_s": "ordinary queries answered in time, per second",
    "benign_refused": "share of ordinary queries that a limit turned away",
    "llm_ttft_p50_s": "median time to first token of the LLM beside it, s",
    "llm_ttft_p99_s": "99th percentile of it, s",
    "llm_tpot_p50_s": "median time per output token, s",
    "llm_tpot_p99_s": "99th percentile of it, s",
}
"""What is measured of a case."""


@one_thread
def measure(job: tuple[Question, Case, int]) -> Outcome:
    """Run a case of a question in a replication.

    All cases of a replication see the same arrivals, pictures and directions of attacks.
    """
    question, case, replication = job
    streams = Streams(question.seed, replication)
    model, held_out = trained(case.defence, question.seed)
    right = model.outputs(held_out.pixels).argmax(axis=1) == held_out.labels
    pictures = Pictures(held_out.pixels, held_out.labels, np.flatnonzero(right))
    tenancy = Tenancy(
        question.tenants_of(case), Defended(model, case.nu, streams), pictures, streams
    )
    figures: dict[str, float | None] = {}
    if question.beside:
        figures = _serve_beside(scenario_beside(question.beside), tenancy, streams)
    else:
        env = simpy.Environment()
        tenancy.move_in(env)
        env.run()
    judge = Defended(model, case.nu, streams, "judge")
    majority = [_wrong(judge, row, pictures) for row in tenancy.sessions]
    figures |= _attack_figures(question, tenancy, majority) if case.attacked else {}
    figures |= _benign_figures(question, tenancy)
    return Outcome(tenancy.sessions, majority, figures)


@one_thread
def clean_accuracy(case: Case, seed: int) -> float:
    """Return the share of replies to held-out pictures that are right."""
    model, held_out = trained(case.defence, seed)
    defended = Defended(model, case.nu, Streams(seed), "accuracy")
    replies = [defended.scores(held_out.pixels).argmax(axis=1) for _ in range(ACCURACY_REPLIES)]
    return float((np.stack(replies) == held_out.labels).mean())


def _serve_beside(
    scenario: Scenario, tenancy: Tenancy, streams: Streams
) -> dict[str, float | None]:
    """Run the cluster with the endpoint beside it; return latencies of the cluster."""
    requests = KeptRows(REQUESTS)
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
    times = times_s(requests.columns())
    for latency in ("ttft", "tpot"):
        for label, value in _percentiles(times[f"{latency}_s"]).items():
            found[f"llm_{latency}_{label}_s"] = value
    return {name: value for name, value in found.items() if name in FIGURES}


def _wrong(judge: Defended, row: SessionRow, pictures: Pictures) -> bool:
    replies = judge.scores(np.repeat(row.candidate[None], JUDGE_REPLIES, axis=0))
    return bool((margins(replies, int(pictures.labels[row.picture])) < 0.0).mean() > 0.5)


def _attack_figures(
    question: Question, tenancy: Tenancy, majority: Sequence[bool]
) -> dict[str, float | None]:
    rows, horizon_s = tenancy.sessions, question.tenants.horizon_s
    admitted, refused = tenancy.door.admitted[ATTACK], tenancy.door.refused[ATTACK]
    return {
        "sessions": float(len(rows)),
        "unfinished": _mean([row.outcome not in (HIT, BUDGET) for row in rows]),
        "first_hit": _mean([row.first_hit_queries > 0 for row in rows]),
        "believed": _mean([row.outcome == HIT for row in rows]),
        "majority": _mean(majority),
        "queries_per_session": _mean([row.queries for row in rows]),
        "attack_queries_per_s": admitted / horizon_s,
        "attack_gpu_s_per_h": tenancy.gpu_s(ATTACK) / horizon_s * 3600.0,
        "attack_refused": refused / max(1, admitted + refused),
    }


def _benign_figures(question: Question, tenancy: Tenancy) -> dict[str, float | None]:
    latency_s = np.array(tenancy.users.latency_s)
    in_time = int((latency_s <= question.objective_s).sum())
    admitted, refused = tenancy.door.admitted[BENIGN], tenancy.door.refused[BENIGN]
    quantiles = {f"benign_{label}_s": value for label, value in _percentiles(latency_s).items()}
    return {
        **quantiles,
        "benign_goodput_per_s": in_time / question.tenants.horizon_s,
        "benign_refused": refused / max(1, admitted + refused),
    }


def _percentiles(values: Floats) -> dict[str, float | None]:
    happened = values[~np.isnan(values)]
    return {
        label: float(np.quantile(happened, quantile)) if happened.size else None
        for label, quantile in _QUANTILES.items()
    }


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if len(values) else None
