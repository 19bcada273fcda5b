"""Folders to report on, made once: small, whole, with a title that breaks a careless page."""

import json
from dataclasses import replace

import pytest
from helpers.plans import plan
from helpers.scenarios import fixed_batch

from simulator.config import RunConfig
from simulator.report.plan_evidence import evidence
from simulator.report.plan_verdict import verdict
from simulator.scenario import build
from simulator.slo import SloConfig
from simulator.study.paired import simulate
from simulator.study.plan.exports.files import write_plan
from simulator.study.plan.exports.served import started
from simulator.study.result import conclude
from simulator.study.sweep.dataset import common_columns, conform, row_table, write_row
from simulator.study.sweep.layout import POINTS, partition

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
    (folder / ".hydra" / "overrides.yaml").write_text(
        "- speculation.alphas=[0.8, 0.7]\n- title=mine\n"
    )
    return folder


GAINS = {
    (0, 1): 1.0,
    (0, 2): 1.0,
    (0, 4): 0.8,
    (2, 1): 1.4,
    (4, 1): 1.6,
    (4, 2): 2.0,
    (4, 4): 2.4,
}
"""Speedups by draft length and load of a made-up sweep; what is missing here failed."""


def sweep_row(gamma, rate):
    """The row of a point."""
    if (gamma, rate) not in GAINS:
        return {"point": f"{gamma}-{rate}", "status": "failed", "reason": "<b>no</b> room"}
    gain = GAINS[gamma, rate]
    row = {"speedup.tpot_p50.value": gain, "baseline.tpot_s.p50": 0.02}
    row |= {"speedup.tpot_p50.low": gain - 0.1, "speedup.tpot_p50.high": gain + 0.1}
    row |= {"speculative.tpot_s.p50": 0.02 / gain, "scenario.title": TITLE, "scenario.seed": 7}
    sentences = ["all alike", *(["only gamma 0"] if gamma == 0 else [])]
    return row | {
        "point": f"{gamma}-{rate}",
        "status": "done",
        "reason": None,
        "assumptions": "\n".join(sentences),
    }


@pytest.fixture(scope="session")
def sweep_folder(tmp_path_factory):
    """The folder of a sweep of nine made-up points, two of which failed."""
    folder = tmp_path_factory.mktemp("sweep")
    axes = {"speculation.gamma": [0, 2, 4], "workload.rate": [1, 2, 4]}
    paths = []
    for gamma in axes["speculation.gamma"]:
        for rate in axes["workload.rate"]:
            where = partition({"speculation.gamma": gamma, "workload.rate": rate})
            paths.append(folder / POINTS / where / f"{gamma}-{rate}.parquet")
            write_row(paths[-1], row_table(sweep_row(gamma, rate), {}))
    columns = common_columns(paths)
    for path in paths:
        conform(path, columns)
    state = {"axes": axes, "overrides": ["model=mixtral_8x7b"], "points": 9, "fingerprint": "ab"}
    (folder / "sweep.json").write_text(json.dumps(state), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def plan_folder(tmp_path_factory):
    """The folder of a made-up plan, as ``moesim plan`` leaves it."""
    folder = tmp_path_factory.mktemp("plan")
    found = plan(assumptions=(TITLE,))
    write_plan(found, " ".join(verdict(found)), started(found), folder)
    summary = {"evidence": list(evidence(found))}
    (folder / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    return folder
