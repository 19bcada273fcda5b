"""One case in one replication: run, and measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import simpy
from numpy.typing import NDArray

from simulator.mlp import one_thread
from simulator.scenario import Scenario
from simulator.serving.cluster import Cluster
from simulator.serving.collector import collector_paused
from simulator.serving.tenants.attacker import SessionRow
from simulator.serving.tenants.defended import Defended
from simulator.serving.tenants.pictures import Pictures
from simulator.serving.tenants.session import margins
from simulator.serving.tenants.tenancy import Tenancy, TenantRow
from simulator.streams import Streams
from simulator.study.defence.figures import (
    Figures,
    attack_figures,
    benign_figures,
    llm_figures,
    load_figures,
)
from simulator.study.defence.models import trained
from simulator.study.defence.question import Case, Question, scenario_beside
from simulator.trace.in_memory import DroppedRows, KeptRows
from simulator.trace.latencies import times_s
from simulator.trace.schema import REQUESTS

Floats = NDArray[np.float64]

JUDGE_REPLIES = 25
"""Replies by which it is judged whether a picture is misclassified by majority."""


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
        Scalars by name.
    """

    sessions: list[SessionRow]
    majority: list[bool]
    tenants: list[TenantRow]
    figures: Figures


@one_thread
def measure(job: tuple[Question, Case, int]) -> Outcome:
    """Run a case of a question in a replication.

    All cases of a replication see the same arrivals, the same directions of attacks, and the same
    pictures (but see `pictures.Pictures`).
    """
    question, case, replication = job
    streams = Streams(question.seed, replication)
    model, held_out = trained(case.defence, question.seed)
    pictures = Pictures.seen_by(model, *held_out)
    tenancy = Tenancy(
        question.tenants_of(case), Defended(model, case.nu, streams), pictures, streams
    )
    figures: Figures = {}
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
    horizon_s, tenants, users = tenancy.horizon_s, tenancy.tenants(), tenancy.users
    if case.attacked:
        figures |= attack_figures(sessions, majority, question.tenants_of(case))
        figures |= load_figures(tenants, horizon_s)
    figures |= benign_figures(
        users.latency_s,
        users.right,
        tenants,
        horizon_s=horizon_s,
        objective_s=question.objective_s,
    )
    return Outcome(sessions, majority, tenants, figures)


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
        Share of targets (`pictures.Pictures`) to which most replies are wrong: noise alone.
    """

    accuracy: float
    misled: float


@one_thread
def without_attack(defence: str, nu: float, seed: int) -> Clean:
    """Return what the model of a defence says behind its noise, without an attack."""
    model, held_out = trained(defence, seed)
    defended = Defended(model, nu, Streams(seed), "accuracy")
    replies = [defended.scores(held_out.pixels).argmax(axis=1) for _ in range(JUDGE_REPLIES)]
    right = np.stack(replies) == held_out.labels
    targets = Pictures.seen_by(model, *held_out).targets
    return Clean(float(right.mean()), float((right.mean(axis=0) < 0.5)[targets].mean()))


def _serve_beside(scenario: Scenario, tenancy: Tenancy, streams: Streams) -> Figures:
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
    columns = requests.columns()
    early = columns["arrival_s"] < tenancy.horizon_s
    return llm_figures(times_s({name: column[early] for name, column in columns.items()}))
