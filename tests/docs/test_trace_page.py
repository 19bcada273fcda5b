"""The page of the trace says what the code says."""

from pathlib import Path

import pytest

from simulator.trace.page import trace_page
from simulator.trace.schema import TABLES

PAGE = Path(__file__).parents[2] / "docs" / "trace.md"


def test_it_is_up_to_date():
    assert PAGE.read_text("utf-8") == trace_page(), "run: python scripts/trace_page.py"


@pytest.mark.parametrize("table", TABLES)
def test_every_column_is_in_it(table):
    part = trace_page().partition(f"## `{table}.parquet`")[2].partition("## `")[0]
    assert all(f"\n| `{name}` |" in part for name in TABLES[table].names[2:])
