"""Where the time of a step goes at an operating point: parts, work, and what would change it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from simulator.costs.forward import ForwardCost, Parts, PartTime, total_s
from simulator.costs.step import StepModel, StepShape
from simulator.costs.work import Load, Work, operator_work
from simulator.experts.laws import distinct_experts
from simulator.hardware.gpu import Gpu
from simulator.models.operators import (
    Experts,
)
from simulator.scenario import Scenario
from simulator.speculation.acceptance import ACCEPTANCE, Acceptance
from simulator.speculation.config import SpeculationConfig
from simulator.speculation.theory import speedup
from simulator.study.decomposition import Decomposition, best_draft_length, decompose
from simulator.study.draft_lengths import DraftLengths, draft_lengths
from simulator.study.operating_point import can_run, check_point

RATED = ("iid", "heterogeneous")
"""Acceptance models that look at ``speculation.alpha``."""

BATCH_FACTOR = 4
"""How far from the given batch a change of it is looked at."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the target or of the drafter, by part.

    Parameters
    ----------
    parts
        Time by part, with how each is known.
    work
        FLOPs and bytes of the parts that compute: products, experts, attention.
    experts, active_experts
        Routed experts of a layer, and how many distinct ones the step activates; 0 if it has none.
    tokens_per_expert
        Mean tokens that an active expert processes, ``tokens K / N``; 0 without experts.
    missing_experts
        Of the active experts, those that come from host memory first.
    """

    parts: Parts
    work: dict[str, Work]
    experts: int
    active_experts: float
    tokens_per_expert: float
    missing_experts: float = 0.0

    @property
    def total_s(self) -> float:
        """Time of the step, seconds."""
        return total_s(self.parts)

    def seconds(self, part: str) -> float:
        """Time of a part; 0 if the step lacks it."""
        return self.parts.get(part, PartTime()).seconds

    def share(self, part: str) -> float:
        """Share of the step's time that a part takes."""
        return self.seconds(part) / self.total_s

    def known_s(self, kind: str) -> float:
        """Seconds known in the given way: ``measured``, ``fitted`` or ``assumed``."""
        return float(sum(getattr(time, f"{kind}_s") for time in self.parts.values()))


class Lever(NamedTuple):
    """One change, and the closed-form speedup with it.

    Parameters
    ----------
    change, meaning
        What to write on the command line (empty: a bound that no setting reaches), and in words.
    speedup
        Closed form at the changed operating point.
    """

    change: str
    meaning: str
    speedup: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """A round of speculation beside a plain step, taken apart at one operating point.

    Parameters
    ----------
    scenario
        Lines that head the report, by name.
    plain, verify, draft
        The steps; no verify step at gamma = 0, no draft step without a drafter on the GPU.
    rejection_s
        What a round adds to a verify step, seconds.
    decomposition, best
        Terms of the closed form at the operating point, and at the draft length it prefers there.
    levers
        Changes worth a look.
    lengths
        Speedups by draft length, at this batch and at others.
    """

    scenario: dict[str, str]
    plain: Step
    verify: Step | None
    draft: Step | None
    rejection_s: float
    decomposition: Decomposition
    best: Decomposition
    levers: list[Lever]
    lengths: DraftLengths

    @property
    def steps(self) -> dict[str, Step]:
        """The steps there are, by name."""
        steps = {"plain": self.plain, "verify": self.verify, "draft": self.draft}
        return {name: step for name, step in steps.items() if step is not None}


def explain(scenario: Scenario, batch: int, context_tokens: int) -> Explanation:
    """Take the steps of a scenario apart.

    Parameters
    ----------
    scenario
        The scenario; gamma is its own.
    batch
        Requests that decode together on one replica.
    context_tokens
        Cache length of each.

    Raises
    ------
    ConfigError
        If batch or context is below one, or beyond the scheduler's or the model's limit.
    CapacityError
        If a replica's cache cannot hold that batch.

    Examples
    --------
    >>> from simulator.compose import compose
    >>> from simulator.scenario import build
    >>> taken_apart = explain(build(compose(["model=mixtral_8x7b"])), 16, 1000)
    >>> max(taken_apart.plain.parts, key=taken_apart.plain.share)
    'experts'
    """
    check_point(scenario, batch, context_tokens)
    model, gamma = scenario.step_model, scenario.config.speculation.gamma
    plain = StepShape(batch, 1, context_tokens)
    verify = model.verify_shape(batch, gamma, context_tokens)
    drafts = model.draft_parts(batch, context_tokens) if gamma else {}

    def target_step(shape: StepShape) -> Step:
        return _step(model.target, model, model.target_step(shape).parts, shape, scenario.gpu)

    here = decompose(model, scenario.acceptance, batch, context_tokens, gamma)
    best = best_draft_length(model, scenario.acceptance, batch, context_tokens)
    return Explanation(
        scenario=_header(scenario),
        plain=target_step(plain),
        verify=target_step(verify) if gamma else None,
        draft=_step(model.drafter, model, drafts, plain, scenario.gpu) if drafts else None,
        rejection_s=total_s(model.rejection(batch, gamma)),
        decomposition=here,
        best=best,
        levers=[*_other_points(scenario, here, best), *_other_terms(scenario, here)],
        lengths=draft_lengths(scenario, batch, context_tokens),
    )


def _step(
    forward: ForwardCost | None, model: StepModel, parts: Parts, shape: StepShape, gpu: Gpu
) -> Step:
    """Add the work of a forward pass to its times."""
    operators = forward.operators if forward is not None else ()
    routed = next((op for op in operators if isinstance(op, Experts)), None)
    share = met = model.group_share(shape)
    experts, active, each, missing = 0, 0.0, 0.0, 0.0
    if routed is not None and forward is not None:
        met = model.expert_share(forward, shape)
        experts, independent = routed.experts, model.independent_tokens(met)
        active = distinct_experts(experts, routed.top_k, independent)
        each = met.tokens * routed.top_k / active
        if model.offload is not None and forward is model.target:
            missing = model.offload.missing(met.decode_requests, active)
    done: dict[str, Work] = {}
    for operator in operators:
        seen = met if operator is routed else share
        load = Load(seen.tokens, seen.decode_requests, seen.context_tokens, active)
        more = operator_work(operator, load, gpu)
        if more is not None:
            before = done.get(operator.part, Work())
            done[operator.part] = Work(*(a + b for a, b in zip(before, more, strict=True)))
    return Step(parts, done, experts, active, each, missing)


def _header(scenario: Scenario) -> dict[str, str]:
    """Return what was explained, in words."""
    speculation, spread = scenario.config.speculation, scenario.parallelism
    gamma = speculation.gamma
    tree = f", tree of {speculation.draft_tokens} tokens" if speculation.tree else ""
    topology, backend = (
        scenario.step_model.target.topology,
        scenario.config.hardware.all2all_backend,
    )
    network = {} if topology is None else {"network": f"{topology.title}, {backend}"}
    return {
        "model": scenario.config.model.title,
        "hardware": f"{spread.gpus + scenario.drafter_gpus} x {scenario.gpu.title}, {spread}",
        **network,
        "speculation": f"{scenario.drafter.title}, gamma {gamma}{tree}"
        if gamma
        else "off (gamma 0)",
    }


def _other_points(scenario: Scenario, here: Decomposition, best: Decomposition) -> Iterator[Lever]:
    """Yield the best draft length, and a smaller and a larger batch that a replica can hold."""
    if best.gamma != here.gamma:
        yield Lever(f"speculation.gamma={best.gamma}", "the best draft length here", best.speedup)
    batch, context = int(here.batch), int(here.context_tokens)
    for other in (batch // BATCH_FACTOR, batch * BATCH_FACTOR) if here.gamma else ():
        if not can_run(scenario, other, context):
            continue
        point = decompose(scenario.step_model, scenario.acceptance, other, context, here.gamma)
        size = "smaller" if other < batch else "larger"
        yield Lever(f"--batch {other}", f"a {size} batch", point.speedup)


def _other_terms(scenario: Scenario, here: Decomposition) -> Iterator[Lever]:
    """Yield better acceptance and free drafts, all else equal."""
    if not here.gamma:
        return
    costs = here.verify_ratio, here.rejection_ratio
    for change, acceptance in _half_rejected(scenario.config.speculation):
        tokens = acceptance.tokens_per_round(here.gamma)
        faster = float(speedup(tokens, here.draft_ratio, *costs))
        yield Lever(change, "half as many rejections", faster)
    if here.draft_ratio:
        free = float(speedup(here.expected_tokens_per_round, 0.0, *costs))
        yield Lever("", "drafts that cost no time (a bound)", free)


def _half_rejected(given: SpeculationConfig) -> Iterator[tuple[str, Acceptance]]:
    """Yield the override that halves every rejection rate, if there are rates, and its model."""
    acceptance = ACCEPTANCE.get(given.acceptance, "speculation.acceptance")
    if given.alphas:
        alphas = [round((1.0 + alpha) / 2, 3) for alpha in given.alphas]
        change = f"speculation.alphas={alphas}".replace(" ", "")
        yield change, acceptance(replace(given, alphas=alphas))
    elif given.alpha is not None and given.acceptance in RATED:
        alpha = round((1.0 + given.alpha) / 2, 3)
        yield f"speculation.alpha={alpha:g}", acceptance(replace(given, alpha=alpha))
