"""What the bottom-up cost model says of measured steps, part by part as an engine reports them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from simulator.costs.engine import Engine
from simulator.costs.forward import ForwardCost, total_s
from simulator.costs.step import StepModel, StepShape
from simulator.errors import DataError, unknown
from simulator.experts.laws import RoutingLaw, tokens_touching
from simulator.models.operators import Experts
from simulator.study.engines.step_rows import StepRow

HOST_PARTS = ("engine", "sampling")
"""Parts of a target step that are not its forward pass."""


class StepTimes(NamedTuple):
    """Time of a step by what an engine can tell apart, seconds.

    Parameters
    ----------
    target_s, draft_s
        The target's forward pass, and all draft passes.
    host_s
        Everything else: scheduling, sampling, rejection.
    """

    target_s: float
    draft_s: float
    host_s: float

    @property
    def step_s(self) -> float:
        """The whole step."""
        return self.target_s + self.draft_s + self.host_s


@dataclass(frozen=True, slots=True)
class GivenExperts:
    """A routing law that answers with the experts that were measured."""

    tokens: float

    def independent_tokens(
        self, decode_requests: float, query_tokens: float, prefill_tokens: float
    ) -> float:
        """Return the tokens that touch the measured experts, whatever the step."""
        del decode_requests, query_tokens, prefill_tokens
        return self.tokens


@dataclass(frozen=True, slots=True)
class Bench:
    """What measured steps ran on: a cost model per measured model.

    Parameters
    ----------
    models
        By the name in the rows; their drafters included.
    context_tokens
        Mean cache length of rows that state none.
    """

    models: Mapping[str, StepModel]
    context_tokens: float

    def model_of(self, row: StepRow) -> StepModel:
        """Return the cost model of a row; a row without a name has the only one there is.

        Raises
        ------
        DataError
            If there is none of that name, or a round has no drafter; names the line.
        """
        if not row.model and len(self.models) == 1:
            return next(iter(self.models.values()))
        if row.model not in self.models:
            raise DataError(f"line {row.line}: {unknown('model', row.model, self.models)}")
        return self.models[row.model]

    def times(
        self,
        row: StepRow,
        engine: Engine,
        law: RoutingLaw | None = None,
        *,
        given_experts: bool = False,
    ) -> StepTimes:
        """Price a row under an engine profile.

        Parameters
        ----------
        row
            What was measured.
        engine
            The profile.
        law
            Routing law instead of the model's own.
        given_experts
            Take the active experts that were measured with the row, where they were.
        """
        model = with_engine(self.model_of(row), engine)
        if law is not None:
            model = replace(model, law=law)
        query = row.gamma + 1
        context = self.context_tokens if row.context_tokens is None else row.context_tokens
        shape = StepShape(row.batch, query, context + query)
        seen, routed = model, routed_experts(model)
        if given_experts and row.active_experts and routed is not None:
            tokens = tokens_touching(routed.experts, routed.top_k, row.active_experts)
            seen = replace(model, law=GivenExperts(tokens))
        target = seen.target_step(shape).parts
        host_s = sum(target.pop(part).seconds for part in HOST_PARTS if part in target)
        host_s += total_s(model.rejection(row.batch, row.gamma))
        draft_s = row.gamma * total_s(model.draft_parts(row.batch, shape.context_tokens))
        return StepTimes(total_s(target), draft_s, host_s)


def routed_experts(model: StepModel) -> Experts | None:
    """Return the routed experts of the target; None for a dense model."""
    return next((op for op in model.target.operators if isinstance(op, Experts)), None)


def with_engine(model: StepModel, engine: Engine) -> StepModel:
    """Return a cost model under another engine profile."""

    def changed(forward: ForwardCost) -> ForwardCost:
        return replace(forward, engine=engine)

    drafter = None if model.drafter is None else changed(model.drafter)
    return replace(model, engine=engine, target=changed(model.target), drafter=drafter)
