"""The time of one layer as MoESD states it, beside ours: a check of the absolute scale."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.costs.engine import Engine
from simulator.costs.step import StepShape
from simulator.quantities import read_data
from simulator.study.moesd.runs import CONTEXT_TOKENS, Cell, scenario

_OUTSIDE = ("lm_head", "sampling", "engine")
"""Parts of a step that are in no layer."""


@dataclass(frozen=True, slots=True)
class LayerTime:
    """One layer at batch 1 on 2 x A800, published and ours, seconds.

    Parameters
    ----------
    model
        Of the catalogue.
    experts_s, rest_s
        Published: the routed experts, and everything else.
    our_experts_s, our_rest_s
        The same from the kernel tables.
    """

    model: str
    experts_s: float
    rest_s: float
    our_experts_s: float
    our_rest_s: float

    @property
    def error(self) -> float:
        """Our whole layer over the published one, less one."""
        return (self.our_experts_s + self.our_rest_s) / (self.experts_s + self.rest_s) - 1.0


def layer_times(engine: Engine) -> list[LayerTime]:
    """Compare the layer times of app. C.1 with the kernel tables; nothing is calibrated on them."""
    entries = read_data("simulator.hardware_specs.moesd", "layers", "file of MoESD's figures")
    return [
        LayerTime(entry["model"], entry["experts"], entry["rest"], *_ours(entry["model"], engine))
        for entry in entries["layers"]
    ]


def _ours(model: str, engine: Engine) -> tuple[float, float]:
    built = scenario(Cell(model, 1), engine)
    parts = built.step_model.target_step(StepShape(1, 1, CONTEXT_TOKENS)).parts
    inside = {name: time.seconds for name, time in parts.items() if name not in _OUTSIDE}
    layers, experts_s = built.config.model.layers, inside.pop("experts")
    return experts_s / layers, sum(inside.values()) / layers
