"""``moesim calibrate kernels``: what it prints, writes and refuses; on a machine made up for it."""

import json
import sys

import pytest
from helpers.machines import FakeMachine, MoodyMachine

from simulator.kernels.microbench import torch_device


@pytest.fixture
def fake(monkeypatch):
    """Time a made-up machine instead of this one; return a function that sets it."""
    machine = {"now": FakeMachine()}
    monkeypatch.setattr(torch_device, "open_device", lambda _: machine["now"])
    return lambda device: machine.update(now=device)


@pytest.fixture
def calibrate(moesim, tmp_path):
    def run(*words):
        return moesim("calibrate", "kernels", f"hydra.run.dir={tmp_path / 'run'}", *words)

    return run


def test_figures_on_screen_and_files_in_the_folder(fake, calibrate, tmp_path):
    code, out, err = calibrate("quick=true")
    assert (code, err) == (0, "")
    assert "Fake: a machine: 2 threads" in out
    assert "copy, bytes read and written" in out
    assert "R2 1.000; an expert more costs" in out
    assert "repeat without it before you plan by it" in out
    assert f"moesim simulate hardware.gpu={tmp_path / 'run' / 'gpu.yaml'}" in out
    lines = [line for line in out.splitlines() if str(tmp_path) not in line]
    assert max(map(len, lines)) <= 80
    for name in ("gpu.yaml", "gemm.parquet", "fits.yaml", "repeats.parquet", "kernels.png"):
        assert (tmp_path / "run" / name).stat().st_size > 0
        assert str(tmp_path / "run" / name) in out


def test_metrics_in_the_summary_and_alone_as_json(fake, calibrate, tmp_path):
    _, out, _ = calibrate("quick=true", "json=true", "picture=false")
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert json.loads(out) == summary["metrics"]
    assert summary["metrics"]["experts_linearity_r2"] == pytest.approx(1.0)
    assert summary["machine"] == "Fake: a machine"
    assert summary["skipped"] == []
    assert not (tmp_path / "run" / "kernels.png").exists()


def test_a_disturbed_or_slow_machine_is_told_what_to_do(fake, calibrate):
    fake(FakeMachine(noise=(1.0, 2.0, 1.0, 3.0, 2.5)))
    _, out, _ = calibrate("quick=true", "picture=false")
    assert "something else runs. Close it" in out
    fake(MoodyMachine())
    _, out, _ = calibrate("quick=true", "picture=false")
    assert "R2 below 0.98: here experts do not cost by their number alone" in out
    fake(FakeMachine(slower=1000.0))
    _, out, _ = calibrate("seconds=1", "picture=false")
    assert "slow shapes were left out" in out
    assert "seconds=... gives them time" in out


def test_the_machine_becomes_a_hardware_that_simulate_completes_on(fake, calibrate, moesim):
    fake(FakeMachine(slower=0.01))
    calibrate("quick=true", "picture=false")
    words = ["hardware.gpu=run/gpu.yaml", "model=qwen1_5_moe_a2_7b", "model.layers=4"]
    words += ["workload=fixed_batch", "workload.output_tokens=32", "run.requests=8"]
    small = ["run.replications=1", "run.workers=1", "run.picture=false"]
    code, out, err = moesim("simulate", *words, *small, "hydra.run.dir=simulated")
    assert (code, err) == (0, "")
    assert "1 x Fake: a machine, TP 1" in out


def test_without_pytorch_the_extra_is_named(monkeypatch, calibrate, tmp_path):
    monkeypatch.setitem(sys.modules, "torch", None)
    code, out, err = calibrate()
    assert (code, out) == (2, "")
    assert "pip install 'moesim[measure]'" in err
    assert "Traceback" not in err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("device=cdua", "unknown device 'cdua'. Did you mean 'cuda'? Known: cpu, cuda."),
        ("seconds=0", "seconds=0.0 must lie in 1..86400"),
        ("second=5", "Did you mean 'seconds'?"),
        ("quick=maybe", "quick"),
    ],
)
def test_wrong_settings_are_refused(calibrate, word, said):
    code, out, err = calibrate(word)
    assert (code, out) == (2, "")
    assert said in " ".join(err.split())


def test_help_says_what_it_needs(moesim):
    code, out, _ = moesim("calibrate", "kernels", "--help")
    assert code == 0
    assert "pip install 'moesim[measure]'" in out
    assert "CUDA is untested" in out
