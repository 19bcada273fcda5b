"""A predictor of the experts that draft tokens will pick: what a prefetcher asks, and its file.

A small network for each layer maps the features of a token (`experts.drafts`) to one logit for
each expert; ``moesim study prefetch`` trains them. The chance that a token picks an expert is taken
to be ``min(K softmax, 1)``, and that a step needs it ``1 - product of (1 - chance)`` over its
tokens.
"""

from __future__ import annotations

import zipfile
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

_SCALARS = ("layers", "experts", "top_k", "size", "noise_sd", "seed", "recorded")
_LIMITS = ("least_chance", "most_distinct")
_PARAMETERS = ("p0", "p1", "p2", "p3")
"""What a file holds beside the parameters ``p0`` to ``p3``."""


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
    least_chance
        Experts of a smaller chance to be needed are not brought: what is brought in vain delays
        what is waited for.
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
    least_chance: float = 0.5
    most_distinct: float = np.inf

    def needed(self, features: Floats) -> Floats:
        """Return the chance that a step needs each expert, shape (layers, E).

        Parameters
        ----------
        features
            Of the tokens of the step, as `features_of` returns them; a token at least.
        """
        logits = self.logits(features)
        chances = np.exp(logits - logits.max(axis=-1, keepdims=True))
        chances *= self.top_k / chances.sum(axis=-1, keepdims=True)
        needed: Floats = 1.0 - np.prod(1.0 - np.minimum(chances, 1.0), axis=0)
        return needed

    def logits(self, features: Floats) -> Floats:
        """Return what the networks show, shape (tokens, layers, E); arguments as in `needed`."""
        hidden, hidden_biases, out, out_biases = self.parameters
        blocks = features.reshape(len(features), -1, self.view.size).transpose(1, 0, 2)
        shown = np.maximum(blocks @ hidden + hidden_biases[:, None], 0.0)
        logits: Floats = shown @ out + out_biases[:, None]
        return logits.transpose(1, 0, 2)

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
        floats = {"noise_sd": self.view.noise_sd}
        floats |= {name: getattr(self, name) for name in _LIMITS}
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
        with np.load(path, allow_pickle=False) as found:
            data: dict[str, Any] = {name: found[name] for name in found.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(
            f"experts.offload.predictor={path} is no predictor: {error}. Train one: moesim study "
            f"prefetch."
        ) from error
    lacks = [name for name in (*_SCALARS, *_LIMITS, *_PARAMETERS) if name not in data]
    if lacks:
        raise DataError(
            f"experts.offload.predictor={path} lacks {', '.join(lacks)}; train one: moesim study "
            f"prefetch."
        )
    view = DraftView(int(data["size"]), float(data["noise_sd"]), int(data["seed"]))
    predictor = ExpertPredictor(
        tuple(data[name] for name in _PARAMETERS),
        layers=int(data["layers"]),
        experts=int(data["experts"]),
        top_k=int(data["top_k"]),
        view=view,
        recorded=bool(data["recorded"]),
        least_chance=float(data["least_chance"]),
        most_distinct=float(data["most_distinct"]),
    )
    _check_sizes(predictor, path)
    return predictor


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


def _check_sizes(predictor: ExpertPredictor, path: Path | str) -> None:
    """Refuse parameters that do not fit together."""
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
