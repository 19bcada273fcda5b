import os
import subprocess
import sys

import pytest

from simulator import cli
from simulator.errors import ConfigError, InvariantError


def raising(monkeypatch, error):
    """Make every command raise."""

    def command(words):
        raise error

    monkeypatch.setattr(cli, "_command", lambda name: command)


def test_without_arguments_it_prints_help(moesim):
    code, out, err = moesim()
    assert (code, err) == (0, "")
    for command in cli.COMMANDS:
        assert f"\n  {command} " in out


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_flag(moesim, flag):
    code, out, _ = moesim(flag)
    assert code == 0
    assert out.startswith("usage: moesim COMMAND")


def test_version(moesim):
    code, out, _ = moesim("--version")
    name, version = out.split()
    assert (code, name) == (0, "moesim")
    assert version[0].isdigit()


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_has_help(moesim, command):
    code, out, err = moesim(command, "--help")
    assert (code, err) == (0, "")
    assert f"moesim {command}" in out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["simulat"], "unknown command 'simulat'. Did you mean 'simulate'?"),
        (["--verison"], "unrecognized arguments: --verison. Try: moesim --help"),
        (["list", "gpu"], "unknown topic 'gpu'. Did you mean 'gpus'?"),
        (["list", "gpus", "more"], "unrecognized arguments: more"),
        (["completion", "zsh"], "invalid choice: 'zsh'"),
        (["kernels"], "the following arguments are required: action"),
    ],
)
def test_wrong_words_are_refused_in_one_line(moesim, words, expected):
    code, out, err = moesim(*words)
    assert (code, out) == (2, "")
    assert err.startswith("moesim: ")
    assert expected in err
    assert err.count("\n") == 1


def test_refusal(moesim, monkeypatch):
    raising(monkeypatch, ConfigError("workload.rate=0 must be positive."))
    assert moesim("simulate") == (2, "", "moesim: workload.rate=0 must be positive.\n")


def test_broken_invariant_asks_for_a_report(moesim, monkeypatch):
    raising(monkeypatch, InvariantError("12 tokens became 13."))
    code, _, err = moesim("simulate")
    assert code == 70
    assert err.startswith("moesim: 12 tokens became 13.\n")
    assert "please report it" in err


def test_unexpected_error_shows_where_it_happened(moesim, monkeypatch):
    raising(monkeypatch, ZeroDivisionError("oops"))
    code, _, err = moesim("simulate")
    assert code == 70
    assert "Traceback" in err
    assert err.splitlines()[-2] == "moesim: unexpected ZeroDivisionError, see above."


def test_an_interrupt_while_a_compiled_module_loads_is_no_bug(monkeypatch, moesim):
    error = ImportError("initialization failed")
    error.__cause__ = KeyboardInterrupt()
    raising(monkeypatch, error)
    code, _, err = moesim("simulate")
    assert code == 130
    assert err.startswith("moesim: interrupted")


def test_interrupt(moesim, monkeypatch):
    raising(monkeypatch, KeyboardInterrupt())
    code, _, err = moesim("simulate")
    assert code == 130
    assert err == "moesim: interrupted; what had not ended has no summary.\n"


@pytest.mark.parametrize("words", ["list models", "simulate --help"])
def test_a_reader_that_leaves_is_no_error(executable, words):
    command = f"{executable} {words} | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.returncode in {0, cli.EXIT_PIPE}


@pytest.mark.slow
def test_a_terminal_without_a_character_shows_its_code(executable, tmp_path):
    short = ["run.requests=5", "run.replications=1", "run.workers=1", "run.picture=false"]
    done = subprocess.run(
        [executable, "simulate", "title='漢'", *short, f"hydra.run.dir={tmp_path}"],
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"\\u6f22\n")


@pytest.mark.parametrize(
    ("words", "absent"),
    [
        ([], {"hydra", "numpy", "rich", "yaml"}),
        (["--version"], {"hydra", "numpy", "rich", "yaml"}),
        (["simulate", "--help"], {"numpy", "scipy", "pyarrow", "matplotlib", "simpy"}),
        (["simulate", "--cfg", "job"], {"numpy", "scipy", "pyarrow", "matplotlib", "simpy"}),
    ],
)
def test_help_does_without_the_simulator(words, absent):
    script = (
        "import sys; from simulator.cli import main; main(sys.argv[1:]);"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *words], capture_output=True, text=True, check=True
    )
    assert not absent & set(done.stderr.split())


def test_a_run_imports_what_it_uses():
    """Each worker process, too, would wait for what most runs have no use of."""
    script = "import sys, simulator.commands.job; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    absent = {"scipy.optimize", "scipy.special", "scipy.sparse", "scipy.stats", "networkx"}
    assert not (absent | {"matplotlib", "plotly", "jinja2"}) & set(done.stdout.split())
