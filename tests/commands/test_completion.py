"""Completion, in a real bash."""

import os
import pty
import select
import subprocess
import time

import pytest

from simulator.commands import COMMANDS
from simulator.commands.inventory import TOPICS

DRIVER = """
set -u
eval "$(moesim completion bash)"
complete -p moesim > /dev/null || exit 9
compopt() { :; }  # only inside a completion
COMP_LINE=$1 COMP_POINT=${#1} COMP_WORDBREAKS=$2
read -ra COMP_WORDS <<< "$1"
[[ "$1" == *" " ]] && COMP_WORDS+=("")
COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
_moesim_complete
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def environment(executable):
    return {"PATH": f"{os.path.dirname(executable)}:/usr/bin:/bin", "HOME": "/nonexistent"}


@pytest.fixture
def complete(environment):
    """Complete a line in bash; return the proposals."""

    def run(line, *, wordbreaks=" "):
        done = subprocess.run(
            ["bash", "--norc", "-c", DRIVER, "bash", line, wordbreaks],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stderr == ""
        return done.stdout.split()

    return run


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("moesim ", " ".join([*COMMANDS, "--help", "--version"])),
        ("moesim si", "simulate"),
        ("moesim simulate model=mix", "model=mixtral_8x7b"),
        ("moesim simulate speculation.ga", "speculation.gamma="),
        (
            "moesim simulate model=mixtral_8x7b hardware=h",
            "hardware=h100_sxm hardware=h200_sxm hardware=h800_sxm",
        ),
        ("moesim simulate model=opt_30b model.ga", "model.gated="),
        ("moesim simulate -m schedu", "scheduler. scheduler="),
        ("moesim  simulate   workload=tr", "workload=trace"),
        ("moesim simulate --mu", "--multirun"),
        ("moesim sweep exec", "executor="),
        ("moesim explain --ba", "--batch"),
        ("moesim explain model=mix", "model=mixtral_8x7b"),
        ("moesim export runs --p", "--perfetto"),
        ("moesim plan gam", "gammas="),
        ("moesim validate k", "kernels"),
        ("moesim calibrate e", "engine"),
        ("moesim validate kernels gpu=h2", "gpu=h200_sxm"),
        ("moesim simulate speculation.policy=th", "speculation.policy=threshold"),
        ("moesim list g", "gpus"),
        ("moesim list", "list"),
        ("moesim list ", " ".join(TOPICS)),
        ("moesim kernels ", "import"),
        ("moesim completion ", "bash"),
        ("moesim simulate model=mixtrl_", ""),
        ("moesim nonsense x", ""),
    ],
)
def test_proposals(complete, line, expected):
    assert complete(line) == expected.split()


def test_readline_replaces_only_what_follows_the_equals_sign(complete):
    assert complete("moesim simulate model=mix", wordbreaks=" =") == ["mixtral_8x7b"]


def test_files(complete, tmp_path):
    (tmp_path / "trace.csv").touch()
    line = f"moesim simulate workload=trace workload.path={tmp_path}/tr"
    assert complete(line) == [f"workload.path={tmp_path}/trace.csv"]


@pytest.mark.parametrize("words", [["completion", "bash"], ["simulate", "-sc", "install=bash"]])
def test_both_ways_of_installing_print_the_same(moesim, words):
    code, out, err = moesim(*words)
    assert (code, err) == (0, "")
    assert out == moesim("completion", "bash")[1]
    assert "complete -o default -F _moesim_complete moesim" in out


def test_uninstalling(moesim, environment):
    _, undo, _ = moesim("simulate", "-sc", "uninstall=bash")
    script = f'eval "$(moesim completion bash)"\n{undo}\ncomplete -p moesim || declare -F'
    done = subprocess.run(
        ["bash", "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert "_moesim" not in done.stdout


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("moesim simulate model=mix\t", "model=mixtral_8x7b "),
        ("moesim simulate speculation.ga\t3", "speculation.gamma=3"),
        ("moesim li\tgp\t", "moesim list gpus "),
    ],
)
def test_tab_in_an_interactive_shell(environment, typed, shown):
    ours, theirs = pty.openpty()
    shell = subprocess.Popen(
        ["bash", "--norc", "--noprofile", "-i"],
        env=environment | {"TERM": "dumb", "PS1": "$ "},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    try:
        os.write(ours, b'eval "$(moesim completion bash)"; echo rea""dy\n')
        read_until(ours, b"ready\r\n")
        os.write(ours, typed.encode())
        read_until(ours, shown.encode())
    finally:
        shell.kill()
        shell.wait()
        os.close(ours)
        os.close(theirs)


def read_until(terminal, expected, patience_s=20.0):
    """Read a terminal until it shows a text."""
    seen, end_s = b"", time.monotonic() + patience_s
    while expected not in seen:
        left_s = end_s - time.monotonic()
        if left_s <= 0 or not select.select([terminal], [], [], left_s)[0]:
            pytest.fail(f"{expected!r} is not in {seen!r}")
        seen += os.read(terminal, 4096)
    return seen
