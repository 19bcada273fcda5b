"""What all tests share: whole runs are not traced for coverage.

Tracing makes a simulation up to four times as long, and what whole runs execute is executed by the
tests of its room as well.
"""

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


def pytest_collection_modifyitems(items):
    for item in items:
        if not UNTRACED.isdisjoint((item.path, *item.path.parents)):
            item.add_marker(pytest.mark.no_cover)
