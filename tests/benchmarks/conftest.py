"""The modules of the benchmarks as their script sees them, and gone afterwards."""

import importlib
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
NOT_HERE = {"fit_engines"}  # a tool of its own


@pytest.fixture
def benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    monkeypatch.delenv("MOESIM_PEER_PYTHON", raising=False)
    names = sorted({path.stem for path in FOLDER.glob("*.py")} - NOT_HERE)
    yield {name: importlib.import_module(name) for name in names}
    for name in names:
        del sys.modules[name]
