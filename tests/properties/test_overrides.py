"""Whatever is typed after ``moesim simulate`` either runs to a whole result or is refused well."""

import contextlib
import faulthandler
import io
import json
import logging
import math
import shutil
import signal
from collections import Counter

import hypothesis.strategies as st
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from simulator.cli import main
from simulator.commands.inventory import PARTS
from simulator.commands.settings import group_options, groups, leaves
from simulator.config import Config
from simulator.costs.engine import engine_names
from simulator.hardware.gpu import gpu_names
from simulator.models.catalog import drafter_names
from simulator.units import BYTES_PER_WEIGHT
from simulator.workload.presets import preset_names

PATIENCE_S = 60
SETTINGS = dict(leaves(Config))

LIKELY = {
    "speculation.gamma": st.integers(0, 8),
    "speculation.alpha": st.floats(0, 1),
    "speculation.alphas": st.lists(st.floats(0, 1), max_size=4),
    "hardware.tensor_parallel": st.sampled_from([1, 2, 4, 8]),
    "hardware.data_parallel": st.sampled_from([1, 2, 4, 8]),
    "hardware.expert_parallel": st.sampled_from([1, 2, 4, 8]),
    "hardware.pipeline_parallel": st.sampled_from([1, 2, 4]),
    "hardware.replicas": st.integers(1, 8),
    "workload.rate": st.floats(0.01, 200),
    "workload.concurrency": st.integers(1, 64),
    "workload.rate_scale": st.floats(0.1, 10),
    "workload.prompt_tokens": st.integers(1, 5000),
    "workload.output_tokens": st.integers(1, 300),
    "workload.max_prompt_tokens": st.integers(1, 5000),
    "workload.max_output_tokens": st.integers(1, 300),
    "scheduler.max_num_seqs": st.integers(1, 512),
    "scheduler.max_batched_tokens": st.integers(1, 20_000),
    "routing.within_request": st.floats(0.1, 1),
    "routing.across_requests": st.floats(0.1, 1),
    "routing.prompt": st.floats(0.1, 1),
    "slo.ttft_s": st.floats(0.01, 10),
    "slo.tpot_s": st.floats(0.001, 1),
    "slo.e2e_s": st.floats(0.1, 100),
    "slo.share": st.floats(0.5, 1),
    "run.seed": st.integers(0, 2**63 - 1),
    "run.warmup_fraction": st.floats(0, 0.9),
    "model.layers": st.integers(1, 100),
    "model.moe.top_k": st.integers(1, 16),
}
"""Values that make sense, for settings where arbitrary ones of their type seldom do."""

NAMES = {
    "hardware.gpu": gpu_names(),
    "hardware.engine": engine_names(),
    "speculation.drafter": drafter_names(),
    "workload.preset": preset_names(),
    "model.dtype": list(BYTES_PER_WEIGHT),
    "model.expert_dtype": list(BYTES_PER_WEIGHT),
    **{setting: list(registry) for setting, registry in PARTS.items()},
}

EXTREMES = [
    *("0", "-0.0", "-1", "1", "2", "0.5", "1.0", "1e-308", "5e-324", "1e308", "-1e308", "1e999"),
    *("nan", "inf", "-inf", "2147483648", "9223372036854775807", "9223372036854775808"),
    *(
        "1000000000000000000",
        f"{10**30}",
        f"-{10**30}",
        "1_000",
        "0x10",
        "1e3",
        "007",
        "true",
        "no",
    ),
    *("null", "", "''", '""', "' '", "[]", "{}", "[1,2]", "[[1],[2,[3]]]", "{a:1}", "{a:{b:[1]}}"),
    *("???", "${run.seed}", "${speculation.gamma}", "${title}", "${model}", "${nope}", "${nope:1}"),
    *("${oc.env:HOME}", "${oc.env:NOT_SET}", "${now:%Y}", "${oc.decode:nan}", "${oc.decode:'['}"),
    *("${", "$", "[", "]", "{", "a:b", "a,b", "1,2", "range(3)", "choice(a,b)", "interval(0,1)"),
    *(
        "glob(*)",
        "sort(3,2)",
        "extend_list(1)",
        "a=b",
        "'a=b'",
        '"a\\nb"',
        "é漢字",
        "'😀'",
        "\\",
        "#",
    ),
]

LONGEST_OUTPUT_TOKENS = 4096
"""How much is simulated is the user's affair; a test must end."""

NUMERIC = (int, float, int | None, float | None)

OUTCOMES = {0: "ran", 2: "refused"}


class Hung(BaseException):
    """Not an Exception: nothing may swallow it."""


def typed(hint):
    """Texts of values of a type, sensible or not."""
    kinds = str(hint)
    options = []
    if "bool" in kinds:
        options.append(st.sampled_from(["true", "false"]))
    if "int" in kinds:
        options.append(st.integers(-2, 2**16).map(str))
    if "float" in kinds:
        options.append(st.floats().map(repr))
    if "str" in kinds:
        options.append(st.text(max_size=12).map(quoted))
    if "None" in kinds:
        options.append(st.just("null"))
    return st.one_of(options)


def quoted(text):
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def written(value):
    if isinstance(value, list):
        return "[" + ",".join(map(repr, value)) + "]"
    return repr(value)


@st.composite
def likely_setting(draw):
    name = draw(st.sampled_from([*LIKELY, *NAMES]))
    sign = draw(st.sampled_from(["", "++"]))
    if name in NAMES:
        return f"{sign}{name}={draw(st.sampled_from(NAMES[name]))}"
    return f"{sign}{name}={written(draw(LIKELY[name]))}"


@st.composite
def typed_setting(draw):
    name = draw(st.sampled_from([name for name in SETTINGS if name not in LIKELY]))
    return f"{name}={draw(typed(SETTINGS[name]))}"


@st.composite
def stretched_setting(draw):
    """A number of the right type and any magnitude."""
    name = draw(st.sampled_from([n for n, hint in SETTINGS.items() if hint in NUMERIC]))
    if SETTINGS[name] in (int, int | None):
        power = draw(st.sampled_from([2, 10])) ** draw(st.integers(0, 20))
        number = power + draw(st.integers(-1, 1))
        if name == "workload.output_tokens":
            number = min(number, LONGEST_OUTPUT_TOKENS)
        return f"++{name}={number}"
    return f"++{name}={float(10 ** draw(st.floats(-308, 308)))!r}"


@st.composite
def wild_setting(draw):
    name = draw(st.sampled_from([*SETTINGS, *groups(), "model.moe", "model.attention", "run"]))
    sign = draw(st.sampled_from(["", "", "", "+", "++", "~"]))
    if sign == "~":
        return f"~{name}"
    return f"{sign}{name}={draw(st.sampled_from(EXTREMES))}"


@st.composite
def misspelt(draw):
    name = draw(st.sampled_from([*SETTINGS, *groups()]))
    at = draw(st.integers(0, len(name) - 1))
    return name[:at] + draw(st.sampled_from(["", "x", ".", "_", "A"])) + name[at + 1 :] + "=1"


@st.composite
def group_choice(draw):
    group = draw(st.sampled_from(groups()))
    return f"{group}={draw(st.sampled_from(group_options(group)))}"


def junk():
    # Words of Hydra's own and its flags are another matter.
    words = st.text(min_size=1, max_size=20).filter(lambda word: "hydra" not in word)
    return words.filter(lambda word: not word.startswith("-"))


def sometimes(strategy, size):
    """Up to so many, and none in half of all cases."""
    return st.one_of(st.just([]), st.lists(strategy, min_size=1, max_size=size))


def command_lines(trace_files):
    """Mostly sensible overrides with, now and then, something that is not."""
    trace = st.sampled_from([["workload=trace", f"workload.path={path}"] for path in trace_files])
    odd = st.one_of(stretched_setting(), typed_setting(), wild_setting(), misspelt(), junk())
    few = st.one_of(st.integers(1, 40), st.integers(1, 40), st.integers(-1, 40))
    return st.builds(
        lambda groups, settings, trace, oddities, requests, replications: [
            *(groups + settings + trace + oddities),
            f"run.requests={requests}",
            f"run.replications={replications}",
            "run.workers=1",
            "run.picture=false",
        ],
        sometimes(group_choice(), 3),
        sometimes(st.one_of(likely_setting(), likely_setting(), stretched_setting()), 3),
        st.one_of(*[st.just([])] * 4, trace),
        sometimes(odd, 3),
        few,
        few.map(lambda n: min(n, 3)),
    )


@contextlib.contextmanager
def watchdog():
    """Fail an example that hangs, wherever it hangs."""

    def bite(*_):
        raise Hung(f"no answer after {PATIENCE_S} s")

    before = signal.signal(signal.SIGALRM, bite)
    signal.alarm(PATIENCE_S)
    faulthandler.dump_traceback_later(2 * PATIENCE_S, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def outcome(words, folder):
    """Run a command line and check that it ended as it should; return its exit code."""
    shutil.rmtree(folder, ignore_errors=True)
    out, err = io.StringIO(), io.StringIO()
    with watchdog(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(["simulate", *words, f"hydra.run.dir={folder}"])
    assert code in OUTCOMES, (words, err.getvalue())
    check = check_ran if code == 0 else check_refused
    check(words, folder, out.getvalue(), err.getvalue())
    return code


def check_refused(words, folder, out, err):
    assert err.startswith("moesim: "), (words, err)
    assert len(err) > len("moesim: \n"), words
    assert err.endswith("\n"), (words, err)
    assert err.count("moesim: ") == 1 + err.count("Try: moesim: "), (words, err)
    for chatter in ("Traceback", "HYDRA_FULL_ERROR", "Error executing job", "object_type"):
        assert chatter not in err, (words, err)
    assert not out, (words, out)
    assert not (folder / "summary.json").exists(), words


def check_ran(words, folder, out, err):
    assert err == "", (words, err)
    assert "speedup" in out, (words, out)

    def refuse(constant):
        pytest.fail(f"{constant} in summary.json of {words}")

    summary = json.loads((folder / "summary.json").read_text(), parse_constant=refuse)
    assert {"speedup", "baseline", "speculative", "warnings"} <= set(summary), words
    assert {"throughput", "tpot_p50", "e2e_p50"} <= set(summary["speedup"]), words
    for name in ("requests", "iterations"):
        file = pq.ParquetFile(folder / f"{name}.parquet")
        assert file.metadata.metadata[b"moesim.complete"] == b"true", words
        assert file.metadata.num_rows > 0, words
    arms = 2 * summary["scenario"]["replications"]
    requests = pq.ParquetFile(folder / "requests.parquet").metadata.num_rows
    assert 0 < requests <= arms * summary["scenario"]["requests"], words
    assert requests % arms == 0, words
    assert not (folder / "parts").exists(), words
    for ratio in summary["speedup"].values():
        assert ratio["value"] is None or 0 < ratio["value"] < math.inf, (words, ratio)


@pytest.fixture
def trace_files(tmp_path):
    header = "TIMESTAMP,ContextTokens,GeneratedTokens\n"
    times = [f"2023-11-16 18:15:{46 + i / 10:.7f}" for i in range(20)]
    texts = {
        "good": header + "".join(f"{t},{100 + i},{5 + i}\n" for i, t in enumerate(times)),
        "one": header + f"{times[0]},7,1\n",
        "burst": header + f"{times[0]},50,3\n" * 30,
        "empty": "",
        "header_only": header,
        "malformed": header + f"{times[0]},7,1\n{times[1]},seven,1\n",
        "long": header + f"{times[0]},900000,1\n",
    }
    paths = []
    for name, text in texts.items():
        path = tmp_path / f"{name}.csv"
        path.write_text(text)
        paths.append(path)
    return paths


def explore(examples, trace_files, tmp_path, *, derandomize):
    """Try command lines and return how many ended how."""
    ends = Counter()

    @settings(
        max_examples=examples,
        database=None,
        derandomize=derandomize,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],  # command lines are short; shrinking them takes minutes
    )
    @given(command_lines(trace_files))
    def example(words):
        code = outcome(words, tmp_path / "run")
        ends[OUTCOMES[code]] += 1

    example()
    logging.getLogger(__name__).info("%s", dict(ends))  # shown with --log-cli-level=INFO
    return ends


def test_some_command_lines_run_or_are_refused(trace_files, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ends = explore(16, trace_files, tmp_path, derandomize=True)
    assert min(ends["ran"], ends["refused"]) >= 2, ends


@pytest.mark.slow
def test_two_thousand_command_lines_run_or_are_refused(trace_files, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ends = explore(2000, trace_files, tmp_path, derandomize=False)
    assert min(ends["ran"], ends["refused"]) >= 300, ends
