"""How far off the simulator is from served deployments, and how far a peer is on the same rows."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from simulator.errors import ConfigError, unknown
from simulator.study.silicon.peer import PeerPrediction, predict_peer_rows
from simulator.study.silicon.rows import SiliconRow, interpret, load_reading, set_aside
from simulator.study.silicon.runs import Job, Prediction, jobs, predict_jobs

APART = "deepseek-ai/DeepSeek-R1"
"""Checkpoint reported apart: some of its rows look like speculative runs that are not flagged."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One measured row with what was predicted for it."""

    row: SiliconRow
    ours: Prediction
    peer: PeerPrediction | None


class Errors(NamedTuple):
    """Errors of one figure over some rows, as fractions of the measurement.

    Parameters
    ----------
    rows
        Rows compared.
    median, mean
        Median and mean of the absolute error.
    bias
        Median of the signed error.
    """

    rows: int
    median: float
    mean: float
    bias: float


@dataclass(frozen=True, slots=True)
class SiliconValidation:
    """The whole comparison.

    Parameters
    ----------
    aggregated
        Aggregated rows in the sample, or those asked for.
    compared
        Rows that were read and kept.
    left_out
        Rows that were not, by reason.
    """

    aggregated: int
    compared: list[Compared]
    left_out: dict[str, int]

    @property
    def predicted(self) -> list[Compared]:
        """Rows with a prediction of ours."""
        return [c for c in self.compared if c.ours.tpot_s is not None]

    @property
    def judged(self) -> list[Compared]:
        """Predicted rows that the headline figures are about."""
        return [c for c in self.predicted if c.row.path != APART]

    @property
    def usable_share(self) -> float:
        """Predicted rows over all aggregated rows."""
        return len(self.predicted) / self.aggregated


def select(
    sample: Sequence[Mapping[str, str]], gpus: Sequence[str] = (), limit: int | None = None
) -> list[Mapping[str, str]]:
    """Return the rows of some GPUs (all without a name), ``limit`` of them at even distances.

    Raises
    ------
    ConfigError
        If the sample has no row of a GPU, or the limit is below one.
    """
    known = sorted({row["system"] for row in sample})
    for name in gpus:
        if name not in known:
            raise ConfigError(unknown("GPU", name, known, "the measured deployments"))
    rows = [row for row in sample if not gpus or row["system"] in gpus]
    if limit is None or limit >= len(rows):
        return rows
    if limit < 1:
        raise ConfigError(f"rows={limit} must be at least 1.")
    return [rows[index * len(rows) // limit] for index in range(limit)]


def worker_count(wanted: int | None) -> int:
    """Return how many processes simulate: as wanted, or one per core.

    Raises
    ------
    ConfigError
        If the number is below one.
    """
    if wanted is not None and wanted < 1:
        raise ConfigError(f"workers={wanted} must be at least 1.")
    return wanted or os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be predicted: rows as read, grouped into jobs."""

    raw: list[Mapping[str, str]]
    rows: list[SiliconRow]
    todo: list[Job]
    left_out: dict[str, int]


def plan(raw: Sequence[Mapping[str, str]]) -> Plan:
    """Read the rows, leave out what cannot be read or contradicts itself, and group the rest."""
    reading = load_reading()
    found = [interpret(row, reading) for row in raw]
    left_out = Counter(row for row in found if isinstance(row, str))
    pairs = [(r, f) for r, f in zip(raw, found, strict=True) if isinstance(f, SiliconRow)]
    aside = set_aside(row for _, row in pairs)
    if aside:
        left_out["repeats that disagree by more than 1.4 times"] = len(aside)
    pairs = [(r, row) for r, row in pairs if row.name not in aside]
    rows = [row for _, row in pairs]
    return Plan([r for r, _ in pairs], rows, jobs(rows), dict(left_out))


def validate_silicon(
    planned: Plan, *, workers: int, peer: bool, advance: Callable[[float], None]
) -> SiliconValidation:
    """Predict the planned rows, by simulation and by the peer.

    Parameters
    ----------
    planned
        Of `plan`.
    workers
        Processes that simulate.
    peer
        Whether to run aiconfigurator's engine on the same rows.
    advance
        Told how many rows were dealt with; the peer's count too.
    """
    found: dict[tuple[object, ...], Prediction] = {}
    for job, predictions in zip(planned.todo, predict_jobs(planned.todo, workers), strict=True):
        found |= {row.inputs: p for row, p in zip(job, predictions, strict=True)}
        advance(len(job))
    peers: Sequence[PeerPrediction | None] = [None] * len(planned.rows)
    if peer:
        peers = predict_peer_rows(
            [_corrected(raw, row) for raw, row in zip(planned.raw, planned.rows, strict=True)],
            lambda: advance(1),
        )
    compared = [
        Compared(row, found[row.inputs], other)
        for row, other in zip(planned.rows, peers, strict=True)
    ]
    left_out = Counter(planned.left_out)
    left_out.update(c.ours.reason for c in compared if c.ours.tpot_s is None)
    total = len(planned.rows) + sum(planned.left_out.values())
    return SiliconValidation(total, compared, dict(left_out))


def _corrected(raw: Mapping[str, str], row: SiliconRow) -> dict[str, str]:
    """Return a row with the sizes as we read them, so that the peer is asked the same question."""
    sizes = {
        "tp_size": row.tensor,
        "attention_dp_size": row.data,
        "moe_tp_size": row.tensor * row.data // row.expert,
        "moe_ep_size": row.expert,
        "batch_size": max(1, row.users // row.data),
    }
    return dict(raw) | {name: str(size) for name, size in sizes.items()}


def errors(compared: Iterable[Compared], figure: str, who: str = "ours") -> Errors | None:
    """Return the errors of ``ttft_s`` or ``tpot_s``; None without any row."""
    pairs = [
        (getattr(getattr(c, who), figure), getattr(c.row, figure))
        for c in compared
        if getattr(c, who) is not None and getattr(getattr(c, who), figure) is not None
    ]
    if not pairs:
        return None
    predicted, measured = np.array(pairs, dtype=float).T
    signed = predicted / measured - 1
    return Errors(
        len(pairs),
        float(np.median(abs(signed))),
        float(np.mean(abs(signed))),
        float(np.median(signed)),
    )


def by(compared: Iterable[Compared], key: str) -> dict[str, list[Compared]]:
    """Group rows by a field of theirs, in alphabetical order."""
    groups: dict[str, list[Compared]] = {}
    for one in compared:
        groups.setdefault(str(getattr(one.row, key)), []).append(one)
    return dict(sorted(groups.items()))


def half(compared: Iterable[Compared], held_out: bool) -> list[Compared]:
    """Return the rows of one half of the deployments."""
    return [c for c in compared if c.row.held_out == held_out]


def metrics(validation: SiliconValidation) -> dict[str, float]:
    """Return the figures by name: fractions; DeepSeek-R1 apart.

    ``tpot_*`` and ``ttft_*`` are over the held-out half, on which nothing was fitted; ``*_all_*``
    over both. The peer is judged on the same rows as ``tpot_*``, as far as it predicts them.
    """
    judged = validation.judged
    held = half(judged, held_out=True)
    apart = [c for c in validation.predicted if c.row.path == APART]
    found: dict[str, float] = {"usable_share": validation.usable_share}
    for prefix, rows, who in (
        ("", held, "ours"),
        ("all_", judged, "ours"),
        ("peer_", held, "peer"),
        ("all_peer_", judged, "peer"),
        ("deepseek_r1_", apart, "ours"),
    ):
        for figure in ("tpot", "ttft"):
            these = errors(rows, f"{figure}_s", who)
            if these is not None:
                found[f"{prefix}{figure}_mape"] = these.mean
                found[f"{prefix}{figure}_median_ape"] = these.median
    return found


def summary(validation: SiliconValidation) -> dict[str, Any]:
    """Return what `summary.json` holds."""
    return {
        "command": "validate silicon",
        "rows": {
            "aggregated": validation.aggregated,
            "predicted": len(validation.predicted),
            "left_out": validation.left_out,
        },
        "metrics": metrics(validation),
    }
