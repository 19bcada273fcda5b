"""Worker processes that stay over several calls."""

import os
import signal

import pytest

from simulator.errors import CapacityError, ConfigError
from simulator.study.executors import EXECUTORS, open_executor


@pytest.fixture(scope="module")
def two():
    """Two worker processes, started once."""
    with open_executor("processes") as executor:
        yield lambda function, items: executor.run(function, items, 2)


def test_every_item_is_answered_once_in_whatever_order(two):
    assert sorted(two(abs, range(-9, 0))) == [(n, 9 - n) for n in range(9)]
    assert list(two(abs, [])) == []


def test_workers_stay_over_calls_and_calls_that_were_left_early(two):
    first = {pid for _, pid in two(_pid, range(8))}
    early = two(_pid, range(8))
    next(early)
    early.close()
    assert {pid for _, pid in two(_pid, range(8))} <= first
    assert os.getpid() not in first
    assert len(first) <= 2


def test_items_are_taken_as_workers_become_free(two):
    taken = []

    def items():
        for n in range(50):
            taken.append(n)
            yield n

    found = two(abs, items())
    next(found)
    assert len(taken) <= 5
    found.close()


def test_an_error_of_a_job_is_raised_here(two):
    with pytest.raises(ZeroDivisionError):
        list(two(_invert, [1, 0]))
    assert list(two(_invert, [2])) == [(0, 0.5)]


def test_one_worker_is_this_process():
    with open_executor("processes") as executor:
        assert list(executor.run(_pid, range(2), 1)) == [(0, os.getpid()), (1, os.getpid())]


def test_a_killed_worker_is_told():
    message = "a worker process was killed"
    with open_executor("processes") as executor, pytest.raises(CapacityError, match=message):
        list(executor.run(_die, range(2), 2))


def test_what_does_not_fit_together_is_refused():
    assert list(EXECUTORS) == ["processes", "ray"]
    with pytest.raises(ConfigError, match="address=auto has no effect: executor=processes"):
        open_executor("processes", "auto")
    with pytest.raises(ConfigError, match="unknown executor 'process' in executor"):
        open_executor("process")


def _pid(_):
    return os.getpid()


def _invert(x):
    return 1 / x


def _die(_):
    os.kill(os.getpid(), signal.SIGKILL)
