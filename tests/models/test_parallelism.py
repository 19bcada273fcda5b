from dataclasses import replace

import pytest

from simulator.errors import ConfigError
from simulator.models.catalog import load_architecture
from simulator.models.forward import forward_operators
from simulator.models.parallelism import COMMON_SIZES, check_parallelism
from simulator.models.parameters import kv_bytes_per_token, parameters, weight_bytes


def fitting(name: str) -> list[int]:
    sizes = []
    for size in COMMON_SIZES:
        try:
            check_parallelism(load_architecture(name), size)
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
            refuse(arch, 8)
        assert str(caught.value) == message
    with pytest.raises(ConfigError):
        forward_operators(arch, 8)


@pytest.mark.parametrize("size", [0, -2])
def test_an_empty_group_is_refused(size: int) -> None:
    with pytest.raises(ConfigError, match="is below one"):
        check_parallelism(load_architecture("mixtral_8x7b"), size)


def test_every_width_that_is_split_must_divide() -> None:
    deepseek = load_architecture("deepseek_v3")
    assert deepseek.moe is not None
    uneven = {
        "mlp_inter=1001": replace(deepseek, mlp_inter=1001),
        "moe.inter=1001": replace(deepseek, moe=replace(deepseek.moe, inter=1001)),
        "moe.shared_inter=11": replace(deepseek, moe=replace(deepseek.moe, shared_inter=11)),
    }
    for key, arch in uneven.items():
        check_parallelism(arch, 1)
        with pytest.raises(ConfigError, match=f"does not divide {key} of DeepSeek-V3"):
            check_parallelism(arch, 2)
    # A width that no layer uses does not matter.
    check_parallelism(
        replace(uneven["mlp_inter=1001"], moe=replace(deepseek.moe, dense_layers=0)), 2
    )


def test_kv_heads_divide_the_group_or_are_divided_by_it() -> None:
    llama = load_architecture("llama_3_1_8b")
    arch = replace(llama, attention=replace(llama.attention, heads=48, kv_heads=6))
    check_parallelism(arch, 2)
    with pytest.raises(ConfigError, match=r"neither divides nor is a multiple of .*kv_heads=6"):
        check_parallelism(arch, 4)


@pytest.mark.parametrize("name", ["llama_3_1_8b", "qwen3_30b_a3b", "deepseek_v3"])
def test_kv_cache_is_split_by_heads_until_each_gpu_has_one(name: str) -> None:
    arch = load_architecture(name)
    share = [kv_bytes_per_token(arch) / kv_bytes_per_token(arch, size) for size in COMMON_SIZES]
    expected = {"llama_3_1_8b": [1, 2, 4, 8], "qwen3_30b_a3b": [1, 2, 4, 4], "deepseek_v3": [1] * 4}
    assert share == expected[name]


def test_a_cache_in_fp8_takes_half() -> None:
    arch = load_architecture("llama_3_1_8b")
    assert kv_bytes_per_token(arch, 2, "fp8") == kv_bytes_per_token(arch, 2) / 2
