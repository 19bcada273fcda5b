"""Folders to report on, made once: small, whole, with a title that breaks a careless page."""

from dataclasses import replace

import pytest
from helpers.scenarios import fixed_batch

from simulator.config import RunConfig
from simulator.scenario import build
from simulator.slo import SloConfig
from simulator.study.paired import simulate
from simulator.study.result import conclude

TITLE = """<script>document.body.remove()</script><b>R&D</b> "on" <img src=x onerror=alert(1)>"""


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory):
    """The folder of a run with a hostile title, as ``moesim simulate`` leaves it."""
    folder = tmp_path_factory.mktemp("run")
    scenario = fixed_batch(
        8,
        2,
        output_tokens=40,
        run=RunConfig(requests=300, replications=2, workers=1),
        slo=SloConfig(ttft_s=0.5, tpot_s=0.1),
    )
    scenario = build(replace(scenario.config, title=TITLE))
    files = {name: folder / f"{name}.parquet" for name in ("requests", "iterations")}
    simulate(scenario, files["requests"], files["iterations"], lambda _: None)
    conclude(scenario, files | {"summary": folder / "summary.json"})
    (folder / ".hydra").mkdir()
    (folder / ".hydra" / "overrides.yaml").write_text("- speculation.alphas=[0.8, 0.7]\n- x=1\n")
    return folder
