"""What MoESD (arXiv 2505.19645) published, as data: curves of figures, tables 1 and 3, N(t)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from simulator.mapping import from_mapping
from simulator.quantities import read_data

_PACKAGE = "simulator.hardware_specs.moesd"


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A published curve against the batch, read off a figure (error 0.01 to 0.02).

    Parameters
    ----------
    figure
        Of the paper: ``"2a"``, ``"3"``, ``"4"``, ``"5c"``, ``"5d"``, ``"6"``.
    model, drafter
        Of our catalogue. All curves are of two A800 (stated or implied: see ``source``).
    dataset, temperature, gamma
        Of the measurement.
    top_k
        Experts per token K that the router was set to; None in a dense model.
    quantity
        ``"speedup"``, ``"target_efficiency"`` (``T_T(B, 1) / T_T(B, gamma)``), or
        ``"speedup_equal_sigma"`` (speedup times ``sigma(K=8) / sigma(K)``).
    batch, value
        Requests, and the quantity at each (unit 1).
    unit, kind, source
        Provenance.
    """

    figure: str
    model: str
    drafter: str
    dataset: str
    temperature: int
    gamma: int
    top_k: int | None
    quantity: str
    batch: tuple[int, ...]
    value: tuple[float, ...]
    unit: str
    kind: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Peak:
    """A row of table 1: the batch with the largest speedup, which the table does not name.

    Parameters
    ----------
    model, drafter, dataset, temperature, gamma
        As in `Curve`.
    sigma
        Share of the most tokens possible that a round yields (eq. 5).
    speedup
        ``plain_s / speculative_s``.
    plain_s, speculative_s
        Seconds per token of a request without and with speculation.
    kind, source
        Provenance.
    """

    model: str
    drafter: str
    dataset: str
    temperature: int
    gamma: int
    sigma: float
    speedup: float
    plain_s: float
    speculative_s: float
    kind: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Activation:
    """Distinct experts of a layer against the tokens of a step (fig. 1).

    Parameters
    ----------
    model, dataset
        As in `Curve`.
    tokens
        Tokens of the step.
    value
        Experts measured.
    formula
        Experts by eq. 8, as the paper draws it.
    unit, kind, source
        Provenance.
    """

    model: str
    dataset: str
    tokens: tuple[int, ...]
    value: tuple[float, ...]
    formula: tuple[float, ...]
    unit: str
    kind: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stride:
    """A row of table 3: a fit to every ``stride``-th point of fig. 4.

    Parameters
    ----------
    stride
        Of the points sorted by K, gamma and batch.
    points
        How many those are.
    half_sse
        Half the sum of squared errors over all 228 points; the paper prints it as "MSE".
    kind, source
        Provenance.
    """

    stride: int
    points: int
    half_sse: float
    kind: str
    source: str


@cache
def curves() -> tuple[Curve, ...]:
    """Return all curves against the batch, in the order of the figures.

    Examples
    --------
    >>> sum(len(curve.batch) for curve in curves() if curve.figure == "4")
    228
    """
    data = _read("curves")
    shared = {"batch": data["batches"]["value"]}
    return tuple(from_mapping(Curve, shared | entry, "moesd/curves") for entry in data["curves"])


@cache
def peaks() -> tuple[Peak, ...]:
    """Return the rows of table 1.

    Examples
    --------
    >>> max(peaks(), key=lambda row: row.speedup).plain_s
    0.01593
    """
    return tuple(from_mapping(Peak, entry, "moesd/peaks") for entry in _read("peaks")["peaks"])


@cache
def activations() -> tuple[Activation, ...]:
    """Return the curves of fig. 1.

    Examples
    --------
    >>> [curve.model for curve in activations()]
    ['deepseek_v2_lite', 'qwen1_5_moe_a2_7b']
    """
    entries = _read("activation")["curves"]
    return tuple(from_mapping(Activation, entry, "moesd/activation") for entry in entries)


@cache
def strides() -> tuple[Stride, ...]:
    """Return the rows of table 3, fewest points first.

    Examples
    --------
    >>> strides()[-1].half_sse
    1.523
    """
    return tuple(
        from_mapping(Stride, entry, "moesd/strides") for entry in _read("strides")["strides"]
    )


def _read(name: str) -> dict[str, Any]:
    return read_data(_PACKAGE, name, "file of MoESD's figures")
