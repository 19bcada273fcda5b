"""N(t) of real models (MoESD, fig. 1) against uniform routing and against our overlap law."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from simulator.experts.overlaps import measured_overlap
from simulator.models.catalog import load_architecture
from simulator.speculation.activation import activated_experts
from simulator.study.moesd.published import Activation, activations

Floats = NDArray[np.float64]

_EXPONENTS = (0.3, 1.0)
"""Where the fitted exponent is looked for; 1 is uniform routing."""


@dataclass(frozen=True, slots=True)
class ActivationCurve:
    """Distinct experts of one model, measured and by three laws.

    The figure does not say which tokens belong to one request, so the two exponents of the overlap
    law cannot be told apart here: one exponent stands on all tokens, ``E (1 - (1 - K/E)^(t^x))``.

    Parameters
    ----------
    published
        The measured curve.
    uniform
        Uniform routing at its tokens (eq. 8).
    exponent, overlap
        Exponent x fitted to this curve, and the law with it: a description, no prediction.
    elsewhere, predicted
        Exponent measured on other traces of the model, where there is one, and the law with it:
        this curve was not used.
    """

    published: Activation
    uniform: Floats
    exponent: float
    overlap: Floats
    elsewhere: float | None
    predicted: Floats | None

    def error(self, law: Floats) -> float:
        """Return the mean absolute relative error of a law."""
        return float(np.mean(np.abs(law / np.array(self.published.value) - 1.0)))


@dataclass(frozen=True, slots=True)
class ActivationStudy:
    """All curves."""

    curves: tuple[ActivationCurve, ...]

    @property
    def metrics(self) -> dict[str, float]:
        """Mean absolute relative errors by law and model, and the fitted exponents."""
        found = {}
        for curve in self.curves:
            model = curve.published.model
            found[f"activation_uniform_mape_{model}"] = curve.error(curve.uniform)
            found[f"activation_overlap_mape_{model}"] = curve.error(curve.overlap)
            found[f"activation_exponent_{model}"] = curve.exponent
            if curve.predicted is not None:
                found[f"activation_predicted_mape_{model}"] = curve.error(curve.predicted)
        return found


def activation_curves() -> ActivationStudy:
    """Compare every published curve with the laws."""
    return ActivationStudy(tuple(_curve(published) for published in activations()))


def _curve(published: Activation) -> ActivationCurve:
    moe = load_architecture(published.model).moe
    experts, top_k = (moe.experts, moe.top_k) if moe else (1, 1)
    tokens, measured = np.array(published.tokens, float), np.array(published.value)

    def law(exponent: float) -> Floats:
        return activated_experts(tokens**exponent, experts, top_k)

    best = minimize_scalar(
        lambda x: float(np.sum((law(x) / measured - 1.0) ** 2)), bounds=_EXPONENTS, method="bounded"
    )
    known = measured_overlap(published.model)
    elsewhere = None if known is None else known.value
    return ActivationCurve(
        published=published,
        uniform=law(1.0),
        exponent=float(best.x),
        overlap=law(float(best.x)),
        elsewhere=elsewhere,
        predicted=None if elsewhere is None else law(elsewhere),
    )
