"""The deployments that a question leaves open: every combination that makes sense.

How a replica may be spread follows the node: an attention group never leaves one, and the groups of
a stage fill no more than one. Sizes that no model could be split into are left out without a word;
what does not fit memory or was not measured comes back from screening with its reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby, product

import numpy as np

from simulator.errors import ConfigError
from simulator.hardware.gpu import load_gpu
from simulator.models.architecture import Architecture
from simulator.models.parallelism import Parallelism, check_parallelism
from simulator.speculation.policies import FIXED
from simulator.study.plan.deployment import Deployment
from simulator.study.plan.question import Candidates
from simulator.study.plan.screening import Screening

SCHEDULED = "batch_schedule"
"""The policy whose schedule is worked out here."""


def deployments(
    candidates: Candidates, models: Mapping[str, Architecture], max_num_seqs: Sequence[int]
) -> Iterator[Deployment]:
    """Yield every candidate with one replica, but for those that need a schedule.

    Parameters
    ----------
    candidates
        What is open.
    models
        The models to serve, by name.
    max_num_seqs
        Batch limits to try.
    """
    for gpu, (name, model), precision in product(
        candidates.gpus, models.items(), candidates.precisions
    ):
        for spread in spreads(candidates, model, load_gpu(gpu).node_gpus):
            for seqs, split, (gamma, policy) in product(
                max_num_seqs, candidates.splits, _drafts(candidates)
            ):
                yield Deployment(
                    model=name,
                    gpu=gpu,
                    precision=precision,
                    tensor_parallel=spread.tensor,
                    data_parallel=spread.data,
                    expert_parallel=spread.expert,
                    pipeline_parallel=spread.pipeline,
                    gamma=gamma,
                    policy=policy,
                    max_num_seqs=seqs,
                    split=split,
                )


def spreads(candidates: Candidates, model: Architecture, node_gpus: int) -> Iterator[Parallelism]:
    """Yield how a replica may be spread over GPUs, the fewest first.

    Experts are split with the attention of their group, or lie whole on the GPUs of the stage;
    several attention groups always do the latter.
    """
    sizes = product(
        candidates.pipeline_parallel, candidates.data_parallel, candidates.tensor_parallel
    )
    for pipeline, data, tensor in sorted(sizes, key=lambda size: (np.prod(size), size)):
        stage = tensor * data
        whole = [stage] if model.moe is not None and stage > 1 else []
        split = [1] if data == 1 else []
        for expert in split + (whole if candidates.expert_parallel or data > 1 else []):
            spread = Parallelism(tensor, data, expert, pipeline)
            if stage <= node_gpus and _divides(model, spread):
                yield spread


def _divides(model: Architecture, spread: Parallelism) -> bool:
    try:
        check_parallelism(model, spread)
    except ConfigError:
        return False
    return True


def _drafts(candidates: Candidates) -> Iterator[tuple[int, str]]:
    """Yield draft lengths and policies; without drafts there is nothing to choose."""
    for gamma in candidates.gammas:
        if gamma == 0:
            yield 0, FIXED
        else:
            yield from ((gamma, policy) for policy in candidates.policies if policy != SCHEDULED)


def scheduled(
    candidates: Candidates, screened: Sequence[tuple[Deployment, Screening]]
) -> Iterator[Deployment]:
    """Yield deployments whose draft length follows a schedule over the batch.

    The schedule takes for each batch the draft length that the closed form finds fastest, of those
    that were screened with a fixed length; one that takes the same for all batches is none.

    Parameters
    ----------
    candidates
        What is open.
    screened
        Deployments with a fixed draft length, as they were yielded, with their screenings.
    """
    if SCHEDULED not in candidates.policies:
        return
    fixed = [pair for pair in screened if pair[0].policy == FIXED and not pair[1].reason]
    for twin, group in groupby(fixed, key=lambda pair: pair[0].without_speculation()):
        members = list(group)
        rows = schedule([(one.gamma, screening) for one, screening in members])
        if len({gamma for _, _, gamma in rows}) > 1:
            longest = max(gamma for _, _, gamma in rows)
            yield replace(twin, gamma=longest, policy=SCHEDULED, schedule=rows)


def schedule(screened: Sequence[tuple[int, Screening]]) -> tuple[tuple[int, int, int], ...]:
    """Return the draft length that is fastest at each batch, as rows of ``speculation.schedule``.

    Parameters
    ----------
    screened
        Draft lengths and their screenings, all over the same batches.

    Examples
    --------
    >>> plain = Screening(batches=(1, 8, 64), token_s=(0.010, 0.011, 0.020))
    >>> drafts = Screening(batches=(1, 8, 64), token_s=(0.006, 0.009, 0.030))
    >>> schedule([(0, plain), (3, drafts)])
    ((1, 63, 3), (64, 64, 0))
    """
    batches = screened[0][1].batches
    lengths = [gamma for gamma, _ in screened]
    best = np.argmin([screening.token_s for _, screening in screened], axis=0)
    starts = [at for at in range(len(batches)) if at == 0 or best[at] != best[at - 1]]
    ends = [batches[at] - 1 for at in starts[1:]] + [batches[-1]]
    return tuple(
        (batches[at], end, lengths[best[at]]) for at, end in zip(starts, ends, strict=True)
    )
