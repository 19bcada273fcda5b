"""The wheel, installed in an empty environment and run from ``/``, does the main job."""

import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from simulator.commands.inventory import TOPICS

ROOT = Path(__file__).parents[2]
LARGEST_WHEEL_BYTES = 18e6
NOT_SOURCE = (".*", "build", "dist", "*.egg-info", "runs", "__pycache__", "venv")


def run(*command, **settings):
    """Run a command, its output in the failure."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "COV_"))}
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        check=False,
        env=clean,
        **settings,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    source = folder / "source"  # a copy: building leaves folders behind, and reads stale ones
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(*NOT_SOURCE))
    run(sys.executable, "-m", "build", "--wheel", "--outdir", folder, source)
    (built,) = folder.glob("moesim-*.whl")
    return built


def test_the_wheel_carries_code_and_data_and_nothing_else(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for needed in (
        "simulator/py.typed",
        "simulator/conf/config.yaml",
        "simulator/conf/model/mixtral_8x7b.yaml",
        "simulator/hardware_specs/gpus/h100_sxm.yaml",
        "simulator/hardware_specs/links/nvl72.yaml",
        "simulator/hardware_specs/engines/vllm.yaml",
        "simulator/hardware_specs/moesd/curves.yaml",
        "simulator/hardware_specs/kernel_tables/h100_sxm/vllm/gemm.parquet",
        "simulator/hardware_specs/kernel_tables/fits.yaml",
        "simulator/workloads/presets/chat.yaml",
        "simulator/workloads/routing/overlaps.yaml",
        "simulator/report/html/templates/page.html",
        "simulator/report/html/templates/style.css",
        "simulator/report/html/templates/page.js",
    ):
        assert needed in names
    code = {path.relative_to(ROOT).as_posix() for path in (ROOT / "simulator").rglob("*.py")}
    assert code <= names
    assert any(name.endswith("licenses/NOTICE") for name in names)
    roots = {name.split("/")[0] for name in names}
    assert {root for root in roots if not root.startswith("moesim-")} == {"simulator"}
    assert wheel.stat().st_size < LARGEST_WHEEL_BYTES


@pytest.fixture(scope="module")
def moesim(wheel, tmp_path_factory):
    """The command, as pip installs it into an empty environment."""
    home = tmp_path_factory.mktemp("home") / "venv"
    venv.create(home, with_pip=True)
    run(home / "bin" / "python", "-m", "pip", "install", "--quiet", wheel)
    return home / "bin" / "moesim"


@pytest.mark.slow
def test_the_installed_wheel_does_the_main_job_from_anywhere(moesim, tmp_path):
    out = tmp_path / "run"
    screen = run(
        moesim,
        "simulate",
        f"hydra.run.dir={out}",
        "run.requests=200",
        "run.replications=2",
        cwd="/",
    )
    assert "Speculative decoding" in screen
    summary = json.loads((out / "summary.json").read_text())
    assert summary["speedup"]["tpot_p50"]["value"] > 1
    assert {path.name for path in out.iterdir()} >= {
        "requests.parquet",
        "iterations.parquet",
        "summary.json",
        "latencies.png",
    }


@pytest.mark.slow
@pytest.mark.parametrize("topic", TOPICS)
def test_the_installed_wheel_lists_what_the_repository_knows(moesim, topic):
    listed = run(moesim, "list", topic, cwd="/")
    assert all(name in listed for name in TOPICS[topic].names())


@pytest.mark.slow
def test_the_installed_wheel_completes_and_helps(moesim):
    assert "mixtral_8x7b" in run(moesim, "simulate", "--help", cwd="/")
    assert "_moesim_complete" in run(moesim, "completion", "bash", cwd="/")
