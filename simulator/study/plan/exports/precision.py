"""Number formats of a deployment beside those of its checkpoint, and what an engine is told."""

from __future__ import annotations

from typing import NamedTuple

from simulator.errors import TableError
from simulator.models.architecture import Architecture
from simulator.models.catalog import load_architecture

QUANTIZATION = {"fp8": "fp8", "nvfp4": "modelopt_fp4"}
"""Value of ``--quantization``, which vLLM and SGLang share, by weight format. Other formats are
read off the checkpoint."""

_CHECKPOINTS = {
    "bfloat16": "in bfloat16",
    "fp8_block": "quantised to fp8 in blocks of 128 x 128 (NAME-FP8 where the authors publish it)",
    "int4_wo": "quantised to 4 bits in groups (AWQ or GPTQ)",
    "w4a16_mxfp4": "quantised to MXFP4",
    "w4a8_mxfp4_mxfp8": "quantised to MXFP4, its activations in MXFP8",
    "nvfp4": "quantised to NVFP4 by NVIDIA ModelOpt",
}
"""What a checkpoint must be like where the engine cannot quantise as it loads, by format."""


class Precision(NamedTuple):
    """What an engine is told of formats.

    Parameters
    ----------
    quantization
        Value of ``--quantization``; None to leave it out.
    fp8_cache
        Whether the KV cache is held in fp8.
    notes
        What the user has to see to, sentences.
    """

    quantization: str | None
    fp8_cache: bool
    notes: tuple[str, ...]


def precision(model: Architecture) -> Precision:
    """Compare the formats of a model with those that it is published in.

    Experts hold most weights, so their format decides; attention and dense layers that differ from
    it are told in words.

    Examples
    --------
    >>> from dataclasses import replace
    >>> model = load_architecture("qwen3_235b_a22b")
    >>> precision(model).quantization, precision(replace(model, kv_dtype="fp8")).fp8_cache
    (None, True)
    >>> precision(replace(model, dtype="fp8", expert_dtype="fp8")).quantization
    'fp8'
    """
    weights = model.expert_dtype if model.moe is not None else model.dtype
    fp8_cache = model.kv_dtype == "fp8"
    if _formats(model) == _published(model):
        return Precision(None, fp8_cache, ())
    notes = []
    if weights in _CHECKPOINTS:
        notes.append(f"Load a checkpoint {_CHECKPOINTS[weights]}.")
    elif weights == "fp8":
        notes.append("--quantization fp8 quantises the weights as they are loaded.")
    if model.moe is not None and model.dtype != weights:
        notes.append(f"Simulated with {weights} experts and the rest in {model.dtype}.")
    if model.attention_dtype not in (None, model.dtype):
        notes.append(f"Simulated with the projections of attention in {model.attention_dtype}.")
    return Precision(QUANTIZATION.get(weights), fp8_cache, tuple(notes))


def _formats(model: Architecture) -> tuple[str, str, str | None]:
    return model.dtype, model.expert_dtype, model.attention_dtype


def _published(model: Architecture) -> tuple[str, str, str | None]:
    """Return the formats of the catalogue; those of a model that is not in it are its own."""
    try:
        return _formats(load_architecture(model.name))
    except TableError:
        return _formats(model)
