"""A real run, killed at any moment: what it leaves can be read, and the rerun is none the wiser."""

import hashlib
import signal
import subprocess
import time
from contextlib import suppress

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from simulator.trace.recover import PARTS, recover
from simulator.trace.schema import CONSTANTS
from simulator.trace.writer import BLOCK_ROWS

SETTINGS = ["run.requests=4000", "run.replications=1", "run.picture=false", "run.workers=1"]
"""A few blocks of iterations per arm."""


@pytest.fixture
def start(executable):
    """Start a run into a folder."""
    running = []

    def run(folder):
        words = [executable, "simulate", *SETTINGS, f"hydra.run.dir={folder}"]
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
        running.append(process)
        return process

    yield run
    for process in running:
        if process.poll() is None:
            process.kill()
            process.wait()


def traces(folder):
    """Digests of the tables of a run, by file."""
    files = folder.glob("*.parquet")
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def rows_of(path, run):
    """The rows of one run, in a table."""
    table = pq.read_table(path)
    mine = [
        pa.compute.equal(table[name], value) for name, value in zip(CONSTANTS, run, strict=True)
    ]
    return table.filter(pa.compute.and_(*mine)).drop_columns(["arm"])


def check_what_is_left(folder, whole):
    """Whatever was recovered is the beginning of the undisturbed run; return its rows."""
    assert not (folder / "summary.json").exists()
    rows = 0
    for table in recover(folder):
        assert pq.read_metadata(table.path).metadata[b"moesim.complete"] == b"false"
        for run in (*table.whole, *table.cut_off):
            found = rows_of(table.path, run)
            name = table.path.name.replace(".recovered", "")
            expected = rows_of(whole / name, run)
            if run in table.whole:
                assert found.num_rows == expected.num_rows
            assert found.equals(expected.slice(0, found.num_rows))
            rows += found.num_rows
    return rows


def written_bytes(folder):
    """The bytes that a run has written to its parts."""
    found = 0
    for path in (folder / PARTS).glob("*"):
        with suppress(FileNotFoundError):  # it got its name meanwhile
            found += path.stat().st_size
    return found


def kill_at(process, folder, size_bytes, delay_s):
    """Kill a run once its parts are so large, and a moment later."""
    while written_bytes(folder) < size_bytes:
        if process.poll() is not None:
            pytest.fail(f"the run ended with {process.returncode} before {size_bytes} bytes")
        time.sleep(0.002)
    time.sleep(delay_s)
    process.kill()
    assert process.wait() == -signal.SIGKILL


@pytest.mark.parametrize("kills", [1, pytest.param(6, marks=pytest.mark.slow)])
def test_killed_at_any_moment(start, tmp_path, kills):
    whole, folder = tmp_path / "whole", tmp_path / "killed"
    assert start(whole).wait(timeout=120) == 0
    generator, recovered = np.random.default_rng(5), []
    for _ in range(kills):
        process = start(folder)
        kill_at(process, folder, *generator.uniform((2e5, 0.0), (1.5e6, 0.2)))
        recovered.append(check_what_is_left(folder, whole))
    assert min(recovered) >= BLOCK_ROWS
    assert start(folder).wait(timeout=120) == 0
    assert traces(folder) == traces(whole)
    assert not (folder / PARTS).exists()
    assert not [*folder.glob("*.recovered.*"), *folder.glob("*.incomplete")]
