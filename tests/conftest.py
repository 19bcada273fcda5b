"""What all tests share: whole runs are not traced for coverage.

Tracing makes a simulation up to five times as long, and what whole runs execute is executed by the
tests of its room as well. The marker ``no_cover`` of pytest-cov does nothing in workers of xdist.
"""

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
UNTRACED = {
    HERE / name
    for name in (
        "benchmarks",
        "commands/test_killed.py",
        "commands/test_simulate.py",
        "docs",
        "golden",
        "properties",
        "theory",
    )
}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    trace = sys.gettrace()
    if not UNTRACED.isdisjoint((item.path, *item.path.parents)):
        sys.settrace(None)
    try:
        return (yield)
    finally:
        sys.settrace(trace)
