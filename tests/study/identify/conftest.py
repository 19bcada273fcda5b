"""Plans written into a folder; MoESD's own 228 points."""

import pytest

from simulator.study.identify.prior import prior_of
from simulator.study.identify.rows import BATCHES, Row


@pytest.fixture
def plan(tmp_path):
    """Write a plan and return its path."""

    def write(text):
        path = tmp_path / "plan.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def prior():
    return prior_of("qwen2_57b_a14b", "qwen2_0_5b", "a800_sxm", 2)


@pytest.fixture(scope="session")
def pool():
    """Return MoESD's points in its order: by K, then gamma, then batch."""

    def rows(tolerance, kind="speedup"):
        return [
            Row(kind, top_k, gamma, batch, tolerance)
            for top_k in (1, 2, 4, 8, 16, 32)
            for gamma in (2, 4)
            for batch in BATCHES
        ]

    return rows
