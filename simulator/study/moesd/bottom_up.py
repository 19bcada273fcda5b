"""MoESD's curves from kernel tables and an engine profile, simulated event by event."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from simulator.costs.engine import Engine, load_engine
from simulator.study.moesd.calibration import (
    DENSE_PAIR,
    MOE_PAIR,
    Calibration,
)
from simulator.study.moesd.experiment import (
    DENSE,
    MOE,
    at_batches,
    cells,
    efficiency_curve,
    humaneval_alpha,
    published_alpha,
    reference_curve,
    setting,
    sparsity_curves,
    speedup_curves,
)
from simulator.study.moesd.published import Curve
from simulator.study.moesd.runs import Cell, token_rates
from simulator.study.moesd.scores import Floats, Reproduced, Window, window
from simulator.study.moesd.terms import terms

ENGINE = "vllm_v0"
"""Profile that stands for the paper's engine (kind: assumed; its version is not stated)."""


@dataclass(frozen=True, slots=True)
class Pair:
    """The curves of a model and its drafter under one profile.

    Parameters
    ----------
    speedups
        Simulated.
    efficiency
        Target efficiency: a part of a step, so priced at the batch and the mean context.
    """

    speedups: list[Reproduced]
    efficiency: Reproduced


@dataclass(frozen=True, slots=True)
class Sparsity:
    """A curve of fig. 4, with the router of Qwen2-57B-A14B set to K experts per token.

    Parameters
    ----------
    found
        The curve, simulated at the acceptance of the model's own K.
    ours, published
        Batches above peak over sqrt(2).
    """

    found: Reproduced
    ours: Window
    published: Window


@dataclass(frozen=True, slots=True)
class BottomUp:
    """The curves that the simulator was run for.

    Parameters
    ----------
    moe, dense
        The pairs, calibrated.
    moe_uncalibrated, dense_uncalibrated
        The same by the profile `ENGINE` as shipped.
    sparsity
        Curves by K, calibrated.
    """

    moe: Pair
    dense: Pair
    moe_uncalibrated: Pair
    dense_uncalibrated: Pair
    sparsity: list[Sparsity]


@dataclass(frozen=True, slots=True)
class Plan:
    """Runs of one profile: curves, each with the acceptance rate to simulate it at."""

    engine: Engine
    curves: list[tuple[Curve, float]]

    @property
    def cells(self) -> list[Cell]:
        """The runs with speculation, and the plain ones that they are compared with."""
        speculative = [cell for curve, alpha in self.curves for cell in cells(curve, alpha)]
        return list(dict.fromkeys([*speculative, *(cell.baseline for cell in speculative)]))


def plan_bottom_up(
    moe: Calibration, dense: Calibration, batches: Sequence[int] | None = None
) -> dict[str, Plan]:
    """Lay out the runs.

    Parameters
    ----------
    moe, dense
        Calibrations of Qwen2-57B-A14B and of OPT-30B.
    batches
        Take these batches of every curve alone; None takes all.

    Returns
    -------
    dict of Plan
        By the name of the pair in `BottomUp`.
    """
    start = load_engine(ENGINE)
    qwen = [(curve, published_alpha(curve)) for curve in speedup_curves(MOE)]
    sparse = [(curve, published_alpha(curve)) for curve in sparsity_curves()]
    # No sigma of OPT-30B is published; without calibration it is taken to be that of the other
    # pair on the same data set.
    alphas = {"dense": dense.alpha or 0.0, "dense_uncalibrated": humaneval_alpha()}
    opt = {name: [(c, alpha) for c in speedup_curves(DENSE)] for name, alpha in alphas.items()}
    plans = {
        "moe": Plan(moe.engine, qwen + sparse),
        "dense": Plan(dense.engine, opt["dense"]),
        "moe_uncalibrated": Plan(start, qwen),
        "dense_uncalibrated": Plan(start, opt["dense_uncalibrated"]),
    }
    if batches is None:
        return plans
    return {
        name: Plan(plan.engine, [(at_batches(c, batches), alpha) for c, alpha in plan.curves])
        for name, plan in plans.items()
    }


def reproduce(
    plans: Mapping[str, Plan], workers: int, advance: Callable[[float], None]
) -> BottomUp:
    """Simulate the runs of `plan_bottom_up` and set them beside the published curves.

    Parameters
    ----------
    plans
        What to run.
    workers
        Processes; the results do not depend on them.
    advance
        Told 1 after each run.
    """
    jobs = {name: (plan.engine, plan.cells) for name, plan in plans.items()}
    rates = token_rates(jobs, workers, advance)
    found = {
        name: [
            Reproduced(curve, _speedups(rates[name], curve, alpha), _looked_at(name, curve))
            for curve, alpha in plan.curves
        ]
        for name, plan in plans.items()
    }
    pairs = {
        name: Pair([one for one in ours if one.curve.figure != "4"], _efficiency(name, plans[name]))
        for name, ours in found.items()
    }
    sparsity = [_sparsity(one) for one in found["moe"] if one.curve.figure == "4"]
    return BottomUp(**pairs, sparsity=sparsity)


def _speedups(rates: Mapping[Cell, float], curve: Curve, alpha: float) -> Floats:
    """Return tokens per second with speculation over those without."""
    return np.array([rates[cell] / rates[cell.baseline] for cell in cells(curve, alpha)])


def _looked_at(name: str, curve: Curve) -> tuple[int, ...]:
    """Return the batches of a curve that the calibration of a pair looked at.

    Fig. 4 repeats a curve of fig. 6 at the model's own K.
    """
    pairs = {"moe": (MOE, MOE_PAIR), "dense": (DENSE, DENSE_PAIR)}
    if name not in pairs:
        return ()
    model, pair = pairs[name]
    reference = reference_curve(model)
    same = (setting(curve), curve.top_k) == (setting(reference), reference.top_k)
    return pair if same else ()


def _efficiency(name: str, plan: Plan) -> Reproduced:
    """Return the target efficiency under the engine of a plan, at the batches of its curves."""
    model, batches = plan.curves[0][0].model, plan.curves[0][0].batch
    curve = at_batches(efficiency_curve(model), batches)
    ours = terms(model, curve.gamma, batches, plan.engine).target_efficiency
    return Reproduced(curve, ours, MOE_PAIR if name == "moe" else ())


def _sparsity(found: Reproduced) -> Sparsity:
    batch = found.curve.batch
    return Sparsity(found, window(batch, found.value), window(batch, found.published))
