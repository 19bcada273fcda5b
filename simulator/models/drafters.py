"""Drafters: what proposes the tokens that the target verifies, and the shapes it runs.

Three kinds. A separate ``model`` has an architecture of its own. A ``head`` is a few layers on top
of the target's hidden states, so its shapes follow from the target's. An ``ngram`` drafter looks
proposals up in the text so far and costs no GPU time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from simulator.errors import ConfigError, unknown
from simulator.models.architecture import Architecture, Attention
from simulator.models.forward import forward_operators
from simulator.models.operators import Gemm, Operator
from simulator.models.parallelism import SINGLE_GPU, Parallelism
from simulator.models.parameters import (
    UNQUANTIZED,
    bytes_per_weight,
    kv_bytes_per_token,
    parameters,
    weight_bytes,
)
from simulator.units import BYTES_PER_WEIGHT

DRAFTER_KINDS = ("model", "head", "ngram")
LAYER_KINDS = ("dense", "target")


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadCheckpoint:
    """A head that somebody trained for a model and published.

    Parameters
    ----------
    model
        The model, by its key in the catalogue.
    checkpoint
        Name of the head on Hugging Face.
    """

    model: str
    checkpoint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Drafter:
    """A drafter. Fields of another kind than its own must stay at their defaults.

    Parameters
    ----------
    name, title, source
        Key in the catalogue, the name people use, and where the design is published.
    kind
        ``"model"``, ``"head"`` or ``"ngram"``.
    architecture
        Shapes of a separate model.
    tensor_parallel
        GPUs that a separate model runs on. A head runs on the target's.
    layers
        Decoder layers of a head.
    layer
        Layer of a head: ``"target"`` is one of the target's with softmax attention, experts
        included; ``"dense"`` has the target's attention, without its extras (heads of `value_dim`
        spanning the width if that is MLA), and a gated MLP.
    mlp_ratio
        MLP width of a dense layer over the model width.
    input_vectors
        Model-wide vectors that a head's input projection reduces to one.
    attention_inputs
        Model-wide vectors that enter the attention side by side, as in `Attention.inputs`.
    vocab
        Draft vocabulary of a head, with an LM head of its own; 0 uses the target's LM head.
    dtype
        Weight format of a dense head. A layer taken from the target keeps the target's.
    lookup_request_s, lookup_token_s
        Host time of an n-gram look-up, once a round: per request, and per token of its text, s.
    usual_for
        Models of the catalogue that are usually run with this drafter.
    checkpoints
        Heads that were published for models of the catalogue.

    Raises
    ------
    ConfigError
        If a field contradicts the kind.
    """

    name: str
    title: str
    source: str
    kind: str
    architecture: Architecture | None = None
    tensor_parallel: int = 1
    layers: int = 0
    layer: str = "dense"
    mlp_ratio: float = 0.0
    input_vectors: int = 0
    attention_inputs: int = 1
    vocab: int = 0
    dtype: str = UNQUANTIZED
    lookup_request_s: float = 0.0
    lookup_token_s: float = 0.0
    usual_for: tuple[str, ...] = ()
    checkpoints: tuple[HeadCheckpoint, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in DRAFTER_KINDS:
            raise self._unknown("kind", self.kind, DRAFTER_KINDS)
        if (self.architecture is None) == (self.kind == "model"):
            verb = "lacks" if self.architecture is None else "must not have"
            raise ConfigError(
                f"drafter {self.name!r} of kind {self.kind!r} {verb} an architecture of its own."
            )
        if self.tensor_parallel < 1 or (self.tensor_parallel > 1 and self.kind != "model"):
            why = "must be 1, or more for a drafter of kind 'model'"
            raise self._refuse("tensor_parallel", why)
        for key in ("lookup_request_s", "lookup_token_s"):
            value = getattr(self, key)
            if not (value == 0.0 or (self.kind == "ngram" and 0.0 < value < 1.0)):
                raise self._refuse(key, "must be 0, or below 1 s in a drafter of kind 'ngram'")
        if self.kind == "head":
            self._check_head()
            return
        for key in ("layers", "mlp_ratio", "input_vectors", "vocab", "checkpoints"):
            if getattr(self, key):
                raise self._refuse(key, "belongs to a drafter of kind 'head'")

    def _check_head(self) -> None:
        if self.layer not in LAYER_KINDS:
            raise self._unknown("layer", self.layer, LAYER_KINDS)
        if self.dtype not in BYTES_PER_WEIGHT:
            raise self._unknown("dtype", self.dtype, tuple(BYTES_PER_WEIGHT))
        for key in ("layers", "input_vectors", "attention_inputs"):
            if getattr(self, key) < 1:
                raise self._refuse(key, "must be at least 1 in a head")
        if self.layer == "dense" and not 0 < self.mlp_ratio < math.inf:
            raise self._refuse("mlp_ratio", "must be positive in a head with dense layers")
        if self.vocab < 0:
            raise self._refuse("vocab", "must be at least 0")

    def _refuse(self, key: str, why: str) -> ConfigError:
        value = getattr(self, key)
        return ConfigError(f"drafter.{key}={value!r} {why} (drafter {self.name!r}).")

    def _unknown(self, key: str, value: str, choices: tuple[str, ...]) -> ConfigError:
        return ConfigError(unknown(f"drafter.{key}", value, choices, f"drafter {self.name!r}"))


def head_architecture(drafter: Drafter, target: Architecture) -> Architecture:
    """Derive the layers of a head from its target, as a small transformer.

    The result stands for the layers, the final norm and an LM head over the draft vocabulary. Its
    embedding is the target's.

    Raises
    ------
    ConfigError
        If the drafter is no head, or the derived shapes contradict each other.
    """
    if drafter.kind != "head":
        raise ConfigError(f"drafter {drafter.name!r} is of kind {drafter.kind!r} and has no head.")
    shared = replace(
        target,
        name=f"{drafter.name} on {target.name}",
        title=f"{drafter.title} on {target.title}",
        source=drafter.source,
        layers=drafter.layers,
        vocab=drafter.vocab or target.vocab,
        tied_embeddings=False,
        linear=None,
        moe=replace(target.moe, dense_layers=0) if target.moe else None,
        attention=_one_kind_of_layer(target.attention, drafter.attention_inputs),
    )
    if drafter.layer == "target":
        return shared
    return replace(
        shared,
        moe=None,
        attention=_dense_head_attention(target, drafter.attention_inputs),
        mlp_inter=round(drafter.mlp_ratio * target.hidden),
        gated=True,
        mlp_bias=False,
        positions="rotary",
        embedding_width=0,
        norm="rms",
        dtype=drafter.dtype,
        attention_dtype=None,
    )


def drafter_operators(
    drafter: Drafter, target: Architecture, parallelism: Parallelism = SINGLE_GPU
) -> tuple[Operator, ...]:
    """Return the operators of one draft forward, one token per request, on one GPU.

    A head's input projection is counted in every draft step. EAGLE-3 needs it in the first step of
    a round only (later steps feed the head its own output): an upper bound, by 12 % of the weights
    of its head on Llama-3.1-8B.

    Parameters
    ----------
    drafter, target
        The drafter, and the model whose tokens it drafts.
    parallelism
        How the target is split. A head is split like one of its layers. A separate model runs on
        `Drafter.tensor_parallel` GPUs of every attention group. A pipeline drafts on one stage.

    Returns
    -------
    tuple of Operator
        Empty for an n-gram drafter.

    Raises
    ------
    ConfigError
        If a size does not fit, or a separate model wants more GPUs than an attention group has.
    """
    if drafter.kind == "ngram":
        return ()
    if drafter.architecture is not None:
        return forward_operators(drafter.architecture, _own_gpus(drafter, parallelism))
    head = head_architecture(drafter, target)
    projection = Gemm(
        "projections", head.hidden, drafter.input_vectors * head.hidden, head.dtype, 1
    )
    return (projection, *forward_operators(head, _of_head(head, parallelism)))


def drafter_parameters(
    drafter: Drafter, target: Architecture, parallelism: Parallelism = SINGLE_GPU
) -> dict[str, int]:
    """Count the parameters that a drafter adds to one GPU that it runs on, by part.

    As `parameters`; a head also has ``input_projection`` (replicated), no embedding, and an LM head
    only with a vocabulary of its own. Empty for an n-gram drafter.

    Raises
    ------
    ConfigError
        As in `drafter_operators`.
    """
    if drafter.kind == "ngram":
        return {}
    if drafter.architecture is not None:
        return parameters(drafter.architecture, _own_gpus(drafter, parallelism))
    head = head_architecture(drafter, target)
    counts = parameters(head, _of_head(head, parallelism)) | {"embedding": 0}
    if not drafter.vocab:
        counts["lm_head"] = 0
    counts["input_projection"] = drafter.input_vectors * head.hidden**2
    return counts


def drafter_weight_bytes(
    drafter: Drafter, target: Architecture, parallelism: Parallelism = SINGLE_GPU
) -> float:
    """Return the bytes of weights that a drafter adds to one GPU; 0 for an n-gram drafter.

    For a separate model: to each GPU that it runs on.

    Raises
    ------
    ConfigError
        As in `drafter_operators`.
    """
    if drafter.architecture is not None:
        return weight_bytes(drafter.architecture, _own_gpus(drafter, parallelism))
    if drafter.kind == "ngram":
        return 0.0
    head = head_architecture(drafter, target)
    counts = drafter_parameters(drafter, target, parallelism)
    projection = counts.pop("input_projection") * BYTES_PER_WEIGHT[head.dtype]
    return projection + sum(count * bytes_per_weight(head, part) for part, count in counts.items())


def drafter_kv_bytes_per_token(
    drafter: Drafter, target: Architecture, parallelism: Parallelism = SINGLE_GPU
) -> float:
    """Return the bytes of KV cache per token that a drafter adds to one GPU; 0 for n-grams.

    The cache of a head has the format of the target's.

    Raises
    ------
    ConfigError
        As in `drafter_operators`.
    """
    if drafter.architecture is not None:
        return kv_bytes_per_token(drafter.architecture, _own_gpus(drafter, parallelism))
    if drafter.kind == "ngram":
        return 0.0
    head = head_architecture(drafter, target)
    return kv_bytes_per_token(head, _of_head(head, parallelism))


def shares_vocabulary(drafter: Drafter, target: Architecture) -> bool:
    """Return whether drafted tokens are tokens of the target.

    Heads draft in the target's vocabulary or a part of it. A separate model does so only if it was
    trained with the target's tokeniser, which unequal vocabulary sizes rule out.
    """
    return drafter.architecture is None or drafter.architecture.vocab == target.vocab


def _own_gpus(drafter: Drafter, target: Parallelism) -> Parallelism:
    """Return the split of a separate model: each attention group of the target has a copy."""
    if drafter.tensor_parallel > target.tensor:
        raise ConfigError(
            f"drafter.tensor_parallel={drafter.tensor_parallel} exceeds the target's "
            f"{target.tensor} GPUs (drafter {drafter.name!r}); lower it."
        )
    return Parallelism(drafter.tensor_parallel)


def _of_head(head: Architecture, target: Parallelism) -> Parallelism:
    """Return the split of a head: that of one of the target's layers."""
    if head.moe is None:
        return Parallelism(target.tensor)
    return replace(target, pipeline=1)


def _one_kind_of_layer(attention: Attention, inputs: int) -> Attention:
    return replace(attention, window_tokens=0, windowed_layers=0, inputs=inputs)


def _dense_head_attention(target: Architecture, inputs: int) -> Attention:
    attention = target.attention
    if attention.kind == "mla":
        heads = target.hidden // attention.value_dim
        head_dim, kv_heads = attention.value_dim, heads
    else:
        heads, kv_heads, head_dim = attention.heads, attention.kv_heads, attention.head_dim
    return Attention(heads=heads, kv_heads=kv_heads, head_dim=head_dim, inputs=inputs)
