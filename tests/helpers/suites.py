"""Parameters of tests that run in one suite or the other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def some(values: Iterable[Any], *quick: Any) -> list[Any]:
    """Return values as parameters: those named run always, the others in the slow suite.

    Examples
    --------
    >>> [bool(parameter.marks) for parameter in some(range(4), 0, 3)]
    [False, True, True, False]
    """
    return [
        pytest.param(value, marks=[] if value in quick else [pytest.mark.slow]) for value in values
    ]
