"""What is known of MoESD's parameters before anyone measures: three levels of each.

Middle levels of loads are sqrt(5) times what peak bandwidth allows, the geometric middle of the
paper's search bounds (App. C.2). Growth coefficients follow from the same sizes: a bf16 weight
takes 2 bytes to load and 2 FLOP per token to use, so a part that takes ``load`` seconds at full
bandwidth takes ``load / RP`` seconds of compute per token at full speed. Above the ridge
``r = lambda RP`` the model grows by ``k ln(s) s^r`` per token; with ``s = e^(1/r)``, growth by e up
to the ridge,

    k = lambda load / e.

A dense target has no experts: its k2 and k3 are 0 and known.

All times share one ratio of levels. That is not for looks: with different ratios no combination of
levels is another one times a factor, and levels would hide that speedups leave the scale free.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.errors import ConfigError, unknown
from simulator.hardware.gpu import load_gpu
from simulator.models.catalog import default_drafter, load_architecture, load_drafter
from simulator.speculation.performance import NAMES, TIME_NAMES
from simulator.study.calibration.bounds import LAMBDA, SLOWEST_LOAD, physical_bounds

Floats = NDArray[np.float64]

RATIO = math.sqrt(SLOWEST_LOAD)
"""Between neighbouring levels of a time and of lambda, which spans the paper's bounds."""

REJECT_S, REJECT_PER_REQUEST_S = 1e-3, 1e-4
"""Middle levels of rejection sampling, s and s per request: assumed, the order of an engine's work
on the host for one step and for one request."""


@dataclass(frozen=True, slots=True)
class Prior:
    """Levels of the ten parameters.

    Parameters
    ----------
    levels
        By name, in the order of `NAMES`, ascending; one level alone is a known value.
    experts, top_k
        Of the target.
    ridge_flop_per_byte
        Ridge point of the GPU (eq. 1).
    source
        Where the levels come from, for people.
    """

    levels: Mapping[str, Sequence[float]]
    experts: int
    top_k: int
    ridge_flop_per_byte: float
    source: str

    @property
    def middle(self) -> Floats:
        """The middle level of each, shape (10,): what is assumed to be true.

        A true value at the end of its levels would be told from its multiples by the end alone.
        """
        return np.array([values[len(values) // 2] for values in self.levels.values()])

    @property
    def spread(self) -> Floats:
        """Standard deviation of each logarithm between the outer levels, uniform, shape (10,)."""
        ratios = [v[-1] / v[0] if len(v) > 1 else 1.0 for v in self.levels.values()]
        return np.log(ratios) / math.sqrt(12.0)

    @property
    def unknown(self) -> NDArray[np.bool_]:
        """Which of the ten have more than one level."""
        return np.array([len(values) > 1 for values in self.levels.values()])


def prior_of(target: str, drafter: str | None, gpu: str, gpus: int) -> Prior:
    """Return the levels that the sizes of the models and the GPU's data sheet suggest.

    Parameters
    ----------
    target, drafter, gpu
        Names in the catalogues; no drafter means the usual one.
    gpus
        That share the target by tensor parallelism.

    Raises
    ------
    TableError, ConfigError
        If a name is unknown, or the GPUs cannot share the model.

    Examples
    --------
    >>> prior = prior_of("qwen2_57b_a14b", None, "a800_sxm", 2)
    >>> [f"{1e3 * level:.2f} ms" for level in prior.levels["k2"]]
    ['0.38 ms', '0.85 ms', '1.89 ms']
    """
    architecture, card = load_architecture(target), load_gpu(gpu)
    drafts = load_drafter(drafter or default_drafter(target))
    bounds = physical_bounds(architecture, drafts, card, gpus)
    ridge = card.ridge_flop_per_byte(architecture.projection_dtype)
    experts = architecture.moe.experts if architecture.moe else 1
    top_k = architecture.moe.top_k if architecture.moe else 1
    dense_s, expert_s, draft_s = bounds.low[[0, 2, 4]].tolist()
    if draft_s == 0:  # nothing to load: an n-gram drafter works on the host
        draft_s = REJECT_S / RATIO
    lambda_ = math.sqrt(LAMBDA[0] * LAMBDA[1])
    growth = lambda_ / math.e
    middle = {
        "bias": RATIO * dense_s,
        "k1": growth * dense_s,
        "k2": RATIO * expert_s,
        "k3": growth * expert_s * experts,
        "draft_bias": RATIO * draft_s,
        "draft_k": growth * draft_s,
        "reject_bias": REJECT_S,
        "reject_k": REJECT_PER_REQUEST_S,
        "lambda": lambda_,
    }
    levels: dict[str, tuple[float, ...]] = {
        name: (value / RATIO, value, value * RATIO) for name, value in middle.items()
    }
    rate = 1.0 / (lambda_ * ridge)
    levels["s"] = (math.exp(rate / 2), math.exp(rate), math.exp(2 * rate))
    if experts == 1:  # all weights are in bias and k1
        levels["k2"] = levels["k3"] = (0.0,)
    return Prior(levels, experts, top_k, ridge, bounds.source)


def with_levels(prior: Prior, given: object, place: str) -> Prior:
    """Replace levels by those that a plan gives.

    Parameters
    ----------
    prior
        What to change.
    given
        A mapping from parameters to lists of values, ascending; a single value makes a parameter
        known. Times in seconds.
    place
        Where it stands, for messages.

    Raises
    ------
    ConfigError
        If a name or value is none.
    """
    if not isinstance(given, Mapping):
        raise ConfigError(f"{place} must be a mapping, such as 'k2: [2.0e-4, 4.0e-4, 8.0e-4]'.")
    levels = dict(prior.levels)
    for name, values in given.items():
        if name not in NAMES:
            raise ConfigError(unknown("parameter", str(name), NAMES, place))
        listed = values if isinstance(values, list) else [values]
        numbers = [v for v in listed if isinstance(v, (int, float)) and 0 < v < math.inf]
        if not numbers or len(numbers) != len(listed) or sorted(set(numbers)) != numbers:
            raise ConfigError(
                f"{place}: {name}={values!r} must be numbers above 0 in ascending order "
                f"({'seconds' if name in TIME_NAMES else 'without unit'}; YAML wants 2.0e-4, not "
                "2e-4)."
            )
        levels[name] = tuple(map(float, numbers))
    return Prior(levels, prior.experts, prior.top_k, prior.ridge_flop_per_byte, prior.source)
