"""Transformer architectures as data: the shapes that parameters, bytes and FLOPs are derived from.

The fields are those of a model's published configuration, under names of our own. Instances are
immutable and valid: whatever cannot be a model is refused on construction, naming the key at fault.
"""

from __future__ import annotations

from dataclasses import dataclass

from simulator.errors import ConfigError
from simulator.models.architecture_checks import check_architecture


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
        check_architecture(self)

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
