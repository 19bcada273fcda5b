"""``moesim calibrate acceptance``: from a metrics page to a simulation with its rates."""

import json

import pytest
import yaml
from helpers.pages import page, server

from simulator.compose import compose
from simulator.quantities import Quantity
from simulator.study.calibration.acceptance import Acceptance
from simulator.study.calibration.acceptance_profile import overrides

QWEN = "Qwen/Qwen3-30B-A3B"


@pytest.fixture
def calibrate(moesim, tmp_path):
    """Calibrate on a page of servers; return exit code, standard output and standard error."""

    def run(*servers, words=()):
        (tmp_path / "metrics.txt").write_text(page(*servers))
        folder = f"hydra.run.dir={tmp_path / 'run'}"
        return moesim("calibrate", "acceptance", "metrics=metrics.txt", folder, *words)

    return run


def test_rates_on_screen_with_intervals_and_what_they_assume(calibrate, tmp_path):
    code, out, err = calibrate(server(1000, (603, 373, 236), QWEN))
    assert (code, err) == (0, "")
    assert f"{QWEN}: 1,000 drafts of up to 3" in out
    assert "position 2          0.619   0.578 to 0.658" in out
    assert "acceptance length   2.212   2.138 to 2.286" in out
    assert "take rounds as independent" in out
    lines = [line for line in out.splitlines() if "moesim simulate" not in line]
    assert max(len(line) for line in lines if str(tmp_path) not in line) <= 80


def test_the_profile_states_value_unit_source_and_kind(calibrate, tmp_path):
    calibrate(server(1000, (603, 373, 236), QWEN))
    text = (tmp_path / "run" / "acceptance_qwen_qwen3_30b_a3b.yaml").read_text()
    profile = yaml.safe_load(text)
    assert profile.pop("model") == QWEN
    for key, entry in profile.items():
        quantity = Quantity.read(entry, key)
        assert quantity.kind == "measured"
        assert "metrics.txt" in quantity.source
    assert profile["alpha_1"]["value"] == 0.603
    assert profile["alpha_1"]["low"] < 0.603 < profile["alpha_1"]["high"]
    assert "too narrow" in text


def test_simulate_takes_the_settings_by_name(calibrate, simulate):
    _, out, _ = calibrate(server(1000, (603, 373, 236), QWEN))
    (words,) = [line.split()[2:] for line in out.splitlines() if "--config-dir" in line]
    code, out, err = simulate(*words)
    assert (code, err) == (0, "")
    assert "gamma 3" in out
    assert "rate 0.603, 0.6186, 0.6327 by position" in " ".join(out.split())


def test_simulate_takes_the_overrides_that_are_printed(calibrate):
    found = Acceptance(QWEN, "0", 1000, 3000, 1212, (603, 373, 236))
    config = compose(overrides(found))
    assert config.speculation.alphas == [0.603, 0.6186, 0.6327]
    _, out, _ = calibrate(server(1000, (603, 373, 236), QWEN))
    assert "'speculation.alphas=[0.603,0.6186,0.6327]'" in out  # brackets are the shell's


def test_models_get_a_profile_each_and_engines_a_column_each(calibrate, tmp_path):
    servers = [server(1000, (700, 300), "a", "0"), server(1000, (500, 300), "a", "1")]
    code, out, _ = calibrate(*servers, server(200, (150,), "b"))
    assert code == 0
    assert "engine 0" in out
    row = next(line.split() for line in out.splitlines() if line.startswith(" position 1"))
    assert [row[i] for i in (2, -2, -1)] == ["0.600", "0.700", "0.500"]
    written = {file.name for file in (tmp_path / "run" / "speculation").iterdir()}
    assert written == {"a.yaml", "b.yaml"}
    metrics = json.loads((tmp_path / "run" / "summary.json").read_text())["metrics"]
    assert (metrics["alpha_1_a"], metrics["alpha_1_b"]) == (0.6, 0.75)


def test_one_model_of_several_and_metrics_as_json(calibrate):
    servers = [server(1000, (700,), "a"), server(200, (150,), "b")]
    _, out, _ = calibrate(*servers, words=["model=b", "json=true"])
    assert json.loads(out)["alpha_1"] == 0.75


def test_the_difference_of_two_pages(calibrate, tmp_path):
    (tmp_path / "before.txt").write_text(page(server(600, (500,))))
    _, out, _ = calibrate(server(1000, (800,)), words=["before=before.txt", "json=true"])
    assert json.loads(out)["alpha_1"] == 0.75
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["source"].endswith("metrics.txt since before.txt")


def test_what_weakens_the_figures_is_said(calibrate):
    _, out, _ = calibrate(server(99, (60, 0, 0), num_draft_tokens=200))
    text = " ".join(out.split())
    assert "Only 99 drafts: the intervals are wide. Serve at least 100" in text
    assert "Drafts were 33 % shorter than 3 tokens on average" in text
    assert "No draft got past position 2" in text
    _, out, _ = calibrate(server(100, (60, 30, 10)))
    assert "- " not in out.partition("Intervals")[0]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "metrics=FILE is missing"),
        (
            ["metrics=nowhere.txt"],
            "'nowhere.txt' not found. Did you mean 'page.txt'? Save one: curl",
        ),
        (["metric=a.txt"], "Did you mean 'metrics'?"),
        (["metrics=page.txt", "model=n"], "unknown model 'n' in page.txt"),
    ],
)
def test_wrong_settings_are_refused(moesim, tmp_path, words, said):
    (tmp_path / "page.txt").write_text(page(server(10, (5,))))
    code, out, err = moesim("calibrate", "acceptance", *words)
    assert (code, out) == (2, "")
    assert said in " ".join(err.split())
    assert not (tmp_path / "runs").exists()


def test_a_folder_that_cannot_be_written_is_refused(calibrate, tmp_path):
    (tmp_path / "run").write_text("in the way")
    code, _, err = calibrate(server(100, (60,)))
    assert code == 2
    assert "is a file; choose another folder" in err
