"""Models and runs of a measured engine: what is read, and what is refused."""

import numpy as np
import pytest
import yaml
from helpers.measurements import MODELS, SHAPE

from simulator.errors import DataError, SimulatorError
from simulator.study.engines.models import read_models
from simulator.study.engines.requests import COLUMNS, read_runs

HEADER = ",".join(COLUMNS)
ROW = "a,moe,0,0.1,20,5,0.2,0.6"


@pytest.fixture
def models(tmp_path):
    def write_and_read(content):
        path = tmp_path / "models.yaml"
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        return read_models(path)

    return write_and_read


@pytest.fixture
def runs(tmp_path):
    def write_and_read(*rows, header=HEADER):
        path = tmp_path / "requests.csv"
        path.write_text("\n".join([header, *rows]), encoding="utf-8")
        return read_runs(path)

    return write_and_read


def test_models_of_both_kinds_and_the_limits_are_read(models):
    found = models(MODELS)
    moe, dense = found.models["moe"], found.models["dense"]
    assert (moe.moe.experts, moe.moe.top_k, moe.moe.inter) == (64, 8, 512)
    assert dense.moe is None
    assert dense.mlp_inter == 4096
    assert found.drafter.architecture.layers == 2
    assert (found.max_num_seqs, found.max_batched_tokens) == (64, 2048)
    assert found.remarks == {"engine": "made up, eager"}


def test_a_folder_without_drafts_needs_no_drafter(models):
    assert models({"models": MODELS["models"]}).drafter is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"models": None}, "models is missing"),
        ({"modles": {}}, "Did you mean 'models'"),
        ({"engine": {"max_num_seqs": 0}}, "engine.max_num_seqs is 0"),
        ({"engine": "vllm"}, "engine must be a mapping"),
        ({"models": {"m": 3}}, "m must be a mapping of shapes"),
        ({"models": {"m": SHAPE}}, "m lacks inter"),
        ({"models": {"m": SHAPE | {"experts": 8}}}, "m lacks top_k, expert_inter"),
        ({"models": {"m": SHAPE | {"inter": 64, "layer": 3}}}, "Did you mean 'layers'"),
        ({"models": {"m": SHAPE | {"inter": 64, "kv_heads": 5}}}, "must divide heads=16"),
        ({"models": {"m": SHAPE | {"inter": 64, "dtype": "fp23"}}}, "model.dtype 'fp23'"),
    ],
)
def test_wrong_models_are_refused_with_their_file(models, changes, message):
    with pytest.raises(SimulatorError, match=message) as caught:
        models(MODELS | changes)
    assert "models.yaml" in str(caught.value)


def test_requests_are_ordered_by_arrival_and_timed(runs):
    (run,) = runs("a,moe,0,0.5,9,1,0.6,0.6", ROW)
    assert [row.arrival_s for row in run.rows] == [0.1, 0.5]
    assert run.latencies.ttft_s == pytest.approx([0.1, 0.1])
    assert run.latencies.e2e_s == pytest.approx([0.5, 0.1])
    assert run.latencies.tpot_s[0] == pytest.approx(0.1)
    assert np.isnan(run.latencies.tpot_s[1])  # one token has no time per further token
    assert run.latencies.median_s("tpot_s") == pytest.approx(0.1)


def test_runs_are_told_apart(runs):
    assert [run.name for run in runs(ROW, ROW.replace("a,", "b,", 1))] == ["a", "b"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a,moe,0,0.1,20,5,0.6,0.2", "must follow each other"),
        ("a,moe,0,0.3,20,5,0.2,0.6", "must follow each other"),
        ("a,moe,0,-0.1,20,5,0.2,0.6", "times start at 0"),
        ("a,moe,0,0.1,0,5,0.2,0.6", "prompt_tokens is 0"),
        ("a,moe,0,0.1,20,,0.2,0.6", "output_tokens is missing"),
        ("a,moe,4,0.1,20,5,0.2,0.6", "a run with drafts needs 0 to 1"),
        ("a,moe,99,0.1,20,5,0.2,0.6", "at most 64"),
    ],
)
def test_impossible_requests_are_refused_with_their_line(runs, row, message):
    with pytest.raises(DataError, match=message) as caught:
        runs(row)
    assert "requests.csv, line 2" in str(caught.value)


def test_a_run_is_of_one_model_and_its_columns_are_there(runs):
    with pytest.raises(DataError, match="line 3: run 'a' has another model than in line 2"):
        runs(ROW, ROW.replace("moe", "dense"))
    with pytest.raises(DataError, match="lacks the column finish_s"):
        runs(ROW.rpartition(",")[0], header=",".join(COLUMNS[:-1]))
    with pytest.raises(DataError, match="no rows"):
        runs()
