"""A predictor of the experts that draft tokens will pick: what a prefetcher asks, and its file.

A small network for each layer maps the features of a token (`experts.drafts`) to one logit for
each expert; ``moesim study prefetch`` trains them. The chance that a token picks an expert is taken
to be ``min(K softmax, 1)``, and that a step needs it ``1 - product of (1 - chance)`` over its
tokens.
"""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import DataError
from simulator.experts.drafts import DraftView, seen_by
from simulator.experts.pool import RoutePool
from simulator.models.architecture import Architecture, experts_of

Floats = NDArray[np.float64]

_LEAST = {"layers": 1, "experts": 1, "top_k": 1, "size": 1, "seed": 0, "recorded": 0}
_LEAST_REAL = {"noise_sd": 0.0, "most_distinct": 0.0}
_PARAMETERS = ("p0", "p1", "p2", "p3")
"""What a file holds: whole numbers and others, with their least values, and parameters."""


@dataclass(frozen=True, eq=False)
class ExpertPredictor:
    """Tells which experts a step needs from what its draft tokens look like.

    Parameters
    ----------
    parameters
        Of a network with one hidden layer of h units for each layer of the model, as in
        `simulator.mlp.Mlp`: shapes (layers, d, h), (layers, h), (layers, h, E) and (layers, E).
    layers, experts, top_k
        Shape of the model.
    view
        What features are where routes bring none; its size is d in any case.
    recorded
        Whether it was trained on features that routes brought, the same d for all layers.
    most_distinct
        Sum of these chances, mean over layers, from which prefetching no longer pays: the
        prefetcher is off there. inf: never.
    """

    parameters: tuple[Floats, ...]
    layers: int
    experts: int
    top_k: int
    view: DraftView
    recorded: bool = False
    most_distinct: float = np.inf

    def needed(self, features: Floats) -> Floats:
        """Return the chance that a step needs each expert, shape (layers, E).

        Parameters
        ----------
        features
            Of the tokens of the step, as `features_of` returns them; a token at least.
        """
        spared = self._chances(features)
        np.subtract(1.0, spared, out=spared)
        needed: Floats = 1.0 - spared.prod(axis=1)
        return needed

    def chances(self, features: Floats) -> Floats:
        """Return the chance that each token picks each expert, shape (tokens, layers, E).

        Parameters
        ----------
        features
            As in `needed`.
        """
        return self._chances(features).transpose(1, 0, 2)

    def _chances(self, features: Floats) -> Floats:
        """Return `chances`, of shape (layers, tokens, E); asked at every step, so in place."""
        hidden, hidden_biases, out, out_biases = self.parameters
        blocks = features.reshape(len(features), -1, self.view.size).transpose(1, 0, 2)
        shown = blocks @ hidden
        shown += hidden_biases[:, None]
        np.maximum(shown, 0.0, out=shown)
        chances: Floats = shown @ out
        chances += out_biases[:, None]
        chances -= chances.max(axis=-1, keepdims=True)
        np.exp(chances, out=chances)
        chances *= self.top_k / chances.sum(axis=-1, keepdims=True)
        return np.minimum(chances, 1.0, out=chances)

    def features_of(self, pool: RoutePool) -> Floats:
        """Return what the drafter sees of every token of a pool, shape (tokens, layers * d).

        Recorded ones are the same for all layers, shape (tokens, d).

        Raises
        ------
        DataError
            If it was trained on recorded features, and the routes bring none of their size.
        """
        if not self.recorded:
            return seen_by(self.view, pool)
        if pool.features is None or pool.features.shape[1] != self.view.size:
            brought = "none" if pool.features is None else pool.features.shape[1]
            raise DataError(
                f"the predictor was trained on {self.view.size} recorded features a token, and "
                f"these routes bring {brought}; give routing.path a recording with the column "
                f"features as it was trained on."
            )
        return pool.features

    def save(self, path: Path) -> Path:
        """Write it to a file of numpy (``.npz``), and return the path."""
        own = {"layers": self.layers, "experts": self.experts, "top_k": self.top_k}
        own |= {"size": self.view.size, "seed": self.view.seed, "recorded": self.recorded}
        floats = {"noise_sd": self.view.noise_sd, "most_distinct": self.most_distinct}
        parameters = {f"p{index}": one for index, one in enumerate(self.parameters)}
        beside = path.with_suffix(".part.npz")
        np.savez(beside, **{**parameters, **own, **floats})  # type: ignore[arg-type]
        beside.replace(path)
        return path


def load_predictor(path: Path | str) -> ExpertPredictor:
    """Read a predictor.

    Raises
    ------
    DataError
        If the file cannot be read, or is no predictor.
    """
    try:
        # Of a file with a single array numpy returns just that: a TypeError.
        with np.load(path, allow_pickle=False) as found:
            data: dict[str, Any] = {name: found[name] for name in found.files}
    except (OSError, EOFError, TypeError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(
            f"experts.offload.predictor={path} is no predictor: {error}. Train one: moesim study "
            f"prefetch."
        ) from error
    lacks = [name for name in (*_LEAST, *_LEAST_REAL, *_PARAMETERS) if name not in data]
    if lacks:
        raise DataError(
            f"experts.offload.predictor={path} lacks {', '.join(lacks)}; train one: moesim study "
            f"prefetch."
        )
    whole = {name: int(_scalar(data[name], name, "ib", low, path)) for name, low in _LEAST.items()}
    real = {
        name: float(_scalar(data[name], name, "fi", low, path)) for name, low in _LEAST_REAL.items()
    }
    predictor = ExpertPredictor(
        tuple(data[name] for name in _PARAMETERS),
        layers=whole["layers"],
        experts=whole["experts"],
        top_k=whole["top_k"],
        view=DraftView(whole["size"], real["noise_sd"], whole["seed"]),
        recorded=bool(whole["recorded"]),
        most_distinct=real["most_distinct"],
    )
    _check_parameters(predictor, path)
    return predictor


def _scalar(
    found: NDArray[Any], name: str, kinds: str, least: float, path: Path | str
) -> NDArray[Any]:
    """Return a number of the file as it is; NaN, and what lies below the least, is refused."""
    if found.shape or found.dtype.kind not in kinds or not float(found) >= least:
        raise DataError(
            f"experts.offload.predictor={path}: {name}={found} must be a number of {least} or "
            f"more; train it anew: moesim study prefetch."
        )
    return found


def check_predictor(predictor: ExpertPredictor, arch: Architecture, path: str) -> None:
    """Refuse a predictor that was trained for a model of another shape.

    Raises
    ------
    DataError
        If layers, experts or experts per token differ.
    """
    moe = experts_of(arch)
    found = (predictor.layers, predictor.experts, predictor.top_k)
    wanted = (arch.moe_layers, moe.experts, moe.top_k)
    if found != wanted:
        raise DataError(
            f"experts.offload.predictor={path} is for {found[0]} MoE layers of {found[1]} experts, "
            f"top {found[2]}, but {arch.title} has {wanted[0]} of {wanted[1]}, top {wanted[2]}. "
            f"Train one for it: moesim study prefetch model={arch.name}."
        )


def _check_parameters(predictor: ExpertPredictor, path: Path | str) -> None:
    """Refuse parameters that do not fit together, or are no finite numbers."""
    layers, experts, size = predictor.layers, predictor.experts, predictor.view.size
    shapes = [one.shape for one in predictor.parameters]
    units = shapes[0][-1] if shapes[0] else 0
    wanted = [(layers, size, units), (layers, units), (layers, units, experts), (layers, experts)]
    if shapes != wanted:
        raise DataError(
            f"experts.offload.predictor={path}: parameters of shapes {shapes} do not lead from "
            f"{size} features to {experts} experts in {layers} layers; train it anew: moesim study "
            f"prefetch."
        )
    if any(one.dtype.kind != "f" or not np.isfinite(one).all() for one in predictor.parameters):
        raise DataError(
            f"experts.offload.predictor={path}: parameters must be finite numbers; train it anew: "
            f"moesim study prefetch."
        )
