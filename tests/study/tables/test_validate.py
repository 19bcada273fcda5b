"""Leaving out: a known law comes back without error, and what is left out is truly unseen."""

import itertools

import numpy as np
import pytest
from helpers.expert_fits import SHAPES, expert_law

from simulator.errors import TableError
from simulator.hardware.gpu import load_gpu
from simulator.kernels import fitting
from simulator.kernels.attention import DecodeAttention
from simulator.kernels.fits import ExpertShape
from simulator.kernels.gemm import GemmTable
from simulator.kernels.schema import MONOTONE
from simulator.study.tables import experts as validate_experts
from simulator.study.tables import operators as validate_operators
from simulator.study.tables import validate as validate_kernels
from simulator.study.tables.experts import (
    leave_experts_out,
    linear_in_experts,
    ratio_errors,
    straight_line,
)
from simulator.study.tables.left_out import LeftOut, quantile
from simulator.study.tables.validate import Cleaning, measured_gpus

A100 = load_gpu("a100_sxm")
TOKENS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096]
LAW = expert_law(per_active_s=0.0, activation_share=1.0)


def table_of(records, **constant):
    """Columns from records; what every table has is added."""
    rows = {name: np.array([record[name] for record in records]) for name in records[0]}
    constant = {"dtype": "bfloat16", "backend": "backend", "version": "version"} | constant
    return rows | {name: np.full(len(records), value) for name, value in constant.items()}


def expert_table(shapes=SHAPES):
    records = []
    for (experts, top_k, hidden, inter), split, spread, tokens in itertools.product(
        shapes, (1, 4), (1, 2), TOKENS
    ):
        shape = ExpertShape(experts, top_k, hidden, inter, split, expert_parallel=spread)
        active = min(experts, tokens * top_k) / spread
        records.append(
            {
                "experts": experts,
                "top_k": top_k,
                "hidden": hidden,
                "inter": inter,
                "tensor_parallel": split,
                "expert_parallel": spread,
                "tokens": tokens,
                "seconds": LAW.seconds(tokens, active, shape, A100),
            }
        )
    return table_of(records, matrices=3)


@pytest.fixture
def experts(monkeypatch):
    """Let the validation read rows that follow a law, and give them to the test."""

    def use(rows, fit=LAW):
        monkeypatch.setattr(validate_experts, "read_table", lambda gpu, engine, operator: rows)
        monkeypatch.setattr(validate_experts, "load_fits", lambda: {"experts": [fit]})
        return rows

    return use


@pytest.fixture
def operator_rows(monkeypatch):
    def use(rows):
        monkeypatch.setattr(validate_operators, "read_table", lambda *_: rows)
        return rows

    return use


def test_a_law_that_all_shapes_follow_is_predicted_without_error(experts):
    rows = experts(expert_table())
    (found,) = leave_experts_out(A100)
    assert (found.shapes, len(found.rows.group)) == (4, len(rows["seconds"]) // 2)
    assert len(found.spread.group) == len(rows["seconds"]) // 2
    assert found.rows.relative_errors.max() < 5e-3
    assert found.spread.relative_errors.max() < 5e-3
    assert found.ratio_median < 1e-3
    assert set(found.rows.by_group()) == {f"{e}/{k} {h}x{i}" for e, k, h, i in SHAPES}


def test_a_shape_is_predicted_by_fits_that_never_saw_it(experts, monkeypatch):
    rows = experts(expert_table())
    rows["seconds"][rows["experts"] == 160] *= 2  # a shape unlike the others
    seen = []
    real = fitting.expert_parameters

    def spy(rows, gpu):
        seen.append(set(zip(rows["experts"].tolist(), rows["hidden"].tolist(), strict=True)))
        assert (rows["expert_parallel"] == 1).all()
        return real(rows, gpu)

    monkeypatch.setattr(fitting, "expert_parameters", spy)
    (found,) = leave_experts_out(A100)
    every = {(e, h) for e, _, h, _ in SHAPES}
    assert sorted(sorted(every - training) for training in seen) == [[s] for s in sorted(every)]
    assert found.rows.by_group()["160/8 6144x2560"][0] == pytest.approx(0.5, abs=0.02)
    assert found.rows.worst == "160/8 6144x2560"


def test_rows_of_another_framework_or_version_are_another_kernel(experts):
    rows = expert_table()
    rows["version"] = np.where(rows["experts"] == 8, "older", rows["version"])
    experts(rows)
    (found,) = leave_experts_out(A100)
    assert found.shapes == 3
    assert "8/2 4096x14336" not in found.rows.by_group()


def test_two_shapes_are_too_few_to_leave_one_out(experts):
    experts(expert_table(SHAPES[:2]))
    (found,) = leave_experts_out(A100)
    assert found.shapes == 2
    assert np.isnan([found.rows.median, found.rows.mean, found.ratio_median]).all()
    assert (found.rows.worst, found.rows.by_group()) == ("", {})
    assert np.isnan(quantile(found.rows.relative_errors, 0.9))


def test_a_gpu_without_expert_rows_has_nothing_to_validate(experts):
    experts(None)
    assert leave_experts_out(A100) == []
    assert linear_in_experts(A100) == []


def test_ratios_pair_the_token_counts_of_one_curve():
    shared = {"experts": 8, "top_k": 2, "hidden": 1, "inter": 1, "expert_parallel": 1}
    times = {(1, 1): 1.0, (1, 2): 2.0, (1, 256): 9.0, (1, 512): 9.0, (2, 2): 1.0, (2, 8): 4.0}
    records = [
        shared | {"tensor_parallel": split, "tokens": tokens, "seconds": seconds}
        for (split, tokens), seconds in times.items()
    ]
    predicted = np.array([1.0, 3.0, 9.0, 9.0, 1.0, 3.0])
    # T(2)/T(1) = 2 is said to be 3, T(8)/T(2) = 4 to be 3; 512 / 256 is beyond the batches.
    errors = ratio_errors(table_of(records, matrices=3), predicted)
    assert sorted(errors) == pytest.approx([0.25, 0.5])
    alone = table_of(records[:1], matrices=3)
    assert ratio_errors(alone, predicted[:1]).shape == (0,)


def test_the_line_in_active_experts_has_the_bandwidth_of_the_law(experts):
    experts(expert_table())
    lines = {line.shape: line for line in linear_in_experts(A100)}
    assert set(lines) == {f"{e}/{k} {h}x{i}" for e, k, h, i in SHAPES}
    for line in lines.values():
        assert line.r_squared > 0.98
        assert line.mean_error < 0.05
    # few tokens per expert: nothing but weights to read, so the line is the law itself
    assert lines["256/8 3072x1024"].bandwidth_fraction == pytest.approx(0.85, rel=0.05)


def test_a_bent_curve_is_not_called_a_line():
    x = np.arange(1.0, 9.0)
    slope, error, explained = straight_line(x, np.exp(x))
    assert slope > 0
    assert error > 0.2
    assert explained < 0.8


HEADS = [(8, 2, 128), (16, 2, 128), (32, 2, 128), (64, 2, 128), (16, 4, 128), (32, 4, 128),
         (64, 4, 128), (24, 8, 192)]  # fmt: skip


def decode_table(configurations=HEADS):
    records = [
        {
            "heads": heads,
            "kv_heads": kv_heads,
            "head_dim": head_dim,
            "window": window,
            "context": context,
            "batch": batch,
            "seconds": 1e-9 * heads**0.5 * context * batch,
        }
        for (heads, kv_heads, head_dim), window, context, batch in itertools.product(
            configurations, (0, 128), (64, 1024, 4096), (1, 8, 64)
        )
    ]
    return table_of(records)


def test_heads_between_others_are_interpolated_exactly_and_never_shown(operator_rows, monkeypatch):
    rows = operator_rows(decode_table())
    shown = []

    class Spy(DecodeAttention):
        def __init__(self, gpu, rows, *rest):
            shown.append(set(zip(*(rows[n].tolist() for n in ("heads", "kv_heads")), strict=True)))
            super().__init__(gpu, rows, *rest)

        def at(self, batch, context, queries, heads, kv_heads, *rest):
            assert (heads, kv_heads) not in shown[-1]
            return super().at(batch, context, queries, heads, kv_heads, *rest)

    monkeypatch.setattr(validate_operators, "DecodeAttention", Spy)
    (found,) = validate_operators.decode_attention(A100)
    assert len(found.group) == len(rows["seconds"])
    errors = found.by_group()
    for inner in ("16 heads on 2, 128 wide", "32 heads on 2, 128 wide", "32 heads on 4, 128 wide"):
        assert errors[inner][0] < 1e-12
    assert errors["24 heads on 8, 192 wide"][0] > 0  # its width has no other rows: the fit answers


def test_formats_of_the_cache_are_looked_at_one_by_one(operator_rows):
    rows = decode_table()
    both = {name: np.concatenate([column, column]) for name, column in rows.items()}
    both["dtype"] = np.repeat(["bfloat16", "fp8"], len(rows["seconds"]))
    both["seconds"] = np.concatenate([rows["seconds"], rows["seconds"] / 2])
    operator_rows(both)
    sixteen, eight = validate_operators.decode_attention(A100)
    assert (sixteen.dtype, eight.dtype) == ("bfloat16", "fp8")
    inner = sixteen.group == "16 heads on 2, 128 wide"
    np.testing.assert_allclose(eight.predicted[inner], sixteen.predicted[inner] / 2)


def test_the_fit_that_answers_for_unseen_heads_was_made_without_them(operator_rows, monkeypatch):
    operator_rows(decode_table())
    fitted = []
    real = fitting.fit_decode

    def spy(rows, gpu):
        fitted.append(set(zip(*(rows[n].tolist() for n in ("heads", "kv_heads")), strict=True)))
        return real(rows, gpu)

    monkeypatch.setattr(fitting, "fit_decode", spy)
    validate_operators.decode_attention(A100)
    every = {(heads, kv_heads) for heads, kv_heads, _ in HEADS}
    # asked only beyond the most heads measured, and for the width measured once
    assert [every - seen for seen in fitted] == [{(24, 8)}, {(64, 2)}, {(64, 4)}]


def test_prompts_of_unseen_heads(operator_rows):
    records = [
        {
            "heads": heads,
            "kv_heads": kv_heads,
            "head_dim": head_dim,
            "window": 0,
            "tokens": tokens,
            "seconds": 1e-5 + 4 * heads * head_dim * tokens**2 / 2 / 0.5 / A100.peak("bfloat16"),
        }
        for (heads, kv_heads, head_dim), tokens in itertools.product(HEADS, (1024, 4096, 16384))
    ]
    operator_rows(table_of(records))
    (found,) = validate_operators.prefill_attention(A100)
    errors = found.by_group()
    assert errors["24 heads on 8, 192 wide"][0] < 0.01  # the fit has the law's form
    assert errors["32 heads on 2, 128 wide"][0] < 0.05  # interpolated
    assert len(found.group) == len(records)


def test_latent_heads_between_others(operator_rows):
    axes = itertools.product((1, 4, 16, 64), (64, 1024), (1, 8))
    records = [
        {"heads": h, "context": c, "batch": b, "seconds": 1e-8 * h**0.7 * c * b} for h, c, b in axes
    ]
    operator_rows(table_of(records))
    (found,) = validate_operators.latent_decode(A100)
    assert set(found.by_group()) == {"4 heads", "16 heads"}  # the ends have nothing beyond them
    assert found.relative_errors.max() < 1e-12
    prompts = [
        {"heads": h, "tokens": t, "seconds": 1e-8 * h * t}
        for h, t in itertools.product((1, 2, 8), (16, 64))
    ]
    operator_rows(table_of(prompts))
    (found,) = validate_operators.latent_prefill(A100)
    assert set(found.by_group()) == {"2 heads"}
    assert found.relative_errors.max() < 1e-12


def test_message_sizes_between_others_are_left_out_for_each_number_of_gpus(operator_rows):
    records = [
        {"gpus": gpus, "message": size, "seconds": 1e-9 * gpus * size**0.9}
        for gpus, sizes in ((2, (256, 1024, 4096)), (4, (1024, 4096, 65536)))
        for size in sizes
    ]
    operator_rows(table_of(records))
    (found,) = validate_operators.all_reduce(A100)
    assert set(found.by_group()) == {"1024 bytes, 2 GPUs", "4096 bytes, 4 GPUs"}
    assert found.relative_errors.max() < 1e-12


def gemm_table(seed=0):
    rng = np.random.default_rng(seed)
    records = []
    for n, k, m in itertools.product((64, 128, 1024, 2048), (32, 256, 512), (1, 16, 256)):
        seconds = 1e-9 * n * k * m**0.5 * rng.uniform(1, 2)
        records.append({"n": n, "k": k, "m": m, "seconds": seconds, MONOTONE: seconds})
    return table_of(records)


def test_left_out_products_are_what_the_grid_would_say_without_them():
    rows = gemm_table()
    predicted = validate_operators.hole_times(rows)
    shapes = np.stack([rows["n"], rows["k"]])
    corners = 0
    for n, k in np.unique(shapes, axis=1).T.tolist():
        hole = (rows["n"] == n) & (rows["k"] == k)
        table = GemmTable("a100_sxm", {name: column[~hole] for name, column in rows.items()})
        if np.isnan(predicted[hole]).any():
            corners += 1
            assert n in (64, 2048)
            assert k in (32, 512)
            continue
        asked = [table.at(m, n, k, "bfloat16").seconds for m in rows["m"][hole].tolist()]
        assert predicted[hole] == pytest.approx(asked, rel=1e-9)
    assert corners == 4


def test_products_come_by_dtype_and_compare_with_what_was_measured(operator_rows):
    rows = gemm_table()
    both = {name: np.concatenate([column, column]) for name, column in rows.items()}
    both["dtype"] = np.repeat(["bfloat16", "fp8"], len(rows["m"]))
    both["seconds"] = both[MONOTONE] * 2
    operator_rows(both)
    first, second = validate_operators.dense_products(A100)
    assert (first.dtype, second.dtype) == ("bfloat16", "fp8")
    assert len(first.group) == len(rows["m"]) - 4 * 3
    assert first.median == second.median
    expected = np.abs(validate_operators.hole_times(rows) / (2 * rows["seconds"]) - 1)
    assert first.median == pytest.approx(np.nanmedian(expected))


@pytest.mark.parametrize("check", validate_operators.CHECKS)
def test_an_operator_that_was_not_measured_has_nothing_to_leave_out(check, operator_rows):
    operator_rows(None)
    assert check(A100) == []


def test_only_rules_that_find_a_row_wrong_count_as_rejections():
    table = Cleaning("gpu", "experts", 60, {"cache_hot": 10, "covered": 20, "duplicate": 10})
    assert (table.seen, table.rejected) == (100, 10)


def test_what_the_manifest_says_was_dropped():
    tables = {(t.gpu, t.operator): t for t in validate_kernels.cleaning()}
    assert len({gpu for gpu, _ in tables}) == 9
    assert {t.gpu for t in validate_kernels.cleaning(engine="trtllm")} == {
        *("b200_sxm", "b300_sxm", "gb200", "gb300", "h100_sxm", "h200_sxm")
    }
    experts = tables["a100_sxm", "experts"]
    assert experts.dropped.keys() == {"cache_hot", "duplicate", "off_plateau"}
    assert {t.gpu for t in validate_kernels.cleaning(["l40s"])} == {"l40s"}


def test_gpus_are_those_measured_and_unknown_ones_name_the_nearest():
    assert len(measured_gpus()) == 9
    assert measured_gpus(["h200_sxm", "h200_sxm"]) == ["h200_sxm"]
    with pytest.raises(TableError, match="Did you mean 'h100_sxm'"):
        measured_gpus(["h10_sxm"])


def test_nothing_left_out_is_no_error_and_no_figure():
    empty = LeftOut("gemm", "gpu", "fp8", np.array([], dtype=str), np.empty(0), np.empty(0))
    assert np.isnan(empty.median)
    assert np.isnan(empty.mean)
