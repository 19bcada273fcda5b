"""Checks of the shapes of a model: what cannot be one is refused, naming the key at fault."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from simulator.errors import ConfigError, unknown
from simulator.units import BYTES_PER_WEIGHT

if TYPE_CHECKING:
    from simulator.models.architecture import Architecture, Attention, GatedDeltaNet, Moe

ATTENTION_KINDS = ("gqa", "mla")
"""Grouped-query and multi-head latent attention."""

POSITION_KINDS = ("rotary", "learned")
"""How positions are told: turned into queries and keys, or added to the embedding."""

NORM_KINDS = ("rms", "layer")
"""Root-mean-square and layer norm."""

KV_DTYPES = ("bfloat16", "fp8")
"""Number formats of the KV cache."""

_GQA_ONLY = (
    *("kv_heads", "head_dim", "window_tokens", "windowed_layers"),
    *("bias", "output_bias", "qk_norm", "joint_qk_norm", "sinks", "gated_output"),
)
"""Keys of `Attention` without a meaning in latent attention."""

_MLA_ONLY = ("q_lora_rank", "kv_lora_rank", "nope_dim", "rope_dim", "value_dim", "indexer")
"""Keys of `Attention` without a meaning in grouped-query attention."""


def check_architecture(arch: Architecture) -> None:
    """Refuse shapes that no model can have.

    Raises
    ------
    ConfigError
        The message names the key at fault, its value and the model.
    """
    _check_model(arch)
    if arch.linear is not None:
        _check_linear(arch, arch.linear)
    _check_attention(arch, arch.attention)
    if arch.moe is not None:
        _check_moe(arch, arch.moe)


def _check_model(arch: Architecture) -> None:
    _check_sizes(arch, arch, "", ("layers", "hidden", "vocab", "max_context_tokens"), 1)
    _check_sizes(arch, arch, "", ("mlp_inter", "embedding_width"), 0)
    _check_choice(arch, "positions", arch.positions, POSITION_KINDS)
    _check_choice(arch, "norm", arch.norm, NORM_KINDS)
    _check_choice(arch, "dtype", arch.dtype, BYTES_PER_WEIGHT)
    _check_choice(arch, "expert_dtype", arch.expert_dtype, BYTES_PER_WEIGHT)
    _check_choice(arch, "attention_dtype", arch.projection_dtype, BYTES_PER_WEIGHT)
    _check_choice(arch, "kv_dtype", arch.kv_dtype, KV_DTYPES)
    if arch.dense_layers > 0 and arch.mlp_inter == 0:
        why = f"but {arch.dense_layers} layers have a dense MLP; give its width"
        raise _refuse(arch, "mlp_inter", 0, why)


def _refuse(arch: Architecture, key: str, value: object, why: str) -> ConfigError:
    return ConfigError(f"model.{key}={value} {why} (model {arch.name!r}).")


def _check_sizes(
    arch: Architecture, owner: object, prefix: str, keys: Iterable[str], least: int
) -> None:
    for key in keys:
        value = getattr(owner, key)
        if value < least:
            raise _refuse(arch, prefix + key, value, f"must be at least {least}")


def _check_choice(arch: Architecture, key: str, value: str, choices: Iterable[str]) -> None:
    if value not in choices:
        raise ConfigError(unknown(f"model.{key}", value, choices, f"model {arch.name!r}"))


def _check_linear(arch: Architecture, linear: GatedDeltaNet) -> None:
    keys = ("layers", "key_heads", "value_heads", "key_dim", "value_dim", "conv_width")
    _check_sizes(arch, linear, "linear.", keys, 1)
    if linear.layers >= arch.layers:
        why = f"leaves no layer with softmax attention: layers={arch.layers}"
        raise _refuse(arch, "linear.layers", linear.layers, why)
    if linear.value_heads % linear.key_heads:
        why = f"must divide value_heads={linear.value_heads}"
        raise _refuse(arch, "linear.key_heads", linear.key_heads, why)


def _check_attention(arch: Architecture, attention: Attention) -> None:
    _check_choice(arch, "attention.kind", attention.kind, ATTENTION_KINDS)
    _check_sizes(arch, attention, "attention.", ("heads", "inputs"), 1)
    for key in _GQA_ONLY if attention.kind == "mla" else _MLA_ONLY:
        if getattr(attention, key):
            why = f"has no meaning with attention.kind={attention.kind}; remove it"
            raise _refuse(arch, f"attention.{key}", getattr(attention, key), why)
    (_check_latent if attention.kind == "mla" else _check_grouped_query)(arch, attention)


def _check_latent(arch: Architecture, attention: Attention) -> None:
    dims = ("kv_lora_rank", "nope_dim", "rope_dim", "value_dim")
    _check_sizes(arch, attention, "attention.", dims, 1)
    _check_sizes(arch, attention, "attention.", ("q_lora_rank",), 0)
    if attention.indexer is None:
        return
    keys = ("heads", "dim", "top_k")
    _check_sizes(arch, attention.indexer, "attention.indexer.", keys, 1)
    if attention.q_lora_rank == 0:
        why = "but the indexer reads the compressed query; give its rank"
        raise _refuse(arch, "attention.q_lora_rank", 0, why)


def _check_grouped_query(arch: Architecture, attention: Attention) -> None:
    _check_sizes(arch, attention, "attention.", ("kv_heads", "head_dim"), 1)
    _check_sizes(arch, attention, "attention.", ("window_tokens", "windowed_layers"), 0)
    if attention.heads % attention.kv_heads:
        why = f"must divide heads={attention.heads}"
        raise _refuse(arch, "attention.kv_heads", attention.kv_heads, why)
    if attention.joint_qk_norm and not attention.qk_norm:
        raise _refuse(arch, "attention.joint_qk_norm", True, "needs attention.qk_norm=true")
    if attention.windowed_layers > arch.softmax_layers:
        why = f"exceeds the {arch.softmax_layers} layers with softmax attention"
        raise _refuse(arch, "attention.windowed_layers", attention.windowed_layers, why)
    if attention.windowed_layers > 0 and attention.window_tokens == 0:
        why = f"but {attention.windowed_layers} layers are windowed; give the window in tokens"
        raise _refuse(arch, "attention.window_tokens", 0, why)


def _check_moe(arch: Architecture, moe: Moe) -> None:
    _check_sizes(
        arch, moe, "moe.", ("experts", "top_k", "inter", "int4_group", "n_group", "topk_group"), 1
    )
    _check_sizes(arch, moe, "moe.", ("shared_inter", "dense_layers"), 0)
    if moe.top_k > moe.experts:
        raise _refuse(arch, "moe.top_k", moe.top_k, f"exceeds experts={moe.experts}")
    _check_groups(arch, moe)
    if moe.dense_layers >= arch.layers:
        why = f"leaves no layer with experts: layers={arch.layers}"
        raise _refuse(arch, "moe.dense_layers", moe.dense_layers, why)
    if moe.shared_gate and moe.shared_inter == 0:
        raise _refuse(arch, "moe.shared_gate", True, "needs shared experts, but moe.shared_inter=0")


def _check_groups(arch: Architecture, moe: Moe) -> None:
    if moe.experts % moe.n_group:
        raise _refuse(arch, "moe.n_group", moe.n_group, f"must divide experts={moe.experts}")
    if moe.topk_group > moe.n_group:
        raise _refuse(arch, "moe.topk_group", moe.topk_group, f"exceeds n_group={moe.n_group}")
    if moe.topk_group * (moe.experts // moe.n_group) < moe.top_k:
        why = f"groups hold fewer experts than top_k={moe.top_k}"
        raise _refuse(arch, "moe.topk_group", moe.topk_group, why)
