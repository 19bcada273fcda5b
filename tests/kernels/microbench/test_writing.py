"""Figures of a machine, and the files that make it a hardware of its own."""

from datetime import date

import numpy as np
import pyarrow.parquet as pq
import pytest
from helpers.machines import BANDWIDTH, FIXED_S, RATE, FakeMachine, MoodyMachine

from simulator.compose import compose
from simulator.costs.step import StepShape
from simulator.errors import ConfigError, TableError
from simulator.hardware.gpu import load_gpu
from simulator.kernels.fits import FILE as FITS_FILE
from simulator.kernels.fits import load_fits
from simulator.kernels.microbench.figures import figures_of, metrics
from simulator.kernels.microbench.plan import QUICK, STANDARD, make_plan
from simulator.kernels.microbench.runner import Results, run_plan
from simulator.kernels.microbench.writing import write_machine
from simulator.kernels.schema import OPERATORS, read_table
from simulator.kernels.tables import ExpertShape, KernelTables
from simulator.scenario import build

SHAPE = ExpertShape(64, 8, 1024, 512, tensor_parallel=1)
DAY = date(2026, 11, 25)


def timed(grid=STANDARD, **machine):
    device = FakeMachine(**machine)
    return device, run_plan(make_plan(grid, "bfloat16", 1e6), device, 100.0, clock=device.clock)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("machine")
    device, results = timed()
    files = write_machine(folder, device, results, figures_of(results), DAY)
    return device, results, files


@pytest.fixture(scope="module")
def tables(written):
    return KernelTables.load(load_gpu(str(written[2]["gpu"])), "trtllm")


def test_figures_are_those_of_the_machine():
    _, results = timed()
    figures = figures_of(results)
    assert figures.copy_bandwidth == pytest.approx(BANDWIDTH, rel=0.01)
    assert figures.memory_bandwidth == pytest.approx(BANDWIDTH, rel=0.01)
    assert figures.peak_flops["bfloat16"] == pytest.approx(RATE, rel=0.01)
    assert figures.launch_s == pytest.approx(1e-6)
    assert figures.median_spread == figures.worst_spread == 0.0
    assert figures.verify_ratio == pytest.approx(1.0, rel=0.01)  # the cache is read once


def test_the_line_gives_the_bandwidth_that_experts_were_read_with():
    line = figures_of(timed()[1]).line
    assert line.r_squared == pytest.approx(1.0)
    assert line.bandwidth == pytest.approx(BANDWIDTH)
    assert line.fixed_s == pytest.approx(FIXED_S)
    assert line.active == (8, 16, 24, 32, 40, 48, 56, 64)
    assert line.layer_bytes == 64 * 3 * 1024 * 512 * 2


def test_a_machine_whose_experts_cost_by_something_else_has_no_line():
    device = MoodyMachine()
    results = run_plan(make_plan(QUICK, "bfloat16", 1e6), device, 10.0, clock=device.clock)
    assert figures_of(results).line.r_squared < 0.9


def test_spread_of_a_noisy_machine_is_kept_cell_by_cell(tmp_path):
    device, results = timed(QUICK, noise=(1.0, 1.5, 1.0, 1.2, 2.0))
    figures = figures_of(results)
    assert 0.1 < figures.median_spread <= figures.worst_spread
    files = write_machine(tmp_path, device, results, figures, DAY)
    rows = pq.read_table(files["repeats"]).to_pylist()
    assert len(rows) == len(results.tables) + len(results.line)
    first = results.tables[0]
    row = next(r for r in rows if r["cell"] == str(first.cell))
    assert (row["least_s"], row["most_s"]) == (min(first.samples_s), max(first.samples_s))
    assert row["median_s"] == first.seconds
    assert row["lower_quartile_s"] <= row["median_s"] <= row["upper_quartile_s"]
    assert row["repeats"] == len(first.samples_s)


def test_metrics_have_the_agreed_names():
    _, results = timed(QUICK)
    found = metrics(results, figures_of(results))
    assert found["cells_timed"] == len(results.tables) + len(results.line)
    assert {
        "experts_linearity_r2",
        "copy_bandwidth",
        "peak_flops_bfloat16",
        "peak_flops_float32",
        "launch_s",
        "median_spread",
        "verify_over_decode",
    } <= set(found)


def test_without_two_widths_of_query_nothing_is_said_of_verifying():
    _, results = timed(QUICK)
    kept = tuple(m for m in results.tables if m.cell.operator != "decode_attention")
    assert np.isnan(figures_of(Results(kept, results.line, ())).verify_ratio)


def test_the_spec_states_source_and_kind_of_every_figure(written):
    gpu = load_gpu(str(written[2]["gpu"]))
    assert gpu.title == "Fake: a machine"
    assert gpu.memory_bytes == 32e9
    assert set(gpu.peak_flops) == {"bfloat16", "float32"}
    for key in ("memory_bandwidth", "peak_flops.bfloat16"):
        assert gpu.provenance[key].kind == "measured"
        source = gpu.provenance[key].source
        assert source.startswith("moesim calibrate kernels, 2026-11-25, Fake: a machine")
        assert "2 threads" in source


def test_tables_have_the_columns_units_and_rows_of_the_shipped_ones(written):
    _, results, files = written
    for name in ("gemm", "experts", "decode_attention", "prefill_attention"):
        operator = OPERATORS[name]
        table = pq.read_table(files[name])
        shipped = [*operator.text, *operator.keys, *operator.times]
        assert table.column_names == shipped
        assert table.schema.field("seconds").metadata == {b"unit": b"s", b"kind": b"measured"}
        mine = [m for m in results.tables if m.cell.operator == name]
        mine = [m for m in mine if m.cell.dtype == "bfloat16"]
        assert table.num_rows == len(mine)
        assert set(table["kernel_source"].to_pylist()) == {f"fake_{name}"}


def test_measured_shapes_are_met_and_others_follow_the_machine(written, tables):
    device = written[0]
    cell = next(c for c in device.prepared if c.operator == "gemm" and c.keys["m"] == 16)
    keys = cell.keys
    timing = tables.gemm(16, keys["n"], keys["k"], "bfloat16")
    assert timing.kind == "measured"
    assert timing.seconds == pytest.approx(device.seconds(cell), rel=1e-5)
    assert tables.experts(4, 32.0, SHAPE, "bfloat16").kind == "measured"
    other = ExpertShape(128, 8, 2048, 768, tensor_parallel=1)
    unseen = tables.experts(4, 32.0, other, "bfloat16")
    assert unseen.kind == "fitted"
    weights = 32 * 3 * 2048 * 768 * 2 / BANDWIDTH
    assert unseen.seconds == pytest.approx(FIXED_S + weights, rel=0.2)


@pytest.mark.parametrize("slower", [1.0, 100.0])
def test_fits_follow_machines_far_slower_than_the_gpus_that_their_bounds_were_made_for(
    tmp_path, slower
):
    device, results = timed(slower=slower)
    write_machine(tmp_path, device, results, figures_of(results), DAY)
    fits = load_fits(tmp_path)
    assert fits["decode_attention"][0].median_error < 0.1
    assert fits["experts"][0].median_error < 0.1
    assert fits["decode_attention"][0].t0_s == pytest.approx(slower * FIXED_S, rel=0.2)


def test_attention_is_measured_and_the_fit_serves_other_widths(tables):
    decode = tables.decode_attention(4, 1024, 1, 4, 4, 128)
    assert decode.kind == "measured"
    read = 2 * 2 * 4 * 1024 * 4 * 128 / BANDWIDTH
    assert decode.seconds == pytest.approx(FIXED_S + read, rel=0.01)
    verify = tables.decode_attention(4, 1024, 4, 4, 4, 128)
    assert verify.seconds == pytest.approx(decode.seconds, rel=0.01)
    assert tables.decode_attention(4, 1024, 1, 4, 4, 96).kind == "fitted"
    assert tables.prefill_attention(0, 512, 16, 4, 128).kind == "measured"


def test_what_was_not_measured_falls_to_the_roofline(tables):
    latent = tables.latent_decode_attention(1, 1000, 1, 16)
    assert latent.kind == "assumed"
    assert latent.seconds > 1000 * 576 * 2 / BANDWIDTH


def test_the_machine_serves_a_model_under_every_engine(written):
    gpu = written[2]["gpu"]
    for engine in ("vllm", "sglang"):
        words = ["model=qwen1_5_moe_a2_7b", "model.layers=8", "workload=fixed_batch"]
        scenario = build(compose([f"hardware.gpu={gpu}", f"hardware.engine={engine}", *words]))
        step = scenario.step_model.step(StepShape(4, 4, 500), 3)
        assert 0 < step.share_s("measured") < step.total_s
        assert scenario.parallelism.gpus == 1


def test_a_folder_that_moved_still_serves(written, tmp_path):
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for file in written[2].values():
        (moved / file.name).write_bytes(file.read_bytes())
    again = KernelTables.load(load_gpu(str(moved / "gpu.yaml")))
    assert again.experts(4, 32.0, SHAPE, "bfloat16").kind == "measured"
    assert {fit.gpu for fit in load_fits(moved)["experts"]} == {"this_machine"}


def test_other_formats_are_refused_by_name(tables):
    with pytest.raises(TableError, match=r"unknown gemm dtype 'fp8'.*Known: bfloat16"):
        tables.gemm(1, 64, 64, "fp8")


def test_a_folder_without_fits_says_what_to_do(written, tmp_path):
    for name in ("gpu", "experts"):
        file = written[2][name]
        (tmp_path / file.name).write_bytes(file.read_bytes())
    tables = KernelTables.load(load_gpu(str(tmp_path / "gpu.yaml")))
    with pytest.raises(TableError, match=rf"no readable {FITS_FILE}.*moesim calibrate kernels"):
        tables.experts(4, 32.0, SHAPE, "bfloat16")


def test_a_file_that_is_no_table_is_named(written, tmp_path):
    (tmp_path / "gemm.parquet").write_bytes(b"no table")
    with pytest.raises(TableError, match=r"gemm\.parquet is no kernel table"):
        read_table(str(tmp_path), "vllm", "gemm")
    (tmp_path / "gemm.parquet").write_bytes(written[2]["experts"].read_bytes())
    with pytest.raises(TableError, match=r"gemm\.parquet"):
        read_table(str(tmp_path), "vllm", "gemm")


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    device, results = timed(QUICK)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigError, match=r"cannot write into .*hydra\.run\.dir"):
        write_machine(tmp_path / "file", device, results, figures_of(results), DAY)
