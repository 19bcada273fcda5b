"""``moesim explain`` from its words to what it prints, draws and saves."""

import json
import subprocess
import sys

import pytest

from simulator.commands import explain
from simulator.errors import ConfigError, SimulatorError


@pytest.fixture
def run(capsys):
    def explain_(*words):
        assert explain.main(list(words)) == 0
        return capsys.readouterr().out

    return explain_


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ((), ("Qwen3-30B-A3B", "16 requests", "1,000 tokens", "82.4 of 128")),
        (("model=mixtral_8x7b", "--batch", "4"), ("Mixtral-8x7B", "4 requests", " of 8 ")),
        (("--context", "500", "model=llama_3_1_8b"), ("Llama-3.1-8B", "500 tokens", "MLP")),
        (("speculation.gamma=0",), ("off (gamma 0)", "Speculation is off")),
        (("speculation.drafter=ngram",), ("n-gram", "target efficiency")),
        (("model=deepseek_v3", "hardware=h200_sxm"), ("shared experts", "all-reduce", " of 256")),
    ],
    ids=str,
)
def test_a_point_is_explained_in_eighty_columns(run, words, shown):
    text = run(*words)
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text, "a cell was cut"
    for piece in shown:
        assert piece in text


def test_flags_may_stand_among_overrides(run):
    around = run("--batch", "8", "speculation.gamma=2", "--context", "700", "model=mixtral_8x7b")
    before = run("--batch=8", "--context=700", "speculation.gamma=2", "model=mixtral_8x7b")
    assert around == before


def test_nothing_is_written_unless_asked(run, empty_folder):
    run()
    assert not list(empty_folder.iterdir())


def test_a_picture_and_the_figures_are_saved(run, empty_folder):
    text = run("--picture", "new/steps.svg", "--json", "new/steps.json")
    assert "picture: new/steps.svg" in text
    assert "figures: new/steps.json" in text
    assert "<svg" in (empty_folder / "new/steps.svg").read_text("utf-8")
    figures = json.loads((empty_folder / "new/steps.json").read_text("utf-8"))
    terms, steps = figures["decomposition"], figures["steps"]
    assert list(steps) == ["plain", "verify", "draft"]
    for step in steps.values():
        total = sum(part["seconds"] for part in step["parts"].values())
        assert total == pytest.approx(step["total_s"])
    ratio = steps["plain"]["total_s"] / steps["verify"]["total_s"]
    assert terms["target_efficiency"] == pytest.approx(ratio)
    experts = steps["verify"]["parts"]["experts"]
    intensity = experts["flops"] / experts["moved_bytes"]
    assert experts["flop_per_byte"] == pytest.approx(intensity)
    assert experts["bound"] == "memory"
    assert intensity < experts["ridge_flop_per_byte"]
    assert terms["best_speedup"] >= terms["speedup"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--batch", "0"], "batch 0 must be at least 1"),
        (["--batch", "many"], "invalid int value: 'many'. Try: moesim explain --help"),
        (["--batch", "100000"], "exceeds scheduler.max_num_seqs"),
        (["--context", "900000"], "exceeds the 40960 tokens"),
        (["--batch", "256", "--context", "40000"], "KV cache"),
        (["--btach", "4"], "unrecognized arguments: --btach"),
        (["-m", "speculation.gamma=1,2"], "unrecognized arguments: -m"),
        (["speculation.gamma=1,2"], "moesim explain takes one point; give speculation.gamma one"),
        (["speculation.gama=3"], "Did you mean speculation.gamma?"),
        (["model=mixtrl"], "Did you mean model=mixtral_8x7b?"),
        (["mixtral_8x7b"], "Did you mean model=mixtral_8x7b?"),
        (["speculation.gamma=few"], "must be an integer"),
        (["model=deepseek_v3", "hardware=l40s"], "fits no tensor-parallel group"),
        (["--picture", "steps.bmp"], "suffix must be one of .png, .svg, .pdf"),
        (["--json", "file/steps.json"], "cannot write 'file/steps.json'"),
    ],
    ids=str,
)
def test_wrong_input_is_refused_with_one_message(words, message, empty_folder, capsys):
    (empty_folder / "file").write_text("")
    with pytest.raises(SimulatorError) as refused:
        explain.main(words)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
    assert capsys.readouterr().out == ""


def test_errors_of_composing_keep_their_cause():
    with pytest.raises(ConfigError) as refused:
        explain.main(["model=mixtrl"])
    assert type(refused.value.__cause__).__name__ == "MissingConfigException"


def test_help_answers_at_once():
    program = (
        "import sys\nfrom simulator.commands.explain import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "slow = {'numpy', 'rich', 'hydra', 'matplotlib', 'pyarrow'} & set(sys.modules)\n"
        "sys.exit(str(slow) if slow else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 80
    for flag in ("--batch N", "--context TOKENS", "--picture FILE", "--json FILE"):
        assert flag in done.stdout
