"""What to mind about a paired run, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from simulator.trace.metrics import RunMetrics
from simulator.trace.schema import ARMS
from simulator.trace.verdict import STABLE

Json = Mapping[str, Any]

_LEFT = {
    "rejected": "were rejected at a full queue",
    "timed_out": "timed out in the queue",
    "cancelled": "were cancelled by their clients",
    "failed": "were lost with a replica",
}


def warnings(
    figures: Mapping[str, Json], pairs: Sequence[tuple[RunMetrics, RunMetrics]]
) -> Iterator[str]:
    """Yield what a reader should know before trusting the figures.

    Parameters
    ----------
    figures
        Of both arms (:func:`simulator.trace.arms.arm_figures`).
    pairs
        Both arms of every replication.
    """
    for arm in ARMS:
        yield from _of_arm(arm, figures[arm])
    saturated = [arm for arm in ARMS if figures[arm]["saturated"]]
    if saturated:
        yield (
            f"{' and '.join(saturated)}: saturated. The queue grew until the last arrival, so TTFT "
            "and E2E latency measure the length of the run and are withheld; goodput falls with "
            "it. Lower the load or add replicas."
        )
    if len(pairs) == 1:
        yield "one replication: speedups have no confidence interval."
    if any(run.window.burst for pair in pairs for run in pair):
        yield (
            "all requests came within the time one takes to serve: measured whole, from the first "
            "arrival to the last token, with the filling and emptying of the batch."
        )


def _of_arm(arm: str, figures: Json) -> Iterator[str]:
    if not figures["completed"]:
        yield f"{arm}: no request finished; there is nothing to measure."
    total = sum(figures["outcomes"].values())
    for outcome, words in _LEFT.items():
        count = figures["outcomes"][outcome]
        if count:
            yield f"{arm}: {count} of all {total} requests ({count / total:.1%}) {words}."
    if figures["preempted"]:
        yield f"{arm}: {_preempted(figures, total)}"
    verdict = figures["verdict"]
    if verdict["label"] != STABLE and not figures["saturated"]:
        yield f"{arm}: {verdict['label']}, {verdict['signal']}."


def _preempted(figures: Json, total: int) -> str:
    return (
        f"{figures['preempted']} of {total} requests lost their KV blocks to "
        f"others, {figures['preemptions']} times in all, and were prefilled anew. More GPUs or "
        f"replicas hold more cache; a lower scheduler.max_num_seqs lets fewer compete for it."
    )
