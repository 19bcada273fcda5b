import json
import shutil

import numpy as np
import pytest

from simulator.errors import DataError
from simulator.report.figures import factor
from simulator.report.html.blocks import Command, Table
from simulator.report.html.run.page import run_page
from simulator.report.html.run.source import read_run
from simulator.report.html.run.steps import Steps, mean_draft_length, simulated_speedup


@pytest.fixture(scope="module")
def page(run_folder):
    return run_page(run_folder)


@pytest.fixture(scope="module")
def summary(run_folder):
    return json.loads((run_folder / "summary.json").read_text(encoding="utf-8"))


def blocks(page, kind):
    return [b for section in page.sections for b in section.blocks if isinstance(b, kind)]


def test_a_run_shows_every_chart_that_was_promised(page):
    assert [chart.key for chart in page.charts] == [
        "speedup-batch",
        "target-efficiency",
        "latency-ttft",
        "latency-tpot",
        "latency-e2e",
        "step-parts",
        "acceptance-position",
        "acceptance-requests",
        "time-waiting",
        "time-decoding",
        "time-kv-usage",
    ]
    assert all(chart.caption for chart in page.charts)


def test_the_verdict_and_the_first_figure_are_those_of_the_summary(page, summary):
    speedup = summary["speedup"]["tpot_p50"]
    assert page.verdict.startswith("Speculative decoding")
    assert page.figures[0].value == factor(speedup["value"])
    assert (page.tone == "good") == (speedup["low"] > 1.02)


def test_the_table_of_the_page_is_that_of_the_terminal(page, summary):
    (table, *_) = blocks(page, Table)
    rows = {row.cells[0].text: [cell.text for cell in row.cells[1:]] for row in table.rows}
    assert rows["TPOT p50"][2] == factor(summary["speedup"]["tpot_p50"]["value"])
    assert any(row.ends_group for row in table.rows)


def test_the_simulation_lies_on_the_closed_form_at_its_batch(page):
    chart = page.charts[0]
    dots = next(series for series in chart.series if series.name == "simulated")
    curve = next(series for series in chart.series if series.name == "gamma 2 (this run)")
    at_batch = np.interp(dots.x, curve.x, curve.y)
    assert dots.y == pytest.approx(at_batch, rel=0.1)  # rounds that end a request yield less


def test_provenance_names_the_command_quoted_for_a_shell(page):
    commands = [block.text for block in blocks(page, Command)]
    assert "moesim simulate 'speculation.alphas=[0.8, 0.7]' title=mine" in commands


def test_the_hash_is_of_the_configuration_alone(run_folder, tmp_path):
    copy = tmp_path / "elsewhere"
    shutil.copytree(run_folder, copy)
    assert read_run(copy).config_hash == read_run(run_folder).config_hash


def test_a_run_whose_parts_are_gone_is_reported_without_closed_forms(run_folder, monkeypatch):
    def gone(*_):
        raise DataError("no file 'own_gpu.yaml'.")

    monkeypatch.setattr("simulator.report.html.run.source.build", gone)
    page = run_page(run_folder)
    keys = {chart.key for chart in page.charts}
    assert "speedup-batch" not in keys
    assert "latency-ttft" in keys
    batch = next(section for section in page.sections if section.key == "batch")
    assert "own_gpu.yaml" in batch.blocks[0].text


def test_speedups_pool_close_batches_by_the_steps_both_arms_have():
    off, on = Steps(), Steps()
    for batch, steps, gain in ((4, 100, 2.0), (5, 300, 1.0), (9, 10, 50.0)):
        off.steps[batch] = on.steps[batch] = steps
        off.time_s[batch], on.time_s[batch] = steps, steps
        off.emitted[batch], on.emitted[batch] = steps * batch, steps * batch * gain
    batches, speedups = simulated_speedup({"baseline": off, "speculative": on})
    assert batches == [pytest.approx(4.75)]  # batch 9 ran too seldom
    assert speedups.tolist() == [pytest.approx(1.25)]


def test_steps_count_decoding_alone():
    steps = Steps()
    rows = {
        "decode_requests": np.array([2, 2, 0, 9999]),
        "prefill_tokens": np.array([0, 7, 5, 0]),
        "query_tokens": np.array([4, 4, 1, 4]),
        "duration_s": np.array([0.5, 9.0, 9.0, 9.0]),
        "emitted_tokens": np.array([5, 9, 9, 9]),
    }
    for _ in range(30):
        steps.add(rows)
    assert (steps.steps.sum(), steps.time_s[2], steps.emitted[2]) == (30, 15.0, 150)
    batches, lengths = mean_draft_length(steps)
    assert (batches, lengths.tolist()) == ([2], [3.0])
