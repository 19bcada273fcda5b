"""The control problem of one replica as an exact POMDP, derived from a scenario's cost model.

Hidden state: phase of the content (easy, hard) x bucket of the backlog (how many requests are
there). Action: draft length of an interval. Observation: bucket of first-position acceptance, which
does not depend on the draft length, x bucket of the backlog. Reward: SLO score of the backlog's
bucket. The draft length acts through how fast the backlog drains in each phase:

``T_a((p, b) -> (p', b')) = P(p -> p') Q_{a,p}(b -> b')``

P is the chain of phases over the requests of an interval. Q is the birth-death process of
`study.control.backlog` with the drain rates of `study.control.drains`, lumped.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincc
from scipy.stats import binom

from simulator.config import Config
from simulator.errors import ConfigError
from simulator.scenario import build
from simulator.speculation.control.pomdp import Pomdp, stationary
from simulator.speculation.text_states import TextStates
from simulator.study.control.backlog import Lumping, moves
from simulator.study.control.drains import Drains, drains
from simulator.study.control.instance import Instance

Floats = NDArray[np.float64]

PHASES = ("easy", "hard")
"""Phases, in the order of the states."""

ACCEPTANCE_BUCKETS = 3
"""Buckets of first-position acceptance: equal thirds of the way from hard to easy."""


_NEVER = 1e-9
"""Long-run share of a phase and bucket below which it is rounding more than a number."""


@dataclass(frozen=True, slots=True, eq=False)
class Surrogate:
    """A control problem with known truth.

    Parameters
    ----------
    instance
        What it was derived from.
    config
        Its scenario, composed.
    pomdp
        The process. State ``p B + b``, observation ``k B + b``, with B buckets of the backlog.
    drains
        The rates behind it.
    acceptance_edges
        First-position acceptance at which the next bucket begins, rising.
    backlog_edges
        Last number of requests of every bucket of the backlog but the last.
    gains
        Average reward of each draft length held for ever, in this POMDP: float64[A].
    full_gains
        The same without lumping, over every number of requests.
    """

    instance: Instance
    config: Config
    pomdp: Pomdp
    drains: Drains
    acceptance_edges: tuple[float, ...]
    backlog_edges: tuple[int, ...]
    gains: Floats
    full_gains: Floats

    @property
    def buckets(self) -> int:
        """Buckets of the backlog, B."""
        return len(self.backlog_edges) + 1

    @property
    def states(self) -> list[str]:
        """Names of the states."""
        return [f"{phase}, {name} requests" for phase in PHASES for name in self.bucket_names]

    @property
    def bucket_names(self) -> list[str]:
        """Numbers of requests in each bucket of the backlog, such as ``0-15`` and ``16+``."""
        firsts = [0, *(edge + 1 for edge in self.backlog_edges)]
        names = [
            f"{first}-{last}" for first, last in zip(firsts[:-1], self.backlog_edges, strict=True)
        ]
        return [*names, f"{firsts[-1]}+"]

    @property
    def assumptions(self) -> list[str]:
        """What the surrogate takes for granted, one sentence each."""
        return [
            *self.instance.assumptions,
            "arrivals are Poisson; requests leave after times that are exponential, with the means "
            "that step times, mean lengths and mean contexts give",
            "which requests decode follows the phase at once, and acceptance of an interval is the "
            "mean over as many requests as there are at its begin, without sampling noise",
            "the next bucket of the backlog depends on the present one alone (lumped by the long "
            "run under equal shares of all draft lengths)",
            "the score of a bucket is the share of requests that would begin within slo.ttft_s if "
            "they came then; time per output token is not scored",
        ]


def surrogate(
    instance: Instance, config: Config, backlog_edges: tuple[int, ...] | None = None
) -> Surrogate:
    """Derive the POMDP of an instance.

    Parameters
    ----------
    instance
        Draft lengths and interval.
    config
        Its scenario, composed of `Instance.words`.
    backlog_edges
        As in `Surrogate`; None: one less than ``scheduler.max_num_seqs``, so that the first bucket
        has room for another request.

    Raises
    ------
    SimulatorError
        If the scenario cannot be built, or has no phases, no bound on its queue or on the wait, or
        no load of its own, or if a bucket of the backlog is never seen.
    """
    if config.slo.ttft_s is None:
        raise ConfigError(
            "slo.ttft_s=null bounds no wait, and the score of the backlog is the share that begins "
            "in time; set a bound, for example slo.ttft_s=2."
        )
    rates = drains(build(config), instance.gammas)
    edges = (rates.max_running - 1,) if backlog_edges is None else backlog_edges
    if not all(0 <= edge < rates.most_requests for edge in edges) or sorted(set(edges)) != [*edges]:
        raise ConfigError(
            f"backlog_edges={list(edges)} must rise and lie in 0..{rates.most_requests - 1}: each "
            "is the last number of requests of a bucket."
        )
    acceptance_edges = _acceptance_edges(config)
    phases = _phases(config, instance.interval_s * rates.mean_arrivals_per_s)
    moved = _moves(rates, instance.interval_s)
    lumping = Lumping(_long_run(phases, moved.mean(axis=1)), edges)
    shares = lumping.weights.mean(axis=0) @ lumping.members.T
    _require_seen(shares, edges, rates)
    scores = _scores(rates, lumping, config.slo.ttft_s)
    pomdp = Pomdp(
        transitions=np.einsum("pq,apbc->apbqc", phases, lumping.chain(moved)).reshape(
            len(instance.gammas), 2 * len(scores), -1
        ),
        observations=_observations(rates, lumping, config, acceptance_edges),
        rewards=np.tile(scores, ACCEPTANCE_BUCKETS),
        start=shares.ravel(),
    )
    return Surrogate(
        instance,
        config,
        pomdp,
        rates,
        acceptance_edges,
        edges,
        gains=stationary(pomdp.transitions) @ pomdp.state_rewards,
        full_gains=_full_gains(phases, moved, lumping, scores),
    )


def _full_gains(phases: Floats, moved: Floats, lumping: Lumping, scores: Floats) -> Floats:
    """Return the score of every draft length on the backlog as it is, before it is lumped."""
    return np.array(
        [
            float((_long_run(phases, held).mean(axis=0) @ lumping.members.T @ scores).sum())
            for held in np.swapaxes(moved, 0, 1)
        ]
    )


def _require_seen(shares: Floats, edges: tuple[int, ...], rates: Drains) -> None:
    """Refuse buckets of the backlog, shares float64[2, B], in which next to nobody ever is."""
    never = np.flatnonzero(shares.min(axis=0) < _NEVER)
    if never.size:
        raise ConfigError(
            f"at {rates.mean_arrivals_per_s:.6g} requests/s the backlog is never in bucket "
            f"{never[0] + 1} of {len(edges) + 1} (backlog_edges={list(edges)}): there is nothing "
            "to control. Change workload.rate, or backlog_edges."
        )


def _acceptance_edges(config: Config) -> tuple[float, ...]:
    """Return where buckets of first-position acceptance begin."""
    phases = config.speculation.phases
    if phases is None or phases.alpha_easy == phases.alpha_hard:
        raise ConfigError(
            "speculation.phases has one rate for easy and for hard requests: there is no regime to "
            "learn. Set alpha_easy above alpha_hard."
        )
    edges = np.linspace(phases.alpha_hard, phases.alpha_easy, ACCEPTANCE_BUCKETS + 1)[1:-1]
    return tuple(edges.tolist())


def _phases(config: Config, requests: float) -> Floats:
    """Return the chain of phases over an interval in which so many requests come."""
    stretch = config.speculation.phases.stretch_requests if config.speculation.phases else 1.0
    kept = TextStates(stretch, stretch).persistence ** requests
    return np.asarray(kept * np.eye(2) + (1.0 - kept) / 2.0)


def _moves(rates: Drains, interval_s: float) -> Floats:
    """Return the moves of the backlog by level, action and phase: float64[V, A, 2, N+1, N+1]."""
    return np.array(
        [
            [
                [moves(arrivals, leaving, interval_s) for leaving in phase]
                for phase in rates.leaving_per_s
            ]
            for arrivals in rates.arrivals_per_s
        ]
    )


def _long_run(phases: Floats, moved: Floats) -> Floats:
    """Return the shares of phases and numbers in the long run of each level: float64[V, 2, N+1].

    A level of the load lasts far longer than a request stays.
    """
    joint = np.einsum("pq,vpnm->vpnqm", phases, moved)
    size = joint.shape[1] * joint.shape[2]
    return np.asarray(stationary(joint.reshape(-1, size, size)).reshape(joint.shape[:3]))


def _scores(rates: Drains, lumping: Lumping, ttft_s: float) -> Floats:
    """Return the SLO score by bucket of the backlog: float64[B].

    Who comes while a place is free begins at once. Others wait until enough have left: an Erlang
    time. Who is refused never begins.
    """
    most = rates.most_requests
    here = np.arange(most + 1)
    ahead = here - rates.max_running + 1
    leaving = rates.leaving_per_s.mean(axis=0)[:, -1]
    # P(Erlang(k, mu) <= t) = 1 - Q(k, mu t), with Q the regularised upper incomplete gamma.
    begun = 1.0 - gammaincc(np.maximum(ahead, 1), leaving[:, None] * ttft_s)
    chance = np.where(ahead <= 0, 1.0, begun)
    chance[:, most] = 0.0
    spread = lumping.weights[:, :, None, :] * lumping.members
    return np.asarray(np.einsum("vpbn,pn->b", spread, chance) / spread.sum(axis=(0, 1, 3)))


def _observations(
    rates: Drains, lumping: Lumping, config: Config, edges: tuple[float, ...]
) -> Floats:
    """Return what states show: float64[2 B, 3 B].

    Of m requests that decode, a binomial number is easy; the bucket of the backlog is seen.
    """
    given = config.speculation.phases
    within = lumping.within.sum(axis=0)
    buckets = within.shape[1]
    shown = np.zeros((2, buckets, len(edges) + 1, buckets))
    for here in range(within.shape[-1]):
        decoding = min(max(here, 1), rates.max_running)  # of an empty one: as of the next to come
        easy = np.arange(decoding + 1) / decoding
        rate = easy * given.alpha_easy + (1.0 - easy) * given.alpha_hard if given else easy
        seen = np.searchsorted(edges, rate, side="right")
        for phase, share in enumerate(rates.easy_residents):
            chances = np.bincount(
                seen, binom.pmf(np.arange(decoding + 1), decoding, share), len(edges) + 1
            )
            for bucket in range(buckets):
                shown[phase, bucket, :, bucket] += within[phase, bucket, here] * chances
    found = shown.reshape(2 * buckets, -1)
    return np.asarray(found / found.sum(axis=1, keepdims=True))
