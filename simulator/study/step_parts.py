"""What the steps of a trace consist of: drafting, verification, rejection, prompts.

A trace has the time of a step, not of its parts. The cost model that priced the step takes it apart
again: without prompts its terms are scaled to what the step took; what a step with prompts took
beyond its terms is the prompts' share.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simulator.costs.forward import total_s
from simulator.costs.step import StepModel
from simulator.errors import SimulatorError
from simulator.scenario import Scenario, build
from simulator.study.stored import stored_config
from simulator.trace.perfetto.window import Floats
from simulator.trace.read import Columns, open_trace

PARTS = ("draft", "decode", "verify", "prefill", "rejection")
"""In the order in which they are shown; prompts run within the target's pass."""

_CONTEXTS_PER_OCTAVE = 4
"""Contexts are priced at this many lengths between one and its double."""


def rebuilt_parts(requests_path: Path) -> tuple[StepParts | None, str | None]:
    """Return what takes the steps of a run apart, or why there is nothing that does.

    The scenario is built anew from the configuration in the trace; files that it names may be gone.

    Raises
    ------
    DataError
        If the file is not a whole trace of requests.
    """
    with open_trace(requests_path, "requests"):
        pass
    try:
        return StepParts(build(stored_config(requests_path))), None
    except SimulatorError as error:
        return None, f"the scenario cannot be built again. {error}"


class StepParts:
    """Takes steps apart, each operating point priced once.

    Parameters
    ----------
    scenario
        What ran, built anew (`study.stored`).
    """

    def __init__(self, scenario: Scenario) -> None:
        pools = scenario.pools or (scenario,)
        slots = scenario.config.cluster.slots(scenario.config.hardware.replicas)
        self._models: list[StepModel] = []  # by replica
        for pool, count in zip(pools, slots, strict=True):
            self._models += [pool.step_model] * count
        self._priced: dict[tuple[int, ...], tuple[float, float, float]] = {}

    def __call__(self, rows: Columns) -> dict[str, Floats]:
        """Return the seconds of each part of steps, of shape ``[rows]``; they add up."""
        duration_s, prompts = rows["duration_s"], rows["prefill_tokens"] > 0
        terms = self._of(rows)
        whole_s = terms.sum(axis=1)
        scale = np.divide(duration_s, whole_s, out=np.zeros_like(whole_s), where=whole_s > 0)
        # With prompts a step takes at least its terms; where drawn loads say else, they are scaled.
        scale = np.where(prompts, np.minimum(scale, 1.0), scale)
        draft_s, target_s, rejection_s = (terms * scale[:, None]).T
        rounds = rows["query_tokens"] > 1
        rest_s = duration_s - draft_s - target_s - rejection_s
        prefill_s = np.where(prompts, np.maximum(rest_s, 0.0), 0.0)
        decode_s, verify_s = np.where(rounds, 0.0, target_s), np.where(rounds, target_s, 0.0)
        return dict(zip(PARTS, (draft_s, decode_s, verify_s, prefill_s, rejection_s), strict=True))

    def _of(self, rows: Columns) -> Floats:
        """Return the terms of steps, s, of shape ``[rows, 3]``."""
        columns = (rows["replica"], rows["decode_requests"], rows["query_tokens"], _octaves(rows))
        points, which = np.unique(np.stack(columns), axis=1, return_inverse=True)
        terms = np.array([self._terms(*point) for point in points.T.tolist()])
        return np.asarray(terms[which.ravel()], dtype=np.float64)

    def _terms(
        self, replica: int, requests: int, query_tokens: int, octave: int
    ) -> tuple[float, float, float]:
        """Return gamma T_D, T_T and T_rej of a step without its prompts, s."""
        if not requests:
            return 0.0, 0.0, 0.0
        key = (replica, requests, query_tokens, octave)
        if key not in self._priced:
            model, context = self._models[replica], 2.0 ** (octave / _CONTEXTS_PER_OCTAVE)
            gamma = _gamma(model, query_tokens)
            shape = model.verify_shape(requests, gamma, context)
            self._priced[key] = (
                total_s(model.drafts(requests, context, gamma)),
                model.target_step(shape).total_s,
                total_s(model.rejection(requests, gamma)),
            )
        return self._priced[key]


def _octaves(rows: Columns) -> NDArray[np.int64]:
    mean = rows["context_tokens"] / np.maximum(rows["decode_requests"], 1)
    octaves = np.rint(_CONTEXTS_PER_OCTAVE * np.log2(np.maximum(mean, 1.0)))
    return np.asarray(octaves, dtype=np.int64)


def _gamma(model: StepModel, query_tokens: int) -> int:
    """Return the depth of a draft that is verified with so many tokens."""
    gamma = 0
    while model.drafting.tree.nodes(gamma) + 1 < query_tokens:
        gamma += 1
    return gamma
