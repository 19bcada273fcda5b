"""``moesim calibrate fit``: what it writes, and what it refuses."""

import json

import numpy as np
import pytest
from helpers.calibration import TRUTH, grid, synthetic, write_csv

from simulator.study.calibration.measurements import QUANTITIES, TIMES

HEADER = "batch,gamma,top_k,experts,sigma,speedup"
QUICK = "starts=1"


def rows(header=HEADER, count=16, **changed):
    """A plausible file; ``changed`` replaces cells of a column, by row from 0."""
    lines = [header]
    for row in range(count):
        cells = {
            "batch": 2 ** (row // 2),
            "gamma": 2 + 2 * (row % 2),
            "top_k": 8,
            "experts": 64,
            "sigma": 0.9,
            "alpha": 0.9,
            "speedup": 1.5 + 0.01 * row,
            "ar_step_s": 0.01 + 0.001 * row,
            "verify_step_s": 0.012 + 0.001 * row,
            "draft_step_s": 0.001,
            "reject_s": 0.001,
        }
        for column, values in changed.items():
            cells[column] = values.get(row, cells[column])
        lines.append(",".join(str(cells[column]) for column in header.split(",")))
    return "\n".join(lines) + "\n"


@pytest.fixture
def calibrate(moesim, tmp_path):
    """Fit a file of the given text or measurements."""

    def run(text, *words):
        path = tmp_path / "my.csv"
        path.write_text(text, encoding="utf-8")
        return moesim(
            "calibrate", "fit", f"data={path}", QUICK, f"hydra.run.dir={tmp_path / 'run'}", *words
        )

    return run


@pytest.fixture
def refused(calibrate, tmp_path):
    """Fit what must be refused; return the message."""

    def run(text, *words):
        code, out, err = calibrate(text, *words)
        assert (code, out) == (2, "")
        assert err.startswith("moesim: ")
        assert "Traceback" not in err
        assert not (tmp_path / "run").exists()
        return err.removeprefix("moesim: ")

    return run


@pytest.fixture
def fit_synthetic(moesim, tmp_path):
    """Fit synthetic measurements of some quantities."""

    def run(names, *words, noise=0.01):
        measured = synthetic(grid(), names, noise=noise)
        path = write_csv(tmp_path / "synthetic.csv", measured, names)
        folder = tmp_path / "run"
        code, out, _ = moesim(
            "calibrate", "fit", f"data={path}", f"hydra.run.dir={folder}", "starts=2", *words
        )
        assert code == 0
        return out, json.loads((folder / "summary.json").read_text())

    return run


def test_speedups_alone_are_told_in_plain_steps(fit_synthetic, tmp_path):
    out, summary = fit_synthetic(("speedup",))
    assert "no seconds are given" in " ".join(out.split())
    assert "ms" not in {line.split()[2] for line in out.splitlines() if line.startswith(" bias")}
    assert summary["metrics"]["scale_free"] is True
    assert summary["metrics"]["rank"] == 9
    assert summary["measure_next"] == ["ar_step_s at batch 1"]
    assert summary["parameters"]["bias"]["unit"] == "plain step"
    assert (tmp_path / "run" / "residuals.png").stat().st_size > 10_000
    assert all(len(line) <= 80 for line in out.splitlines() if "/" not in line)


def test_times_give_seconds(fit_synthetic):
    out, summary = fit_synthetic(QUANTITIES, noise=0.002)
    assert summary["metrics"]["rank"] == 10
    assert summary["free_directions"] == []
    for name, expected in zip(summary["parameters"], TRUTH, strict=True):
        told = summary["parameters"][name]
        assert told["value"] == pytest.approx(expected, rel=0.3), name
        assert told["low"] < told["value"] < told["high"]
    assert summary["parameters"]["k2"]["unit"] == "s"
    assert "plain steps" not in out


def test_what_is_free_has_no_value(fit_synthetic):
    out, summary = fit_synthetic(("ar_step_s",))
    assert summary["parameters"]["reject_k"]["value"] is None
    assert summary["parameters"]["reject_k"]["determined"] is False
    assert summary["metrics"]["half_sse_speedup"] is None
    assert "Measure next: draft_step_s at batch 1" in " ".join(out.split())


def test_metrics_as_json(moesim, tmp_path):
    path = write_csv(tmp_path / "my.csv", synthetic(grid(), noise=0.01))
    code, out, _ = moesim("calibrate", "fit", f"data={path}", QUICK, "json=true")
    assert code == 0
    assert json.loads(out)["unknowns"] == 10


def test_model_and_hardware_bound_the_fit(calibrate, tmp_path):
    code, out, _ = calibrate(rows(), "model=qwen2_57b_a14b", "hardware=a800_sxm")
    assert code == 0
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert "2 x NVIDIA A800" in summary["bounds"]  # the fewest that hold it
    assert "gamma + 1" in " ".join(out.split())


def test_columns_of_the_model_may_be_left_out(calibrate):
    header = "batch,gamma,sigma,speedup"
    assert calibrate(rows(header), "model=qwen2_57b_a14b", "hardware=a800_sxm")[0] == 0


def test_the_papers_letters_and_alpha_serve_as_columns(calibrate):
    text = rows("batch,gamma,top_k,experts,alpha,speedup")
    text = text.replace("batch,gamma,top_k,experts", "B,gamma,K,E")
    assert calibrate(text)[0] == 0


def test_milliseconds_are_read_as_such(calibrate, tmp_path):
    text = rows("batch,gamma,top_k,experts,ar_step_ms", 0)
    text += "".join(f"{2**i},,8,64,{15 + i + i * i}\n" for i in range(8))
    text += "".join(f"{3 * 2**i},,8,64,{16 + i + i * i}\n" for i in range(8))
    assert calibrate(text)[0] == 0
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    told = summary["parameters"]
    assert sum(told[name]["value"] or 0 for name in ("bias", "k1")) < 0.1


def test_copied_rows_count_once(calibrate):
    text = rows()
    text += text.splitlines()[3] + "\n"
    code, out, _ = calibrate(text)
    assert code == 0
    assert "line 18 repeats an earlier row" in " ".join(out.split())


def test_little_data_warn(calibrate):
    out = " ".join(calibrate(rows(count=12))[1].split())
    assert "12 measured values for 10 unknowns leave little to judge the fit by" in out
    assert "without some below 8 and some above 40" in out


def test_one_draft_length_warns(calibrate):
    gammas = dict.fromkeys(range(16), 4)
    out = calibrate(rows(gamma=gammas, batch={i: i + 1 for i in range(16)}))[1]
    assert "all speedups are at gamma 4; measure a second gamma" in " ".join(out.split())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty; expected a header and measurements"),
        (HEADER + "\n", "holds no rows of measurements"),
        (rows("gamma,top_k,experts,sigma,speedup"), "line 1: lacks the column 'batch'"),
        (rows("batch,gamma,top_k,experts,sigma"), "has no measured column"),
        (rows("batch,gamma,sigma,speedup"), "line 2: top_k is missing; add the column"),
        (rows("batch,top_k,experts,sigma,speedup"), "line 2: gamma is empty"),
        (rows("batch,gamma,top_k,experts,speedup"), "line 2: a speedup needs sigma"),
        (rows().replace("speedup", "speed_up"), "Did you mean 'speedup'?"),
        (rows().replace("sigma", "speedup"), "line 1: has the column 'speedup' twice"),
        (rows().replace("gamma", "B"), "line 1: gives batch twice, by two names"),
        (rows("batch,gamma,top_k,experts,sigma,speedup,ar_step_s").replace("sigma", "ar_step_ms"),
         "gives ar_step_s twice, by two names"),
        (rows(speedup={4: "fast"}), "line 6: speedup is 'fast', no number"),
        (rows(speedup={4: "nan"}), "line 6: speedup is 'nan', no finite number"),
        (rows() + "1,2,8\n", "line 18: 3 fields, but the header has 6; leave fields empty"),
        (rows(batch={1: ""}), "line 3: batch is empty"),
        (rows(batch={1: 1.5}), "line 3: batch=1.5. A batch is a whole number"),
        (rows(gamma={2: 0}), "line 4: gamma=0. A draft length is a whole number from 1"),
        (rows(gamma={2: 2.5}), "line 4: gamma=2.5. A draft length is a whole number"),
        (rows(gamma={2: 400}), "line 4: gamma=400."),
        (rows(top_k={0: 65}), "line 2: top_k=65 exceeds experts=64"),
        (rows(sigma={0: 91}), "line 2: sigma=91. A round with gamma=2 yields 1 to 3 tokens"),
        (rows(sigma={0: 0.2}), "sigma lies between 0.333 and 1"),
        (rows("batch,gamma,top_k,experts,alpha,speedup", alpha={0: 80}), "alpha=80. An acceptance"),
        (rows(speedup={4: 160}), "line 6: speedup=160 lies outside 0.05 to 20"),
        (rows(speedup={4: -1}), "line 6: speedup=-1 lies outside"),
        (rows(speedup={4: 3.5}), "line 6: speedup=3.5 exceeds the gamma + 1 = 3 tokens"),
        (rows(count=9), "9 measured values for 10 unknowns. Measure at least 15"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(refused, text, said):
    message = refused(text)
    assert said in message
    assert "my.csv" in message


ALL = ",".join(["batch", "gamma", "top_k", "experts", *TIMES])


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"ar_step_s": {3: -0.01}}, "line 5: ar_step_s=-0.01 s. A measured time is above 0"),
        ({"reject_s": {3: 0}}, "line 5: reject_s=0 s. A measured time is above 0"),
        ({"ar_step_s": dict.fromkeys(range(16), 15.9)}, "Name the column ar_step_ms if it holds"),
        ({"ar_step_s": dict.fromkeys(range(16), 1.59e-05)}, "seconds in a column of milliseconds?"),
        ({"ar_step_s": {0: 2.9}, "verify_step_s": {}}, ""),
        ({"draft_step_s": {3: 0.9}}, "where the column's median is 0.001 s"),
        ({"draft_step_s": dict.fromkeys(range(16), 1.0)}, "in another unit than its name says"),
        ({"verify_step_s": dict.fromkeys(range(16), 0.001)}, "the median verify_step_s is 0.001 s"),
    ],
)
def test_times_in_the_wrong_unit_are_refused(refused, calibrate, changed, said):
    text = rows(ALL, **changed)
    if not said:  # a slow first step is unusual, not impossible
        assert calibrate(text)[0] == 0
        return
    assert said in refused(text)


def test_slow_machines_may_be_told(refused, calibrate):
    slow = {i: 4.0 + i for i in range(16)}
    text = rows("batch,gamma,top_k,experts,ar_step_s", ar_step_s=slow)
    assert "or set longest_step_s=21 if steps are that slow" in refused(text)
    assert calibrate(text, "longest_step_s=21")[0] == 0


def test_steps_are_compared_with_the_weights_of_the_model(refused):
    words = ("model=qwen2_57b_a14b", "hardware=a800_sxm", "gpus=2")
    header = "batch,gamma,top_k,experts,ar_step_s"
    fast = rows(header, ar_step_s=dict.fromkeys(range(16), 0.0005))
    assert "at peak bandwidth. Check the column's unit" in refused(fast, *words)
    slow = rows(header, ar_step_s=dict.fromkeys(range(16), 2.5))
    assert "Name the column ar_step_ms" in refused(slow, *words)


def test_a_speedup_must_agree_with_the_times_of_its_row(refused):
    text = rows(",".join([HEADER, *TIMES]), speedup=dict.fromkeys(range(16), 0.4))
    assert "but the row's own times make" in refused(text)


def test_one_operating_point_is_refused(refused):
    text = rows(
        batch=dict.fromkeys(range(16), 8),
        gamma=dict.fromkeys(range(16), 4),
    )
    message = refused(text)
    assert "all rows are of one operating point (batch 8, gamma 4)" in message
    assert "Measure batches from 1 to beyond the speedup's peak" in message


def test_identical_rows_are_refused(refused):
    same = {name: dict.fromkeys(range(16), value)
            for name, value in (("batch", 8), ("gamma", 4), ("speedup", 1.8))}  # fmt: skip
    assert "all rows are of one operating point" in refused(rows(**same))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["model=qwen2_57b"], "Did you mean 'qwen2_57b_a14b'"),
        (["hardware=a800"], "Did you mean 'a800_sxm'"),
        (["gpus=0", "model=qwen2_57b_a14b", "hardware=a800_sxm"], "gpus=0 must be positive"),
        (["gpus=2"], "gpus=2 needs model= and hardware="),
        (["drafter=eagle3"], "needs model="),
        (["speedup_error=-1"], "speedup_error=-1.0 must be positive"),
        (["seed=-1"], "seed=-1 must be at least 0"),
        (["hardware=a800_sxm", "ridge=100"], "leave ridge= out"),
        (["ridge=0"], "ridge=0.0 must be positive"),
        (["model=deepseek_v3", "hardware=l40s"], "does not fit 8 x"),
        (["sped=3"], "unknown setting 'sped'"),
    ],
)
def test_settings_that_cannot_be_are_refused(refused, words, said):
    assert said in refused(rows(), *words)


def test_without_a_file_or_with_a_wrong_one(moesim, tmp_path):
    code, _, err = moesim("calibrate", "fit")
    assert code == 2
    assert "data is missing" in err
    code, _, err = moesim("calibrate", "fit", f"data={tmp_path / 'no.csv'}")
    assert (code, "no.csv' not found" in " ".join(err.split())) == (2, True)
    binary = tmp_path / "my.csv"
    binary.write_bytes(b"\xff\xfe\x00batch")
    code, _, err = moesim("calibrate", "fit", f"data={binary}")
    assert (code, "no CSV file in UTF-8" in err) == (2, True)


def test_help_fits_the_terminal(moesim):
    code, out, _ = moesim("calibrate", "fit", "--help")
    assert code == 0
    assert "verify_step_s" in out
    assert all(len(line) <= 80 for line in out.splitlines())


def test_synthetic_files_read_back_exactly(tmp_path):
    from simulator.study.calibration.table import read_table

    measured = synthetic(grid(), QUANTITIES, noise=0.01)
    read = read_table(write_csv(tmp_path / "x.csv", measured, QUANTITIES), 153.0)
    assert read.lines == measured.lines
    for name in QUANTITIES:
        assert np.array_equal(read.values[name], measured.values[name])
