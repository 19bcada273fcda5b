"""The report of the kernel tables: what it says follows from what was found, in 80 columns."""

import io

import numpy as np
import pytest
from rich.console import Console

from simulator.errors import ConfigError
from simulator.report.validation import plot_predictions, print_validation
from simulator.study.tables.experts import ExpertsLeftOut, LinearInExperts
from simulator.study.tables.left_out import LeftOut
from simulator.study.tables.validate import Cleaning, Validation


def left_out(operator, gpu, factors, groups=None, dtype="bfloat16"):
    """Rows measured at 1 us, 2 us, ... and predicted off by the factors."""
    measured = 1e-6 * np.arange(1.0, len(factors) + 1)
    names = np.array(groups or ["128/8 2048x768"] * len(factors), dtype=str)
    return LeftOut(operator, gpu, dtype, names, measured, measured * np.array(factors, dtype=float))


def experts(gpu, factors, ratio_errors=(0.01,), dtype="bfloat16", groups=None):
    rows = left_out("experts", gpu, factors, groups, dtype)
    spread = left_out("experts", gpu, [1.2] * len(factors), groups, dtype)
    return ExpertsLeftOut(rows, spread, np.array(ratio_errors), 3, 0.82)


def validation(*found, fraction=0.8, operators=(), dropped=None):
    gpus = list(dict.fromkeys(table.rows.gpu for table in found))
    lines = [
        LinearInExperts(t.rows.gpu, t.rows.dtype, "128/8 2048x768", fraction, 0.01, 0.999)
        for t in found
    ]
    cleaning = [
        Cleaning(gpu, operator, kept, dropped or {"cache_hot": 30, "covered": 5})
        for gpu in gpus
        for operator, kept in (("experts", 65), ("gemm", 5000))
    ]
    return Validation(gpus, list(found), lines, list(operators), cleaning)


def printed(found):
    stream = io.StringIO()
    print_validation(found, Console(file=stream, width=80))
    assert max(map(len, stream.getvalue().splitlines())) <= 80
    return stream.getvalue()


def sentences(text):
    return " ".join(text.split())


def test_good_figures_are_called_good():
    text = printed(validation(experts("h100_sxm", [1.02, 0.96, 1.01])))
    assert "h100_sxm bfloat16 3 2.0 % 2.3 % 1.0 % 20.0 %" in sentences(text)
    said = sentences(text)
    assert "off by 2.0 % (h100_sxm) at the median over all formats, all within 5.0 %" in said
    assert "by 1.0 % (h100_sxm), all within 3.0 %." in said
    assert "All lie in 0.7 to 0.95" in said


def test_what_misses_an_aim_is_named():
    bad = experts("b200_sxm", [1.06, 0.93, 1.08], ratio_errors=(0.04, 0.05))
    text = sentences(printed(validation(experts("l40s", [1.01]), bad, fraction=0.5)))
    assert "by 1.0 % (l40s) to 7.0 % (b200_sxm) at the median" in text
    assert "above 5.0 % on b200_sxm; the ratio" in text
    assert "above 3.0 % on b200_sxm." in text
    assert "Outside 0.7 to 0.95: l40s bfloat16 (0.50), b200_sxm bfloat16 (0.50)." in text
    assert "of the expert rows, above 15.0 % on l40s, b200_sxm." in text


def test_a_format_with_too_few_shapes_has_dashes():
    text = printed(validation(experts("l40s", [], ratio_errors=(), dtype="int4_wo")))
    assert "l40s int4_wo 3 - - - -" in sentences(text)
    assert "off by - at the median" in sentences(text)


def test_shapes_stand_in_order_with_their_worst_table():
    groups = ["128/8 2048x768", "8/2 4096x14336", "8/2 4096x14336"]
    text = printed(
        validation(
            experts("l40s", [1.01, 1.02, 1.04], groups=groups),
            experts("gb200", [1.1, 1.01, 1.01], groups=groups, dtype="fp8"),
        )
    )
    assert text.index("8/2 4096x14336") < text.index("128/8 2048x768")
    assert "8/2 4096x14336 2 2.0 % 2.0 % 3.0 % l40s bfloat16" in sentences(text)
    assert "128/8 2048x768 2 5.5 % 5.5 % 10.0 % gb200 fp8" in sentences(text)


def test_every_operator_has_its_table_and_its_worst():
    gemm = left_out("gemm", "l40s", [1.1, 1.3, 0.9], ["n 1, k 1", "n 2, k 2", "n 1, k 1"])
    empty = left_out("gemm", "gb200", [])
    decode = left_out("decode_attention", "l40s", [1.5], ["8 heads on 8, 64 wide"])
    text = printed(validation(experts("l40s", [1.0]), operators=(gemm, empty, decode)))
    said = sentences(text)
    assert "Dense products: one weight shape left out" in said
    assert "l40s bfloat16 2 3 10.0 % 16.7 %" in said
    assert "gb200 bfloat16 0 0 - - -" in said
    assert "Worst at its median: n 2, k 2 (l40s bfloat16), 30.0 %." in said
    assert "in gaps half as wide" in said
    assert "8 heads on 8, 64 wide (l40s bfloat16), 50.0 %. Shapes that were measured" in said
    assert "with a KV head each" in said


def test_rejections_by_rule():
    dropped = {"cache_hot": 20, "isolated_spike": 10, "duplicate": 5}
    text = sentences(printed(validation(experts("l40s", [1.0]), dropped=dropped)))
    assert "l40s 1.2 % 30.0 % 20.0 % 10.0 %" in text
    assert "Rules reject 1.2 % (l40s) of all rows, all within 15.0 %" in text


@pytest.fixture
def drawn():
    tables = [left_out(name, "l40s", [1.1, 0.9]) for name in ("gemm", "all_reduce")]
    return validation(experts("l40s", [1.1, 0.9]), operators=(*tables, left_out("gemm", "x", [])))


def test_the_picture_is_the_same_for_the_same_figures(drawn, tmp_path):
    first = plot_predictions(drawn, tmp_path / "a.png")
    second = plot_predictions(drawn, tmp_path / "b.png")
    assert first.read_bytes() == second.read_bytes()
    assert first.read_bytes().startswith(b"\x89PNG")


def test_the_picture_shows_an_operator_per_panel_even_without_rows(drawn, tmp_path):
    nothing = drawn._replace(experts=[experts("l40s", [])], operators=[])
    assert plot_predictions(nothing, tmp_path / "empty.svg").stat().st_size > 0
    text = plot_predictions(drawn, tmp_path / "a.svg").read_text()
    assert text.count("axes_") >= 8


def test_an_unknown_format_is_refused(drawn, tmp_path):
    with pytest.raises(ConfigError, match="suffix must be one of"):
        plot_predictions(drawn, tmp_path / "a.bmp")
