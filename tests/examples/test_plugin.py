"""The plug-in of examples/, as an installed package would be found."""

import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest

from simulator import registry
from simulator.compose import compose
from simulator.scenario import build
from simulator.speculation.policies import POLICIES, Telemetry
from simulator.study.paired import Run, run_arm
from simulator.trace.parts import read_part

PLUGIN = Path(__file__).parents[2] / "examples" / "plugin"


@pytest.fixture
def installed(monkeypatch):
    """Let the registries see the entry points of the plug-in's pyproject."""
    declared = tomllib.loads((PLUGIN / "pyproject.toml").read_text("utf-8"))["project"]
    points = {
        group: [EntryPoint(name, value, group) for name, value in entries.items()]
        for group, entries in declared["entry-points"].items()
    }
    monkeypatch.syspath_prepend(PLUGIN)
    monkeypatch.setattr(registry, "entry_points", lambda group: points.get(group, []))
    monkeypatch.setattr(POLICIES, "_factories", dict(POLICIES._factories))
    monkeypatch.setattr(POLICIES, "_plugins_loaded", False)


@pytest.mark.usefixtures("installed")
def test_it_chooses_the_draft_lengths_of_a_run(tmp_path):
    overrides = ["speculation.policy=aimd", "speculation.gamma=6", "run.requests=12"]
    scenario = build(compose(overrides))
    tables = tuple(tmp_path / f"{name}.parquet" for name in ("requests", "iterations"))
    run_arm(scenario, Run("speculative", 0), tables)
    (part,) = (tmp_path / "parts").glob("iterations-*")
    query_tokens = set(read_part(part, "iterations")["query_tokens"].to_pylist())
    assert query_tokens <= set(range(1, 8))
    assert len(query_tokens) > 3


@pytest.mark.usefixtures("installed")
def test_it_grows_by_one_and_halves():
    policy = POLICIES.get("aimd")(compose(["speculation.gamma=6"]).speculation, None)
    nothing = np.empty(0, np.int64)
    assert policy.decide(Telemetry(4, 100, 0, nothing)) == 6
    few, many = np.array([1, 1]), np.array([6, 5])
    assert [policy.decide(Telemetry(2, 100, 6, few)) for _ in range(4)] == [3, 1, 1, 1]
    assert [policy.decide(Telemetry(2, 100, 6, many)) for _ in range(6)] == [2, 3, 4, 5, 6, 6]
    assert policy.decide(Telemetry(2, 100, 6, np.array([3, 3]))) == 6
