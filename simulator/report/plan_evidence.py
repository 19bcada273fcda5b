"""What lies behind a plan, in words: headroom, where speculation stops paying, how it was found."""

from __future__ import annotations

from collections.abc import Iterator

from simulator.report.figures import number
from simulator.report.plan_names import attained, rate
from simulator.study.plan.result import BINDING_CONSTRAINTS, Crossover, Headroom, Offer, Plan


def evidence(plan: Plan) -> list[str]:
    """Say all that lies behind a plan: what binds its best offer, headroom, crossover, counts."""
    best = plan.best
    said = [] if best is None else [binding(best), *headroom(plan, best)]
    return [*said, *crossover(plan.crossover), counts(plan)]


def binding(offer: Offer) -> str:
    """Say what stops an offer from serving more."""
    words = BINDING_CONSTRAINTS.get(offer.binding_constraint, offer.binding_constraint)
    return f"What stops it from serving more is {offer.binding_constraint}: {words}."


def headroom(plan: Plan, offer: Offer) -> Iterator[str]:
    """Say what is left of an offer when a replica is lost, and in the peak hour."""
    room = offer.headroom
    if room is None:
        return
    yield _one_less(plan, offer, room)
    mean, source = plan.question.target_rate, plan.question.peak[1]
    peak = (
        f"In the peak hour, {number(room.peak_to_mean)} times the mean ({source}), "
        f"{rate(room.peak_to_mean * mean)} come"
    )
    if room.peak_holds:
        yield f"{peak}, and every objective still holds."
    else:
        yield (
            f"{peak}: if that lasts, {attained(room.peak)}. To hold it takes "
            f"{_replicas(plan, offer, room.peak_replicas)}."
        )


def _one_less(plan: Plan, offer: Offer, room: Headroom) -> str:
    more = f"N+1 takes {_replicas(plan, offer, room.replicas_n_plus_1)}"
    if room.one_less is None:
        return f"With its one replica lost it serves nothing: {more}."
    if room.one_less_holds:
        return "With one replica lost every objective still holds: that is N+1 already."
    return f"With one replica lost {attained(room.one_less)}: {more}."


def _replicas(plan: Plan, offer: Offer, count: int) -> str:
    """Say how many replicas, of how many GPUs, for how much."""
    deployment = offer.deployment.with_replicas(count)
    usd = plan.question.usd_per_hour(deployment.gpu, deployment.gpus)
    price = "" if usd is None else f", {number(usd)} USD an hour"
    what = "units" if deployment.split is not None else "replicas"
    return f"{count} {what if count > 1 else what[:-1]} ({deployment.gpus} GPUs{price})"


def crossover(found: Crossover | None) -> Iterator[str]:
    """Say from which batch and load on speculation stops paying."""
    if found is None:
        return
    where = f"On {found.deployment}"
    if found.batch is None:
        yield (
            f"{where}, speculation shortens the time per token at every batch of a replica up to "
            f"{found.largest_batch}, all that its limits let run (closed form)."
        )
    elif found.batch <= 1:
        yield f"{where}, speculation lengthens the time per token at every batch (closed form)."
    else:
        yield (
            f"{where}, speculation stops paying at a batch of {found.batch} in a replica: from "
            "there on a token takes longer with it than without (closed form)."
        )
    if found.rate_per_s is not None:
        yield (
            f"Simulated, the median time per output token is shorter without it from "
            f"{rate(found.rate_per_s)} on."
        )
    elif found.pairs:
        highest, ratio = found.pairs[-1]
        yield (
            f"Simulated, it pays at every load up to {rate(highest)}, the highest tried: the "
            f"median time per output token is {ratio.value:.2f} times as long without it there."
        )


def counts(plan: Plan) -> str:
    """Say how the plan was found."""
    done = plan.counts
    return (
        f"Of {done.candidates:,} deployments {done.screened:,} were ruled out by closed forms, "
        f"{done.pruned:,} by bounds, {done.evaluated:,} simulated: {done.simulated:,} simulations, "
        f"{done.cached:,} more from the cache."
    )


def unpriced(plan: Plan) -> Iterator[str]:
    """Say which candidates are ranked by their GPUs, for want of a price."""
    known = plan.question.usd_per_gpu_hour
    missing = [gpu for gpu in plan.question.candidates.gpus if gpu not in known]
    if missing:
        yield (
            f"No price is known of {', '.join(missing)}: ranked by GPUs, behind those that have "
            "one. Give yours with prices=FILE."
        )
