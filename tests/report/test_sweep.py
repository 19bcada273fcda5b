"""What came out of a sweep, on the terminal."""

import pytest

from simulator.report.sweep import best_of, print_sweep, ranked_by

AXES = ["speculation.gamma", "workload.rate"]


def point(gamma, speedup=None, low=None, high=None, **more):
    return {
        "speculation.gamma": gamma,
        "workload.rate": 2,
        "status": "done",
        "reason": None,
        "speedup.tpot_p50.value": speedup,
        "speedup.tpot_p50.low": low,
        "speedup.tpot_p50.high": high,
        **more,
    }


def failed(gamma, reason):
    return point(gamma) | {"status": "failed", "reason": reason}


@pytest.fixture
def show(console):
    def run(*rows):
        with console.capture() as captured:
            print_sweep(rows, AXES, console)
        return captured.get()

    return run


@pytest.fixture
def console():
    from rich.console import Console

    return Console(width=80)


def test_the_best_points_come_first_and_those_beyond_chance_are_counted(show):
    rows = [point(n, 1 + n / 10, 0.95 + n / 10, 1.05 + n / 10) for n in range(12)]
    out = show(point(20, 0.8, 0.7, 0.9), *rows)
    assert out.startswith("The best 10 of 13 points, by the speedup of the median time per output")
    lines = [line for line in out.splitlines() if "gamma=" in line]
    assert [line.split()[-2] for line in lines] == [f"gamma={n}" for n in range(11, 1, -1)]
    assert "2.10x" in lines[0]
    assert "2.05 to 2.15" in lines[0]
    assert "Speculation pays at 11 of 13 points, costs at 1;" in out


def test_without_intervals_it_says_why(show):
    out = show(point(1, 1.4), point(2, 0.9))
    assert out.startswith("All points")
    assert "gains at 1 of 2 points; one replication has no interval" in " ".join(out.split())


def test_failures_stand_by_reason_and_long_lists_end(show):
    rows = [failed(n, "does not fit") for n in range(5)]
    rows += [failed(10 + n, f"reason {n}") for n in range(6)]
    out = show(*rows)
    assert out.startswith("11 points failed:\n  speculation.gamma=0 workload.rate=2\n")
    assert "  and 2 more\n    does not fit\n" in out
    assert "and for 2 more reasons" in out
    assert "speedup" not in out


def test_where_latencies_are_withheld_everywhere_throughput_ranks(show):
    rows = [point(n, **{"speedup.throughput.value": 1.0 + n}) for n in (1, 3, 2)]
    assert ranked_by(rows) == "throughput"
    assert best_of(rows) is rows[1]
    assert "by the speedup of output tokens per second" in show(*rows)
    assert best_of([failed(1, "no")]) is None


def test_axes_with_the_same_last_name_keep_their_names(console):
    rows = [point(1, 1.5) | {"workload.profile": "a", "speculation.profile": "b"}]
    with console.capture() as captured:
        print_sweep(rows, ["workload.profile", "speculation.profile"], console)
    words = " ".join(captured.get().split())
    assert "workload.profile=a" in words
    assert "speculation.profile=b" in words
