"""Pages that one follows from top to bottom: files are written, commands run in order."""

import re
import shlex
from pathlib import Path

import pytest

from simulator.cli import main
from simulator.commands import COMMANDS

DOCS = Path(__file__).parents[2] / "docs"
WALKTHROUGHS = sorted([DOCS / "tutorial.md", *(DOCS / "howto").glob("*.md")])
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# (\S+\.(?:yaml|csv|txt))\b.*")
SHORT = {
    "simulate": ["run.requests=60", "run.replications=2", "run.workers=1", "run.picture=false"],
    "sweep": ["run.requests=60", "run.replications=2", "workers=1"],
    "plan": ["workers=1", "cache=cache", "replications=2", "confirmations=1"],
}
"""What makes a command short; a setting that the page gives stays as it is."""


def blocks(page):
    return BLOCK.findall(page.read_text("utf-8"))


def words(command):
    """The words of a command, and those that make it short."""
    _, name, *given = shlex.split(command, comments=True)
    keys = {word.partition("=")[0] for word in given}
    return [name, *given, *(w for w in SHORT.get(name, []) if w.partition("=")[0] not in keys)]


@pytest.mark.slow
@pytest.mark.parametrize("page", WALKTHROUGHS, ids=lambda page: page.stem)
def test_a_page_can_be_followed(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for language, text in blocks(page):
        first, _, rest = text.partition("\n")
        if language != "sh" and (named := FILE.fullmatch(first)):
            Path(named[1]).parent.mkdir(parents=True, exist_ok=True)
            Path(named[1]).write_text(rest, "utf-8")
        for line in text.splitlines() if language == "sh" else ():
            assert main(words(line)) == 0, line
            assert capsys.readouterr().out


@pytest.mark.parametrize("page", WALKTHROUGHS, ids=lambda page: page.stem)
def test_what_a_page_names_is_there(page):
    """What costs no time to check: commands are ours, and files of theirs stand on the page."""
    found = blocks(page)
    written = {match[1] for _, text in found if (match := FILE.match(text))}
    lines = [line for language, text in found if language == "sh" for line in text.splitlines()]
    for program, name, *given in (shlex.split(line, comments=True) for line in lines):
        assert (program, name in COMMANDS) == ("moesim", True)
        values = {word.rpartition("=")[2] for word in given}
        assert {value for value in values if FILE.fullmatch(f"# {value}")} <= written
