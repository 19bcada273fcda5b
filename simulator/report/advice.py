"""What a summary means, in sentences: does speculation pay, what holds it back, what to try next.

The closed form splits the speedup (MoESD, arXiv 2505.19645, eq. 4) into what a round could give at
most and four losses, whose product it is::

    speedup = (gamma + 1) * sigma / (draft + verify + rejection)
            = (gamma + 1) / (acceptance loss * verify loss * draft loss * rejection loss)

with the terms of a round in units of one plain decode step. The largest loss is what to work on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simulator.report.figures import bounds
from simulator.report.objective import objective_advice, replicas_setting
from simulator.trace.schema import ARMS

Json = Mapping[str, Any]

SWEPT = (0, 1, 2, 3, 4, 6, 8)
"""Draft lengths to run when no single one stands out; some drafts have no more than so many."""

MORE_REPLICAS = "-m hardware.replicas=1,2,4,8"
"""What to run when neither arm carries the load of equal replicas."""

FIXED_LENGTH = "speculation.policy=fixed"
"""What to run beside a policy that chooses the draft length."""

MATERIAL = 0.02
"""Relative change from which on a speedup is worth a verdict."""

_METRICS = {
    "tpot_p50": "the median time per output token",
    "e2e_p50": "the median end-to-end latency",
    "ttft_p50": "the median time to first token",
    "throughput": "throughput",
}


def advice(summary: Json) -> str:
    """Say whether speculation pays, by how much, what holds it back and what to try next.

    Parameters
    ----------
    summary
        Of :func:`simulator.trace.summary.summarise`, with ``scenario`` and ``decomposition`` if
        the caller has them.

    Returns
    -------
    str
        A few sentences.
    """
    told = objective_advice(summary)
    promised = [told] if told else []
    if _gamma(summary) == 0:
        same = "Speculation is off (gamma = 0), so both arms are the same run."
        return " ".join([same, *promised, f"Try {next_override(summary)}."])
    key = headline(summary)
    if key is None:
        return "No request was measured in both arms, so there is nothing to compare."
    parts = [verdict(summary, key), *_side_effects(summary, key), *_limit(summary), *promised]
    return " ".join([*parts, _suggestion(summary)])


def headline(summary: Json) -> str | None:
    """Choose the speedup that answers the question.

    At a load that both arms carry throughput is what arrives, so the answer is in the time per
    output token; where neither carries it, throughput is what they can do.

    Returns
    -------
    str or None
        A key of ``summary["speedup"]``; None if nothing was measured.
    """
    keys = ("throughput",) if _overloaded(summary) else ("tpot_p50", "e2e_p50", "throughput")
    return next((key for key in keys if summary["speedup"][key]["value"] is not None), None)


def verdict(summary: Json, key: str) -> str:
    """Say whether speculation pays, by one of the speedups.

    If it decides whether the deployment keeps up with its load, that is the answer.

    Parameters
    ----------
    summary
        The summary.
    key
        A key of ``summary["speedup"]`` that has a value.
    """
    interval = summary["speedup"][key]
    value, low, high = interval["value"], interval["low"], interval["high"]
    if len(_saturated(summary)) == 1:
        return f"{_decided_by_load(summary)} At this load {_change(key, interval)}."
    if low is None or high is None:
        lead = "pays" if value > 1 else "does not pay"
        return f"Speculative decoding {lead}: {_change(key, interval)}, in a single replication."
    if low > 1 - MATERIAL and high < 1 + MATERIAL:
        return f"Speculative decoding changes next to nothing: {_change(key, interval)}."
    if low > 1:
        return f"Speculative decoding pays: {_change(key, interval)}."
    if high < 1:
        return f"Speculative decoding does not pay: {_change(key, interval)}."
    return (
        f"Speculative decoding makes no difference that these replications can tell: "
        f"{_METRICS[key]} changes by a factor of {value:.2f} (95 % interval {bounds(interval)})."
    )


def next_override(summary: Json) -> str:
    """Return the Hydra override to try next, such as ``speculation.gamma=2``.

    The draft length that the closed form finds best at this batch (``best_gamma`` of the
    decomposition), if it is another, pays and is better by more than `MATERIAL`; else more replicas
    where none keeps up, else one draft less where speculation loses, else a sweep. Where a policy
    chose the draft length, a fixed one instead of all that. Replicas in pools, or scaled, take more
    than an override: `advice` says where they are set.
    """
    gamma, terms = _gamma(summary), summary.get("decomposition") or {}
    best, promised = terms.get("best_gamma"), terms.get("best_speedup")
    if gamma == 0:
        return f"speculation.gamma={min(3, _longest(summary))}"
    more_replicas = _overloaded(summary) and _equal_replicas(summary)
    if _adaptive(summary):
        return MORE_REPLICAS if more_replicas else FIXED_LENGTH
    pays = promised is None or promised > 1
    if best is not None and best != gamma and pays and not _hardly_better(terms):
        return f"speculation.gamma={best}"
    if more_replicas:
        return MORE_REPLICAS
    if best is None and gamma is not None and gamma > 1 and _loses(summary):
        return f"speculation.gamma={gamma - 1}"
    return sweep(summary)


def sweep(summary: Json) -> str:
    """Return the override that runs several draft lengths.

    Examples
    --------
    >>> sweep({"scenario": {"longest_gamma": 3}})
    '-m speculation.gamma=0,1,2,3'
    """
    lengths = (length for length in SWEPT if length <= _longest(summary))
    return f"-m speculation.gamma={','.join(map(str, lengths))}"


def limiting_term(decomposition: Json) -> str | None:
    """Return which loss is largest: acceptance, verification, drafting or rejection.

    Parameters
    ----------
    decomposition
        ``sigma``, and ``draft_ratio``, ``verify_ratio`` and ``rejection_ratio`` in units of one
        plain decode step.

    Examples
    --------
    >>> terms = {"draft_ratio": 0.2, "verify_ratio": 1.9, "rejection_ratio": 0.05}
    >>> limiting_term({"sigma": 0.8, **terms})
    'verification'
    """
    keys = ("draft_ratio", "verify_ratio", "rejection_ratio")
    terms: list[Any] = [decomposition.get(key) for key in keys]
    sigma = decomposition.get("sigma")
    if not sigma or None in terms:
        return None
    draft, verify, rejection = map(float, terms)
    found = losses(sigma, draft, verify, rejection)
    return max(found, key=found.__getitem__)


def losses(
    sigma: float, draft_ratio: float, verify_ratio: float, rejection_ratio: float
) -> dict[str, float]:
    """Split the distance of a speedup to ``gamma + 1`` into factors, by what causes them.

    Their product times the speedup is gamma + 1. Ratios are in units of one plain decode step.

    Examples
    --------
    >>> found = losses(sigma=0.5, draft_ratio=0.25, verify_ratio=1.0, rejection_ratio=0.0)
    >>> found["acceptance"], found["drafting"]
    (2.0, 1.25)
    """
    drafted = verify_ratio + draft_ratio
    return {
        "acceptance": 1.0 / sigma,
        "verification": verify_ratio,
        "drafting": drafted / verify_ratio,
        "rejection": (drafted + rejection_ratio) / drafted,
    }


def _decided_by_load(summary: Json) -> str:
    pays = _saturated(summary) == ["baseline"]
    better, worse = ("with", "without") if pays else ("without", "with")
    return (
        f"Speculative decoding {'pays' if pays else 'does not pay'}: {better} it the deployment "
        f"keeps up with this load, {worse} it the queue grows without end."
    )


def _change(key: str, interval: Json) -> str:
    """Say how a figure changes, by a factor above 1 either way."""
    value, low, high = interval["value"], interval["low"], interval["high"]
    rises = (value > 1) == (key == "throughput")
    if value < 1:
        value = 1 / value
        low, high = (None if bound is None else 1 / bound for bound in (high, low))
    within = bounds({"low": low, "high": high})
    change = f"{_METRICS[key]} {'rises' if rises else 'falls'} by a factor of {value:.2f}"
    return f"{change} (95 % interval {within})" if within else change


def _side_effects(summary: Json, key: str) -> list[str]:
    """Name latencies that move against the verdict beyond doubt."""
    interval = summary["speedup"][key]
    found = []
    for other in ("ttft_p50", "e2e_p50"):
        effect = summary["speedup"][other]
        if other == key or None in (effect["low"], effect["high"], interval["low"]):
            continue
        gains, costs = interval["low"] > 1, interval["high"] < 1
        if (gains and effect["high"] < 1 - MATERIAL) or (costs and effect["low"] > 1 + MATERIAL):
            found.append(f"But {_change(other, effect)}.")
    return found


def _limit(summary: Json) -> list[str]:
    terms = summary.get("decomposition") or {}
    term = limiting_term(terms)
    if term is None or not terms.get("gamma", 1):
        return []
    tokens, verify = terms["expected_tokens_per_round"], terms["verify_ratio"]
    reasons = {
        "acceptance": f"acceptance: of the {tokens / terms['sigma']:.0f} tokens that a round could "
        f"yield, {tokens:.2f} come out",
        "verification": f"verification: a verify step takes {verify:.2f} plain steps (target "
        f"efficiency {1 / verify:.2f})",
        "drafting": f"drafting: it takes {terms['draft_ratio']:.2f} plain steps a round",
        "rejection": f"rejection sampling: it takes {terms['rejection_ratio']:.2f} plain steps a "
        "round",
    }
    return [f"What holds it back most is {reasons[term]}."]


def _suggestion(summary: Json) -> str:
    override, terms = next_override(summary), summary.get("decomposition") or {}
    promised = terms.get("best_speedup")
    if override == f"speculation.gamma={terms.get('best_gamma')}" and promised is not None:
        return f"Try {override}: the closed form promises {promised:.2f}x at this batch."
    if override == MORE_REPLICAS or (_overloaded(summary) and not _equal_replicas(summary)):
        return _relief(summary)
    if override == FIXED_LENGTH:
        return f"Try {override}, to see what choosing the draft length is worth."
    return _no_other_length(summary) if override == sweep(summary) else f"Try {override}."


def _no_other_length(summary: Json) -> str:
    """Say why no single draft length is proposed."""
    terms = summary.get("decomposition") or {}
    promised, best = terms.get("best_speedup"), terms.get("best_gamma")
    if promised is None:
        return "Try other draft lengths."
    if promised <= 1:
        return "By the closed form no draft length pays at this batch."
    if best == _gamma(summary):
        return "The closed form finds no better draft length at this batch; to be sure, try others."
    return (
        "By the closed form no draft length does much better at this batch: "
        f"{promised:.2f}x with speculation.gamma={best}, {terms['speedup']:.2f}x here."
    )


def _hardly_better(terms: Json) -> bool:
    """Tell whether the best draft length promises next to nothing beyond what is reached."""
    promised, now = terms.get("best_speedup"), terms.get("speedup")
    return promised is not None and now is not None and promised < (1 + MATERIAL) * now


def _relief(summary: Json) -> str:
    """Say where to add replicas to a cluster that does not keep up."""
    setting = "" if _equal_replicas(summary) else f" ({replicas_setting(summary)})"
    return f"Neither arm keeps up with this load: try more replicas{setting}, or less load."


def _equal_replicas(summary: Json) -> bool:
    return replicas_setting(summary) == "hardware.replicas"


def _loses(summary: Json) -> bool:
    key = headline(summary)
    return key is not None and summary["speedup"][key]["value"] < 1


def _gamma(summary: Json) -> int | None:
    gamma = (summary.get("scenario") or {}).get("gamma")
    return None if gamma is None else int(gamma)


def _adaptive(summary: Json) -> bool:
    return bool((summary.get("scenario") or {}).get("policy", "fixed") != "fixed")


def _longest(summary: Json) -> int:
    """Return the longest draft length that can be proposed (`study.decomposition`)."""
    return int((summary.get("scenario") or {}).get("longest_gamma") or SWEPT[-1])


def _overloaded(summary: Json) -> bool:
    """Tell whether neither arm keeps up."""
    return _saturated(summary) == list(ARMS)


def _saturated(summary: Json) -> list[str]:
    return [arm for arm in ARMS if summary[arm]["saturated"]]
