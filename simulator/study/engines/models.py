"""``models.yaml``: the models that a real engine was measured on, and the engine's limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.errors import DataError, SimulatorError, unknown
from simulator.models.architecture import Architecture, Attention, Moe
from simulator.models.drafters import Drafter
from simulator.quantities import read_data_file
from simulator.workload.requests import MAX_TOKENS

SECTIONS = ("engine", "drafter", "models")

LIMITS = ("max_num_seqs", "max_num_batched_tokens", "prompt_tokens_in_steps")
"""Figures of the section ``engine``; its other entries are remarks."""

_SHAPE = ("layers", "hidden", "heads", "kv_heads", "head_dim", "vocab")
_DENSE = ("inter",)
_EXPERTS = ("experts", "top_k", "expert_inter")
_OPTIONAL = (
    *("dtype", "tied_embeddings", "gated", "shared_expert_inter", "dense_layers"),
    *("qk_norm", "bias", "shared_gate", "max_context_tokens", "title", "source"),
)


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured on.

    Parameters
    ----------
    models
        Architectures by name.
    drafter
        The draft model of rounds; None where there are only plain steps.
    max_num_seqs, max_batched_tokens
        Limits of the engine's scheduler.
    prompt_tokens
        Prompt of the requests in the steps; the context of rows that state none.
    remarks
        What the file says of engine and machine.
    """

    models: Mapping[str, Architecture]
    drafter: Drafter | None
    max_num_seqs: int
    max_batched_tokens: int
    prompt_tokens: int
    remarks: Mapping[str, str]


def read_models(path: Path) -> Measured:
    """Read ``models.yaml``.

    Sections: ``models`` (shapes by name), ``drafter`` (shapes of the draft model, if any) and
    ``engine`` (its limits, and remarks). A model with ``experts``, ``top_k`` and ``expert_inter``
    is an MoE, one with ``inter`` dense, one with both has leading dense layers.

    Raises
    ------
    SimulatorError
        If the file cannot be read, lacks a shape, or has an unknown key; the message names both.
    """
    content = read_data_file(path, "list of models")
    for key in content:
        if key not in SECTIONS:
            raise DataError(unknown("section", str(key), SECTIONS, str(path)))
    shapes, engine = content.get("models"), content.get("engine") or {}
    if not isinstance(shapes, Mapping) or not shapes:
        raise DataError(f"{path}: models is missing; it holds shapes by model name.")
    if not isinstance(engine, Mapping):
        raise DataError(f"{path}: engine must be a mapping of limits and remarks.")
    models = {str(name): _architecture(path, str(name), shape) for name, shape in shapes.items()}
    drafter = None
    if content.get("drafter"):
        drafter = _drafter(_architecture(path, "drafter", content["drafter"]))
    sequences, tokens, prompt = (_limit(path, engine, *limit) for limit in _DEFAULTS.items())
    remarks = {str(k): " ".join(str(v).split()) for k, v in engine.items() if k not in LIMITS}
    return Measured(models, drafter, sequences, tokens, prompt, remarks)


_DEFAULTS = {"max_num_seqs": 256, "max_num_batched_tokens": 8192, "prompt_tokens_in_steps": 128}
"""What the engine's limits are where the file states none: vLLM's, and a short prompt."""


def _limit(path: Path, engine: Mapping[str, Any], key: str, default: int) -> int:
    value = engine.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise DataError(f"{path}: engine.{key} is {value!r}; it must be a whole number, 1 or more.")
    return value


def _architecture(path: Path, name: str, shape: Any) -> Architecture:
    if not isinstance(shape, Mapping):
        raise DataError(f"{path}: {name} must be a mapping of shapes.")
    known = (*_SHAPE, *_DENSE, *_EXPERTS, *_OPTIONAL)
    for key in shape:
        if key not in known:
            raise DataError(unknown("shape", str(key), known, f"{path}: {name}"))
    routed = bool(shape.get("experts"))
    needed = (*_SHAPE, *(_EXPERTS if routed else _DENSE))
    missing = [key for key in needed if not shape.get(key)]
    if missing:
        raise DataError(f"{path}: {name} lacks {', '.join(missing)}.")
    try:
        return _built(name, shape, routed)
    except (TypeError, SimulatorError) as error:
        raise DataError(f"{path}: {name}: {error}") from error


def _built(name: str, shape: Mapping[str, Any], routed: bool) -> Architecture:
    gated, dtype = bool(shape.get("gated", True)), str(shape.get("dtype", "bfloat16"))
    moe = None
    if routed:
        moe = Moe(
            experts=shape["experts"],
            top_k=shape["top_k"],
            inter=shape["expert_inter"],
            shared_inter=shape.get("shared_expert_inter") or 0,
            shared_gate=bool(shape.get("shared_gate", False)),
            dense_layers=shape.get("dense_layers") or 0,
            gated=gated,
        )
    return Architecture(
        name=name,
        title=str(shape.get("title", name)),
        source=str(shape.get("source", "models.yaml of the measurements")),
        layers=shape["layers"],
        hidden=shape["hidden"],
        vocab=shape["vocab"],
        max_context_tokens=shape.get("max_context_tokens") or MAX_TOKENS,
        attention=Attention(
            heads=shape["heads"],
            kv_heads=shape["kv_heads"],
            head_dim=shape["head_dim"],
            qk_norm=bool(shape.get("qk_norm", False)),
            bias=bool(shape.get("bias", False)),
        ),
        mlp_inter=shape.get("inter") or 0,
        gated=gated,
        moe=moe,
        tied_embeddings=bool(shape.get("tied_embeddings", False)),
        dtype=dtype,
        expert_dtype=dtype,
    )


def _drafter(architecture: Architecture) -> Drafter:
    return Drafter(
        name="drafter",
        title="draft model of the measurements",
        source=architecture.source,
        kind="model",
        architecture=architecture,
    )
