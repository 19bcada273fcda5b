"""Served deployments simulated and compared: jobs, errors, halves, and real rows end to end."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from simulator.commands.validate import main
from simulator.costs.engine import load_engine
from simulator.errors import ConfigError
from simulator.report.silicon import plot_silicon, print_silicon
from simulator.study.silicon.peer import PeerPrediction
from simulator.study.silicon.rows import SiliconRow, read_sample
from simulator.study.silicon.runs import Prediction, jobs, predict_job
from simulator.study.silicon.validate import (
    APART,
    Compared,
    SiliconValidation,
    errors,
    half,
    metrics,
    select,
    worker_count,
)

ROW = SiliconRow(
    name="one",
    path="meta-llama/Llama-3.1-8B-Instruct",
    engine="vllm",
    gpu="h100_sxm",
    model="llama_3_1_8b",
    formats=(("dtype", "bfloat16"), ("kv_dtype", "bfloat16")),
    prompt_tokens=128,
    output_tokens=32,
    random_range_ratio=1.0,
    users=2,
    requests=8,
    stream_interval=1,
    recv_interval=1,
    batched_tokens=8192,
    tensor=1,
    data=1,
    expert=1,
    ttft_s=0.05,
    tpot_s=0.01,
)


def compared(tpot, peer=None, **changes):
    row = replace(ROW, **changes)
    return Compared(row, Prediction(0.05, 0.01 * tpot), peer)


def test_rows_that_share_step_times_are_one_job_and_repeats_are_predicted_once():
    longer = replace(ROW, name="two", output_tokens=64)
    repeat = replace(ROW, name="three", tpot_s=0.02)
    wider = replace(ROW, name="four", tensor=2)
    assert jobs([ROW, longer, repeat, wider]) == [[ROW, longer], [wider]]


def test_a_streaming_server_shows_its_first_tokens_late_and_the_rest_sooner():
    plain, bundled = predict_job([ROW, replace(ROW, stream_interval=11)])
    steps = ROW.output_tokens - 1
    assert bundled.ttft_s == pytest.approx(plain.ttft_s + 10 * plain.tpot_s)
    assert bundled.tpot_s == pytest.approx(plain.tpot_s * (steps - 10) / steps)


def test_overheads_add_what_they_say():
    engine = load_engine("vllm_async")
    (plain,) = predict_job([ROW], engine)
    (slower,) = predict_job([ROW], replace(engine, plain_step_s=engine.plain_step_s + 1e-3))
    (later,) = predict_job([ROW], replace(engine, front_end_s=engine.front_end_s + 0.02))
    assert slower.tpot_s == pytest.approx(plain.tpot_s + 1e-3, rel=1e-6)
    assert later.ttft_s == pytest.approx(plain.ttft_s + 0.02, rel=1e-6)


def test_what_cannot_be_built_says_why():
    (refused,) = predict_job([replace(ROW, model="deepseek_v3", path="x")])
    assert refused.tpot_s is None
    assert "CapacityError" in refused.reason


def test_errors_are_of_the_measurement():
    found = errors([compared(1.1), compared(0.8), compared(1.3)], "tpot_s")
    assert (found.rows, found.median) == (3, pytest.approx(0.2))
    assert found.mean == pytest.approx(0.2)
    assert found.bias == pytest.approx(0.1)
    assert errors([compared(1.1)], "tpot_s", "peer") is None


def test_metrics_judge_the_held_out_half_and_leave_deepseek_r1_apart():
    peer = PeerPrediction(0.1, 0.02)
    rows = [compared(1.1, peer, gpu=gpu) for gpu in ("h100_sxm", "h200_sxm", "b200_sxm", "gb200")]
    assert half(rows, held_out=True)
    assert half(rows, held_out=False)
    apart = compared(3.0, peer, path=APART)
    found = metrics(SiliconValidation(10, [*rows, apart], {}))
    assert found["usable_share"] == 0.5
    assert found["tpot_mape"] == pytest.approx(0.1)
    assert found["ttft_median_ape"] == pytest.approx(0.0)
    assert found["peer_tpot_mape"] == pytest.approx(1.0)
    assert found["deepseek_r1_tpot_mape"] == pytest.approx(2.0)


def test_the_report_fits_eighty_columns_and_names_what_is_missing(tmp_path):
    gpus = ("h100_sxm", "h200_sxm", "b200_sxm", "gb200")
    peer = PeerPrediction(1.6, 0.03)
    rows = [compared(1.1, peer, gpu=gpu) for gpu in gpus for _ in range(300)]
    validation = SiliconValidation(1206, rows, {"no such table": 6})
    console = Console(file=io.StringIO(), width=80)
    print_silicon(validation, console)
    text = console.file.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    assert "10.0/10.0" in text
    assert "1200" in text
    assert "3100/3100" in text  # the peer's TTFT
    assert "…" not in text
    assert "Left out: 6 rows, no such table." in text
    assert plot_silicon(validation, tmp_path / "dots.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [(((), 0), "rows=0"), ((("h100",), None), "h100_sxm")],
)
def test_a_selection_that_makes_no_sense_is_refused(arguments, named):
    with pytest.raises(ConfigError, match=named):
        select([{"system": "h100_sxm"}] * 3, *arguments)


def test_rows_are_taken_at_even_distances():
    sample = [{"system": "h100_sxm", "n": str(n)} for n in range(100)]
    assert [row["n"] for row in select(sample, (), 4)] == ["0", "25", "50", "75"]
    assert worker_count(3) == 3
    with pytest.raises(ConfigError, match="workers=0"):
        worker_count(0)


def test_options_of_one_subject_are_refused_by_the_other():
    with pytest.raises(ConfigError, match="unknown setting 'rows' in rows=3"):
        main(["kernels", "rows=3"])


def test_real_rows_are_predicted_within_reason(tmp_path, capsys):
    pytest.importorskip("aiconfigurator_core", reason="the sample ships in that package")
    assert len(read_sample()) == 3619
    options = ["rows=12", "workers=1", "peer=false", f"hydra.run.dir={tmp_path}", "json=true"]
    assert main(["silicon", *options]) == 0
    printed = json.loads(capsys.readouterr().out)
    saved = json.loads((tmp_path / "summary.json").read_text())
    assert printed == saved["metrics"]
    assert saved["rows"]["aggregated"] == 12
    assert printed["usable_share"] > 0.9
    # Twelve rows say little; two thousand are in docs/validation.md.
    assert printed["all_tpot_median_ape"] < 0.3
    assert np.isfinite(printed["all_ttft_median_ape"])
