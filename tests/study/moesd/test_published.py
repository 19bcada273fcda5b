"""MoESD's published figures, as they ship."""

import csv
import os
from pathlib import Path

import pytest

from simulator.models.catalog import load_architecture, load_drafter
from simulator.speculation.activation import activated_experts
from simulator.study.moesd.published import activations, curves, peaks, strides

QUANTITIES = {
    "speedup": "speedup",
    "target_eff": "target_efficiency",
    "adj_speedup(x sigma_K8/sigma_K)": "speedup_equal_sigma",
}


def test_every_curve_has_a_value_at_each_batch():
    assert len(curves()) == 26
    assert {len(curve.batch) == len(curve.value) == 19 for curve in curves()} == {True}


def test_the_sparsity_study_is_six_by_two_by_nineteen():
    cells = {(curve.top_k, curve.gamma) for curve in curves() if curve.figure == "4"}
    assert cells == {(top_k, gamma) for top_k in (1, 2, 4, 8, 16, 32) for gamma in (2, 4)}


def test_names_are_those_of_the_catalogue():
    for curve in (*curves(), *peaks()):
        load_architecture(curve.model)
        load_drafter(curve.drafter)
    for curve in activations():
        assert max(curve.value) <= load_architecture(curve.model).moe.experts


def test_table_1_agrees_with_itself_to_its_rounding():
    assert len(peaks()) == 12
    for row in peaks():
        assert row.plain_s / row.speculative_s == pytest.approx(row.speedup, abs=0.0051), row


def test_figure_2a_peaks_where_table_1_says():
    (curve,) = (c for c in curves() if c.figure == "2a" and c.quantity == "speedup")
    assert max(curve.value) == 2.18 == max(row.speedup for row in peaks())


def test_the_shipped_curves_are_the_digitised_ones():
    folder = os.environ.get("MOESIM_TEST_DATA")
    if not folder:
        pytest.skip("MOESIM_TEST_DATA names no folder of test data")
    with (Path(folder) / "moesd" / "figures.csv").open(encoding="utf-8") as file:
        digitised = {_key(row) for row in csv.DictReader(file)}
    names = {ours: theirs for theirs, ours in QUANTITIES.items()}
    shipped = {
        (c.figure, c.temperature, c.gamma, c.top_k, names[c.quantity], c.model[0], batch, value)
        for c in curves()
        for batch, value in zip(c.batch, c.value, strict=True)
    }
    assert shipped == digitised


def _key(row):
    top_k = int(row["K"]) if row["K"] else None
    numbers = (int(row["temperature"]), int(row["gamma"]), top_k)
    model = row["model"][0].lower()
    return row["figure"], *numbers, row["quantity"], model, int(row["batch"]), float(row["value"])


def test_table_3_counts_its_points():
    for row in strides():
        assert row.points == -(-228 // row.stride)


def test_the_drawn_formula_is_equation_8():
    for curve in activations():
        moe = load_architecture(curve.model).moe
        drawn = activated_experts(curve.tokens, moe.experts, moe.top_k)
        assert drawn == pytest.approx(curve.formula, abs=0.75)
