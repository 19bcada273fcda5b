"""Specifications given by their path, and machines that nobody measured a kernel on."""

import pytest
from helpers.specs import figure, machine, profile, write
from hypothesis import given
from hypothesis import strategies as st

from simulator.compose import compose
from simulator.costs.step import StepShape
from simulator.errors import ConfigError, TableError
from simulator.hardware.gpu import load_gpu
from simulator.kernels.roofline import load_roofline
from simulator.kernels.tables import ExpertShape, KernelTables
from simulator.scenario import build

SHAPE = ExpertShape(64, 8, 1024, 512, tensor_parallel=1)


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    return KernelTables.load(load_gpu(write(tmp_path_factory.mktemp("spec") / "m.yaml", machine())))


def test_a_specification_by_path_has_its_figures(tmp_path):
    gpu = load_gpu(write(tmp_path / "mine.yaml", machine()))
    assert gpu.title == "Round machine"
    assert gpu.ridge_flop_per_byte("bfloat16") == 100
    assert gpu.tables == gpu.name == str(tmp_path / "mine.yaml")


def test_a_folder_stands_for_the_specification_and_the_tables_in_it(tmp_path):
    path = write(tmp_path / "gpu.yaml", machine(tables="./"))
    by_file, by_folder = load_gpu(path), load_gpu(str(tmp_path))
    assert by_file == by_folder
    assert by_file.tables == by_file.name == str(tmp_path.resolve())


def test_a_measured_gpu_can_stand_for_a_specification(tmp_path):
    gpu = load_gpu(write(tmp_path / "mine.yaml", machine(tables="h100_sxm")))
    assert KernelTables.load(gpu).gemm(1, 4096, 4096, "bfloat16").kind == "measured"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"memory_bandwidth": None}, "lacks memory_bandwidth"),
        ({"peak_flops": None}, "lacks peak_flops"),
        ({"memory": figure(-1, "byte")}, "memory is -1.0; it must be positive"),
        ({"memory": 64e9}, r"write \{value, unit, source, kind\}"),
        ({"tables": "./none"}, "there is no folder"),
    ],
)
def test_a_wrong_specification_is_refused_with_its_file(tmp_path, changes, message):
    path = write(tmp_path / "mine.yaml", machine(**changes))
    with pytest.raises(TableError, match=message) as caught:
        load_gpu(path)
    assert path in str(caught.value)


def test_a_missing_specification_names_its_neighbour(tmp_path):
    write(tmp_path / "mine.yaml", machine())
    with pytest.raises(TableError, match=r"Did you mean '.*mine\.yaml'"):
        load_gpu(str(tmp_path / "mien.yaml"))


@given(st.integers(1, 4096), st.sampled_from([64, 1024, 8192]))
def test_products_follow_the_roofline(bare, tokens, width):
    constants = load_roofline("gemm")
    memory = (2 * width * width + 4 * tokens * width) / (constants.eta_bandwidth * 1e11)
    compute = 2 * tokens * width * width / (constants.eta_compute * 1e13)
    timing = bare.gemm(tokens, width, width, "bfloat16")
    assert timing.seconds == pytest.approx(constants.t0_s + max(memory, compute))
    assert timing.kind == "assumed"


def test_experts_cost_the_distinct_active_ones_until_tokens_compute(bare):
    constants, weights = load_roofline("experts"), 3 * 1024 * 512 * 2
    few, more = (bare.experts(8, active, SHAPE, "bfloat16").seconds for active in (16.0, 32.0))
    assert more - few == pytest.approx(16 * weights / (constants.eta_bandwidth * 1e11))
    many = bare.experts(50_000, 64.0, SHAPE, "bfloat16").seconds
    flops = 50_000 * 8 * weights
    assert many == pytest.approx(constants.t0_s + flops / (constants.eta_compute * 1e13))


def test_a_machine_without_tables_serves_and_says_that_it_is_assumed(tmp_path):
    gpu, engine = write(tmp_path / "m.yaml", machine()), write(tmp_path / "e.yaml", profile())
    settings = [f"hardware.gpu={gpu}", f"hardware.engine={engine}", "model=mixtral_8x7b"]
    small = ["model.layers=2", "speculation.gamma=2", "scheduler.max_num_seqs=16"]
    scenario = build(compose([*settings, *small]))
    costs = scenario.deployment(2).costs[-1]
    assert 0 < costs.decode_s(1, 100) < costs.mixed_s(8, 800, [(0, 64)])
    step = scenario.step_model.step(StepShape(4, 3, 100), 2)
    assert step.share_s("measured") == 0
    assert step.share_s("assumed") > 0.9 * step.total_s


def test_a_machine_of_one_has_no_collectives_and_no_other_formats(tmp_path):
    gpu = write(tmp_path / "m.yaml", machine(node_gpus=figure(2, "GPU")))
    settings = [f"hardware.gpu={gpu}", "model=mixtral_8x7b", "model.layers=2"]
    with pytest.raises(ConfigError, match="was not measured"):
        build(compose([*settings, "hardware.tensor_parallel=2"]))
    with pytest.raises(ConfigError, match="no fp8 tensor-core peak"):
        build(compose([*settings, "model.expert_dtype=fp8"]))


def test_a_machine_without_tables_lists_no_measured_rows(bare):
    assert bare.describe() == []
