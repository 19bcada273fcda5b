from dataclasses import replace

import pytest

from simulator.errors import ConfigError
from simulator.models.catalog import load_architecture
from simulator.models.forward import forward_operators
from simulator.models.parallelism import COMMON_SIZES, Parallelism, check_parallelism
from simulator.models.parameters import (
    kv_bytes_per_token,
    parameters,
    state_bytes_per_request,
    weight_bytes,
)


def fitting(name: str) -> list[int]:
    sizes = []
    for size in COMMON_SIZES:
        try:
            check_parallelism(load_architecture(name), Parallelism(size))
        except ConfigError:
            continue
        sizes.append(size)
    return sizes


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("qwen2_57b_a14b", [1, 2, 4]),  # 28 heads
        ("opt_30b", [1, 2, 4, 8]),
        ("mixtral_8x7b", [1, 2, 4, 8]),
        ("qwen3_235b_a22b", [1, 2, 4, 8]),  # four KV heads, replicated on eight GPUs
        ("deepseek_v3", [1, 2, 4, 8]),
        ("gpt_oss_120b", [1, 2, 4, 8]),
        ("glm_5", [1, 2, 4, 8]),
        ("qwen3_5_397b_a17b", [1, 2, 4, 8]),  # two KV heads
    ],
)
def test_sizes_that_fit(name: str, sizes: list[int]) -> None:
    assert fitting(name) == sizes


def test_a_size_that_does_not_fit_is_refused_with_those_that_do() -> None:
    arch = load_architecture("qwen2_57b_a14b")
    message = (
        "tensor parallel size 8 does not divide attention.heads=28 of Qwen2-57B-A14B; "
        "sizes that fit: 1, 2, 4."
    )
    for refuse in (check_parallelism, parameters, weight_bytes, kv_bytes_per_token):
        with pytest.raises(ConfigError) as caught:
            refuse(arch, Parallelism(8))
        assert str(caught.value) == message
    with pytest.raises(ConfigError):
        forward_operators(arch, Parallelism(8))


@pytest.mark.parametrize("size", [0, -2])
def test_an_empty_group_is_refused(size: int) -> None:
    with pytest.raises(ConfigError, match="is below one"):
        check_parallelism(load_architecture("mixtral_8x7b"), Parallelism(size))


def test_every_width_that_is_split_must_divide() -> None:
    deepseek = load_architecture("deepseek_v3")
    assert deepseek.moe is not None
    uneven = {
        "mlp_inter=1001": replace(deepseek, mlp_inter=1001),
        "moe.inter=1001": replace(deepseek, moe=replace(deepseek.moe, inter=1001)),
        "moe.shared_inter=11": replace(deepseek, moe=replace(deepseek.moe, shared_inter=11)),
    }
    for key, arch in uneven.items():
        check_parallelism(arch, Parallelism(1))
        with pytest.raises(ConfigError, match=f"does not divide {key} of DeepSeek-V3"):
            check_parallelism(arch, Parallelism(2))
    # A width that no layer uses does not matter.
    check_parallelism(
        replace(uneven["mlp_inter=1001"], moe=replace(deepseek.moe, dense_layers=0)), Parallelism(2)
    )


def test_kv_heads_divide_the_group_or_are_divided_by_it() -> None:
    llama = load_architecture("llama_3_1_8b")
    arch = replace(llama, attention=replace(llama.attention, heads=48, kv_heads=6))
    check_parallelism(arch, Parallelism(2))
    with pytest.raises(ConfigError, match=r"neither divides nor is a multiple of .*kv_heads=6"):
        check_parallelism(arch, Parallelism(4))


@pytest.mark.parametrize("name", ["llama_3_1_8b", "qwen3_30b_a3b", "deepseek_v3"])
def test_kv_cache_is_split_by_heads_until_each_gpu_has_one(name: str) -> None:
    arch = load_architecture(name)
    share = [
        kv_bytes_per_token(arch) / kv_bytes_per_token(arch, Parallelism(size))
        for size in COMMON_SIZES
    ]
    expected = {"llama_3_1_8b": [1, 2, 4, 8], "qwen3_30b_a3b": [1, 2, 4, 4], "deepseek_v3": [1] * 4}
    assert share == expected[name]


@pytest.mark.parametrize("name", ["llama_3_1_8b", "deepseek_v3", "qwen3_5_397b_a17b"])
def test_a_cache_in_fp8_takes_half(name: str) -> None:
    arch = load_architecture(name)
    half = replace(arch, kv_dtype="fp8")
    for split in (Parallelism(), Parallelism(2)):
        assert kv_bytes_per_token(half, split) == kv_bytes_per_token(arch, split) / 2


def test_heads_of_linear_attention_must_divide_the_group() -> None:
    arch = load_architecture("qwen3_5_397b_a17b")
    assert arch.linear is not None
    odd = replace(arch, linear=replace(arch.linear, key_heads=2))
    check_parallelism(odd, Parallelism(2))
    with pytest.raises(ConfigError, match=r"does not divide linear.key_heads=2 of Qwen3.5"):
        check_parallelism(odd, Parallelism(4))


def test_state_of_linear_attention_is_split_over_group_and_pipeline() -> None:
    arch = load_architecture("qwen3_5_397b_a17b")
    whole = state_bytes_per_request(arch)
    assert [whole / state_bytes_per_request(arch, Parallelism(size)) for size in (2, 8)] == [2, 8]
    staged = state_bytes_per_request(arch, Parallelism(pipeline=4))
    assert 45 * staged == 12 * whole  # the fullest stage has 12 of 45 layers
    assert state_bytes_per_request(load_architecture("glm_5")) == 0


def test_a_pipeline_splits_layers_of_either_attention_evenly() -> None:
    arch = load_architecture("qwen3_5_397b_a17b")
    stages = Parallelism(pipeline=4)
    assert 15 * kv_bytes_per_token(arch, stages) == 4 * kv_bytes_per_token(arch)
    whole, stage = parameters(arch), parameters(arch, stages)
    assert 45 * stage["linear_attention"] == 12 * whole["linear_attention"]
    assert 15 * stage["attention"] == 4 * whole["attention"]


@pytest.mark.parametrize(
    ("parallelism", "gpus", "expert_tensor", "name"),
    [
        (Parallelism(), 1, 1, "TP 1"),
        (Parallelism(tensor=8), 8, 8, "TP 8"),
        (Parallelism(tensor=8, expert=8), 8, 1, "TP 8, EP 8"),
        (Parallelism(data=8, expert=8), 8, 1, "TP 1, DP 8, EP 8"),
        (Parallelism(tensor=2, data=4, expert=2, pipeline=3), 24, 4, "TP 2, DP 4, EP 2, PP 3"),
    ],
)
def test_gpus_of_a_replica(
    parallelism: Parallelism, gpus: int, expert_tensor: int, name: str
) -> None:
    assert (parallelism.gpus, parallelism.expert_tensor, str(parallelism)) == (
        gpus,
        expert_tensor,
        name,
    )


@pytest.mark.parametrize("size", ["tensor", "data", "expert", "pipeline"])
def test_no_size_is_below_one(size: str) -> None:
    with pytest.raises(ConfigError, match=f"{size} parallel size 0 is below one"):
        Parallelism(**{size: 0})


def test_experts_spread_over_a_part_of_the_gpus_that_share_them() -> None:
    message = r"does not divide the 6 GPUs .*tensor 3 x data 2.*; sizes that fit: 1, 2, 3, 6\."
    with pytest.raises(ConfigError, match=message):
        Parallelism(tensor=3, data=2, expert=4)


@pytest.mark.parametrize(
    ("name", "parallelism", "message"),
    [
        ("llama_3_1_8b", Parallelism(4, expert=4), "has no experts; sizes that fit: 1"),
        ("llama_3_1_8b", Parallelism(data=2), "sizes that fit: 1. Use hardware.replicas"),
        (
            "mixtral_8x7b",
            Parallelism(data=16, expert=16),
            "16 leaves GPUs without any of moe.experts=8 .*: 1, 2, 4, 8. .* experts.redundant=8",
        ),
        (
            "qwen3_30b_a3b",
            Parallelism(data=9, expert=1),
            "over 9 GPUs, which do not divide moe.inter=768 .* 9 GPUs: none",
        ),
        ("llama_3_1_8b", Parallelism(pipeline=33), "sizes that fit: 1 to 32"),
        ("deepseek_v3", Parallelism(3, data=2, expert=2), "3 does not divide attention.heads=128"),
    ],
)
def test_spreads_that_do_not_fit(name: str, parallelism: Parallelism, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_parallelism(load_architecture(name), parallelism)


def test_experts_that_are_spread_need_not_be_split() -> None:
    """A width that eight GPUs cannot split, held whole by each of them."""
    arch = load_architecture("mixtral_8x7b")
    assert arch.moe is not None
    odd = replace(arch, moe=replace(arch.moe, inter=1001))
    check_parallelism(odd, Parallelism(8, expert=8))
    with pytest.raises(ConfigError, match=r"does not divide moe\.inter=1001"):
        check_parallelism(odd, Parallelism(8))
    message = "over 2 GPUs, which do not divide moe.inter=1001 .* 8 GPUs: 8"
    with pytest.raises(ConfigError, match=message):
        check_parallelism(odd, Parallelism(8, expert=4))


REDUNDANT = [
    (
        Parallelism(data=72, expert=72),
        r"72 does not divide moe.experts=256 .* 4 each: experts.redundant=32\.",
    ),
    (Parallelism(data=512, expert=512), r"leaves GPUs without .* 1 each: experts.redundant=256\."),
    (Parallelism(data=72, expert=72, redundant=16), r"moe.experts=256 and experts.redundant=16"),
    (Parallelism(data=2, expert=2, redundant=258), "exceeds 256: .* two replicas of one"),
]


@pytest.mark.parametrize(("parallelism", "message"), REDUNDANT)
def test_replicas_must_fill_the_gpus(parallelism: Parallelism, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_parallelism(load_architecture("deepseek_v3"), parallelism)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"redundant": -1}, "experts.redundant=-1 must be at least 0"),
        ({"data": 4, "redundant": 4}, "have no effect where experts are not spread"),
        ({"tensor": 8, "expert": 8}, "has no effect with one attention group"),
        ({"data": 8, "expert": 4}, "split over 2 GPUs; set hardware.expert_parallel=8"),
    ],
)
def test_replicas_and_backends_without_effect_are_refused(sizes, message) -> None:
    backend = {} if "redundant" in sizes else {"all2all_backend": "deepep_low_latency"}
    with pytest.raises(ConfigError, match=message):
        Parallelism(**sizes, **backend)


def test_replicas_take_the_memory_of_experts() -> None:
    """288 slots over 72 GPUs: four experts each, as over 64 GPUs without replicas."""
    arch = load_architecture("deepseek_v3")
    filled = parameters(arch, Parallelism(data=72, expert=72, redundant=32))
    assert filled == parameters(arch, Parallelism(data=64, expert=64))
    assert str(Parallelism(data=72, expert=72, redundant=32)).endswith("32 redundant experts")
