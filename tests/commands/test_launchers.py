"""Hydra's own launchers under ``moesim simulate -m``: the same traces, and refusals come home."""

import subprocess

import pytest

pytestmark = pytest.mark.slow

LAUNCHERS = {
    "joblib": "hydra_joblib_launcher",
    "submitit_local": "hydra_submitit_launcher",
    "ray": "hydra_ray_launcher",
}
WORDS = ["speculation.gamma=0,2", "hardware.tensor_parallel=1,3"]
SMALL = ["run.requests=20", "run.replications=1", "run.workers=1", "run.picture=false"]


@pytest.fixture(scope="module")
def multirun(executable, tmp_path_factory):
    """Run the points under a launcher; return the folder, the exit code and what was said."""

    def run(launcher):
        folder = tmp_path_factory.mktemp(launcher)
        words = [f"hydra/launcher={launcher}", f"hydra.sweep.dir={folder / 'sweep'}"]
        done = subprocess.run(
            [executable, "simulate", "-m", *words, *WORDS, *SMALL],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        return folder / "sweep", done.returncode, done.stderr

    return run


@pytest.fixture(scope="module")
def expected(multirun):
    """What the points leave one after the other, by Hydra's basic launcher."""
    return traces(multirun("basic")[0])


def traces(folder):
    files = folder.glob("*/*.parquet")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_points_leave_the_same_traces_and_a_refused_one_is_told(multirun, expected, launcher):
    package = LAUNCHERS[launcher]
    pytest.importorskip(
        f"hydra_plugins.{package}", reason=f"{package.replace('_', '-')} is not installed"
    )
    folder, code, said = multirun(launcher)
    assert len(expected) == 4
    assert traces(folder) == expected
    assert code == 2
    assert "moesim: hardware.tensor_parallel=3: tensor parallel size 3 does not divide" in said
