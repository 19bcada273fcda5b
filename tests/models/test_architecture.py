from dataclasses import FrozenInstanceError, replace

import pytest
from omegaconf import OmegaConf

from simulator.errors import ConfigError
from simulator.models.architecture import Architecture, Indexer
from simulator.models.catalog import (
    drafter_names,
    load_architecture,
    load_drafter,
    model_names,
)

MIXTRAL = load_architecture("mixtral_8x7b")
DEEPSEEK = load_architecture("deepseek_v3")
GLM = load_architecture("glm_5")
QWEN = load_architecture("qwen3_5_397b_a17b")

IMPOSSIBLE = [
    (MIXTRAL, {}, {}, {"top_k": 9}, "model.moe.top_k=9 exceeds experts=8 (model 'mixtral_8x7b')."),
    (MIXTRAL, {}, {}, {"experts": 0}, "model.moe.experts=0 must be at least 1"),
    (MIXTRAL, {}, {}, {"inter": -4}, "model.moe.inter=-4 must be at least 1"),
    (MIXTRAL, {}, {}, {"shared_inter": -1}, "model.moe.shared_inter=-1 must be at least 0"),
    (MIXTRAL, {}, {}, {"shared_gate": True}, "model.moe.shared_gate=True needs shared experts"),
    (DEEPSEEK, {}, {}, {"dense_layers": 61}, "model.moe.dense_layers=61 leaves no layer"),
    (MIXTRAL, {}, {}, {"dense_layers": 1}, "model.mlp_inter=0 but 1 layers have a dense MLP"),
    (MIXTRAL, {"moe": None}, {}, {}, "model.mlp_inter=0 but 32 layers have a dense MLP"),
    (MIXTRAL, {"layers": 0}, {}, {}, "model.layers=0 must be at least 1"),
    (MIXTRAL, {"vocab": -5}, {}, {}, "model.vocab=-5 must be at least 1"),
    (MIXTRAL, {"embedding_width": -5}, {}, {}, "model.embedding_width=-5 must be at least 0"),
    (MIXTRAL, {"dtype": "bf16"}, {}, {}, "unknown model.dtype 'bf16' in model 'mixtral_8x7b'. Did"),
    (MIXTRAL, {"expert_dtype": "mxfp4"}, {}, {}, "Did you mean 'w4a16_mxfp4'?"),
    (MIXTRAL, {"positions": "rotory"}, {}, {}, "Did you mean 'rotary'?"),
    (MIXTRAL, {"norm": "layernorm"}, {}, {}, "Did you mean 'layer'?"),
    (MIXTRAL, {}, {"kind": "mqa"}, {}, "unknown model.attention.kind 'mqa'"),
    (MIXTRAL, {}, {"kv_heads": 5}, {}, "model.attention.kv_heads=5 must divide heads=32"),
    (MIXTRAL, {}, {"heads": 0}, {}, "model.attention.heads=0 must be at least 1"),
    (MIXTRAL, {}, {"windowed_layers": 4}, {}, "model.attention.window_tokens=0 but 4 layers"),
    (MIXTRAL, {}, {"windowed_layers": 33}, {}, "model.attention.windowed_layers=33 exceeds"),
    (QWEN, {}, {"windowed_layers": 16}, {}, "exceeds the 15 layers with softmax attention"),
    (MIXTRAL, {}, {"joint_qk_norm": True}, {}, "joint_qk_norm=True needs attention.qk_norm=true"),
    (GLM, {}, {"gated_output": True}, {}, "model.attention.gated_output=True has no meaning with"),
    (QWEN, {}, {"indexer": GLM.attention.indexer}, {}, "model.attention.indexer=Indexer(heads=32"),
    (GLM, {}, {"q_lora_rank": 0}, {}, "q_lora_rank=0 but the indexer reads the compressed query"),
    (GLM, {}, {"indexer": Indexer(heads=1, dim=1, top_k=0)}, {}, "indexer.top_k=0 must be at"),
    (MIXTRAL, {}, {}, {"int4_group": 0}, "model.moe.int4_group=0 must be at least 1"),
    (MIXTRAL, {"attention_dtype": "bf16"}, {}, {}, "unknown model.attention_dtype 'bf16'"),
    (MIXTRAL, {"kv_dtype": "fp8_block"}, {}, {}, "unknown model.kv_dtype 'fp8_block' in model"),
    (QWEN, {"layers": 45}, {}, {}, "model.linear.layers=45 leaves no layer with softmax attention"),
    (MIXTRAL, {}, {"rope_dim": 64}, {}, "model.attention.rope_dim=64 has no meaning with"),
    (DEEPSEEK, {}, {"kv_heads": 8}, {}, "model.attention.kv_heads=8 has no meaning with"),
    (DEEPSEEK, {}, {"kv_lora_rank": 0}, {}, "model.attention.kv_lora_rank=0 must be at least 1"),
    (DEEPSEEK, {}, {"q_lora_rank": -1}, {}, "model.attention.q_lora_rank=-1 must be at least 0"),
]


@pytest.mark.parametrize(("base", "fields", "attention", "moe", "message"), IMPOSSIBLE)
def test_impossible_shapes_are_refused_by_name(
    base: Architecture,
    fields: dict[str, object],
    attention: dict[str, object],
    moe: dict[str, object],
    message: str,
) -> None:
    assert base.moe is not None
    changed: dict[str, object] = {"attention": replace(base.attention, **attention)}
    changed["moe"] = replace(base.moe, **moe)
    with pytest.raises(ConfigError) as caught:
        replace(base, **(changed | fields))
    assert message in str(caught.value)


def test_layers_split_into_dense_ones_and_those_with_experts() -> None:
    layers = [(arch.dense_layers, arch.moe_layers) for arch in (MIXTRAL, DEEPSEEK)]
    assert layers == [(0, 32), (3, 58)]
    dense = load_architecture("opt_30b")
    assert (dense.dense_layers, dense.moe_layers) == (48, 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"conv_width": 0}, "model.linear.conv_width=0 must be at least 1"),
        ({"key_heads": 12}, "model.linear.key_heads=12 must divide value_heads=64"),
    ],
)
def test_impossible_linear_attention_is_refused(change: dict[str, int], message: str) -> None:
    assert QWEN.linear is not None
    with pytest.raises(ConfigError) as caught:
        replace(QWEN, linear=replace(QWEN.linear, **change))
    assert message in str(caught.value)


def test_layers_split_by_their_attention() -> None:
    assert (QWEN.linear_layers, QWEN.softmax_layers) == (45, 15)
    assert (GLM.linear_layers, GLM.softmax_layers) == (0, 78)


def test_attention_has_the_format_of_the_rest_unless_given() -> None:
    assert GLM.projection_dtype == "fp8_block"
    assert replace(GLM, attention_dtype="bfloat16").projection_dtype == "bfloat16"


def test_architectures_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        MIXTRAL.layers = 1  # type: ignore[misc]


@pytest.mark.parametrize("name", model_names())
def test_models_survive_a_structured_configuration(name: str) -> None:
    arch = load_architecture(name)
    assert OmegaConf.to_object(OmegaConf.structured(arch)) == arch


@pytest.mark.parametrize("name", drafter_names())
def test_drafters_survive_a_structured_configuration(name: str) -> None:
    restored = OmegaConf.to_object(OmegaConf.structured(load_drafter(name)))
    assert restored.architecture == load_drafter(name).architecture
