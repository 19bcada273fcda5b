"""``moesim workload``: what it writes, prints and refuses."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest


@pytest.fixture
def trace(tmp_path):
    """A small trace in Azure's format: 300 requests in about five minutes."""
    generator = np.random.default_rng(3)
    times_s = np.cumsum(generator.exponential(1.0, 300))
    prompts = np.exp(generator.normal(6.0, 0.5, 300)).astype(int)
    outputs = np.exp(generator.normal(4.0, 0.5, 300)).astype(int)
    lines = ["TIMESTAMP,ContextTokens,GeneratedTokens"]
    for at_s, prompt, output in zip(times_s, prompts, outputs, strict=True):
        minute, second = divmod(at_s, 60)
        lines.append(f"2023-11-16 18:{int(minute):02d}:{second:010.7f},{prompt},{output}")
    (tmp_path / "trace.csv").write_text("\n".join(lines) + "\n")
    return times_s, prompts


def test_describe_a_file(moesim, trace, tmp_path):
    times_s, prompts = trace
    code, out, err = moesim("workload", "describe", "trace.csv", "hydra.run.dir=seen")
    assert (code, err) == (0, "")
    assert "replay of trace.csv" in out
    assert "300 requests" in out
    assert out.rstrip().endswith("workload: seen/workload.png")
    flat = json.loads((tmp_path / "seen" / "summary.json").read_text())["metrics"]
    assert flat["rate"] == pytest.approx(299 / (times_s[-1] - times_s[0]), rel=1e-6)
    assert flat["prompt_tokens_mean"] == pytest.approx(prompts.mean())
    assert (tmp_path / "seen" / "workload.png").stat().st_size > 10_000
    figures = pq.read_table(tmp_path / "seen" / "figures.parquet")
    assert "count_cv2" in figures["figure"].unique().to_pylist()


def test_a_file_is_read_as_what_it_looks_like(moesim, tmp_path):
    rows = [{"timestamp": 3000 * i, "input_length": 1024, "output_length": 9} for i in range(300)]
    hashed = [row | {"hash_ids": [0, 1 + i]} for i, row in enumerate(rows)]
    (tmp_path / "trace.jsonl").write_text("\n".join(map(json.dumps, hashed)))
    words = ("cache_tokens=512", "picture=false", "json=true")
    code, out, _ = moesim("workload", "describe", "trace.jsonl", *words)
    assert code == 0
    assert json.loads(out)["reuse_unlimited"] == pytest.approx(299 / 600)
    assert json.loads(out)["reuse_512_tokens"] == pytest.approx(299 / 600)
    code, _, err = moesim("workload", "describe", "trace.jsonl", "workload.format=azure")
    assert code == 2
    assert "workload.format=mooncake" in err


def test_describe_a_preset_with_settings_of_simulate(moesim):
    words = ("requests=2000", "workload.rate=3", "workload.arrivals=poisson", "picture=false")
    code, out, _ = moesim("workload", "describe", "code", *words, "json=true")
    assert code == 0
    flat = json.loads(out)
    assert flat["requests"] == 2000
    assert flat["rate"] == pytest.approx(3.0, rel=0.1)
    assert flat["output_tokens_p50"] == 13.0


def test_fit_a_file_and_use_it(moesim, trace, tmp_path):
    words = ("max_components=2", "recordings=3", "like=code", "hydra.run.dir=seen")
    code, out, err = moesim("workload", "fit", "trace.csv", *words)
    assert (code, err) == (0, "")
    assert "Kolmogorov-Smirnov" in out
    assert "Use it: moesim simulate workload.preset=seen/trace.yaml" in out
    flat = json.loads((tmp_path / "seen" / "summary.json").read_text())["metrics"]
    assert abs(flat["off_prompt_tokens_p50"]) < 0.1
    assert (tmp_path / "seen" / "fit.png").exists()
    code, out, err = moesim("workload", "describe", "seen/trace.yaml", "picture=false")
    assert (code, err) == (0, "")
    assert "trace, fitted to 300 requests of trace.csv" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["describe"], "say what to describe"),
        (["describe", "chatt"], "Did you mean 'chat'"),
        (["describe", "trace.cvs"], "not found"),
        (["describe", "mine.yaml"], "not found"),
        (["describe", "chat", "reasoning"], "'reasoning' is no key=value"),
        (["describe", "chat", "workload.rat=3"], "Did you mean workload.rate?"),
        (["describe", "chat", "workload.rate=1,2"], "is a sweep"),
        (["describe", "chat", "requests=0"], "at least 1"),
        (["describe", "chat", "cache_tokens=0"], "must each be positive"),
        (["describe", "chat", "seed=-1"], "negative"),
        (["fit"], "say what to fit to"),
        (["fit", "chat", "like=chatt"], "Did you mean 'chat'"),
        (["fit", "chat", "recordings=0"], "1 or more"),
        (["fit", "chat", "name=a/b"], "letters, digits"),
        (["fit", "chat", "requests=50"], "needs 200"),
        (["fit", "fixed_batch"], "closed loop"),
        (["fits"], "Did you mean 'fit'"),
    ],
)
def test_refused(moesim, words, message):
    code, out, err = moesim("workload", *words)
    assert (code, out) == (2, "")
    assert message in err


def test_help(moesim):
    assert "describe" in moesim("workload")[1]
    out = moesim("workload", "describe", "--help")[1]
    assert "usage: moesim workload describe WHAT [key=value ...]" in out
    assert "workload.SETTING=VALUE" in out
