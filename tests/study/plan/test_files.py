"""The files of a plan: JSON and Parquet agree, and a folder holds a whole plan or none."""

import json
from dataclasses import replace

import pyarrow.parquet as pq
import pytest
from helpers.plans import B300, H200, empty_plan, offer, plan

from simulator.study.plan.exports import files
from simulator.study.plan.exports.command import Export
from simulator.study.plan.exports.files import write_plan
from simulator.study.plan.exports.served import reproduces, served, started
from simulator.study.plan.exports.tables import COLUMNS

SHORT = plan(offers=(offer(H200),))
"""A plan with one offer."""


MADE_UP = {engine: Export(engine, ("serve",), ()) for engine in files.SCRIPTS}


def write(one, verdict, folder):
    """Write a plan, with commands that are made up."""
    commands = {offer.deployment: MADE_UP for offer in one.offers}
    return write_plan(one, verdict, commands, folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("plan")
    write_plan(plan(), "It holds.", started(plan()), path)
    return path


@pytest.fixture(scope="module")
def told(folder):
    return json.loads((folder / "plan.json").read_text("utf-8"))


def test_json_has_the_verdict_and_every_offer_in_order(told):
    assert told["verdict"] == "It holds."
    assert [each["gpu"] for each in told["deployments"]] == ["h200_sxm", "b300_sxm", "h100_sxm"]
    first = told["deployments"][0]
    assert (first["gpus"], first["max_rate"], first["speedup"]) == (12, 23.4, 1.31)
    assert first["binding_constraint"] == "tpot"
    assert first["speedup_interval"]["low"] < 1.31 < first["speedup_interval"]["high"]
    assert first["usd_per_million_tokens"] == pytest.approx(75.66 / 3600 / 14_200 * 1e6)
    assert told["deployments"][1]["usd_per_hour"] is None
    assert "in time" in told["deployments"][2]["reason"]


def test_json_has_what_lies_behind_the_offers(told):
    assert told["crossover"]["batch"] == 180
    assert told["confirmation"]["cheaper"]["meets"] is False
    assert told["counts"]["simulated"] == 131
    assert told["rejected"] == [
        {"kind": "memory", "deployments": 1, "examples": [plan().rejected[0].reason]}
    ]
    assert told["assumptions"]
    assert told["question"]["objectives"]["reasoning"]["tpot_s"] == 0.08


def test_every_row_has_its_command_and_how_it_is_served(told):
    for each in told["deployments"]:
        assert each["command"].startswith("moesim simulate workload=mix 'workload.mix=[{preset")
        assert each["command"].endswith("run.requests=2000 run.replications=3")
        assert each["exports"]["vllm"]["commands"][0].startswith("vllm serve Qwen/Qwen3-235B-A22B")
    assert "hardware.gpu=b300_sxm" in reproduces(plan(), B300)


def test_tables_agree_with_the_json_and_state_their_units(folder, told):
    offers = pq.read_table(folder / "offers.parquet")
    assert offers.column("max_rate").to_pylist() == [
        each["max_rate"] for each in told["deployments"]
    ]
    assert offers.schema.field("usd_per_hour").metadata[b"unit"] == b"USD/h"
    latencies = pq.read_table(folder / "latencies.parquet").to_pylist()
    assert len(latencies) == 3 * 2 * 3
    assert {row["bound"] for row in latencies if row["latency"] == "tpot_s"} == {0.1, 0.08}
    points = pq.read_table(folder / "pareto.parquet").to_pylist()
    assert [row["batch"] for row in points] == [point["batch"] for point in told["pareto"]]
    for name, columns in COLUMNS.items():
        assert pq.read_schema(folder / f"{name}.parquet").names == list(columns)


def test_the_best_offer_can_be_started_from_scripts(folder):
    for engine, start in (("vllm", "vllm serve"), ("sglang", "python -m sglang.launch_server")):
        script = folder / f"serve-{engine}.sh"
        assert script.read_text("utf-8").startswith("#!/bin/sh\n")
        assert f"\n{start}" in script.read_text("utf-8")
        assert script.stat().st_mode & 0o111


def test_a_plan_without_an_offer_that_meets_names_what_comes_closest(tmp_path):
    write(SHORT, "It holds.", tmp_path)
    written = write(empty_plan(), "Nothing holds.", tmp_path)
    told = json.loads(written["plan"].read_text("utf-8"))
    assert told["nearest_miss"]["takes"][0].startswith("a TPOT of")
    assert told["nearest_miss"]["command"].startswith("moesim simulate")
    assert told["confirmation"] is None
    assert not (tmp_path / "serve-vllm.sh").exists()  # that of the plan before


def test_a_plan_that_is_cut_off_leaves_no_plan_file(tmp_path, monkeypatch):
    write(SHORT, "It holds.", tmp_path)

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(files, "plan_json", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(SHORT, "It holds again.", tmp_path)
    assert not (tmp_path / "plan.json").exists()


@pytest.mark.slow
def test_cost_model_is_served_as_the_table_that_it_leads_to():
    adaptive = replace(H200, policy="cost_model")
    command = served(plan(), adaptive)["vllm"].commands[0]
    assert "num_speculative_tokens_per_batch_size" in command
