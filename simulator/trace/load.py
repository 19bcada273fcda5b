"""What the replicas did within a window: batch, experts, tokens, idle time, queue.

One pass over the iterations in row groups; memory does not grow with the trace. Averages weigh an
iteration by the part of its duration that lies in the window.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from simulator.trace.read import Columns, Run, chunks
from simulator.trace.windows import Window

_COLUMNS = (
    "replica",
    "start_s",
    "duration_s",
    "decode_requests",
    "query_tokens",
    "prefill_tokens",
    "emitted_tokens",
    "context_tokens",
    "waiting_requests",
    "active_experts",
    "kv_usage",
)

LONGEST_QUEUE = 65_536
"""Longer queues are counted as this long, so that memory is bounded."""

Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(slots=True)
class Load:
    """Sums over the iterations of one run within its window.

    Units follow the names: ``batch_request_s`` is the integral of the decoding requests over
    time, ``waiting_request_s`` that of the queue of each replica in each quarter of the window,
    ``[replicas, 4]``; ``waiting_s`` is the time at each length of the queue. A step is an iteration
    that only decodes and starts in the window, a round the part of a request in an iteration that
    starts there; a token counts when its iteration ends in the window. ``num_drafts`` and
    ``num_draft_tokens`` count the whole run, as vLLM's counters do.
    """

    window: Window
    replicas: set[int] = field(default_factory=set)
    busy_s: float = 0.0
    decode_s: float = 0.0
    batch_request_s: float = 0.0
    context_token_s: float = 0.0
    active_expert_s: float = 0.0
    kv_usage_s: float = 0.0
    kv_usage_peak: float = 0.0
    rounds: int = 0
    draft_tokens: int = 0
    emitted_tokens: int = 0
    steps: int = 0
    steps_s: float = 0.0
    quarter_s: Floats = field(default_factory=lambda: np.zeros((0, 4)))
    waiting_request_s: Floats = field(default_factory=lambda: np.zeros((0, 4)))
    waiting_s: Floats = field(default_factory=lambda: np.zeros(0))
    num_drafts: int = 0
    num_draft_tokens: int = 0

    def add(self, rows: Columns) -> None:
        """Add iterations. O(rows)."""
        window = self.window
        start_s, decoding = rows["start_s"], rows["decode_requests"] > 0
        end_s = start_s + rows["duration_s"]
        within_s = _overlap_s(start_s, end_s, window.start_s, window.end_s)
        self.replicas.update(np.unique(rows["replica"]).tolist())
        self.busy_s += float(within_s.sum())
        self.decode_s += float(within_s[decoding].sum())
        self.batch_request_s += float(within_s @ rows["decode_requests"])
        self.context_token_s += float(within_s[decoding] @ rows["context_tokens"][decoding])
        self.active_expert_s += float(within_s[decoding] @ rows["active_experts"][decoding])
        self.kv_usage_s += float(within_s @ rows["kv_usage"])
        self.kv_usage_peak = max(
            self.kv_usage_peak, float(rows["kv_usage"].max(where=within_s > 0.0, initial=0.0))
        )
        emitted = (end_s > window.start_s) & (end_s <= window.end_s)
        self.emitted_tokens += int(rows["emitted_tokens"][emitted].sum())
        begun = (start_s >= window.start_s) & (start_s < window.end_s)
        self.rounds += int(rows["decode_requests"][begun].sum())
        drafted = rows["decode_requests"] * (rows["query_tokens"] - 1)
        self.draft_tokens += int(drafted[begun].sum())
        self.num_draft_tokens += int(drafted.sum())
        self.num_drafts += int(rows["decode_requests"][rows["query_tokens"] > 1].sum())
        steps = decoding & begun & (rows["prefill_tokens"] == 0)
        self.steps += int(steps.sum())
        self.steps_s += float(rows["duration_s"][steps].sum())
        self._add_queue(rows, start_s, end_s, within_s)

    def _add_queue(self, rows: Columns, start_s: Floats, end_s: Floats, within_s: Floats) -> None:
        waiting = rows["waiting_requests"]
        lengths = np.minimum(waiting, LONGEST_QUEUE)
        self.waiting_s = _joined(self.waiting_s, np.bincount(lengths, within_s).astype(np.float64))
        replica, replicas = rows["replica"], 1 + int(rows["replica"].max(initial=-1))
        busy_s, waited_s = np.zeros((replicas, 4)), np.zeros((replicas, 4))
        for quarter, (left_s, right_s) in enumerate(self.window.quarters_s()):
            part_s = _overlap_s(start_s, end_s, left_s, right_s)
            busy_s[:, quarter] = np.bincount(replica, part_s)
            waited_s[:, quarter] = np.bincount(replica, part_s * waiting)
        self.quarter_s = _joined(self.quarter_s, busy_s)
        self.waiting_request_s = _joined(self.waiting_request_s, waited_s)

    @property
    def output_tokens_per_s(self) -> float | None:
        """Output tokens emitted per second."""
        return ratio(self.emitted_tokens, self.window.length_s)

    @property
    def mean_batch(self) -> float | None:
        """Decoding requests per replica, time average over iterations that decode."""
        return ratio(self.batch_request_s, self.decode_s)

    @property
    def mean_context_tokens(self) -> float | None:
        """Cached tokens per decoding request, average over requests and time."""
        return ratio(self.context_token_s, self.batch_request_s)

    @property
    def active_experts(self) -> float | None:
        """Distinct experts per MoE layer, time average over iterations that decode."""
        return ratio(self.active_expert_s, self.decode_s)

    @property
    def kv_usage(self) -> float | None:
        """Share of the KV blocks that are taken, time average over busy replicas."""
        return ratio(self.kv_usage_s, self.busy_s)

    @property
    def mean_draft_tokens(self) -> float | None:
        """Drafted tokens per round."""
        return ratio(self.draft_tokens, self.rounds)

    @property
    def step_s(self) -> float | None:
        """Mean duration of an iteration that only decodes (or verifies), s."""
        return ratio(self.steps_s, self.steps)

    @property
    def utilisation(self) -> float | None:
        """Share of the time that the replicas seen in the trace were busy."""
        return ratio(self.busy_s, self.window.length_s * len(self.replicas))

    @property
    def late_utilisation(self) -> float | None:
        """Utilisation in the second half of the window, of the replicas at which requests wait.

        A replica weighs as much as its queue in the last quarter: one that cannot keep up is not
        excused by another that is idle, such as those of another pool.
        """
        late_s = self.quarter_s[:, 2:].sum(axis=1)
        queues = self.waiting_request_s[:, 3]
        return ratio(float(late_s @ queues), self.window.length_s / 2 * float(queues.sum()))

    def waiting(self, quarter: int) -> float:
        """Mean queue of a replica in one quarter of the window, while it works."""
        waited_s, busy_s = (each[:, quarter] for each in (self.waiting_request_s, self.quarter_s))
        return ratio(float(waited_s.sum()), float(busy_s.sum())) or 0.0

    def waiting_beyond(self, requests: float) -> float | None:
        """Share of the window at which more than a number of requests wait at a replica."""
        beyond_s = float(self.waiting_s[math.floor(requests) + 1 :].sum())
        return ratio(beyond_s, self.window.length_s * len(self.replicas))


def ratio(numerator: float, denominator: float) -> float | None:
    """Divide, or return None where there is nothing to divide by.

    Examples
    --------
    >>> ratio(6.0, 4), ratio(1.0, 0)
    (1.5, None)
    """
    return numerator / denominator if denominator > 0 else None


def loads(iterations_path: Path | str, windows: Mapping[Run, Window]) -> dict[Run, Load]:
    """Sum up the iterations of every run that has a window.

    Raises
    ------
    DataError
        If the file is not a trace of iterations.
    """
    found = {run: Load(window) for run, window in windows.items()}
    for run, rows in chunks(iterations_path, "iterations", _COLUMNS):
        if run in found:
            found[run].add(rows)
    return found


def _joined(total: Floats, more: Floats) -> Floats:
    """Add arrays of different lengths."""
    if len(more) > len(total):
        total, more = more, total
    total[: len(more)] += more
    return total


def _overlap_s(start_s: Floats, end_s: Floats, left_s: float, right_s: float) -> Floats:
    overlap_s: Floats = np.minimum(end_s, right_s) - np.maximum(start_s, left_s)
    return np.maximum(overlap_s, 0.0, out=overlap_s)
