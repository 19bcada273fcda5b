"""Ranks and links of a run whose dispatch was followed: made-up tables."""

from types import SimpleNamespace

import pytest

from simulator.report.html.run.experts import experts_section
from simulator.trace.merge import merge
from simulator.trace.schema import ARMS, TABLES, row_columns
from simulator.trace.writer import TraceWriter

LINKS = "a-b", "b-c"


def table(folder, name, rows):
    """A trace of one replication, the same rows in both arms."""
    schema, parts = TABLES[name], []
    for arm in ARMS:
        parts.append(folder / f"{name}-{arm}.parquet")
        run, names = {"arm": arm, "replication": 0}, {"link": LINKS} if name == "links" else {}
        with TraceWriter(parts[-1], schema, {}, run, names=names) as writer:
            writer.rows.extend(
                tuple(row.get(column, 0) for column in row_columns(schema)) for row in rows
            )
    return merge(parts, folder / f"{name}.parquet", {})


@pytest.fixture
def section(tmp_path):
    loads = [
        {"iteration": step, "layer": layer, "rank": rank, "tokens": float(tokens)}
        for step in range(3)
        for layer, shares in ((1, (30, 10)), (2, (20, 20)))
        for rank, tokens in enumerate(shares)
    ]
    links = [
        {"start_s": float(second), "duration_s": 1.0, "link": link, "utilisation": used}
        for second in range(2)
        for link, used in enumerate((0.2 + 0.3 * second, 0.1))
    ]
    paths = {"expert_loads": loads, "links": links}
    tables = {name: table(tmp_path, name, rows) for name, rows in paths.items()}
    return experts_section(SimpleNamespace(tables=tables))


def test_the_busiest_rank_of_each_layer_stands_over_the_mean(section):
    (chart,) = section.blocks[0].charts
    assert [(line.name, list(line.x), line.y) for line in chart.series] == [
        ("SD off", [1, 2], [1.5, 1.0]),
        ("SD on", [1, 2], [1.5, 1.0]),
    ]


def test_links_are_ranked_by_their_busiest_interval(section):
    rows = [[cell.text for cell in row.cells] for row in section.blocks[1].rows]
    assert rows == [["a-b", "50.0 %", "50.0 %"], ["b-c", "10.0 %", "10.0 %"]]


def test_a_run_without_such_tables_has_no_such_section():
    assert experts_section(SimpleNamespace(tables={})) is None
