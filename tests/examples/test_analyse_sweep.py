"""The notebook on the dataset of a sweep runs with DuckDB and with polars."""

import importlib.util
import runpy
from pathlib import Path

import pytest

from simulator.cli import main

NOTEBOOK = Path(__file__).parents[2] / "examples" / "analyse_sweep.py"
SMALL = ["run.requests=30", "run.replications=2", "workers=1"]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    axes = ["speculation.gamma=1,3", "hardware=h100_sxm,l40s", "hardware.tensor_parallel=1"]
    main(["sweep", *axes, *SMALL, f"hydra.run.dir={folder}"])
    return folder


@pytest.mark.parametrize("library", ["duckdb", "polars"])
def test_it_answers(sweep, library, monkeypatch, capsys):
    pytest.importorskip(library)
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: (
            found(name, *rest) if name not in {"duckdb", "polars"} - {library} else None
        ),
    )
    monkeypatch.setattr("sys.argv", [str(NOTEBOOK), str(sweep)])
    runpy.run_path(str(NOTEBOOK), run_name="__main__")
    out = capsys.readouterr().out
    assert "speculation.gamma" in out
    assert "speedup" in out
    assert "l40s" in out


def test_it_says_what_it_needs(sweep, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda *_: None)
    monkeypatch.setattr("sys.argv", [str(NOTEBOOK), str(sweep)])
    with pytest.raises(SystemExit, match="DuckDB or polars"):
        runpy.run_path(str(NOTEBOOK))
