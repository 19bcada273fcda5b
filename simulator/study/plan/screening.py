"""What a deployment can do in closed form: step times over batches, and what bounds its load."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from simulator.config import Config
from simulator.errors import CapacityError, SimulatorError, TableError
from simulator.mapping import from_mapping
from simulator.scenario import Scenario, build
from simulator.slo import SloConfig
from simulator.streams import Streams
from simulator.study.plan.capacity import Demand, max_rate
from simulator.study.plan.objectives import objectives_of, requests_of
from simulator.study.plan.pricing import PricedReplica, longest_due
from simulator.study.plan.traffic import Traffic, observe
from simulator.trace.json_file import Json

SLACK = 1.05
"""How many times as fast a replica is taken to be for the bound as it was priced. Assumed: it makes
up for batches between those that were priced, for swings of the context, and for a measured stretch
that begins before and ends after the full load."""

LIKELY_FILL = 0.85
"""Share of batch limit, cache and promised time that a replica likely uses before requests are
late. Assumed: it only orders what is tried first."""


PILED = 1.5
"""Prompts that share a step, in those that come in during one on average. Assumed: a
step that reads few costs nearly as much as one that reads many, and this makes up for chance."""

REFINEMENTS = 2
"""Rounds of refining the bound; each gives an upper bound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Screening:
    """A deployment in closed form: one replica, or one unit of a split.

    Parameters
    ----------
    kind, reason
        Why it is out (`result.Rejected`); empty where it is not.
    shortfall
        How many times as long as promised a request takes that is alone, at worst; at most 1 where
        it may hold its objective.
    batches
        Requests that decode at once in a replica, ascending.
    token_s
        Time per output token of each at these batches, while no prompt is read, s.
    tokens_per_round
        What a round emits, at the longest draft.
    prefill_s
        What the prompt of a mean request adds to the time of the replica that reads it, s.
    tokens_per_request
        Output tokens of a mean request after the first.
    kv_requests
        Mean requests that the KV cache holds.
    bound_rate, likely_rate
        Requests/s that no simulation exceeds, and those that one will likely reach.
    likely_token_s
        Time per output token at the likely rate, s.
    binding
        What limits the likely rate, one of `result.BINDING_CONSTRAINTS`.
    """

    kind: str = ""
    reason: str = ""
    shortfall: float = 1.0
    batches: tuple[int, ...] = ()
    token_s: tuple[float, ...] = ()
    tokens_per_round: float = 1.0
    prefill_s: float = 0.0
    tokens_per_request: float = 0.0
    kv_requests: float = 0.0
    bound_rate: float = 0.0
    likely_rate: float = 0.0
    likely_token_s: float = 0.0
    binding: str = "none"

    def to_json(self) -> Json:
        """Return it as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Screening:
        """Read it back."""
        return from_mapping(cls, values, "screening")


def screen(config: Config) -> Screening:
    """Price a deployment of one replica, or one unit of a split.

    Parameters
    ----------
    config
        With as many requests as runs will have: their lengths are looked at.
    """
    try:
        scenario = build(config)
    except SimulatorError as error:
        return Screening(kind=_obstacle(error), reason=str(error))
    traffic = observe(scenario.workload, Streams(config.run.seed))
    objectives = objectives_of(config)
    pools = [PricedReplica(pool, traffic) for pool in scenario.pools or (scenario,)]
    misses = _alone(pools, traffic, objectives)
    shortfall, reason = max(misses, default=(0.0, ""))
    if shortfall > 1.0:
        return Screening(kind="objective", reason=reason, shortfall=shortfall)
    return _rates(scenario, pools, traffic, list(objectives.values()))


def _obstacle(error: SimulatorError) -> str:
    """Name what is in the way of a deployment that cannot be built."""
    if isinstance(error, CapacityError):
        return "memory"
    return "tables" if isinstance(error.__cause__ or error, TableError) else "shape"


def _alone(
    pools: Sequence[PricedReplica], traffic: Traffic, objectives: Mapping[str, SloConfig]
) -> Iterator[tuple[float, str]]:
    """Yield how a request that is alone does: times over what is promised, and a sentence."""
    slos = list(objectives.values())
    prompts = longest_due(traffic.prompt_tokens, traffic, slos)
    answers = longest_due(traffic.later_tokens, traffic, slos)
    for index, (name, slo) in enumerate(objectives.items()):
        prompt, token_s = prompts[index], pools[-1].least_token_s(index) / SLACK
        if slo.ttft_s is not None and not traffic.shares_prefixes:
            ttft_s = pools[0].alone_ttft_s(prompt)
            yield (
                ttft_s / slo.ttft_s,
                f"{100 * slo.share:g} % of {requests_of(name)} must have their first "
                f"token within {slo.ttft_s:g} s, but {prompt:,} prompt tokens, the longest of "
                f"these, take {ttft_s:.3g} s by themselves",
            )
        if slo.tpot_s is not None:
            yield (
                token_s / slo.tpot_s,
                f"{requests_of(name)} are promised a token every "
                f"{slo.tpot_s * 1e3:.3g} ms, but one takes {token_s * 1e3:.3g} ms even for a "
                "request alone",
            )
        if slo.e2e_s is not None:
            answer_s = answers[index] * token_s
            yield (
                answer_s / slo.e2e_s,
                f"{100 * slo.share:g} % of {requests_of(name)} must end within {slo.e2e_s:g} s, "
                f"but {answers[index]:,} output tokens after the first, the most of these, take "
                f"{answer_s:.3g} s even for a request alone",
            )


def _rates(
    scenario: Scenario,
    pools: Sequence[PricedReplica],
    traffic: Traffic,
    objectives: Sequence[SloConfig],
) -> Screening:
    """Bound the rate, and guess it."""
    reads, decodes = pools[0], pools[-1]
    split = len(pools) > 1
    prefill_s = reads.likely_prefill_s(alone=split)
    demand = Demand(
        tokens=float(traffic.later_tokens.mean()),
        prefill_s=0.0 if split else prefill_s,
        residence_s=LIKELY_FILL * float(traffic.residence_bound_s(objectives).mean()),
        context_tokens=traffic.context_tokens,
    )
    bound = _bound(decodes, traffic, objectives, reads=not split)
    found = max_rate(decodes.supply(fill=LIKELY_FILL), demand)
    likely, binding = found.rate, found.binding
    if split:
        ahead, behind = (pool.replicas for pool in scenario.config.cluster.pools)
        least_s = reads.least_prefill_s(_served(objectives), alone=True)
        bound = min(behind * bound, SLACK * ahead / least_s if least_s else np.inf)
        likely, binding = min(
            (behind * likely, binding), (LIKELY_FILL * ahead / prefill_s, "prefill")
        )
    return Screening(
        batches=tuple(int(batch) for batch in decodes.batches),
        token_s=tuple(decodes.token_s.tolist()),
        tokens_per_round=decodes.tokens_per_round,
        prefill_s=prefill_s,
        tokens_per_request=demand.tokens,
        kv_requests=decodes.deployment.kv_capacity_tokens / max(1.0, demand.context_tokens),
        bound_rate=float(bound),
        likely_rate=float(likely),
        likely_token_s=found.token_s,
        binding=binding,
    )


def _bound(
    replica: PricedReplica, traffic: Traffic, objectives: Sequence[SloConfig], *, reads: bool
) -> float:
    """Return a rate that no simulation of a replica exceeds.

    In a steady state as many requests come in during a step as leave: one of the batch in so many
    rounds as a request takes. That tells how many prompts share a step, `PILED` times that for
    bursts, and so what they cost at least. The batch is bounded by limit and cache, and by the rate
    times the time that requests may stay; so a bound on the rate gives a closer one.
    """
    stays_s = float(traffic.residence_bound_s(objectives).mean())
    rounds = float(traffic.later_tokens.mean()) / replica.tokens_per_round
    supply, rate = replica.supply(slack=SLACK), np.inf
    for _ in range(REFINEMENTS if reads else 1):
        batch = min(replica.fitting, rate * stays_s)
        most = PILED * batch / max(rounds, 1e-9)
        prefill_s = replica.least_prefill_s(_served(objectives), most=most) if reads else 0.0
        rate = max_rate(supply, _least_demand(traffic, objectives, prefill_s)).rate
    return rate


def _served(objectives: Sequence[SloConfig]) -> float:
    """Return the smallest share of requests that must meet their objective."""
    return min(slo.share for slo in objectives)


def _least_demand(traffic: Traffic, objectives: Sequence[SloConfig], prefill_s: float) -> Demand:
    """Return what a mean request asks for if those that may miss their objective ask for nothing.

    Of each class these are taken to be the ones with the longest outputs.
    """
    kept = np.zeros(traffic.output_tokens.size, dtype=bool)
    for index, slo in enumerate(objectives):
        mine = np.flatnonzero(traffic.traffic_class == index)
        ordered = mine[np.argsort(traffic.output_tokens[mine], kind="stable")]
        kept[ordered[: int(np.ceil(slo.share * mine.size))]] = True
    stays_s = traffic.residence_bound_s(objectives)
    return Demand(
        tokens=float((traffic.later_tokens * kept).mean()),
        prefill_s=prefill_s,
        residence_s=float(np.where(kept, stays_s, 0.0).mean()),
        context_tokens=traffic.context_tokens * float(kept.mean()),
    )
