"""What ``moesim validate routing`` finds: sampled routes and the overlap law, against figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from simulator.study.routing.published import Compared, compare_published, published_models
from simulator.study.tables.routing import PROMPTS, STEPS, SampledStep, sampled_steps
from simulator.trace.json_file import Json


@dataclass(frozen=True, slots=True)
class RoutingValidation:
    """Everything that was compared.

    Parameters
    ----------
    published
        Sampled routes against what was measured.
    steps
        The overlap law against sampled routes, over decode and verify steps and prompts.
    """

    published: list[Compared]
    steps: list[SampledStep]

    def law_error(self, model: str, *, prompts: bool) -> float:
        """Return the mean absolute error of the overlap law's distinct experts."""
        of_model = [step for step in self.steps if step.model == model]
        lengths = {tokens for _, tokens in PROMPTS}
        kept = [abs(step.experts_error) for step in of_model if (step.tokens in lengths) == prompts]
        return fmean(kept)

    @property
    def models(self) -> list[str]:
        """Models, in the order of their figures."""
        return list(dict.fromkeys(one.model for one in self.published))


def validate_routing(
    models: Sequence[str] = (), advance: Callable[[], None] = lambda: None
) -> RoutingValidation:
    """Compare models with what was published of them.

    Parameters
    ----------
    models
        Which; none: all with published figures.
    advance
        Told of each that is done.

    Raises
    ------
    TableError
        If nothing was published of one.
    """
    published, steps = compare_published(models), []
    for model in models or published_models():
        steps += sampled_steps(model, (*STEPS, *PROMPTS))
        advance()
    return RoutingValidation(published, steps)


def summary(found: RoutingValidation) -> Json:
    """Return figures and rows for ``summary.json``."""
    metrics: dict[str, float] = {}
    for one in found.published:
        metrics[f"routing_{one.figure}_{one.model}"] = one.sampled
        metrics[f"routing_{one.figure}_error_{one.model}"] = one.error
    for model in found.models:
        for name, prompts in (("steps", False), ("prompts", True)):
            error = found.law_error(model, prompts=prompts)
            metrics[f"routing_law_mape_{name}_{model}"] = error
    metrics["routing_worst_error"] = max(abs(one.error) for one in found.published)
    rows = [
        {
            "model": one.model,
            "figure": one.figure,
            "measured": one.measured.value,
            "sampled": one.sampled,
            "archetype": one.use,
            "source": one.measured.source,
        }
        for one in found.published
    ]
    return {"metrics": metrics, "published": rows}
