"""A plan about MoESD's ten parameters, checked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from simulator.errors import ConfigError
from simulator.speculation.performance import NAMES, TIME_NAMES
from simulator.study.identify.check import EPSILON, EPSILON_RANGE, Check, Twin, cover
from simulator.study.identify.kinds import KINDS
from simulator.study.identify.moesd import agreeing, pinned, readings, relative_jacobian
from simulator.study.identify.plan_file import PlanFile
from simulator.study.identify.planning import assess
from simulator.study.identify.prior import Prior, prior_of, with_levels
from simulator.study.identify.rank import Identifiability, identifiability
from simulator.study.identify.rows import BATCHES, TOLERANCE, Row, read_rows
from simulator.study.identify.solutions import sample_bound

Floats = NDArray[np.float64]

SCALE = "all times scale together"
"""Name of the direction that ratios leave free."""

_TWINS, _TRIED = 3, 300
"""Other solutions told, and tried candidates on; the choice is verified on all."""


@dataclass(frozen=True, kw_only=True)
class Moesd:
    """Settings of a plan about MoESD's parameters."""

    target: str
    gpu: str
    drafter: str | None = None
    gpus: int = 1
    epsilon: float = EPSILON


@dataclass(frozen=True, slots=True)
class _Question:
    """What a plan asks: the prior, its rows, what it is to predict, what could be added."""

    prior: Prior
    rows: list[Row]
    targets: list[Row]
    candidates: list[Row]


def check_moesd(plan: PlanFile, advance: Callable[[float], None]) -> Check:
    """Check a plan about MoESD's parameters.

    Parameters
    ----------
    plan
        With ``target``, ``gpu`` and ``measure``; see `read_rows`, `with_levels`. What the
        calibrated model is to predict (``predict``) and what could be added (``candidates``) follow
        from the rows where they are left out.
    advance
        Told of work done, 1 in all.

    Raises
    ------
    ConfigError, TableError
        If the plan is malformed or names what is not in the catalogues.
    """
    settings = plan.settings(Moesd, apart=("measure", "candidates", "predict", "levels", "weights"))
    plan.refuse_unless(0 < settings.epsilon < 1, "epsilon", EPSILON_RANGE)
    plan.refuse_unless(settings.gpus > 0, "gpus", "at least 1")
    question = _question(plan, settings)
    prior, rows = question.prior, question.rows
    varied = [name for name, free in zip(NAMES, prior.unknown, strict=True) if free]
    weights = plan.weights(varied)
    found = agreeing(prior, rows)
    advance(0.4)
    fixed = pinned(found.assignments, prior)
    others = found.assignments[(found.assignments != prior.middle).any(axis=1)]
    extra, suffices = _extra(question, others)
    advance(0.3)
    options = list(dict.fromkeys([*question.candidates, *question.targets]))
    planning = assess(prior, rows, question.targets, options)
    advance(0.3)
    jacobian = relative_jacobian(prior.middle, prior, rows)
    continuous = _continuous(prior, jacobian)
    labels = tuple(row.label for row in rows)
    distinct = len(set(labels))
    return Check(
        knowledge="moesd",
        unknowns=tuple(varied),
        rows=labels,
        assumed=f"the middle level of each parameter, from {prior.source}",
        solutions=len(found.assignments),
        exact=True,
        pinned={name: _value(name, fixed[name]) for name in varied if name in fixed},
        weights=weights,
        samples=sample_bound(1 / distinct, distinct, settings.epsilon),
        samples_words=f"random ones of the {distinct} rows",
        unique_after=found.unique_after,
        twins=tuple(_twin(question, theta) for theta in _simplest(prior, others)[:_TWINS]),
        extra=tuple(row.label for row in extra),
        extra_suffices=suffices,
        graph=_graph(varied, labels, jacobian[:, prior.unknown]),
        rank=continuous.rank,
        identifiability=continuous,
        planning=planning,
    )


def _question(plan: PlanFile, settings: Moesd) -> _Question:
    prior = prior_of(settings.target, settings.drafter, settings.gpu, settings.gpus)
    if "levels" in plan.content:
        prior = with_levels(prior, plan.content["levels"], plan.place("levels"))
    if not prior.unknown.any():
        raise ConfigError(f"{plan.place('levels')}: every parameter is known; give one two levels.")
    rows, targets, candidates = (
        read_rows(plan, key, prior.experts, prior.top_k)
        for key in ("measure", "predict", "candidates")
    )
    if not rows:
        raise ConfigError(
            f"{plan.path} measures nothing; add 'measure:' with a line such as "
            "'- {kind: ar_step_time, batch: [1, 8, 32]}'."
        )
    targets = targets or _speedups(rows, prior.top_k)
    return _Question(prior, rows, targets, candidates or _candidates(rows, targets))


def _axis(rows: Iterable[Row], axis: str) -> list[int]:
    """Return the values of an axis among the rows that feel it."""
    return sorted({getattr(row, axis) for row in rows if axis in KINDS[row.kind].feels})


def _speedups(rows: Sequence[Row], top_k: int) -> list[Row]:
    """Return the speedups that the model will be asked for: the rows' settings, every batch."""
    widths = _axis(rows, "top_k") or [top_k]
    lengths = _axis(rows, "gamma") or [4]
    tolerance = min(row.tolerance for row in rows)
    return [Row("speedup", K, g, B, tolerance) for K, g, B in product(widths, lengths, BATCHES)]


def _candidates(rows: Sequence[Row], targets: Sequence[Row]) -> list[Row]:
    """Return every kind of measurement at the settings of rows and targets."""
    every = [*rows, *targets]
    values = {axis: _axis(every, axis) for axis in ("top_k", "gamma", "batch")}
    found = []
    for kind, what in KINDS.items():
        axes = (values[axis] if axis in what.feels else [1] for axis in values)
        found += [Row(kind, K, g, B, TOLERANCE) for K, g, B in product(*axes)]
    return found


def _continuous(prior: Prior, jacobian: Floats) -> Identifiability:
    """Return rank and null directions over the parameters that are not known."""
    names = [name for name, free in zip(NAMES, prior.unknown, strict=True) if free]
    together = np.array([float(name in TIME_NAMES) for name in names])
    known = {SCALE: together} if together.any() else {}
    return identifiability(jacobian[:, prior.unknown], names, known)


def _extra(question: _Question, others: Floats) -> tuple[list[Row], bool]:
    """Choose candidates that rule the other solutions out, then those that raise the rank."""
    prior, rows, candidates = question.prior, question.rows, question.candidates
    truth = readings(prior.middle, prior, candidates)
    tolerance = np.array([row.tolerance for row in candidates])
    tried = [readings(theta, prior, candidates) for theta in others[:_TRIED]]
    agrees = np.abs(np.array(tried).reshape(-1, len(candidates)) / truth - 1.0) <= tolerance
    chosen = [candidates[index] for index in cover(agrees.T)]
    while True:
        jacobian = relative_jacobian(prior.middle, prior, [*rows, *chosen])
        found = _continuous(prior, jacobian)
        step = None if found.determined else _raises_rank(prior, found, candidates)
        if step is None:
            break
        chosen.append(step)
    unique = len(agreeing(prior, [*rows, *chosen]).assignments) == 1
    return chosen, unique and found.determined


def _raises_rank(prior: Prior, found: Identifiability, candidates: Sequence[Row]) -> Row | None:
    """Return the candidate that feels a free direction most; None if none does."""
    null = np.array(
        [
            [direction.changes.get(name, 0.0) for name in found.unknowns]
            for direction in found.null_directions
        ]
    )
    jacobian = relative_jacobian(prior.middle, prior, candidates)[:, prior.unknown]
    felt = np.linalg.norm(jacobian @ null.T, axis=1)
    return candidates[int(felt.argmax())] if felt.max() > _FELT else None


_FELT = 1e-3
"""Relative change of a reading along a free direction below which it counts as none."""


def _simplest(prior: Prior, others: Floats) -> Floats:
    """Sort solutions: those that change all times by one factor first, then by fewest changes."""
    ratios = np.divide(others, prior.middle, out=np.ones_like(others), where=prior.middle > 0)
    changed = (ratios != 1.0).sum(axis=1)
    uniform = np.ptp(ratios[:, _times(prior)], axis=1) < 1e-9
    return others[np.lexsort((changed, ~uniform))]


def _times(prior: Prior) -> NDArray[np.intp]:
    """Return which parameters are times that are not known."""
    return np.flatnonzero(prior.unknown[: len(TIME_NAMES)])


def _twin(question: _Question, theta: Floats) -> Twin:
    """Describe another solution by the step at the middle of the plan that it changes most."""
    prior, rows = question.prior, question.rows
    batches = sorted(row.batch for row in rows)
    lengths = _axis([*rows, *question.targets], "gamma")
    steps = [
        Row(kind, prior.top_k, lengths[-1], batches[len(batches) // 2], TOLERANCE)
        for kind, what in KINDS.items()
        if what.unit == "s"
    ]
    true, other = (readings(values, prior, steps) for values in (prior.middle, theta))
    changes = {
        name: (_value(name, one), _value(name, two))
        for name, one, two in zip(NAMES, prior.middle, theta, strict=True)
        if one != two
    }
    # Ties, and what a plain step tells within rounding, go to the plain step: the first.
    most = int(np.abs(other / true - 1.0).round(6).argmax())
    times = _times(prior)
    ratios = theta[times] / prior.middle[times]
    lead = ""
    if ratios.size == len(changes) and np.ptp(ratios) < 1e-9:
        lead = f"all times are {ratios[0]:.3g} times as long: "
    words = (
        f"{lead}{steps[most].label} would be {1e3 * true[most]:.3g} or {1e3 * other[most]:.3g} ms"
    )
    return Twin(changes, words, float(abs(other[most] - true[most])))


def _value(name: str, value: float) -> str:
    return f"{1e3 * value:.3g} ms" if name in TIME_NAMES else f"{value:.4g}"


def _graph(unknowns: Sequence[str], labels: Sequence[str], jacobian: Floats) -> nx.Graph[str | int]:
    """Connect each row with the unknowns that it feels."""
    graph: nx.Graph[str | int] = nx.Graph()
    graph.add_nodes_from(unknowns, side=0)
    for index, (label, felt) in enumerate(zip(labels, jacobian, strict=True)):
        graph.add_node(index, side=1, label=label)
        graph.add_edges_from((index, n) for n, x in zip(unknowns, felt, strict=True) if x != 0)
    return graph
