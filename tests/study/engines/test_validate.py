"""Observe, calibrate, replay, compare: on an engine that is known, and on a real one."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.measurements import bench, step_rows, write_folder

from simulator.compose import compose
from simulator.costs.engine import load_engine
from simulator.errors import DataError, SimulatorError
from simulator.report.engine import next_commands, verdicts
from simulator.scenario import build
from simulator.study.engines.bench import launched_one_by_one, nominal_machine
from simulator.study.engines.fit import Refused, fit_engine
from simulator.study.engines.profile import profile, write_profile
from simulator.study.engines.times import Bench
from simulator.study.engines.unknowns import BY_KEY, UNKNOWNS
from simulator.study.engines.validate import (
    metrics,
    read_folder,
    summary,
    validate_engine,
    work_of,
)

BASE = load_engine("vllm")
REAL = Path(os.environ.get("MOESIM_TEST_DATA", "")) / "vllm_cpu"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return read_folder(write_folder(tmp_path_factory.mktemp("measured") / "folder"))


def validate(folder, **changes):
    settings = {"gpu": nominal_machine(), "base": BASE, "eager": True, "fit": True} | changes
    return validate_engine(folder, **settings)


def test_an_engine_that_the_model_can_describe_is_recovered_and_replayed(folder):
    calls = []
    found = validate(folder, advance=lambda: calls.append(1))
    errors = metrics(found)
    for name in ("step_mape", "speedup_mape", "fitted_step_mape"):
        assert errors[name] < 1e-3, name
    for name in ("ttft_p50_error", "tpot_p50_error", "e2e_p50_error"):
        assert errors[name] < 2e-3, name
    assert len(calls) == work_of(folder, fit=True)
    assert found.drafts_replayed
    assert not any("unvalidated" in line for line in verdicts(found))
    replayed = found.replays[1]
    assert replayed.simulated.e2e_s == pytest.approx(replayed.run.latencies.e2e_s, rel=0.02)


def test_a_profile_fitted_elsewhere_predicts_models_it_never_saw(folder):
    """Fitted to the MoE alone; the dense model has other layers and widths."""
    rows = [row for row in folder.steps if row.model == "moe"]
    engine = validate(replace(folder, steps=rows, runs=[])).calibration.fit.engine
    found = validate(replace(folder, runs=[]), base=engine, fit=False)
    assert found.calibration is None
    dense = [one.error for one in found.predicted if one.row.model == "dense"]
    assert np.mean(np.abs(dense)) < 2e-3
    assert metrics(found)["fitted_step_mape"] is None
    assert metrics(found)["ttft_p50_error"] is None


def test_the_profile_comes_back_as_it_was_written(folder, tmp_path):
    fit = validate(replace(folder, runs=[])).calibration.fit
    content = profile(fit, BASE, folder.path / "steps.csv", "mine: a test")
    engine = load_engine(str(write_profile(tmp_path / "deep" / "engine.yaml", content)))
    assert engine.title == "mine: a test"
    for unknown in UNKNOWNS:
        value = getattr(fit.engine, unknown.attribute)
        assert getattr(engine, unknown.attribute) == pytest.approx(value, rel=1e-5)
        entry = engine.provenance[unknown.key]
        assert (entry.kind, entry.unit) == ("fitted", unknown.unit)
        assert "steps.csv (sha256 " in entry.source
        assert "95 % interval" in entry.source or "bound" in entry.source
    assert engine.provenance["routing_prompt"].kind == "assumed"
    assert engine.provenance["sampling_passes"] == BASE.provenance["sampling_passes"]


def test_a_profile_says_what_was_refused_and_what_follows_from_what(folder, tmp_path):
    rows = [replace(r, active_experts=None) for r in folder.steps if not r.gamma]
    fit = validate(replace(folder, steps=rows, runs=[])).calibration.fit
    refused = Refused(BY_KEY["draft_step"], -1e-4, 1e-5)
    content = profile(replace(fit, refused=(refused,)), BASE, folder.path / "steps.csv", "x")
    assert content["draft_step"]["value"] == 0.0
    assert "came out at -0.0001 s" in content["draft_step"]["source"]
    added = BASE.verify_step_s - BASE.plain_step_s
    verify, plain = content["verify_step"], content["plain_step"]
    assert verify["value"] - plain["value"] == pytest.approx(added, abs=1e-8)
    assert verify["kind"] == "assumed"
    assert "routing_prompt" not in content


def test_without_drafts_and_without_checks_it_says_so(folder):
    fitted = [replace(row, role="calibrate") for row in folder.steps if row.model == "dense"][::3]
    found = validate(replace(folder, steps=fitted, runs=folder.runs[:1]))
    said = " ".join(verdicts(found))
    assert "the replay of speculation is unvalidated here" in said
    assert "nothing was predicted" in said
    assert summary(found)["drafts_replayed"] is False


def test_wrong_folders_are_refused(folder, tmp_path):
    with pytest.raises(DataError, match=r"is no folder; it holds models\.yaml, steps\.csv"):
        read_folder(tmp_path / "none")
    with pytest.raises(SimulatorError, match=r"models\.yaml' not found"):
        read_folder(tmp_path)
    few = [replace(row, role="check") for row in folder.steps]
    with pytest.raises(DataError, match="0 rows to fit"):
        validate(replace(folder, steps=few))
    elsewhere = replace(folder.runs[0], model="meo")
    with pytest.raises(DataError, match="Did you mean 'moe'"):
        validate(replace(folder, runs=[elsewhere]), fit=False)
    alone = replace(folder.measured, drafter=None)
    steps = [row for row in folder.steps if not row.gamma]
    with pytest.raises(DataError, match=r"gamma 4, but models\.yaml no drafter"):
        validate(replace(folder, measured=alone, steps=steps), fit=False)


def test_eager_follows_the_remarks_or_the_lack_of_tables():
    assert launched_one_by_one("h100_sxm", "vLLM, eager")
    assert launched_one_by_one("mine/gpu.yaml")
    assert not launched_one_by_one("h100_sxm", "CUDA graphs")


def test_the_next_command_names_hardware_as_it_was_given():
    assert "hardware.gpu=a/gpu.yaml hardware.engine=e.yaml" in next_commands("e.yaml", "a/gpu.yaml")
    assert "hardware=h100_sxm" in next_commands("e.yaml", "h100_sxm")


def test_fits_on_measured_kernels_find_the_speed_relative_to_the_tables(tmp_path):
    """On a GPU with tables, kernels in graphs: 20 % slower than the tables."""
    scenario = build(compose(["model=mixtral_8x7b", "hardware=h100_sxm"]), BASE)
    h100 = Bench({"": scenario.step_model}, 500.0)
    slow = replace(BASE, bandwidth_fraction=0.8, compute_fraction=0.8, plain_step_s=2e-3)
    rows = []
    for row in step_rows(bench(tmp_path), experts=False):
        here = replace(row, model="", context_tokens=None)
        target, draft, host = h100.times(here, slow)
        times = {"step_s": target + draft + host, "target_s": target, "draft_s": draft or None}
        rows.append(replace(here, **times))
    fit = fit_engine(rows, h100, BASE, eager=False)
    assert fit.engine.bandwidth_fraction == pytest.approx(0.8, rel=0.03)
    assert fit.engine.plain_step_s == pytest.approx(2e-3, rel=0.05)
    assert fit.engine.operator_launch_s == 0.0


@pytest.mark.skipif(not REAL.is_dir(), reason="MOESIM_TEST_DATA names no folder with vllm_cpu")
def test_a_real_engine_is_predicted_and_replayed():
    """vLLM on two cores: errors as measured on 2026-11-25, with a fifth of slack.

    Steps 4.7 %, speedups 4.6 %, medians of TTFT, TPOT and E2E 7.4, 5.2 and 10.0 %.
    """
    found = validate(read_folder(REAL))
    errors = metrics(found)
    measured = {
        "step_mape": 0.047,
        "step_mape_given_experts": 0.029,
        "speedup_mape": 0.046,
        "ttft_p50_error": 0.074,
        "tpot_p50_error": 0.052,
        "e2e_p50_error": 0.100,
    }
    for name, error in measured.items():
        assert errors[name] < 1.2 * error, name
    assert errors["left_out_step_mape"] < 0.12
    assert not found.drafts_replayed
    assert not [one for one in found.calibration.fit.refused if one.significant]
