"""What all tests share: no clock fails a property, and whole runs are not traced for coverage.

A deadline of hypothesis fails where the machine is busy, and shrinking that failure takes minutes.

Tracing makes a simulation up to five times as long, and what whole runs execute is executed by the
tests of its room as well; so is what the hundreds of examples of a property execute. The marker
``no_cover`` of pytest-cov does nothing in workers of xdist.
"""

import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "clockless", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("clockless")

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


def untraced(item):
    """Tell whether an item is a property or stands in a folder of whole runs."""
    is_property = getattr(getattr(item, "obj", None), "is_hypothesis_test", False)
    return is_property or not UNTRACED.isdisjoint((item.path, *item.path.parents))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    trace = sys.gettrace()
    if untraced(item):
        sys.settrace(None)
    try:
        return (yield)
    finally:
        sys.settrace(trace)
