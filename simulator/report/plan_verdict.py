"""The verdict of a plan: what to serve with, what speculation is worth, or what is missing."""

from __future__ import annotations

from collections.abc import Iterator

from simulator.report.figures import number
from simulator.report.plan_names import (
    attained,
    grid,
    hardware,
    in_full,
    interval,
    listed,
    model_title,
    model_titles,
    rate,
    share,
    traffic,
)
from simulator.study.plan.exports.as_json import rejections
from simulator.study.plan.result import Check, Confirmation, Gain, NearestMiss, Offer, Plan
from simulator.trace.statistics import Interval

_WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def verdict(plan: Plan) -> list[str]:
    """Return the verdict, a paragraph each: what to serve with, the gain, how sure that is.

    Where nothing meets the objectives it says so, what comes closest, and what it would take.
    """
    if plan.best is None:
        return list(_nothing(plan))
    return [_serve(plan, plan.best), _speculation(plan, plan.best), *_confirmed(plan)]


def _serve(plan: Plan, best: Offer) -> str:
    target = plan.question.target_rate
    text = (
        f"Serve {model_title(plan, best.deployment)} at {rate(target)} ({traffic(plan)}) on "
        f"{in_full(plan, best.deployment)}: every objective holds, {_price(best)}"
    )
    found = best.max_rate_per_s
    if found is None:
        return f"{text}."
    return f"{text}, and would hold up to {rate(found.value)}{interval(found)}."


def _price(offer: Offer) -> str:
    if offer.usd_per_hour is None:
        return "at a price that is not known (prices=FILE gives one)"
    tokens = offer.usd_per_million_tokens
    each = "" if tokens is None else f" ({number(tokens)} USD per million output tokens)"
    return f"for {number(offer.usd_per_hour)} USD an hour{each}"


def _speculation(plan: Plan, best: Offer) -> str:
    """Say what speculation is worth on the GPUs of the best offer."""
    if not best.deployment.speculates:
        return _left_off(plan)
    if best.gain is None:
        return "What speculative decoding is worth on these GPUs was not looked at."
    ratio = best.gain.max_rate
    if ratio is None:
        return (
            "Speculative decoding is what makes it work: without it the same GPUs hold the "
            "objectives at no load."
        )
    return (
        f"Speculative decoding {_pays(ratio)}: within the objectives the same GPUs serve "
        f"{number(ratio.value)} times the requests with it{interval(ratio)}. "
        f"{_without(best.gain, plan.question.target_rate)}"
    )


def _pays(ratio: Interval) -> str:
    low = ratio.value if ratio.low is None else ratio.low
    high = ratio.value if ratio.high is None else ratio.high
    if low > 1.0:
        return "pays"
    return "does not pay" if high < 1.0 else "makes no difference that can be told"


def _without(gain: Gain, target: float) -> str:
    """Say what the same GPUs would do without speculation."""
    twin = gain.twin_max_rate_per_s.value
    less = ", less than is asked for" if twin < target else ""
    text = f"Without it they hold {rate(twin)}{less}"
    if gain.tpot is None:
        return f"{text}; at the target load their queue would grow without end."
    return (
        f"{text}, and their median time per output token at the target load is "
        f"{number(gain.tpot.value)} times as long{interval(gain.tpot)}."
    )


def _left_off(plan: Plan) -> str:
    drafted = [str(gamma) for gamma in sorted(plan.question.candidates.gammas) if gamma]
    if not drafted:
        return "Speculative decoding was not among the candidates (gammas=)."
    return (
        f"Speculative decoding is off in it: with drafts of {listed(drafted)} tokens nothing that "
        "was tried holds the objectives for less."
    )


def _confirmed(plan: Plan) -> Iterator[str]:
    """Say what fresh seeds made of the first row, and of what is cheaper."""
    found = plan.confirmation
    if found is None:
        return
    yield _cheaper(found)
    told = found.cheaper.deployment if found.cheaper else None
    refuted = [str(one.deployment) for one in found.failed if one.deployment != told]
    if refuted:
        yield f"They refuted what the search had before it: {listed(refuted)}."


def _cheaper(found: Confirmation) -> str:
    """Say that the seeds confirm the first row, and what they make of those that cost less."""
    count = len(found.seeds)
    seeds = f"{_WORDS[count] if count < len(_WORDS) else count} fresh seed{'s'[: count != 1]}"
    text = f"{seeds[0].upper()}{seeds[1:]} confirm{'s' if count == 1 else ''} it"
    if found.cheaper is None:
        return f"{text}; nothing cheaper is left to try."
    text += f"; the next cheaper, {_in_short(found.cheaper)}"
    if found.strongest is not None:
        also = "holds over these seeds" if found.strongest.meets else "fails, too"
        strongest = f" {_in_short(found.strongest)}, the strongest of all cheaper ones, {also}."
    else:
        strongest = ""
    if found.cheaper.meets:
        return f"{text}, holds over these seeds, too.{strongest}"
    return f"{text}, fails: {_sentence(found.cheaper.reason)}{strongest}"


def _in_short(check: Check) -> str:
    return f"{hardware(check.deployment)} ({grid(check.deployment)})"


def _nothing(plan: Plan) -> Iterator[str]:
    """Say that nothing meets, why, what comes closest and what it would take."""
    question, limits = plan.question, plan.question.limits
    budget = limits.max_usd_per_hour
    within = f"up to {limits.max_gpus} GPUs" + (
        "" if budget is None else f" for up to {number(budget)} USD an hour"
    )
    yield (
        f"Nothing serves {model_titles(plan)} at {rate(question.target_rate)} within the "
        f"objectives on {within} ({', '.join(question.candidates.gpus)})."
    )
    if plan.nearest_miss is not None:
        yield _closest(plan, plan.nearest_miss)
    yield from _ruled_out(plan)


def _closest(plan: Plan, miss: NearestMiss) -> str:
    text = f"Closest comes {in_full(plan, miss.deployment)}"
    if miss.attainment:
        due = {slo.share for slo in plan.question.objectives.values() if slo.bounds}
        must = listed([share(one) for one in sorted(due)])
        text += f": {attained(miss.attainment)} where {must} must be"
    elif miss.reason:
        text += f": {miss.reason.rstrip('.')}"
    if not miss.takes:
        return f"{text}. Nothing that was tried would change that."
    return f"{text}. It would take {' or '.join(take.rstrip('.') for take in miss.takes)}."


_RULED_OUT = {
    "memory": "not fitting in memory",
    "objective": "missing an objective even with a request that is alone",
    "tables": "having no kernels of their format",
    "shape": "not dividing the model over the GPUs",
}
"""What each kind of `Rejected` comes to."""


def _ruled_out(plan: Plan) -> Iterator[str]:
    """Say why no candidate was even simulated, where none was."""
    counts = plan.counts
    if not counts.candidates:
        yield (
            "No candidate is left to try: no size in tensor_parallel=, data_parallel= and "
            "pipeline_parallel= suits the model and the nodes of gpus=."
        )
    elif plan.rejected and counts.screened == counts.candidates:
        kinds = [
            f"{one['deployments']} for {_RULED_OUT.get(one['kind'], one['kind'])}"
            for one in rejections(plan)
        ]
        yield (
            f"All {counts.candidates} candidates were ruled out before any simulation: "
            f"{listed(kinds)}."
        )


def _sentence(text: str) -> str:
    """End a text as a sentence, unless it does by itself."""
    return text if text.endswith((".", "!", "?")) else f"{text}."
