"""Derived counts against what the publishers state, to the last digit where they state it."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import pytest

from simulator.models.architecture import Architecture
from simulator.models.catalog import load_architecture, load_drafter, model_names
from simulator.models.parameters import (
    active_parameters,
    expert_bytes,
    kv_bytes_per_token,
    parameters,
    state_bytes_per_request,
    total_parameters,
    weight_bytes,
)
from simulator.units import GIB


def fp8_scales(matrices: int) -> int:
    """Scales that a checkpoint in blocks of 128 x 128 holds, where its matrices fill them."""
    return matrices // 128**2


# Blocks of the published checkpoint that are no part of the text model, by formula.
# Multi-token prediction of GLM-5: a layer with experts, a projection, three more norms.
GLM_MTP = (
    *(6144 * 2624 + 2048 * 64 * 256 + 512 * 64 * 448 + 64 * 256 * 6144, 2048 + 512),  # MLA
    *(6144 * (128 + 32) + 2048 * 32 * 128, 2 * 128),  # indexer
    *(257 * 3 * 6144 * 2048, 256 * 6144, 2 * 6144**2, 5 * 6144),
)
# The same of Qwen3.5: a layer with full attention.
QWEN_MTP = (
    *(4096 * (2 * 8192 + 2 * 512) + 8192 * 4096, 2 * 256),  # attention
    *(513 * 3 * 4096 * 1024, 513 * 4096, 2 * 4096**2, 5 * 4096),
)
# Its vision tower: 27 layers 1152 wide on patches of 2 x 16 x 16 pixels, four of them merged.
QWEN_VISION = (
    *(1152 * (3 * 2 * 16 * 16 + 1), 2304 * 1152),  # patches, positions
    27 * (4 * 1152 + 3456 * 1153 + 1152 * 1153 + 1152 + 2 * 1152 * 4304 + 4304),
    *(2 * 1152, 4608 * 4609, 4609 * 4096),  # merger
)

# Parameters of the checkpoint as Hugging Face counts them, and how many of them we do not count.
# DeepSeek-V3 and its like have a correction bias per expert, used for routing only (arXiv
# 2412.19437, 2.1.2), as have MiniMax-M2, GLM-5 and Kimi-K2.
CHECKPOINTS = {
    "qwen1_5_moe_a2_7b": (14_315_784_192, 0),
    "mixtral_8x7b": (46_702_792_704, 0),
    "qwen3_30b_a3b": (30_532_122_624, 0),
    "qwen3_235b_a22b": (235_093_634_560, 0),
    "deepseek_v2_lite": (15_706_484_224, 0),
    "deepseek_v3": (671_026_419_200, 58 * 256),
    "opt_30b": (29_974_540_288, 0),
    "llama_3_1_8b": (8_030_261_248, 0),
    "llama_3_1_70b": (70_553_706_496, 0),
    "qwen3_32b": (32_762_123_264, 0),
    # Of MiniMax-M2, which has the same configuration; the count includes the scales.
    "minimax_m2_5": (228_703_644_928, 62 * 256 + fp8_scales(62 * (256 * 3 * 1536 + 14336) * 3072)),
    # Of Kimi-K2 in bfloat16, the same text model.
    "kimi_k2_5": (1_026_408_232_448, 60 * 384),
    "glm_5": (753_864_139_008, 76 * 256 + sum(GLM_MTP)),
    "qwen3_5_397b_a17b": (403_397_928_944, sum(QWEN_MTP) + sum(QWEN_VISION)),
    "qwen2_0_5b": (494_032_768, 0),
    # OPT-350M normalises after each layer and so has no final norm: we count one too many.
    "opt_350m": (331_196_416, -2 * 1024),
}

# Total and active parameters in 1e9 as announced, and whether the active ones leave out nothing
# (0), the input embedding (1), or the LM head too (2). No total where it is announced in round
# numbers (MiniMax-M2.5 230, Kimi-K2.5 1,000): the checkpoints above say it.
ANNOUNCED = {
    "qwen2_57b_a14b": (57.4, 14.2, 0),  # Qwen2 technical report, arXiv 2407.10671, and model card
    "qwen1_5_moe_a2_7b": (14.3, 2.7, 0),  # qwenlm.github.io/blog/qwen-moe
    "mixtral_8x7b": (46.7, 12.9, 0),  # mistral.ai/news/mixtral-of-experts
    "qwen3_30b_a3b": (30.5, 3.3, 0),  # model card
    "qwen3_235b_a22b": (235, 22, 0),  # model card
    "deepseek_v2_lite": (15.7, 2.4, 1),  # arXiv 2405.04434, appendix B
    "deepseek_v3": (671, 37, 0),  # arXiv 2412.19437
    "gpt_oss_20b": (20.91, 3.61, 1),  # arXiv 2508.10925, table 1
    "gpt_oss_120b": (116.83, 5.13, 1),
    "qwen3_32b": (32.8, 31.2, 2),  # model card: 32.8 B, 31.2 B non-embedding
    "minimax_m2_5": (None, 10, 2),  # model card
    "kimi_k2_5": (None, 32.6, 0),  # Kimi K2 report, arXiv 2507.20534, table 2
    "glm_5": (744, 40, 2),  # model card
    "qwen3_5_397b_a17b": (397, 17, 0),  # model card
}


def architecture(name: str) -> Architecture:
    if name in model_names():
        return load_architecture(name)
    drafter = load_drafter(name)
    assert drafter.architecture is not None
    return drafter.architecture


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_parameters_equal_the_published_checkpoint(name: str) -> None:
    published, uncounted = CHECKPOINTS[name]
    assert total_parameters(architecture(name)) + uncounted == published


@pytest.mark.parametrize("name", ANNOUNCED)
def test_total_and_active_parameters_agree_with_the_announcement(name: str) -> None:
    total, active, left_out = ANNOUNCED[name]
    arch = load_architecture(name)
    if total is not None:
        assert total_parameters(arch) / 1e9 == pytest.approx(total, rel=0.002)
    counts = parameters(arch)
    vocabulary = (counts["embedding"], counts["lm_head"])[:left_out]
    counted = active_parameters(arch) - sum(vocabulary)
    assert counted / 1e9 == pytest.approx(active, rel=0.025)  # printed with two digits


def test_every_model_of_the_catalogue_is_checked() -> None:
    assert set(model_names()) <= CHECKPOINTS.keys() | ANNOUNCED.keys()


def test_a_dense_model_uses_all_its_parameters() -> None:
    arch = load_architecture("llama_3_1_8b")
    assert active_parameters(arch) == total_parameters(arch)


@pytest.mark.parametrize(
    ("name", "mlp", "attention", "checkpoint_gib"),
    [("gpt_oss_20b", 19.12, 0.64, 12.8), ("gpt_oss_120b", 114.71, 0.96, 60.8)],
)
def test_gpt_oss_parts_and_checkpoint_size(
    name: str, mlp: float, attention: float, checkpoint_gib: float
) -> None:
    """Table 1 of the gpt-oss model card, arXiv 2508.10925."""
    arch = load_architecture(name)
    counts = parameters(arch)
    assert (counts["experts"] + counts["router"]) / 1e9 == pytest.approx(mlp, abs=0.006)
    assert counts["attention"] / 1e9 == pytest.approx(attention, abs=0.006)
    assert (counts["embedding"] + counts["lm_head"]) / 1e9 == pytest.approx(1.16, abs=0.006)
    assert weight_bytes(arch) / GIB == pytest.approx(checkpoint_gib, abs=0.1)


@pytest.mark.parametrize(
    ("name", "published_bytes"),
    [
        ("deepseek_v3", 70_272),  # arXiv 2505.09343, table 1
        ("llama_3_1_8b", 128 * 1024),  # 2 x 32 layers x 8 heads x 128 x 2 bytes
        ("llama_3_1_70b", 320 * 1024),  # as Qwen2.5-72B in arXiv 2505.09343, table 1: same shape
        ("qwen3_32b", 256 * 1024),  # 2 x 64 layers x 8 heads x 128 x 2 bytes
        ("minimax_m2_5", 248 * 1024),  # 2 x 62 layers x 8 heads x 128 x 2 bytes
        ("kimi_k2_5", 70_272),  # latent as in DeepSeek-V3, as many layers
        ("qwen3_5_397b_a17b", 30 * 1024),  # 2 x 15 layers x 2 heads x 256 x 2 bytes
        ("glm_5", 78 * (2 * (512 + 64) + 132)),  # 132 bytes of index key: DeepSeek's inference code
    ],
)
def test_kv_bytes_per_token(name: str, published_bytes: int) -> None:
    assert kv_bytes_per_token(load_architecture(name)) == published_bytes


def test_a_sparse_cache_in_fp8_has_656_bytes_per_layer_and_the_index_key() -> None:
    """512 fp8 values, 4 fp32 scales, 64 bf16 values: vLLM's blog on DeepSeek-V3.2-Exp, 2025-09."""
    arch = replace(load_architecture("glm_5"), kv_dtype="fp8")
    assert kv_bytes_per_token(arch) == 78 * (656 + 132)


def test_state_of_linear_attention() -> None:
    """Per layer 64 matrices of 128 x 128 in float32, and three inputs of 12,288 channels."""
    arch = load_architecture("qwen3_5_397b_a17b")
    matrices, inputs = 64 * 128 * 128 * 4, 12_288 * 2
    assert state_bytes_per_request(arch) == 45 * (matrices + 3 * inputs)
    assert state_bytes_per_request(arch, gamma=2) == 45 * 3 * (matrices + 5 * inputs)


def test_kimi_checkpoint_in_4_bits() -> None:
    """594 GB: model card of Kimi-K2-Thinking, whose text model and format are the same."""
    assert weight_bytes(load_architecture("kimi_k2_5")) / 1e9 == pytest.approx(594, abs=0.5)


@pytest.mark.parametrize(
    ("dtype", "bits", "scale_bits", "group"),
    [
        ("bfloat16", 16, 0, 1),
        ("fp8", 8, 0, 1),
        ("fp8_block", 8, 32, 128 * 128),
        ("int4_wo", 4, 16, 128),
        ("w4a16_mxfp4", 4, 8, 32),
        ("w4a8_mxfp4_mxfp8", 4, 8, 32),
        ("nvfp4", 4, 8, 16),
    ],
)
def test_every_format_serves_every_part(dtype: str, bits: int, scale_bits: int, group: int) -> None:
    arch = load_architecture("deepseek_v3")
    arch = replace(arch, dtype=dtype, expert_dtype=dtype, attention_dtype="bfloat16")
    counts = parameters(arch)
    quantised = counts["mlp"] + counts["experts"] + counts["shared_experts"]
    expected = quantised * (bits + scale_bits / group) / 8
    expected += 2 * (sum(counts.values()) - quantised)
    assert weight_bytes(arch) == pytest.approx(expected)


def test_kv_bytes_of_opt_13b() -> None:
    """800 KB per token: vLLM paper, arXiv 2309.06180, section 3."""
    opt_30b = load_architecture("opt_30b")
    attention = replace(opt_30b.attention, heads=40, kv_heads=40)
    opt_13b = replace(opt_30b, layers=40, hidden=5120, mlp_inter=20480, attention=attention)
    assert kv_bytes_per_token(opt_13b) == 800 * 1024


def test_an_expert_of_qwen2_57b_weighs_55_mb() -> None:
    assert expert_bytes(load_architecture("qwen2_57b_a14b")) == pytest.approx(55e6, rel=0.002)
    assert expert_bytes(load_architecture("opt_30b")) == 0.0


def test_quantised_experts_leave_the_rest_in_bfloat16() -> None:
    arch = load_architecture("gpt_oss_120b")
    counts = parameters(arch)
    rest = sum(counts.values()) - counts["experts"]
    assert weight_bytes(arch) == pytest.approx(2 * rest + counts["experts"] * (0.5 + 1 / 32))


CONFIG_FILES = {
    "mixtral_8x7b": "mistralai--Mixtral-8x7B-v0.1",
    "qwen3_30b_a3b": "Qwen--Qwen3-30B-A3B",
    "qwen3_235b_a22b": "Qwen--Qwen3-235B-A22B",
    "deepseek_v3": "deepseek-ai--DeepSeek-V3",
    "gpt_oss_20b": "openai--gpt-oss-20b",
    "gpt_oss_120b": "openai--gpt-oss-120b",
    "llama_3_1_8b": "meta-llama--Meta-Llama-3.1-8B",
    "llama_3_1_70b": "meta-llama--Meta-Llama-3.1-70B",
    "qwen3_32b": "Qwen--Qwen3-32B",
    "minimax_m2_5": "MiniMaxAI--MiniMax-M2.5",
    "kimi_k2_5": "moonshotai--Kimi-K2.5",
    "glm_5": "zai-org--GLM-5-FP8",
    "qwen3_5_397b_a17b": "Qwen--Qwen3.5-397B-A17B",
}


@pytest.mark.parametrize("name", CONFIG_FILES)
def test_fields_equal_the_published_configuration(name: str) -> None:
    spec = importlib.util.find_spec("aiconfigurator_core")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("the published configurations come with the extra [kernels]")
    folder = Path(spec.submodule_search_locations[0]) / "model_configs"
    config = json.loads((folder / f"{CONFIG_FILES[name]}_config.json").read_text())
    config |= config.get("text_config", {})  # of models that also see
    arch = load_architecture(name)
    attention, moe = arch.attention, arch.moe
    windowed = config.get("layer_types", []).count("sliding_attention")
    expected = {
        "num_hidden_layers": arch.layers,
        "hidden_size": arch.hidden,
        "vocab_size": arch.vocab,
        "max_position_embeddings": arch.max_context_tokens,
        "tie_word_embeddings": arch.tied_embeddings,
        "num_attention_heads": attention.heads,
    }
    if attention.indexer is not None:
        expected |= {
            "index_n_heads": attention.indexer.heads,
            "index_head_dim": attention.indexer.dim,
            "index_topk": attention.indexer.top_k,
        }
    if arch.linear is not None:
        assert config["layer_types"].count("linear_attention") == arch.linear_layers
        expected |= {
            "attn_output_gate": attention.gated_output,
            "linear_num_key_heads": arch.linear.key_heads,
            "linear_num_value_heads": arch.linear.value_heads,
            "linear_key_head_dim": arch.linear.key_dim,
            "linear_value_head_dim": arch.linear.value_dim,
            "linear_conv_kernel_dim": arch.linear.conv_width,
        }
    if attention.kind == "mla":
        expected |= {
            "q_lora_rank": attention.q_lora_rank,
            "kv_lora_rank": attention.kv_lora_rank,
            "qk_nope_head_dim": attention.nope_dim,
            "qk_rope_head_dim": attention.rope_dim,
            "v_head_dim": attention.value_dim,
        }
    else:
        expected |= {"num_key_value_heads": attention.kv_heads}
        head_dim = config.get("head_dim", arch.hidden // attention.heads)
        assert (attention.head_dim, attention.windowed_layers) == (head_dim, windowed)
    if moe is None or moe.dense_layers:
        expected["intermediate_size"] = arch.mlp_inter
    if moe is not None:
        count = next(
            key for key in config if key in ("n_routed_experts", "num_experts", "num_local_experts")
        )
        width = (
            "moe_intermediate_size" if "moe_intermediate_size" in config else "intermediate_size"
        )
        expected |= {count: moe.experts, "num_experts_per_tok": moe.top_k, width: moe.inter}
        if "first_k_dense_replace" in config:
            expected["first_k_dense_replace"] = moe.dense_layers
        if "n_shared_experts" in config:
            assert moe.shared_inter == config["n_shared_experts"] * moe.inter
    assert {key: config[key] for key in expected} == expected
