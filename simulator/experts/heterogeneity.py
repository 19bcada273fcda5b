"""How far the layers of a model differ in what consecutive tokens share.

The overlap of a layer is Beta-distributed over layers. One factor on the deviations of request and
token brings an archetype to each (`Archetype.scaled`).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import scipy

from simulator.errors import ConfigError
from simulator.experts.sampling import Archetype, calibrated, overlap_curve
from simulator.streams import Streams

_CALIBRATION = Streams(seed=3)
"""Draws of the calibration, which is no matter of a run's seed."""

_FACTORS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0)
"""Factors on request and token deviations at which overlaps are found; linear between."""


@lru_cache(maxsize=8)
def layer_archetypes(
    archetype: Archetype, overlap: float, layer_sd: float, layers: int
) -> tuple[Archetype, ...]:
    """Return an archetype for each of some layers, calibrated to overlaps spread like theirs.

    Parameters
    ----------
    archetype
        Where to start.
    overlap
        Measured share of experts that consecutive tokens share, mean over layers.
    layer_sd
        Standard deviation of that share over layers; 0: all are alike.
    layers
        How many; their overlaps are the quantiles at (l + 1/2) / layers.

    Raises
    ------
    ConfigError
        If the archetype cannot reach the overlap, or no Beta law has such a deviation.
    """
    middle = calibrated(archetype, overlap, _CALIBRATION)
    if not layer_sd:
        return (middle,)
    spread = overlap * (1 - overlap) / layer_sd**2 - 1
    if spread <= 0:
        raise ConfigError(
            f"routing.layer_sd={layer_sd!r} is more than shares around {overlap!r} can differ; "
            f"it must be below {(overlap * (1 - overlap)) ** 0.5:.3f}."
        )
    quantiles = (np.arange(layers) + 0.5) / layers
    overlaps = scipy.special.betaincinv(overlap * spread, (1 - overlap) * spread, quantiles)
    reached = overlap_curve(middle, _FACTORS, _CALIBRATION)
    factors = np.interp(overlaps, np.maximum.accumulate(reached), _FACTORS)
    return tuple(middle.scaled(float(factor)) for factor in factors)
