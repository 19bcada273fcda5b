import pytest
from helpers.trace_rows import iteration_row, request_row

from simulator.report.timeline import plot_timeline
from simulator.trace.merge import merge
from simulator.trace.schema import ITERATIONS, REQUESTS
from simulator.trace.writer import TraceWriter


@pytest.fixture
def trace(tmp_path):
    def make(steps=40, arms=("baseline", "speculative"), replications=2, requests=40):
        tables = {"requests": (REQUESTS, []), "iterations": (ITERATIONS, [])}
        for arm in arms:
            for replication in range(replications):
                rows = {
                    "requests": [request_row(i, i, i + 0.5, i + 3.0, 9) for i in range(requests)],
                    "iterations": [
                        iteration_row(i, i, 1.0, i % 7, 3, waiting=i // (1 + replication))
                        for i in range(steps)
                    ],
                }
                for name, (schema, parts) in tables.items():
                    parts.append(tmp_path / f"{name}-{arm}-{replication}.parquet")
                    constants = {"arm": arm, "replication": replication}
                    with TraceWriter(parts[-1], schema, {}, constants) as writer:
                        writer.rows.extend(rows[name])
        return [
            merge(parts, tmp_path / f"{name}.parquet", {}) for name, (_, parts) in tables.items()
        ]

    return make


def test_the_same_data_give_the_same_bytes(trace, tmp_path):
    tables = trace()
    pictures = [plot_timeline(*tables, tmp_path / f"{i}.png", 0.1) for i in range(2)]
    assert pictures[0].read_bytes() == pictures[1].read_bytes()
    assert pictures[0].read_bytes().startswith(b"\x89PNG")


def test_panels_and_arms_are_labelled(trace, tmp_path, monkeypatch):
    import matplotlib as mpl

    monkeypatch.setitem(mpl.rcParams, "svg.fonttype", "none")
    text = plot_timeline(*trace(), tmp_path / "a.svg", 0.1).read_text(encoding="utf-8")
    for label in ("waiting requests", "decoding requests", "KV blocks taken", "SD off", "SD on"):
        assert label in text
    assert "time (s); lines and bands: mean and range over replications" in text


@pytest.mark.parametrize(
    "shape",
    [{"requests": 0}, {"steps": 0}, {"replications": 1}, {"arms": ("baseline",)}, {"requests": 1}],
    ids=str,
)
def test_degenerate_traces_are_drawn_all_the_same(trace, tmp_path, shape):
    assert plot_timeline(*trace(**shape), tmp_path / "a.png", 0.1).exists()
