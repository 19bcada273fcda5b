import io

import pytest
from rich.console import Console

from simulator.report.progress import progress


class Clock:
    now_s = 0.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def screen():
    return Console(file=io.StringIO(), force_terminal=True, width=80)


def _work(console, clock, seconds_a_unit, units=10, **known):
    with progress(known.get("total", units), "simulating", console=console, clock=clock) as bar:
        for _ in range(units):
            clock.now_s += seconds_a_unit
            bar.advance(1)
    return console.file.getvalue()


def test_a_long_job_shows_what_it_does_and_how_far_it_is(screen):
    text = _work(screen, Clock(), 1.0)
    assert "simulating" in text
    assert "10/10" in text


def test_a_short_job_shows_nothing(screen):
    assert _work(screen, Clock(), 0.1) == ""


def test_a_job_that_ends_as_the_wait_is_felt_shows_nothing(screen):
    assert _work(screen, Clock(), 1.0, units=2) == ""


def test_nothing_is_written_where_there_is_no_terminal():
    assert _work(Console(file=io.StringIO(), width=80), Clock(), 10.0) == ""


def test_by_default_it_writes_to_standard_error_only(capsys):
    clock = Clock()
    with progress(5, "simulating", clock=clock) as bar:
        clock.now_s = 100.0
        bar.advance(2)
    out, err = capsys.readouterr()
    assert out == err == ""  # under pytest standard error is no terminal
    assert bar.done == 2


def test_work_without_a_known_end_is_counted(screen):
    assert "10 done" in _work(screen, Clock(), 1.0, units=10, total=None)


def test_the_bar_goes_away_when_the_work_fails(screen):
    clock = Clock()

    def fail():
        with progress(5, "simulating", console=screen, clock=clock) as bar:
            clock.now_s = 10.0
            bar.advance()
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert screen._live_stack == []
