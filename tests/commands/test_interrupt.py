"""Ctrl-C in a real run: one line, at once, nothing left running."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from simulator.cli import EXIT_INTERRUPTED

LONG = ["run.requests=200000", "run.replications=2", "run.picture=false", "hydra.run.dir=run"]


def descendants(pid):
    """Process ids below a process; Linux keeps them in /proc."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    children = [int(word) for word in text.split()]
    return [*children, *(below for child in children for below in descendants(child))]


def wait_for(condition, patience_s=90.0):
    end_s = time.monotonic() + patience_s
    while not (found := condition()):
        if time.monotonic() > end_s:
            pytest.fail("waited in vain")
        time.sleep(0.01)
    return found


def alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.fixture
def start(executable):
    """Start a run in a process group of its own, as a terminal does."""
    running = []

    def run(*words):
        process = subprocess.Popen(
            [executable, "simulate", *LONG, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        running.append(process)
        return process

    yield run
    for process in running:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def interrupted_well(process, children):
    out, err = process.communicate(timeout=120)
    assert process.returncode == EXIT_INTERRUPTED
    assert out == ""
    assert err == "moesim: interrupted; what had not ended has no summary.\n"
    wait_for(lambda: not any(map(alive, children)), patience_s=5.0)
    # What the runs wrote so far stays, in their parts; nothing stands where a result would.
    assert set(os.listdir("run")) <= {".hydra", "parts"}


def test_one_process(start):
    process = start("run.workers=1")
    wait_for(lambda: list(Path("run").glob("parts/*.incomplete")))
    process.send_signal(signal.SIGINT)
    interrupted_well(process, [])


@pytest.mark.parametrize("moment", ["workers start", "workers run"])
def test_worker_processes_leave_without_a_word(start, moment):
    process = start("run.workers=2")
    children = wait_for(lambda: len(found := descendants(process.pid)) >= 2 and found)
    if moment == "workers run":
        wait_for(lambda: list(Path("run").glob("parts/*.incomplete")))
        children = descendants(process.pid)
    os.killpg(process.pid, signal.SIGINT)
    interrupted_well(process, children)


def test_workers_do_not_outlive_a_killed_run(start):
    process = start("run.workers=2")
    wait_for(lambda: list(Path("run").glob("parts/*.incomplete")))
    children = descendants(process.pid)
    assert children
    process.kill()
    process.communicate()
    wait_for(lambda: not any(map(alive, children)), patience_s=10.0)
