"""What a question leaves open, in closed form: what may hold, what is out, and how long to run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from simulator.errors import ConfigError
from simulator.streams import Streams
from simulator.study.plan.bench import SCREENED_REQUESTS, Bench, Variants, steady
from simulator.study.plan.cheapest import Design
from simulator.study.plan.configure import architecture
from simulator.study.plan.deployment import Deployment
from simulator.study.plan.horizon import choose_horizon
from simulator.study.plan.question import Candidates
from simulator.study.plan.result import Rejected
from simulator.study.plan.runs import Search, screenings
from simulator.study.plan.space import deployments, scheduled
from simulator.study.plan.traffic import observe
from simulator.workload.build import build_workload

TOKEN_S = 0.05
"""Time per output token where no deployment is left that could have one."""


def survey(variants: Variants) -> Search[tuple[list[Design], list[Rejected]]]:
    """Price every deployment of the space; return those that may hold, and those that are out.

    Raises
    ------
    ConfigError
        If the candidates leave no deployment at all.
    """
    question, asked = variants.question, variants.question.candidates
    names = asked.models or (question.config.model.name,)
    models = {name: architecture(question, name) for name in names}
    seqs = asked.max_num_seqs or (question.config.scheduler.max_num_seqs,)
    fixed = list(deployments(asked, models, seqs))
    if not fixed:
        raise ConfigError(_nothing_left(asked, names))
    priced = yield from _priced(variants, fixed)
    pairs = [(design.deployment, design.screening) for design in priced]
    priced += yield from _priced(variants, list(scheduled(asked, pairs)))
    designs = [design for design in priced if not design.screening.reason]
    rejected = [
        Rejected(
            deployment=design.deployment,
            reason=design.screening.reason,
            kind=design.screening.kind,
            shortfall=design.screening.shortfall,
        )
        for design in priced
        if design.screening.reason
    ]
    return designs, rejected


def _priced(variants: Variants, deployments: Sequence[Deployment]) -> Search[list[Design]]:
    jobs = [variants.screening(deployment) for deployment in deployments]
    priced = yield from screenings(jobs)
    return [Design(*pair) for pair in zip(deployments, priced, strict=True)]


def _nothing_left(asked: Candidates, models: Iterable[str]) -> str:
    sizes = {
        name: _listed(getattr(asked, name))
        for name in ("tensor_parallel", "data_parallel", "pipeline_parallel")
    }
    tried = ", ".join(f"{name}={values}" for name, values in sizes.items())
    return (
        f"no deployment is left: none of {tried} splits {_listed(models)} over one node of "
        f"{_listed(asked.gpus)}. Add sizes; 1, 2, 4 and 8 split most models."
    )


def _listed(values: Iterable[object]) -> str:
    return ",".join(map(str, values))


def bench_of(variants: Variants, designs: Sequence[Design]) -> Bench:
    """Return where deployments are tried: with runs as long as it takes to fill any of them.

    Parameters
    ----------
    variants
        The configurations of deployments.
    designs
        Those that may hold; the best of each kind of GPU tells how long requests stay.
    """
    question = variants.question
    config = steady(question.config)
    workload = build_workload(config.workload, SCREENED_REQUESTS)
    best: dict[str, Design] = {}
    for design in designs:
        one = best.setdefault(design.deployment.gpu, design)
        if design.likely_gpus(question.target_rate) < one.likely_gpus(question.target_rate):
            best[design.deployment.gpu] = design
    horizon = choose_horizon(
        observe(workload, Streams(config.run.seed)),
        list(question.objectives.values()),
        question.target_rate,
        token_s=max((one.screening.likely_token_s for one in best.values()), default=TOKEN_S),
        requests=question.effort.requests,
    )
    return Bench(variants, horizon)
