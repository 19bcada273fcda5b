"""Throughput per GPU against interactivity: the curve of every deployment, and the Pareto front."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

from simulator.study.plan.cheapest import Design
from simulator.study.plan.deployment import Deployment
from simulator.study.plan.outcome import Outcome
from simulator.study.plan.result import OperatingPoint


def operating_points(
    designs: Sequence[Design], simulated: Sequence[tuple[Deployment, Outcome]]
) -> tuple[OperatingPoint, ...]:
    """Return the points of each kind of GPU that no other of its kind beats, and simulated ones.

    Parameters
    ----------
    designs
        Deployments in closed form; a point for each batch that the cache holds.
    simulated
        What ran at some load and kept up.

    Returns
    -------
    tuple of OperatingPoint
        By kind of GPU and rising interactivity; closed forms that no other beats are marked.
    """
    priced = sorted(
        (point for design in designs for point in _curve(design)),
        key=lambda point: point.deployment.gpu,
    )
    kept = [
        point
        for _, group in groupby(priced, key=lambda point: point.deployment.gpu)
        for point in pareto(list(group))
    ]
    kept += [point for pair in simulated if (point := _seen(*pair)) is not None]
    best = {id(point) for point in pareto([point for point in kept if not point.simulated])}
    kept.sort(key=lambda point: (point.deployment.gpu, point.tokens_per_s_per_user))
    return tuple(replace(point, pareto=id(point) in best) for point in kept)


def _curve(design: Design) -> list[OperatingPoint]:
    """Return what a replica, or a unit of a split, yields with each batch, prefill included.

    A request takes ``n token_s(B) / B`` of the time for its tokens and ``p`` for its prompt, so
    that a batch of B serves ``r = 1 / (n token_s(B) / B + p)`` requests/s, of which each sees
    ``r n / B`` tokens/s. Prefill replicas of a split are taken to keep up.
    """
    found, split = design.screening, design.deployment.split
    prefill_s, copies = (found.prefill_s, 1) if split is None else (0.0, split.decode)
    points = []
    for batch, token_s in zip(found.batches, found.token_s, strict=True):
        if batch > max(1.0, found.kv_requests) or not found.tokens_per_request:
            break
        rate = 1.0 / (found.tokens_per_request * token_s / batch + prefill_s)
        speed = rate * found.tokens_per_request
        points.append(
            OperatingPoint(
                deployment=design.deployment,
                batch=batch,
                tokens_per_s_per_gpu=copies * speed / design.deployment.unit_gpus,
                tokens_per_s_per_user=speed / batch,
                simulated=False,
                pareto=False,
            )
        )
    return points


def _seen(deployment: Deployment, outcome: Outcome) -> OperatingPoint | None:
    """Return what a simulation showed; None where it did not keep up, or emitted nothing."""
    if outcome.overloaded:
        return None
    if not outcome.tpot_p50_s or not outcome.output_tokens_per_s or not outcome.mean_batch:
        return None
    return OperatingPoint(
        deployment=deployment.with_replicas(1),
        batch=outcome.mean_batch,
        tokens_per_s_per_gpu=outcome.output_tokens_per_s / deployment.gpus,
        tokens_per_s_per_user=1.0 / outcome.tpot_p50_s,
        simulated=True,
        pareto=False,
    )


def pareto(points: Sequence[OperatingPoint]) -> list[OperatingPoint]:
    """Return the points that no other beats in one and equals in the other, by falling throughput.

    Of equal points the first counts.
    """
    front: list[OperatingPoint] = []
    for point in sorted(
        points, key=lambda one: (-one.tokens_per_s_per_gpu, -one.tokens_per_s_per_user)
    ):
        if not front or point.tokens_per_s_per_user > front[-1].tokens_per_s_per_user:
            front.append(point)
    return front
