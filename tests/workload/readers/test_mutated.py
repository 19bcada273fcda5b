"""Mutated trace files: an error that names the file, or requests; no traceback, hang or flood."""

import resource
import signal

import numpy as np
import pyarrow as pa
import pytest
from helpers.traces import samples

from simulator.errors import SimulatorError
from simulator.streams import Streams
from simulator.workload.build import build_workload
from simulator.workload.config import WorkloadConfig

REQUESTS = 100
HANG_S = 60
"""Far longer than any file of a few kilobytes takes, even on a busy machine."""


def mutated(data, generator):
    """Flip bytes, cut, duplicate or swap parts: up to three of these, one after another."""
    for _ in range(generator.integers(1, 4)):
        if not data:
            return data
        low, high = sorted(generator.integers(0, len(data) + 1, 2).tolist())
        kind = generator.integers(0, 6)
        if kind == 0:  # flip some bytes
            flipped = bytearray(data)
            for index in generator.integers(0, len(data), generator.integers(1, 9)):
                flipped[index] = generator.integers(0, 256)
            data = bytes(flipped)
        elif kind == 1:  # cut the end
            data = data[:high]
        elif kind == 2:  # cut a part
            data = data[:low] + data[min(high, low + 40) :]
        elif kind == 3:  # duplicate a part
            data = data[:high] + data[low:]
        elif kind == 4:  # swap neighbouring parts
            middle = (low + high) // 2
            data = data[:low] + data[middle:high] + data[low:middle] + data[high:]
        else:  # put a telling word somewhere
            words = (b"nan", b"-1", b"1e999", b"9" * 30, b"null", b'"', b"\n", b"\x00", b"[[[[")
            data = data[:low] + words[generator.integers(0, len(words))] + data[low:]
    return data


def replay(settings, path, on_bad_row):
    """Read a file as a run would: open it, then draw its requests."""
    if settings.get("kind") != "servegen":
        settings = {"kind": "trace", "on_bad_row": on_bad_row, **settings}
    workload = build_workload(WorkloadConfig(path=str(path), **settings), REQUESTS)
    blocks = list(workload.blocks(Streams(1)))
    assert sum(block.size for block in blocks) == workload.requests <= REQUESTS
    for block in blocks:
        assert np.all(np.diff(block.arrival_s) >= 0)
        assert np.isfinite(block.arrival_s).all()
        assert block.prompt_tokens.min() >= 1
        assert block.prompt_tokens.max() <= workload.max_prompt_tokens
        assert block.output_tokens.min() >= 1
        assert block.output_tokens.max() <= workload.max_output_tokens
        if block.traits is not None:
            assert min(map(min, filter(None, block.traits.prefixes)), default=0) >= 0


def outcomes(tmp_path, files, seed):
    """Mutate files of all formats in turn; count how reading each ended."""
    generator = np.random.default_rng(seed)
    found = samples()
    count = {"read": 0, "refused": 0}
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    for number in range(files):
        settings, name, data = found[number % len(found)]
        path = tmp_path / name
        path.write_bytes(mutated(data, generator))
        signal.alarm(HANG_S)
        message = ""
        try:
            replay(settings, path, ("error", "skip")[number // len(found) % 2])
        except SimulatorError as error:
            message = str(error)
        finally:
            signal.alarm(0)
        count["refused" if message else "read"] += 1
        assert "\n" not in message
        assert len(message) < 1000
        assert not message or name in message
    return count


@pytest.mark.parametrize(
    ("settings", "name", "data"), [pytest.param(*case, id=case[1]) for case in samples()]
)
def test_samples_are_read_before_they_are_mutated(settings, name, data, tmp_path):
    path = tmp_path / name
    path.write_bytes(data)
    replay(settings, path, "error")


def test_mutated_files_are_read_or_refused(tmp_path):
    count = outcomes(tmp_path, 300, seed=1)
    assert min(count.values()) > 30  # the mutations are neither harmless nor hopeless


@pytest.mark.slow
def test_ten_thousand_mutated_files_are_read_or_refused_in_flat_memory(tmp_path):
    outcomes(tmp_path, 500, seed=2)
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pool_before = pa.total_allocated_bytes()
    outcomes(tmp_path, 10_000, seed=3)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 200 * 1024
    assert pa.total_allocated_bytes() - pool_before < 1 << 20
