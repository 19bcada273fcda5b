"""What a learned policy looks like: a served table, readable rows, and the nearest schedule."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.errors import ConfigError
from simulator.speculation.control.planning import Plan
from simulator.speculation.control.pomdp import Pomdp
from simulator.speculation.control.results import LearnerRun
from simulator.speculation.control.served import ServedTable
from simulator.study.control.surrogate import ACCEPTANCE_BUCKETS, Surrogate

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

COLLAPSED = 0.99
"""A table is a schedule if in every bucket of the backlog one draft length has such a share."""


@dataclass(frozen=True, slots=True)
class NearestSchedule:
    """The per-batch schedule next to a policy.

    Parameters
    ----------
    rows
        ``speculation.schedule``: the most common draft length by bucket of the backlog.
    agreement
        Share of the intervals in which the policy did as the schedule says, by bucket.
    """

    rows: list[list[int]]
    agreement: list[float]

    @property
    def collapses(self) -> bool:
        """Whether the schedule is the policy, but for a hundredth of the intervals."""
        return min(self.agreement) >= COLLAPSED


def served_table(found: Surrogate, plan: Plan, **about: str) -> ServedTable:
    """Return a plan as servers load it."""
    return ServedTable(
        model=plan.model,
        table=plan.table,
        gammas=found.instance.gammas,
        interval_s=found.instance.interval_s,
        acceptance_edges=found.acceptance_edges,
        backlog_edges=found.backlog_edges,
        about={"instance": found.instance.name, "title": found.instance.title, **about},
    )


def final_plan(run: LearnerRun, row: int) -> Plan:
    """Return the last plan on beliefs of a learner on one of its seeds.

    Raises
    ------
    ConfigError
        If the learner made none.
    """
    for episode in reversed(run.episodes[row]):
        if episode.model is not None and episode.table is not None:
            gain = episode.gain or 0.0
            return Plan(episode.model, episode.table, gain, np.zeros(len(episode.table.actions)))
    raise ConfigError(f"{run.learner} made no plan on beliefs with seed {run.seeds[row]}.")


def nearest_schedule(found: Surrogate, run: LearnerRun) -> NearestSchedule:
    """Return the schedule next to what a held plan did, by the backlog it had seen last."""
    buckets, gammas = found.buckets, found.instance.gammas
    counts = np.zeros((buckets, len(gammas)))
    seen, taken = run.observations[:, :-1] % buckets, run.actions[:, 1:]
    np.add.at(counts, (seen, taken), 1)
    most = counts.argmax(axis=1)
    last = found.drains.max_running
    ends = [*found.backlog_edges, max(last, found.backlog_edges[-1] + 1)]
    starts = [1, *(edge + 1 for edge in found.backlog_edges)]
    rows = [
        [start, end, gammas[action]]
        for start, end, action in zip(starts, ends, most.tolist(), strict=True)
        if start <= end
    ]
    shares = counts.max(axis=1) / np.maximum(counts.sum(axis=1), 1.0)
    return NearestSchedule(_merged(rows), shares.tolist())


def _merged(rows: list[list[int]]) -> list[list[int]]:
    """Join rows that follow each other with one draft length."""
    merged = [rows[0]]
    for row in rows[1:]:
        if row[2] == merged[-1][2]:
            merged[-1] = [merged[-1][0], row[1], row[2]]
        else:
            merged.append(row)
    return merged


def easy_first(model: Pomdp, buckets: int) -> list[list[int]]:
    """Return the states of a model by bucket of the backlog, the easiest of each first.

    Learned states have no names: their observations tell them. A state belongs to the bucket that
    it shows most, and is the easier the more acceptance it shows.

    Returns
    -------
    list
        By bucket.
    """
    shown = model.observations.reshape(model.states, ACCEPTANCE_BUCKETS, buckets)
    bucket = shown.sum(axis=1).argmax(axis=1)
    acceptance = shown.sum(axis=2) @ np.arange(ACCEPTANCE_BUCKETS)
    order = np.argsort(-acceptance, kind="stable")
    return [[int(s) for s in order if bucket[s] == b] for b in range(buckets)]


def along_phase(plan: Plan, gammas: tuple[int, ...], buckets: int, shares: Floats) -> Ints | None:
    """Return the draft length by bucket of the backlog and chance of the easy phase.

    Parameters
    ----------
    plan
        On beliefs about two states a bucket.
    gammas
        Draft lengths by action.
    buckets
        Buckets of the backlog, taken as known.
    shares
        Chances of the easy phase.

    Returns
    -------
    ndarray or None
        int64[buckets, shares]; None where the model's states are not an easy and a hard one for
        each bucket.
    """
    pairs = easy_first(plan.model, buckets)
    if any(len(pair) != 2 for pair in pairs):
        return None
    beliefs = np.zeros((buckets, len(shares), plan.model.states))
    for bucket, (easy, hard) in enumerate(pairs):
        beliefs[bucket, :, easy] = shares
        beliefs[bucket, :, hard] = 1.0 - shares
    return np.asarray(gammas)[plan.table.act(beliefs)]
