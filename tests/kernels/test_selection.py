import copy

import pytest

from simulator.errors import TableError
from simulator.hardware.gpu import load_gpu
from simulator.kernels.schema import OPERATORS
from simulator.kernels.selection import load_selection, parse_selection
from simulator.units import BYTES_PER_WEIGHT

GPUS = [
    "a100_sxm", "b200_sxm", "b300_sxm", "gb200", "gb300", "h100_sxm", "h200_sxm", "l40s",
    "rtx_pro_6000_server",
]  # fmt: skip
EVERYWHERE = [
    "gemm", "experts", "decode_attention", "prefill_attention", "latent_decode", "latent_prefill",
    "latent_absorb", "all_reduce",
]  # fmt: skip
ENTRY = {"gpus": ["a"], "dtypes": ["x", "y"], "source": "vllm 1.0", "reason": "because"}
DATA = {
    "package": "p",
    "package_version": 1,
    "licence": "l",
    "expert_parallel": [1],
    "gemm": [ENTRY],
}


def test_one_entry_covers_every_gpu_and_dtype_in_order():
    data = copy.deepcopy(DATA)
    data["gemm"].append({**ENTRY, "dtypes": ["x"], "source": "sglang 2", "kernels": ["graph"]})
    selection = parse_selection(data)
    assert [(c.dtype, c.backend, c.kernels) for c in selection.of("a", "vllm", "gemm")] == [
        ("x", "vllm", ()),
        ("y", "vllm", ()),
        ("x", "sglang", ("graph",)),
    ]
    assert selection.of("a", "vllm", "experts") == []
    assert selection.package_version == "1"


def test_entries_are_of_vllm_unless_they_name_engines():
    data = copy.deepcopy(DATA)
    data["gemm"].append({**ENTRY, "engines": ["sglang", "trtllm"], "source": "sglang 2"})
    selection = parse_selection(data)
    assert [c.dtype for c in selection.of("a", "vllm", "gemm")] == ["x", "y"]
    for engine in ("trtllm", "sglang"):
        choices = selection.of("a", engine, "gemm")
        assert [(c.engine, c.backend) for c in choices] == [(engine, "sglang")] * 2
    assert selection.sets == [("a", "vllm"), ("a", "trtllm"), ("a", "sglang")]


def test_an_unknown_engine_is_refused_with_the_nearest():
    with pytest.raises(TableError, match="Did you mean 'trtllm'"):
        parse_selection({**DATA, "gemm": [{**ENTRY, "engines": ["trt_llm"]}]})


def test_a_set_holds_nothing_that_vllms_holds_already():
    selection = load_selection()
    vllm = {
        (c.gpu, c.operator, c.dtype): (c.backend, c.version)
        for c in reversed(selection.choices)
        if c.engine == "vllm"
    }
    for c in selection.choices:
        if c.engine != "vllm":
            assert vllm.get((c.gpu, c.operator, c.dtype)) != (c.backend, c.version), c


def test_unknown_operator_is_refused_with_the_nearest():
    with pytest.raises(TableError, match="Did you mean 'gemm'"):
        parse_selection({**DATA, "gems": [ENTRY]})


@pytest.mark.parametrize("field", ["gpus", "dtypes", "source", "reason"])
def test_every_choice_must_be_complete_and_reasoned(field):
    with pytest.raises(TableError, match=field):
        parse_selection({**DATA, "gemm": [{**ENTRY, field: ""}]})


def test_the_shipped_selection_covers_all_gpus_and_operators():
    selection = load_selection()
    assert [gpu for gpu, engine in selection.sets if engine == "vllm"] == GPUS
    for gpu in GPUS:
        for operator in EVERYWHERE:
            assert selection.of(gpu, "vllm", operator), (gpu, operator)
    assert {choice.operator for choice in selection.choices} == set(OPERATORS)


def test_shipped_expert_and_gemm_dtypes_have_a_weight_size_and_a_peak():
    for choice in load_selection().choices:
        if choice.operator in ("gemm", "experts"):
            assert choice.dtype in BYTES_PER_WEIGHT
            assert load_gpu(choice.gpu).peak(choice.dtype) > 0
