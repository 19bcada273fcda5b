"""Transformer architectures as data: the shapes that parameters, bytes and FLOPs are derived from.

The fields are those of a model's published configuration, under names of our own. Instances are
immutable and valid: whatever cannot be a model is refused on construction, naming the key at fault.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from simulator.errors import ConfigError, unknown
from simulator.units import BYTES_PER_WEIGHT

ATTENTION_KINDS = ("gqa", "mla")
POSITION_KINDS = ("rotary", "learned")
NORM_KINDS = ("rms", "layer")
KV_DTYPES = ("bfloat16", "fp8")

_GQA_ONLY = (
    *("kv_heads", "head_dim", "window_tokens", "windowed_layers"),
    *("bias", "output_bias", "qk_norm", "joint_qk_norm", "sinks", "gated_output"),
)
_MLA_ONLY = ("q_lora_rank", "kv_lora_rank", "nope_dim", "rope_dim", "value_dim", "indexer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexer:
    """Lightning indexer of DeepSeek sparse attention (DeepSeek-V3.2-Exp report, section 1).

    It scores every cached token with small heads of its own; the attention proper then reads the
    best ones alone.

    Parameters
    ----------
    heads, dim
        Index query heads, and their width. All share one key per cached token.
    top_k
        Cached tokens that a query token attends to.
    """

    heads: int
    dim: int
    top_k: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention:
    """Softmax attention of a layer: grouped-query (``gqa``) or multi-head latent (``mla``).

    Parameters
    ----------
    kind
        ``"gqa"`` (multi-head when ``kv_heads == heads``) or ``"mla"`` (DeepSeek-V2, arXiv
        2405.04434).
    heads
        Query heads.
    kv_heads, head_dim
        KV heads and head width; gqa only.
    window_tokens, windowed_layers
        Sliding window, and how many layers use it; the other layers attend to everything. gqa only.
    bias, output_bias
        Whether the Q, K and V projections, and the output projection, have biases; gqa only.
    qk_norm
        Whether queries and keys are normalised, per head (Qwen3); gqa only.
    joint_qk_norm
        Whether that norm spans all heads together (MiniMax-M2); gqa only.
    sinks
        Whether each head has one learned sink logit (gpt-oss); gqa only.
    gated_output
        Whether the query projection also yields a gate of the output, as wide (Qwen3.5); gqa only.
    q_lora_rank, kv_lora_rank, nope_dim, rope_dim, value_dim
        Ranks of the query and KV compressions (query rank 0: not compressed), and head widths
        without rotation, with rotation and of the values; mla only.
    indexer
        What chooses the tokens attended to, or None for all of them; mla only.
    inputs
        Model-wide vectors that enter the Q, K and V projections side by side: 1 in a transformer,
        2 in an EAGLE-3 head, whose layer sees embedding and feature (arXiv 2503.01840).
    """

    kind: str = "gqa"
    heads: int
    kv_heads: int = 0
    head_dim: int = 0
    window_tokens: int = 0
    windowed_layers: int = 0
    bias: bool = False
    output_bias: bool = False
    qk_norm: bool = False
    joint_qk_norm: bool = False
    sinks: bool = False
    gated_output: bool = False
    q_lora_rank: int = 0
    kv_lora_rank: int = 0
    nope_dim: int = 0
    rope_dim: int = 0
    value_dim: int = 0
    indexer: Indexer | None = None
    inputs: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class GatedDeltaNet:
    """Linear attention of some layers: the gated delta rule (arXiv 2412.06464).

    A short convolution over queries, keys and values, then per value head a state of ``key_dim x
    value_dim`` that every token decays and updates, then a gated norm. Nothing grows with context.

    Parameters
    ----------
    layers
        How many layers use it; the other layers have the softmax attention.
    key_heads, value_heads
        Heads of queries and keys, and of values; the former divide the latter.
    key_dim, value_dim
        Their widths.
    conv_width
        Tokens that the convolution spans.
    """

    layers: int
    key_heads: int
    value_heads: int
    key_dim: int
    value_dim: int
    conv_width: int

    @property
    def conv_channels(self) -> int:
        """Channels of the convolution: queries, keys and values."""
        return 2 * self.key_heads * self.key_dim + self.value_heads * self.value_dim


@dataclass(frozen=True, slots=True, kw_only=True)
class Moe:
    """Mixture-of-experts feed-forward of all layers but the leading dense ones.

    Parameters
    ----------
    experts, top_k
        Routed experts of a layer, and how many one token uses (E and K).
    n_group, topk_group
        Groups of consecutive experts, and the groups that one token may pick from (DeepSeek-V3,
        arXiv 2412.19437, section 2.1.2); 1 and 1 do not limit it.
    inter
        Width of one routed expert.
    shared_inter
        Total width of the shared experts, which every token uses; 0 for none.
    shared_gate
        Whether a learned scalar gate weighs the shared experts' output (Qwen1.5-MoE, Qwen2-MoE).
    dense_layers
        Leading layers with a dense MLP instead of experts.
    gated
        Whether experts have gate, up and down matrices (three) or up and down (two).
    bias
        Whether router and experts have biases (gpt-oss).
    int4_group
        Weights of an expert that share one scale, if it is held as ``int4_wo``.
    """

    experts: int
    top_k: int
    inter: int
    shared_inter: int = 0
    shared_gate: bool = False
    dense_layers: int = 0
    gated: bool = True
    bias: bool = False
    int4_group: int = 128
    n_group: int = 1
    topk_group: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """A decoder-only transformer.

    Parameters
    ----------
    name, title, source
        Key in the catalogue, the name people use, and where the figures are published.
    layers, hidden, vocab, max_context_tokens
        Decoder layers, model width, vocabulary size, and longest supported context.
    attention
        Attention of every layer, those of ``linear`` apart.
    linear
        Linear attention of the other layers in a hybrid model, or None.
    mlp_inter
        Width of the dense MLP; 0 if no layer has one.
    gated
        Whether the dense MLP has three matrices (gate, up, down) or two.
    mlp_bias
        Whether the dense MLP has biases.
    moe
        Experts, or None in a dense model.
    tied_embeddings
        Whether the LM head is the embedding matrix.
    embedding_width
        Width of the embedding where it differs from ``hidden`` (OPT-350M: 512, projected to and
        from 1024); 0 when equal.
    positions
        ``"rotary"``, or ``"learned"`` for a table of absolute positions.
    norm
        ``"rms"``, or ``"layer"`` for LayerNorm with bias.
    dtype, expert_dtype
        Weight formats (keys of ``units.BYTES_PER_WEIGHT``) of attention, dense MLP and shared
        experts, and of routed experts. Embedding, LM head, router and norms always stay bfloat16,
        as published quantised checkpoints leave them.
    attention_dtype
        Weight format of the projections of attention where it is not ``dtype``: many checkpoints
        in 4 bits keep them in bfloat16. None for ``dtype``.
    kv_dtype
        Format of the KV cache, one of `KV_DTYPES`.

    Raises
    ------
    ConfigError
        If the fields contradict each other or name an unknown kind or format.

    Examples
    --------
    >>> Architecture(name="toy", title="Toy", source="none", layers=2, hidden=64, vocab=100,
    ...              max_context_tokens=128, mlp_inter=256,
    ...              attention=Attention(heads=6, kv_heads=4, head_dim=16))
    Traceback (most recent call last):
    ...
    simulator.errors.ConfigError: model.attention.kv_heads=4 must divide heads=6 (model 'toy').
    """

    name: str
    title: str
    source: str
    layers: int
    hidden: int
    vocab: int
    max_context_tokens: int
    attention: Attention
    linear: GatedDeltaNet | None = None
    mlp_inter: int = 0
    gated: bool = True
    mlp_bias: bool = False
    moe: Moe | None = None
    tied_embeddings: bool = False
    embedding_width: int = 0
    positions: str = "rotary"
    norm: str = "rms"
    dtype: str = "bfloat16"
    expert_dtype: str = "bfloat16"
    attention_dtype: str | None = None
    kv_dtype: str = "bfloat16"

    def __post_init__(self) -> None:
        _check_architecture(self)
        if self.linear is not None:
            _check_linear(self, self.linear)
        _check_attention(self, self.attention)
        if self.moe is not None:
            _check_moe(self, self.moe)

    @property
    def dense_layers(self) -> int:
        """Layers with a dense MLP."""
        return self.layers if self.moe is None else self.moe.dense_layers

    @property
    def moe_layers(self) -> int:
        """Layers with experts."""
        return self.layers - self.dense_layers

    @property
    def linear_layers(self) -> int:
        """Layers with linear attention."""
        return self.linear.layers if self.linear is not None else 0

    @property
    def softmax_layers(self) -> int:
        """Layers with softmax attention, which have a KV cache."""
        return self.layers - self.linear_layers

    @property
    def projection_dtype(self) -> str:
        """Weight format of the projections of attention."""
        return self.attention_dtype or self.dtype

    @property
    def embedding_dim(self) -> int:
        """Width of embedding and LM head."""
        return self.embedding_width or self.hidden


def experts_of(arch: Architecture) -> Moe:
    """Return the experts of a model.

    Raises
    ------
    ConfigError
        If it is dense.
    """
    if arch.moe is None:
        raise ConfigError(
            f"{arch.title} is dense: it has no experts to route to or to place. Choose another "
            f"model, or leave the groups routing and experts as they are."
        )
    return arch.moe


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


def _check_architecture(arch: Architecture) -> None:
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
