"""``moesim calibrate engine`` and ``moesim validate engine``: screen, files, refusals."""

import json
import shutil

import pytest
from helpers.measurements import TRUTH, bench, models_file, step_rows, write_folder, write_steps

from simulator.costs.engine import load_engine


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("measured") / "folder", runs=[("r", "moe", 0)])


@pytest.fixture
def steps(tmp_path):
    models_file(tmp_path)
    return write_steps(tmp_path / "steps.csv", step_rows(bench(tmp_path)))


def test_a_profile_is_fitted_written_and_simulated(moesim, steps, tmp_path):
    words = ("calibrate", "engine", "data=steps.csv", "model=models.yaml", "hydra.run.dir=here")
    code, out, err = moesim(*words)
    assert (code, err) == (0, "")
    assert "Fitted figures of the profile" in out
    assert "on the rows of role check, which nothing was fitted to" in out
    assert (
        "Next: moesim simulate hardware.gpu=here/gpu.yaml hardware.engine=here/engine.yaml" in out
    )
    assert max(map(len, out.split("Next:")[0].splitlines())) <= 80
    names = {path.name for path in (tmp_path / "here").iterdir()}
    assert names == {"engine.yaml", "gpu.yaml", "steps.png", "summary.json"}
    found = json.loads((tmp_path / "here" / "summary.json").read_text())
    assert found["metrics"]["step_mape"] < 1e-3
    assert found["parameters"]["bandwidth_fraction"]["value"] == pytest.approx(0.6, rel=1e-3)
    engine = load_engine("here/engine.yaml")
    assert engine.operator_launch_s == pytest.approx(TRUTH.operator_launch_s, rel=1e-3)
    small = ["model.layers=2", "model.moe.experts=8", "scheduler.max_num_seqs=8"]
    run = ["run.requests=20", "run.replications=1", "run.workers=1", "run.picture=false"]
    chosen = ["hardware.gpu=here/gpu.yaml", "hardware.engine=here/engine.yaml"]
    code, out, err = moesim(
        "simulate", "model=mixtral_8x7b", *small, *run, *chosen, "workload.rate=0.001"
    )
    assert (code, err) == (0, "")
    assert "2 x86 cores with AMX (nominal)" in out
    said = " ".join(out.split())
    assert "calibrated with engine profile" in said
    assert "kernels reach 60% of the bandwidth and 20% of the compute" in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model=moe"], "data and model are needed"),
        (["data=steps.csv"], "data and model are needed"),
        (["data=step.csv", "model=models.yaml"], "Did you mean 'steps.csv'"),
        (["data=steps.csv", "model=mixtral_8x7b"], "hardware is missing"),
        (
            ["data=steps.csv", "model=mixtra_8x7b", "hardware=h100_sxm"],
            "Did you mean 'mixtral_8x7b'",
        ),
        (["data=steps.csv", "model=mixtral_8x7b", "hardware=h100"], "Did you mean 'h100_sxm'"),
        (["data=steps.csv", "model=mixtral_8x7b", "hardware=h100_sxm"], "unknown model 'moe'"),
        (["data=steps.csv", "model=models.yaml", "base=vlm"], "Did you mean 'vllm'"),
        (["data=steps.csv", "model=models.yaml", "eager=maybe"], "eager='maybe' must be true or"),
    ],
)
def test_refusals_come_without_a_trace_and_before_any_file(moesim, steps, tmp_path, words, message):
    code, out, err = moesim("calibrate", "engine", "hydra.run.dir=here", *words)
    assert (code, out) == (2, "")
    assert message in " ".join(err.split())
    assert "Traceback" not in err
    assert not (tmp_path / "here" / "engine.yaml").exists()


def test_a_folder_is_validated(moesim, measured, tmp_path):
    code, out, err = moesim("validate", "engine", f"data={measured}", "hydra.run.dir=here")
    assert (code, err) == (0, "")
    for title in ("Fitted figures", "Whole steps", "Speedup", "Medians of runs, replayed"):
        assert title in out
    assert "the replay of speculation is unvalidated here" in " ".join(out.split())
    names = {path.name for path in (tmp_path / "here").iterdir()}
    assert names == {"engine.yaml", "gpu.yaml", "replay.png", "steps.png", "summary.json"}
    metrics = json.loads((tmp_path / "here" / "summary.json").read_text())["metrics"]
    wanted = ("step_mape", "speedup_mape", "ttft_p50_error", "tpot_p50_error", "e2e_p50_error")
    assert all(metrics[name] < 0.01 for name in wanted)


def test_a_profile_of_another_folder_predicts_all_of_this_one(moesim, measured, tmp_path):
    moesim("validate", "engine", f"data={measured}", "hydra.run.dir=here", "picture=false")
    words = ["profile=here/engine.yaml", "hardware=here/gpu.yaml", "json=true", "picture=false"]
    code, out, err = moesim("validate", "engine", f"data={measured}", *words)
    assert (code, err) == (0, "")
    metrics = json.loads(out)
    assert metrics["step_mape"] < 0.01
    assert metrics["left_out_step_mape"] is None


def test_a_broken_folder_is_refused(moesim, measured, tmp_path):
    broken = shutil.copytree(measured, tmp_path / "broken")
    text = (broken / "steps.csv").read_text().replace("moe,0,1,", "moe,0,-1,", 1)
    (broken / "steps.csv").write_text(text)
    code, out, err = moesim("validate", "engine", f"data={broken}")
    assert (code, out) == (2, "")
    assert "steps.csv, line 2: batch is -1" in " ".join(err.split())
    code, _, err = moesim("validate", "engine")
    assert code == 2
    assert "data is missing" in err
