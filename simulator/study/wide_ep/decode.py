"""Decode throughput of a node, modelled and reported, and what lies between the two."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from simulator.compose import compose
from simulator.costs.forward import Parts, total_s
from simulator.costs.step import StepModel, StepShape
from simulator.experts.imbalance import slowest_rank_experts, slowest_rank_share
from simulator.experts.laws import distinct_experts
from simulator.models.operators import Experts
from simulator.scenario import Scenario, build
from simulator.study.decomposition import decompose
from simulator.study.wide_ep.published import Reported

COMMUNICATION = ("dispatch", "combine")
"""Parts that one half of a batch can do while the other computes."""

HOST = ("engine", "sampling")
"""Parts that nothing overlaps."""

MTP_GAMMA = 1
"""Tokens that multi-token prediction drafts a round, as DeepSeek-V3 was trained for."""


class Variant(NamedTuple):
    """The throughput under one change of what is modelled.

    Parameters
    ----------
    name, meaning
        Key, and what is changed.
    step_s
        Time from one step, or round, to the next.
    tokens_per_s
        Output tokens of a node.
    ratio
        Of it to what was reported.
    """

    name: str
    meaning: str
    step_s: float
    tokens_per_s: float
    ratio: float


@dataclass(frozen=True, slots=True)
class Modelled:
    """A reported deployment as it is modelled.

    Parameters
    ----------
    reported
        What was reported.
    parts
        A plain step, nothing overlapped.
    variants
        Throughput as modelled first, then under changes.
    reported_step_s
        Time from token to token of a request at the reported throughput.
    busiest_tokens, busiest_experts
        Token copies and active experts of the GPU with most, over the mean of all.
    """

    reported: Reported
    parts: Parts
    variants: tuple[Variant, ...]
    reported_step_s: float
    busiest_tokens: float
    busiest_experts: float


def model(reported: Reported) -> Modelled:
    """Model a deployment at its reported batch and context.

    Parameters
    ----------
    reported
        The deployment.

    Raises
    ------
    SimulatorError
        If the deployment cannot run.
    """
    acceptance = reported.mtp_acceptance.value
    drafts = [f"speculation.gamma={MTP_GAMMA}", f"speculation.alpha={acceptance}"]
    if not acceptance:
        drafts = ["speculation.gamma=0"]
    scenario = build(compose([*reported.overrides, *drafts]))
    steps, requests = scenario.step_model, reported.batch.value * scenario.parallelism.data
    shape = StepShape(requests, 1, reported.context_tokens.value)
    parts = steps.target_step(shape).parts
    node_requests = reported.batch.value * scenario.gpu.node_gpus
    op = routed_experts(steps)
    spread = op.top_k, op.slots, op.expert_parallel
    active = distinct_experts(op.slots, op.top_k, requests) / op.expert_parallel
    return Modelled(
        reported,
        parts,
        tuple(_variants(reported, scenario, shape, parts)),
        reported_step_s=node_requests / reported.output_tokens.value,
        busiest_tokens=slowest_rank_share(requests, *spread),
        busiest_experts=slowest_rank_experts(requests, *spread) / active,
    )


def _variants(
    reported: Reported, scenario: Scenario, shape: StepShape, parts: Parts
) -> Iterator[Variant]:
    """Yield the throughput as modelled, and under one change at a time."""
    steps, node = scenario.step_model, scenario.gpu.node_gpus
    requests = shape.decode_requests / scenario.parallelism.gpus * node
    total = total_s(parts)

    def variant(name: str, meaning: str, step_s: float, tokens: float = 1.0) -> Variant:
        """Return the variant whose every request yields so many tokens a step."""
        rate = requests * tokens / step_s
        return Variant(name, meaning, step_s, rate, rate / reported.output_tokens.value)

    yield variant("serial", "as modelled: nothing overlaps", total)
    overlapped = overlapped_s(steps, shape)
    yield variant("overlapped", "halves overlap perfectly (a bound)", overlapped)
    sent = sum(parts[part].seconds for part in COMMUNICATION)
    yield variant("free_exchange", "dispatch and combine free (a bound)", total - sent)
    if reported.mtp_acceptance.value:
        terms = decompose(
            steps, scenario.acceptance, shape.decode_requests, shape.context_tokens, MTP_GAMMA
        )
        meaning = f"MTP, {reported.mtp_acceptance.value:.0%} accepted (assumed)"
        tokens, plain_s = terms.expected_tokens_per_round, terms.plain_step_s
        yield variant("mtp", meaning, terms.plain_steps * plain_s, tokens)
        verify = steps.verify_shape(shape.decode_requests, MTP_GAMMA, shape.context_tokens)
        around_s = (terms.draft_ratio + terms.rejection_ratio) * plain_s
        hidden_s = overlapped_s(steps, verify) + around_s
        yield variant("mtp_overlapped", "MTP, halves of verify steps overlap", hidden_s, tokens)


def overlapped_s(steps: StepModel, shape: StepShape) -> float:
    """Return the time of a step whose halves take turns at computing and communicating.

    With C and X the computation and communication of a half, both keep to their own resource, and
    a step takes ``2 max(C, X)`` beside the host: a floor, since the parts of a layer are unequal.
    It may still exceed the whole step in one piece, since each half reads all weights.

    Parameters
    ----------
    steps, shape
        The deployment, and its whole step.
    """
    half = StepShape(shape.decode_requests / 2, shape.query_tokens, shape.context_tokens)
    whole, parts = steps.target_step(shape).parts, steps.target_step(half).parts
    sent = sum(parts[part].seconds for part in COMMUNICATION)
    computed = sum(time.seconds for part, time in parts.items() if part not in HOST) - sent
    return 2.0 * max(computed, sent) + sum(whole[part].seconds for part in HOST)


def routed_experts(steps: StepModel) -> Experts:
    """Return the routed experts of the target."""
    return next(op for op in steps.target.operators if isinstance(op, Experts))
