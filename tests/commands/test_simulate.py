import json
import os
import pickle
import re
import subprocess
import sys
from concurrent.futures.process import BrokenProcessPool

import pytest
import yaml

from simulator.commands import job
from simulator.commands.simulate import _Points
from simulator.errors import InvariantError

TOY = """
name: toy
title: Toy model
source: made up for a test
layers: 4
hidden: 1024
vocab: 32000
max_context_tokens: 32768
attention: {kind: gqa, heads: 16, kv_heads: 4, head_dim: 64}
moe: {experts: 8, top_k: 2, inter: 2048}
"""


def summary(folder):
    return json.loads((folder / "summary.json").read_text())


def test_it_prints_a_table_and_writes_the_run(simulate, tmp_path):
    code, out, err = simulate("speculation.gamma=2")
    assert (code, err) == (0, "")
    assert "speedup" in out
    assert {"requests.parquet", "iterations.parquet", "summary.json", ".hydra"} == set(
        os.listdir(tmp_path / "run")
    )
    assert summary(tmp_path / "run")["scenario"]["gamma"] == 2


def test_the_command_of_the_issue(simulate, tmp_path):
    code, _, _ = simulate(
        *("model=mixtral_8x7b", "hardware=h100_sxm", "speculation.gamma=3"),
        *("workload=chat", "workload.rate=4"),
    )
    assert code == 0
    scenario = summary(tmp_path / "run")["scenario"]
    assert scenario["model"] == "Mixtral-8x7B"
    assert "4 requests/s" in scenario["workload"]


def test_the_pictures_are_drawn_and_old_ones_removed(simulate, tmp_path):
    pictures = [tmp_path / "run" / name for name in ("latencies.png", "timeline.png")]
    simulate("run.picture=true")
    assert all(picture.read_bytes().startswith(b"\x89PNG") for picture in pictures)
    simulate()
    assert not any(picture.exists() for picture in pictures)


def test_the_next_command_keeps_the_overrides_quoted(simulate):
    _, out, _ = simulate("title='two words'", "speculation.gamma=1")
    (line,) = [line for line in out.splitlines() if line.startswith("Next: ")]
    assert "'title='\"'\"'two words'\"'\"''" in line
    assert "hydra.run.dir" not in line


def test_without_a_folder_it_runs_below_runs(moesim, tmp_path):
    code, _, _ = moesim("simulate", "run.requests=5", "run.replications=1", "run.workers=1")
    assert code == 0
    assert len(list(tmp_path.glob("runs/*/*/summary.json"))) == 1


def test_a_sweep_has_one_folder_per_point(moesim, tmp_path):
    code, _, err = moesim(
        *("simulate", "run.requests=10", "run.replications=1", "run.workers=1"),
        *("-m", "hydra.sweep.dir=sweep", "speculation.gamma=0,2", "run.seed=1,2"),
        "run.picture=false",  # behind the flag, where argparse alone would not take it
    )
    assert (code, err) == (0, "")
    gammas = [summary(tmp_path / "sweep" / str(n))["scenario"]["gamma"] for n in range(4)]
    assert gammas == [0, 0, 2, 2]


def test_a_refused_point_does_not_stop_the_others(moesim, tmp_path):
    code, _, err = moesim(
        *("simulate", "run.requests=10", "run.replications=1", "run.workers=1"),
        *("run.picture=false", "hydra.sweep.dir=sweep", "-m", "speculation.gamma=-1,1,x"),
    )
    assert code == 2
    assert err.splitlines() == [
        "moesim: 2 of 3 points refused:",
        "  speculation.gamma=-1",
        "    speculation.gamma=-1 must lie in 0..64; 0 turns speculation off, 2 to 5 is usual.",
        "  speculation.gamma=x",
        "    speculation.gamma='x' must be an integer.",
    ]
    assert [folder.parent.name for folder in tmp_path.glob("sweep/*/summary.json")] == ["1"]


def test_a_misspelt_point_is_refused_before_the_others_run(moesim, tmp_path):
    code, out, err = moesim("simulate", "-m", "hydra.sweep.dir=sweep", "model=opt_30b,opt_30")
    assert (code, out) == (2, "")
    assert "unknown model 'opt_30'. Did you mean model=opt_30b?" in err
    assert not list(tmp_path.glob("sweep/*/summary.json"))


def test_a_sweep_without_points(moesim):
    code, _, err = moesim("simulate", "-m", "hydra.sweep.dir=sweep", "model=glob(mixtrl*)")
    assert code == 2
    assert err == "moesim: the sweep has no points; give each swept setting a value.\n"


def test_a_sweep_in_other_processes_is_no_sweep_without_points():
    points = _Points()
    copy = pickle.loads(pickle.dumps(points))
    assert callable(copy.job)
    points.conclude()


def test_cfg_prints_the_composed_configuration(moesim):
    code, out, _ = moesim("simulate", "--cfg", "job", "speculation.gamma=7")
    assert code == 0
    assert yaml.safe_load(out)["speculation"]["gamma"] == 7


def test_help_names_groups_settings_and_examples(moesim):
    code, out, _ = moesim("simulate", "--help")
    assert code == 0
    for text in ("scheduler     small_batch, vllm", "max_num_seqs=256", "moesim simulate -m"):
        assert text in out


def test_help_says_what_settings_are(moesim):
    _, out, _ = moesim("simulate", "--help", "speculation=code", "run.seed=7")
    assert "speculation=code  Drafting on code." in out
    assert "speculation.gamma=4               draft length, vLLM's num_spec" in out  # of the usual
    assert "speculation.alpha=0.8             MoESD (arXiv" in out  # its own
    assert "run.seed=7                        root of all randomness" in out
    assert max(map(len, out.splitlines())) <= 80


def test_help_of_a_model_of_ones_own(moesim, tmp_path, monkeypatch):
    (tmp_path / "model").mkdir()
    text = "# A toy." + TOY.replace("layers:", "# few\nlayers:")
    (tmp_path / "model" / "toy.yaml").write_text(text)
    code, out, _ = moesim("simulate", f"--config-dir={tmp_path}", "model=toy", "--help")
    assert code == 0
    assert "model=toy  A toy." in out
    assert re.search(r"model.layers=\d+ +few", out)


def test_help_refuses_what_a_run_would(moesim):
    code, out, err = moesim("simulate", "model=mixtrl_8x7b", "--help")
    assert (code, out) == (2, "")
    assert "Did you mean model=mixtral_8x7b?" in err


def test_info_answers(executable):
    # In a process of its own: Hydra turns its log on and leaves it so.
    command = [executable, "simulate", "--info", "defaults-tree"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "scenario: chat" in done.stdout


def test_a_model_of_ones_own(simulate, tmp_path):
    (tmp_path / "mine" / "model").mkdir(parents=True)
    (tmp_path / "mine" / "model" / "toy.yaml").write_text(TOY)
    code, out, _ = simulate("--config-dir=mine", "model=toy")
    assert code == 0
    assert out.startswith("Toy model on ")
    assert "Next: moesim simulate -m --config-dir=mine run.requests=20 " in out


def test_a_model_on_the_search_path(simulate, tmp_path):
    (tmp_path / "mine" / "model").mkdir(parents=True)
    (tmp_path / "mine" / "model" / "toy.yaml").write_text(TOY)
    code, out, _ = simulate(f"hydra.searchpath=[file://{tmp_path / 'mine'}]", "model=toy")
    assert code == 0
    assert "Toy model" in out


def test_a_model_of_ones_own_with_a_typo(refused, tmp_path):
    (tmp_path / "mine" / "model").mkdir(parents=True)
    (tmp_path / "mine" / "model" / "toy.yaml").write_text(TOY.replace("top_k", "topk"))
    message = refused("--config-dir=mine", "model=toy")
    assert "unknown setting 'topk' in model.moe. Did you mean 'top_k'?" in message


IMPOSSIBLE = {
    "gamma below zero": (["speculation.gamma=-1"], ["speculation.gamma=-1", "0..64"]),
    "huge integer": (["run.seed=99999999999999999999"], ["run.seed=99999999999999999999"]),
    "no rate": (["workload.rate=0"], ["workload.rate", "0"]),
    "negative rate": (["workload.rate=-2.5"], ["workload.rate", "-2.5"]),
    "endless rate": (["workload.rate=inf"], ["workload.rate", "inf"]),
    "rate that is no number": (["workload.rate=nan"], ["workload.rate", "nan"]),
    "alpha above one": (["speculation.alpha=1.01"], ["speculation.alpha=1.01", "[0, 1]"]),
    "alpha that is no number": (["speculation.alpha=nan"], ["speculation.alpha=nan"]),
    "tensor parallel": (
        ["hardware.tensor_parallel=3"],
        ["hardware.tensor_parallel=3", "attention.heads=32", "sizes that fit: 1, 2, 4, 8"],
    ),
    "too large": (["model=deepseek_v3"], ["DeepSeek-V3", "GB of weights", "larger GPUs"]),
    "too long": (["workload.prompt_tokens=90000"], ["90000 prompt", "limited to 40960"]),
    "unknown GPU": (["hardware.gpu=h100"], ["hardware.gpu=h100", "'h100_sxm'"]),
    "unknown engine": (["hardware.engine=vlm"], ["hardware.engine=vlm", "'vllm'"]),
    "unknown drafter": (["speculation.drafter=eagle"], ["speculation.drafter=eagle", "'eagle3'"]),
    "other vocabulary": (
        ["speculation.drafter=opt_350m"],
        ["another vocabulary", "151936", "speculation.drafter=eagle3"],
    ),
    "unknown router": (["scheduler.router=roundrobin"], ["scheduler.router", "'round_robin'"]),
    "unknown law": (["routing.law=unform"], ["routing.law", "'uniform'"]),
    "unknown acceptance": (["speculation.acceptance=id"], ["speculation.acceptance", "'iid'"]),
    "unknown preset": (["workload.preset=cht"], ["'chat'"]),
    "unmeasured format": (
        ["model=gpt_oss_20b", "hardware=a100_sxm"],
        ["w4a16_mxfp4", "A100", "moesim list tables"],
    ),
    "no trace": (["workload=trace"], ["workload.path is not set"]),
    "absent trace": (["workload=trace", "workload.path=no.csv"], ["'no.csv' not found"]),
}


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_the_impossible_is_refused_before_the_run(refused, tmp_path, case):
    words, expected = IMPOSSIBLE[case]
    message = refused("scenario=chat", "model=qwen3_30b_a3b", "hardware=h100_sxm", *words)
    for text in expected:
        assert text in message
    assert "\n" not in message
    assert set(os.listdir(tmp_path / "run")) <= {".hydra"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "empty"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\n", "at least one row"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.1,5\n", "line 2"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.1,5,x\n", "line 2"),
    ],
)
def test_a_malformed_trace_names_its_line(refused, tmp_path, text, expected):
    (tmp_path / "trace.csv").write_text(text)
    message = refused("workload=trace", "workload.path=trace.csv")
    assert "trace.csv" in message
    assert expected in message


def test_a_file_where_the_run_folder_should_be(moesim, tmp_path):
    (tmp_path / "file").write_text("mine")
    for folder in ("file", "file/below"):
        code, _, err = moesim("simulate", f"hydra.run.dir={folder}")
        assert code == 2
        assert "is in the way, a file where a folder is needed; choose the run folder" in err
    assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_that_cannot_be_made(moesim):
    code, _, err = moesim("simulate", "hydra.run.dir=/proc/nowhere")
    assert code == 2
    assert err.startswith("moesim: cannot use '/proc/nowhere': ")
    assert err.count("\n") == 1


def test_a_folder_in_the_place_of_a_result(refused, tmp_path):
    (tmp_path / "run" / "summary.json").mkdir(parents=True)
    assert "summary.json" in refused()


def test_a_run_into_the_folder_of_one_that_was_cut_short(simulate, tmp_path):
    (tmp_path / "run" / "parts").mkdir(parents=True)
    (tmp_path / "run" / "parts" / "requests-baseline-0007.parquet.incomplete").touch()
    code, _, err = simulate()
    assert (code, err) == (0, "")
    assert not (tmp_path / "run" / "parts").exists()


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(28, "No space left on device", "requests.parquet"), "No space left on device"),
        (MemoryError(), "ran out of memory"),
        (BrokenProcessPool("a worker died"), "lower run.workers"),
    ],
)
def test_a_machine_that_cannot_is_no_bug(refused, monkeypatch, error, expected):
    def simulate(*_):
        raise error

    monkeypatch.setattr(job, "simulate", simulate)
    assert expected in refused()


def test_a_broken_invariant_ends_a_sweep(moesim, monkeypatch, tmp_path):
    def simulate(*_):
        raise InvariantError("12 tokens became 13.")

    monkeypatch.setattr(job, "simulate", simulate)
    code, _, err = moesim("simulate", "-m", "run.seed=1,2", "hydra.sweep.dir=sweep")
    assert code == 70
    assert err.startswith("moesim: 12 tokens became 13.\n")
    assert sorted(path.name for path in (tmp_path / "sweep").iterdir()) == ["0", "multirun.yaml"]


def test_nothing_of_the_caller_is_changed(simulate, refused, monkeypatch):
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    before = list(sys.argv)
    simulate()
    refused("model=nope")
    assert sys.argv == before
    assert "HYDRA_FULL_ERROR" not in os.environ
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    simulate()
    assert os.environ["HYDRA_FULL_ERROR"] == "0"
