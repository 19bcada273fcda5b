"""Whether runs may be compared replication by replication."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.study.compare.runs import StoredRun


@dataclass(frozen=True, slots=True)
class Pairing:
    """How two runs belong together.

    Parameters
    ----------
    replications
        Those that are paired; none where the runs are not.
    reason
        Why they are, or are not: the second half of a sentence.
    """

    replications: tuple[int, ...]
    reason: str

    @property
    def paired(self) -> bool:
        """Whether differences are taken within replications."""
        return bool(self.replications)


def pair(first: StoredRun, second: StoredRun) -> Pairing:
    """Tell whether two runs saw the same requests.

    They are paired if arrivals and lengths are equal in all replications that both have. In a
    closed loop, or where turns follow turns, arrivals follow departures: there, the same seed and
    workload suffice, since the draws are the same.
    """
    common = tuple(sorted(set(first.asked) & set(second.asked)))
    if not common:
        return Pairing((), "no replication is in both")
    if all(_equal(first, second, one, "arrival_s") for one in common) and _same_work(
        first, second, common
    ):
        return Pairing(common, "both saw the same arrivals and lengths")
    changed = [name for name in _workload(first) if first.settings[name] != second.settings[name]]
    same_settings = not changed and _workload(first).keys() == _workload(second).keys()
    if same_settings and _same_work(first, second, common):
        return Pairing(common, "seed and workload are the same; arrivals follow departures")
    return Pairing((), _difference(first, second, common))


def _workload(run: StoredRun) -> dict[str, object]:
    """Return what decides which requests come."""
    return {
        name: value
        for name, value in run.settings.items()
        if name.startswith("workload.") or name in {"run.seed", "run.requests"}
    }


def _same_work(first: StoredRun, second: StoredRun, common: tuple[int, ...]) -> bool:
    names = ("prompt_tokens", "output_tokens")
    return all(_equal(first, second, one, name) for one in common for name in names)


def _equal(first: StoredRun, second: StoredRun, replication: int, name: str) -> bool:
    return np.array_equal(first.asked[replication][name], second.asked[replication][name])


def _difference(first: StoredRun, second: StoredRun, common: tuple[int, ...]) -> str:
    """Say in what the requests differ, the plainest first."""
    counts = [len(run.asked[common[0]]["arrival_s"]) for run in (first, second)]
    if counts[0] != counts[1]:
        return f"{counts[0]:,} requests came in one and {counts[1]:,} in the other"
    seeds = [run.settings.get("run.seed") for run in (first, second)]
    if seeds[0] != seeds[1]:
        return f"their seeds are {seeds[0]} and {seeds[1]}"
    what = "lengths" if _equal(first, second, common[0], "arrival_s") else "arrivals"
    return f"their {what} differ"
