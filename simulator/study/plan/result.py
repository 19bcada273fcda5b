"""What a plan answers: offers in order of cost, what lies behind them, and what was not found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from simulator.study.plan.deployment import Deployment
from simulator.study.plan.question import Question
from simulator.trace.statistics import Interval

BINDING_CONSTRAINTS = {
    "ttft": "prompts wait too long for their first token",
    "tpot": "steps are too long for the time per output token that was promised",
    "e2e": "whole answers take too long",
    "kv_memory": "the KV cache is full",
    "max_num_seqs": "the batch is as large as scheduler.max_num_seqs lets it be",
    "prefill": "prompts take more of the time than answers",
    "decode": "steps follow each other without a gap, and still requests wait",
    "none": "nothing yet: it holds the highest rate that was tried",
}
"""What may stop a deployment from serving more: the vocabulary of `Offer.binding_constraint`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassOutcome:
    """What one class of requests sees at the target load.

    Parameters
    ----------
    name
        Of the traffic class; ``all`` where there is one.
    required
        Share of its requests that must meet its objective.
    attainment
        Share that does, with the 95 % interval that decided (`decide`).
    missed
        Share of its requests that exceed each bound, by name of the bound (`slo.BOUNDS`).
    ttft_s, tpot_s, e2e_s
        Percentiles ``p50``, ``p90``, ``p99``, each the mean over the replications of theirs, s;
        None where too few requests stand behind one.
    """

    name: str
    required: float
    attainment: Interval
    missed: Mapping[str, float]
    ttft_s: Mapping[str, float | None]
    tpot_s: Mapping[str, float | None]
    e2e_s: Mapping[str, float | None]

    @property
    def meets(self) -> bool:
        """Whether enough of its requests meet the objective."""
        return self.attainment.value >= self.required


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """A deployment against the same GPUs without speculation.

    Parameters
    ----------
    max_rate
        Ratio of the highest rates that hold the objectives, with its interval over replications;
        above 1 where speculation serves more. None where the twin holds them at no rate.
    tpot
        Ratio of the median times per output token at the target load, without over with
        speculation. None where the twin cannot keep up there.
    twin_max_rate_per_s
        What the twin holds, requests/s; 0 where it holds the objectives at no rate.
    """

    max_rate: Interval | None
    tpot: Interval | None
    twin_max_rate_per_s: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Headroom:
    """What is left when something goes wrong, or when all come at once.

    Parameters
    ----------
    one_less
        Attainment by class at the target load with one replica (or unit) less; None where there
        is one.
    one_less_holds
        Whether that still holds the objectives.
    replicas_n_plus_1
        Replicas with which the objectives hold while one of them is lost.
    peak_to_mean
        Rate of the peak hour over the target rate.
    peak
        Attainment by class at the peak rate, sustained.
    peak_holds
        Whether that still holds the objectives.
    peak_replicas
        Replicas that the peak rate takes, at the rate that each holds.
    """

    one_less: Mapping[str, float] | None
    one_less_holds: bool
    replicas_n_plus_1: int
    peak_to_mean: float
    peak: Mapping[str, float]
    peak_holds: bool
    peak_replicas: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One deployment of the ranked table.

    Parameters
    ----------
    deployment
        What is rented, and how it runs.
    meets
        Whether it holds every class's objective at the target load.
    reason
        Why not, in a sentence; empty where it does.
    classes
        What each class of requests sees at the target load.
    max_rate_per_s
        Highest rate at which it holds the objectives, requests/s, with its interval over
        replications; None where it was not looked for.
    output_tokens_per_s, utilisation
        At the target load: tokens of all replicas per second, and the share of the time in which
        they are busy.
    acceptance_length
        Tokens that a round emits, at the target load; 1 without speculation.
    binding_constraint
        What stops it from serving more, one of `BINDING_CONSTRAINTS`.
    usd_per_hour
        Price of all GPUs; None where no price is known.
    joules_per_token
        Energy of an output token at the target load; filled in by who knows the GPUs' power.
    gain
        Against the same GPUs without speculation; None without it, or where it was not looked at.
    headroom
        None where it was not looked at.
    """

    deployment: Deployment
    meets: bool
    reason: str = ""
    classes: tuple[ClassOutcome, ...]
    max_rate_per_s: Interval | None = None
    output_tokens_per_s: float | None
    utilisation: float | None
    acceptance_length: float | None
    binding_constraint: str
    usd_per_hour: float | None
    joules_per_token: float | None = None
    gain: Gain | None = None
    headroom: Headroom | None = None

    @property
    def usd_per_million_tokens(self) -> float | None:
        """Price of a million output tokens at the target load."""
        if self.usd_per_hour is None or not self.output_tokens_per_s:
            return None
        return self.usd_per_hour / 3600.0 / self.output_tokens_per_s * 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A deployment that is no offer.

    Parameters
    ----------
    deployment
        With one replica.
    reason
        Why: it does not fit (and what it would take), cannot be timed, or can hold the objectives
        at no rate.
    kind
        What is in the way: ``memory``, ``tables`` (its format or kernels were not measured),
        ``shape``, or ``objective`` (missed even by a request that is alone).
    shortfall
        Of an objective: how many times as long as promised a request alone takes.
    """

    deployment: Deployment
    reason: str
    kind: str
    shortfall: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NearestMiss:
    """What comes closest where nothing meets the question.

    Parameters
    ----------
    deployment
        What comes closest.
    attainment
        Share of the requests that meet the objective, by class; empty where it was not simulated.
    reason
        Why it misses, where it was not simulated; else empty.
    takes
        What it would take, from the least to the most: one of these does.
    """

    deployment: Deployment
    attainment: Mapping[str, float]
    reason: str = ""
    takes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingPoint:
    """A point of throughput against interactivity.

    Parameters
    ----------
    deployment
        With one replica, or unit.
    batch
        Requests that decode at once in a replica.
    tokens_per_s_per_gpu, tokens_per_s_per_user
        Throughput, and interactivity (one over the time per output token).
    simulated
        Whether a simulation showed it; else it is the closed form (`estimate`).
    pareto
        Whether it is of the closed form, and no other of these is better in both.
    """

    deployment: Deployment
    batch: float
    tokens_per_s_per_gpu: float
    tokens_per_s_per_user: float
    simulated: bool
    pareto: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossover:
    """Where speculation stops paying, for the best deployment that speculates.

    Parameters
    ----------
    deployment
        The one with speculation; its twin drafts nothing.
    batch
        Smallest batch of a replica from which on a token takes longer with speculation than
        without, in the closed form; None where that is never so up to `largest_batch`.
    largest_batch
        The largest that was looked at: what the limits let run at once.
    rate_per_s
        Rate from which on the median time per output token is shorter without speculation, from
        simulated pairs, requests/s; None where that is so at no rate that was simulated.
    pairs
        (rate in requests/s, ratio of the median times per output token without over with
        speculation) of the simulated pairs, by rising rate.
    """

    deployment: Deployment
    batch: int | None
    largest_batch: int
    rate_per_s: float | None
    pairs: tuple[tuple[float, Interval], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A deployment run again with fresh seeds.

    Parameters
    ----------
    deployment
        What ran.
    meets
        Whether it holds every class's objective over the fresh seeds.
    attainment
        By class, the mean over the seeds with its interval.
    reason
        Why not; empty where it does.
    """

    deployment: Deployment
    meets: bool
    attainment: Mapping[str, Interval]
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """The last word: the first row and the next cheaper deployment, with seeds of their own.

    Parameters
    ----------
    seeds
        Fresh ones, none of which the search has seen.
    top
        The first row. It meets: whoever did not was taken off the first place (`failed`).
    cheaper
        The next cheaper deployment, of several the one that likely serves most; None where nothing
        is cheaper. That it fails is what is to be shown; `Check.meets` says whether it did.
    strongest
        Of all cheaper deployments the one that likely serves most; None where it is `cheaper`.
    failed
        Deployments that the search thought to be first, and that the fresh seeds refuted.
    """

    seeds: tuple[int, ...]
    top: Check
    cheaper: Check | None
    strongest: Check | None = None
    failed: tuple[Check, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What the search did.

    Parameters
    ----------
    candidates
        Deployments (without their replicas) in the space that was asked about.
    screened
        Of these, ruled out before any simulation: they do not fit, cannot be timed, or miss the
        objectives at any rate.
    pruned
        Of the rest, not simulated: their optimistic bound is no better than what was found.
    evaluated
        Of the rest, simulated.
    simulated, cached
        Simulations of one replication that ran, and that the cache answered.
    """

    candidates: int
    screened: int
    pruned: int
    evaluated: int
    simulated: int
    cached: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The answer.

    Parameters
    ----------
    question
        What was asked.
    run_overrides
        Settings of ``moesim simulate`` for how long and how often the search simulates.
    offers
        The best deployment of each kind of GPU and precision, those that meet first, by cost.
    confirmation
        None where nothing meets.
    operating_points
        Throughput against interactivity, Pareto-optimal points marked.
    crossover
        None where no deployment that speculates holds the objectives.
    rejected
        What was screened out, and why.
    nearest_miss
        None where something meets.
    counts
        What the search did.
    assumptions
        One sentence each, with its source.
    """

    question: Question
    run_overrides: tuple[str, ...]
    offers: tuple[Offer, ...]
    confirmation: Confirmation | None
    operating_points: tuple[OperatingPoint, ...]
    crossover: Crossover | None
    rejected: tuple[Rejected, ...] = field(repr=False)
    nearest_miss: NearestMiss | None
    counts: Counts
    assumptions: tuple[str, ...]

    @property
    def best(self) -> Offer | None:
        """The cheapest offer that meets; None where none does."""
        return next((offer for offer in self.offers if offer.meets), None)

    def command(self, deployment: Deployment) -> tuple[str, ...]:
        """Return the words after ``moesim simulate`` that run a deployment as the search did."""
        return (*self.question.base_overrides, *deployment.overrides, *self.run_overrides)
