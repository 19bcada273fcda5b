"""A real sweep of 500 points, killed three times: the dataset is that of an undisturbed one."""

import hashlib
import json
import os
import signal
import subprocess
import time

import pytest

pytestmark = pytest.mark.slow

WORDS = [
    "speculation.gamma=range(0,5)",
    "run.seed=range(0,50)",
    "hardware.tensor_parallel=1,3",  # half of the points fail
    "run.requests=5",
    "run.replications=1",
    "workers=2",
]
POINTS = 500
KILLS = ((60, signal.SIGKILL), (230, signal.SIGINT), (410, signal.SIGKILL))
"""After how many files, and how."""


@pytest.fixture
def start(executable, tmp_path):
    """Start the sweep into a folder, in a process group of its own, as a shell does."""
    running = []

    def begin(folder):
        process = subprocess.Popen(
            [executable, "sweep", *WORDS, f"hydra.run.dir={tmp_path / folder}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
        )
        running.append(process)
        return process

    yield begin
    for process in running:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def files(folder):
    return {path for path in folder.rglob("*.parquet") if path.is_file()}


def digests(folder):
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in paths
    }


def kill(process, folder, how_many, how):
    """Kill a sweep once so many files are there; return what is there then."""
    while len(files(folder)) < how_many:
        if process.poll() is not None:
            pytest.fail(f"ended with {process.returncode}: {process.stderr.read()}")
        time.sleep(0.1)  # looking is not free, either
    if how == signal.SIGKILL:
        process.kill()  # the main process alone: its workers leave by themselves
    else:
        os.killpg(process.pid, how)
    _, said = process.communicate()
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert f"of {POINTS} points are in {folder}. To go on: moesim sweep" in said
    return {path: path.stat().st_mtime_ns for path in files(folder)}


def test_killed_three_times(start, tmp_path):
    folder, whole = tmp_path / "killed", tmp_path / "whole"
    before = {}
    for how_many, how in KILLS:
        there = kill(start("killed"), folder, how_many, how)
        assert how_many <= len(there) < POINTS
        assert before.items() <= there.items()  # nothing that had ended ran again
        before = there
    for name in ("killed", "whole"):
        process = start(name)
        process.communicate()
        assert process.returncode == 0
    state = json.loads((folder / "sweep.json").read_text())
    assert (state["points"], state["done"], state["failed"]) == (POINTS, 250, 250)
    assert len(files(folder)) == POINTS
    assert digests(folder) == digests(whole)
