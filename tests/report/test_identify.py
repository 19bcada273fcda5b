"""What ``calibrate check`` prints and draws."""

import pytest
from rich.console import Console

from simulator.report.identify import plot_graph, print_check
from simulator.study.identify.check_plan import check_plan

POPULARITY = "knowledge: popularity\nexperts: 8\nranks: 2\ntokens: [1, 2, 4]\nplacements: [%s]\n"
MOESD = "knowledge: moesd\ntarget: qwen2_57b_a14b\ngpu: a800_sxm\ngpus: 2\nmeasure:\n"
SPEEDUPS = MOESD + "  - {kind: speedup, top_k: [1, 8], gamma: [2, 4], batch: [%s]}\n"


@pytest.fixture
def printed(tmp_path):
    """Check a plan and return what is printed, in 80 columns."""

    def run(text):
        (tmp_path / "plan.yaml").write_text(text)
        console = Console(width=80, record=True, file=(tmp_path / "out").open("w"))
        print_check(check_plan(tmp_path / "plan.yaml"), console)
        console.file.close()
        out = console.export_text()
        assert all(len(line) <= 80 for line in out.splitlines())
        return " ".join(out.split())

    return run


def test_speedups_alone_are_told_to_give_no_seconds(printed):
    out = printed(SPEEDUPS % "1, 4, 12, 28, 60, 100")
    assert "The plan is not sufficient: it leaves" in out
    assert "Jacobian rank 9 of 10" in out
    assert "No measurement of the plan notices: all times scale together (bias, k1" in out
    assert "moesim calibrate fit would give no seconds from it." in out
    assert "Yet all times are 0.447 times as long: ar_step_time at K=8" in out
    assert "ms per step apart" in out
    assert "Smallest extra" in out


def test_a_bad_plan_is_flagged_and_told_what_to_add(printed):
    out = printed((SPEEDUPS % "1, 4, 8, 12").replace("]}", "], tolerance: 0.001}"))
    assert "Flagged: predictions will be" in out
    assert "no batch above 12 is measured" in out
    assert "To predict well, add in this order (variance after each): " in out


def test_hidden_directions_are_told(printed):
    text = (SPEEDUPS % "1, 4, 12, 28, 60, 100").replace("]}", "], tolerance: 1.0e-6}")
    out = printed(text + "levels: {bias: [4.0e-3, 8.0e-3, 12.0e-3]}\n")
    assert "a combination of unknowns stays open" in out
    assert "The levels hide that" in out


def test_a_sufficient_plan_says_what_is_next(printed):
    rows = "  - {kind: speedup, top_k: [1, 8, 32], gamma: [2, 4], tolerance: 0.001}\n"
    out = printed(MOESD + rows + "  - {kind: ar_step_time}\n  - {kind: draft_step_time}\n")
    assert "The plan is sufficient: it determines every unknown." in out
    assert "Next: measure it, then moesim calibrate fit data=FILE." in out


def test_popularity_shows_the_course(printed):
    out = printed(POPULARITY % "contiguous")
    assert "solutions >= " in out
    assert "d by row 8" in out
    assert "the busiest rank would get" in out
    assert "measurements found: rank totals, shuffled" in out


def test_nothing_to_add_is_said(printed):
    out = printed(POPULARITY % "contiguous" + "candidates: [contiguous]\n")
    assert "No candidate measurement settles it: add other kinds under 'candidates:'." in out


def test_the_picture_has_both_sides(tmp_path):
    (tmp_path / "plan.yaml").write_text(POPULARITY % "contiguous, round_robin")
    drawn = plot_graph(check_plan(tmp_path / "plan.yaml"), tmp_path / "graph.svg")
    text = drawn.read_text()
    assert "expert 7" in text
    assert "round_robin, rank 1" in text
    assert text.count("#d1495b") > 0


def test_a_crowded_side_is_drawn_without_labels(tmp_path):
    many = SPEEDUPS % ", ".join(map(str, range(1, 20)))
    (tmp_path / "plan.yaml").write_text(many)
    text = plot_graph(check_plan(tmp_path / "plan.yaml"), tmp_path / "graph.svg").read_text()
    assert "draft_bias" in text
    assert "speedup at" not in text
