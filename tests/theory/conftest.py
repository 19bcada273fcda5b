"""Long simulations against closed forms, without coverage.

It would cost a third of their time, and everything here is run by the tests of the rooms.
"""

import pytest


def pytest_collection_modifyitems(items):
    for item in items:
        if "tests/theory" in item.nodeid:
            item.add_marker(pytest.mark.no_cover)
