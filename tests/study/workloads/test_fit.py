"""A preset fitted to a trace: small and synthetic here, real traces in the slow suite."""

import os
from pathlib import Path

import numpy as np
import pytest

from simulator.errors import ConfigError, DataError
from simulator.streams import Streams
from simulator.study.workloads import modulation
from simulator.study.workloads.fit import fit_workload, steps, summary
from simulator.study.workloads.fitted_preset import fitted_preset, write_preset
from simulator.study.workloads.goodness import COMPARED, compared, drawn_figures
from simulator.study.workloads.sample import halves
from simulator.workload.build import build_workload
from simulator.workload.config import WorkloadConfig
from simulator.workload.presets import read_preset

DATA = os.environ.get("MOESIM_TEST_DATA")
TRACES = {
    "azure_2023_conv_first_half.csv": "azure",
    "azure_2023_code_first_half.csv": "azure",
    "mooncake_conversation_first_30min.jsonl.gz": "mooncake",
}


@pytest.fixture(scope="module")
def fit():
    workload = build_workload(WorkloadConfig(preset="code"), 800)
    done = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(modulation, "MOST_RECORDINGS", 8)
        fit = fit_workload(workload, max_components=3, recordings=4, seed=7, advance=done.append)
    assert sum(done) == steps(4)
    return fit


def test_a_fit_is_judged_on_all_and_on_a_half(fit):
    assert fit.requests == 800
    assert {one.name for one in fit.own.figures} >= set(COMPARED)
    assert fit.own.prompt_ks < 0.05
    assert abs(fit.worst.deviation) == max(
        abs(one.deviation) for one in fit.own.figures if one.name in COMPARED
    )
    flat = summary(fit)["metrics"]
    assert flat["off_rate"] == pytest.approx(flat["drawn_rate"] / flat["rate"] - 1)
    assert flat["largest_deviation"] == abs(fit.worst.deviation)
    # The halves of one preset are alike: a fit of one is about as close to the other as it is.
    assert flat["held_out_prompt_ks"] < flat["drift_prompt_ks"] + 0.05 < 0.15


def test_the_preset_is_read_back_and_draws_the_same(fit, tmp_path):
    preset = fitted_preset(fit, "mine", "a_trace.csv", "code")
    file = write_preset(preset, tmp_path / "mine.yaml")
    again = read_preset(str(file))
    assert again == preset
    assert again.slo == read_preset("code").slo
    assert again.provenance["arrivals.rate"].kind == "measured"
    assert "a_trace.csv" in again.origins["prompt_tokens"].source
    workload = build_workload(WorkloadConfig(preset=str(file)), 3000)
    block, direct = (next(one.blocks(Streams(1))) for one in (workload, fit.fitted.workload()))
    np.testing.assert_array_equal(block.arrival_s, direct.arrival_s)
    np.testing.assert_array_equal(block.output_tokens, direct.output_tokens)


def test_halves_are_of_requests():
    workload = build_workload(WorkloadConfig(preset="chat"), 2501)
    whole, first, second, following = halves(workload, Streams(1))
    assert [one.arrivals.requests for one in (whole, first, second)] == [2501, 1250, 1251]
    assert first.arrivals.last_s <= second.arrivals.first_s
    assert first.prompt.total + second.prompt.total == whole.prompt.total
    assert following == 0


def test_too_little_and_closed_loops_are_refused():
    few = build_workload(WorkloadConfig(preset="chat"), 100)
    loop = WorkloadConfig(kind="closed_loop", concurrency=4, preset="chat")
    with pytest.raises(DataError, match=r"100 requests .* needs 200"):
        fit_workload(few, max_components=2, recordings=2, seed=0)
    with pytest.raises(ConfigError, match="closed loop"):
        fit_workload(build_workload(loop, 500), max_components=2, recordings=2, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("name", TRACES)
def test_a_preset_fitted_to_a_real_trace_reproduces_it(name, tmp_path):
    """Rate, CV of counts at 1, 10 and 60 s and quantiles of lengths within 10 % (issue 7.2).

    In the mean of 100 recordings of the preset file as anyone uses it, from seeds that the fit did
    not see. Of the other half nothing is asserted.
    """
    if DATA is None:
        pytest.skip("MOESIM_TEST_DATA does not name the folder of real traces")
    path = Path(DATA) / "traces" / name
    trace = WorkloadConfig(kind="trace", path=str(path), format=TRACES[name])
    fit = fit_workload(build_workload(trace, 10**9), max_components=16, recordings=4, seed=0)
    file = write_preset(fitted_preset(fit, "fitted", name, "chat"), tmp_path / "fitted.yaml")
    drawn = build_workload(WorkloadConfig(preset=str(file)), 10**9)
    figures = drawn_figures(drawn, fit.span_s, recordings=100, seed=4321)
    found = {one.name: one for one in compared(fit.sample, figures)}
    for figure in COMPARED:
        assert abs(found[figure].deviation) < 0.10, found[figure]
    assert max(fit.own.prompt_ks, fit.own.output_ks) < 0.02
