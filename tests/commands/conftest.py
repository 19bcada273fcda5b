"""Commands run in an empty folder, in this process unless a test says otherwise."""

import shutil
import sys
from pathlib import Path

import pytest

from simulator.cli import main

SMALL = ["run.requests=20", "run.replications=1", "run.workers=1", "run.picture=false"]
"""Overrides that make a run take a fraction of a second."""


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


@pytest.fixture
def moesim(capsys):
    """Run a command line; return its exit code, standard output and standard error."""

    def run(*words):
        code = main(list(words))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def simulate(moesim, tmp_path):
    """Run ``moesim simulate`` small, into the folder ``run`` unless told otherwise."""

    def run(*words):
        return moesim("simulate", *SMALL, f"hydra.run.dir={tmp_path / 'run'}", *words)

    return run


@pytest.fixture
def refused(simulate):
    """Run ``moesim simulate`` on what must be refused; return the message."""

    def run(*words):
        code, out, err = simulate(*words)
        assert (code, out) == (2, "")
        assert err.startswith("moesim: ")
        assert "Traceback" not in err
        return err.removeprefix("moesim: ").rstrip("\n")

    return run


@pytest.fixture(scope="session")
def executable():
    """The installed command."""
    path = shutil.which("moesim", path=str(Path(sys.executable).parent))
    if path is None:
        pytest.skip("moesim is not installed beside this Python")
    return path
