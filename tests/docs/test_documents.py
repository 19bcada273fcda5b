"""The commands in README and docs run, and what they point at exists."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from simulator.cli import main

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
FOLLOWED = {ROOT / "docs" / "tutorial.md", *(ROOT / "docs" / "howto").glob("*.md")}
"""Pages whose commands build on each other: `test_walkthroughs.py` runs them."""

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?://)([^)#]+)")
_SHORT = ["run.requests=40", "run.replications=2"]
SHORTENED = {
    "simulate": [*_SHORT, "run.workers=1", "run.picture=false"],
    "sweep": [*_SHORT, "workers=1"],
}

blocks = [
    (page.name, language, text)
    for page in PAGES
    if page not in FOLLOWED
    for language, text in BLOCK.findall(page.read_text("utf-8"))
]
commands = sorted(
    {
        line.split("  #")[0].strip()
        for _, language, text in blocks
        if language == "sh"
        for line in text.splitlines()
        if line.startswith("moesim ")
    }
)


def timed(command):
    """The command as a parameter: those of the README run always, others in the slow suite.

    Leaving every measured shape out once takes a minute.
    """
    first = command in (ROOT / "README.md").read_text("utf-8")
    long = command.startswith("moesim validate kernels")
    return pytest.param(command, marks=[] if first and not long else [pytest.mark.slow])


@pytest.mark.parametrize("command", [timed(command) for command in commands])
def test_commands_run(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = shlex.split(command.replace("=examples/", f"={ROOT}/examples/"))[1:]
    words += SHORTENED.get(words[0], [])
    assert main(words) == 0
    assert capsys.readouterr().out


def test_there_are_commands_to_run():
    assert len(commands) >= 5


@pytest.mark.parametrize("text", [text for _, language, text in blocks if language == "python"])
def test_python_examples_run(text, capsys):
    exec(compile(text, "README.md", "exec"), {})
    assert float(capsys.readouterr().out) > 0


def test_the_example_draws_its_picture(tmp_path):
    example = ROOT / "examples" / "target_efficiency.py"
    picture = tmp_path / "picture.png"
    done = subprocess.run(
        [sys.executable, str(example), str(picture)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert picture.exists()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in LINK.findall(page.read_text("utf-8")):
        assert (page.parent / target).exists(), target


def test_tests_named_in_the_documents_exist():
    for page in PAGES:
        for path in re.findall(r"`(tests/[\w/]+\.py)", page.read_text("utf-8")):
            assert (ROOT / path).exists(), path
