"""Settings as ``key=value`` words."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from simulator.commands.folders import check_folder
from simulator.commands.words import help_text, read_words
from simulator.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Toy:
    data: str = field(metadata={"help": "a file"})
    share: float = 0.5
    rows: int | None = None
    names: tuple[str, ...] = ()
    draw: bool = field(default=False, metadata={"help": "draw it"})


def read(*words):
    return read_words(words, Toy, "toy it")


def test_values_are_read_as_the_schema_wants_them():
    found = read("data=1", "share=1e-3", "rows=4", "names=a, b", "draw=true", "hydra.run.dir=x/y")
    assert found.settings == Toy(data="1", share=1e-3, rows=4, names=("a", "b"), draw=True)
    assert found.folder == Path("x/y")


def test_an_equals_sign_in_a_value_stays():
    assert read("data=a=b.csv").settings.data == "a=b.csv"


def test_the_default_folder_names_the_command():
    assert read("data=x").folder.name.endswith("-toy-it")


@pytest.mark.parametrize("text", ["null", ""])
def test_optional_values_can_be_taken_back(text):
    assert read("data=x", "rows=3", f"rows={text}").settings.rows is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["data"], "'data' is no key=value. Try: moesim toy it --help"),
        (["dta=x"], "unknown setting 'dta' in dta=x. Did you mean 'data'?"),
        (["rows=2"], "data is missing"),
        (["data=x", "rows=two"], "rows='two' must be an integer"),
        (["data=x", "share=half"], "share='half' must be a number"),
        (["data=x", "draw=[}"], "draw='[}' cannot be read"),
    ],
)
def test_what_makes_no_sense_is_refused(words, message):
    with pytest.raises(ConfigError) as refused:
        read(*words)
    assert message in str(refused.value)


def test_help_names_settings_defaults_and_examples():
    text = help_text("toy it", "Play.", Toy, ["toy it data=x"])
    assert "usage: moesim toy it [key=value ...]\n\nPlay." in text
    assert "  data=...           a file\n" in text
    assert "  draw=false         draw it\n" in text
    assert text.endswith("examples:\n  moesim toy it data=x\n")


@dataclass(frozen=True, kw_only=True)
class Loose:
    what: str | None = field(default=None, metadata={"help": "a file", "bare": True})
    passed: tuple[str, ...] = field(default=(), metadata={"help": "passed on", "prefix": "run."})


def test_a_bare_word_and_words_passed_on():
    found = read_words(["mine.csv", "run.rows=3", "run.x=[1,2]"], Loose, "toy").settings
    assert found == Loose(what="mine.csv", passed=("run.rows=3", "run.x=[1,2]"))
    assert read_words(["what=a=b"], Loose, "toy").settings.what == "a=b"
    with pytest.raises(ConfigError, match="'two' is no key=value"):
        read_words(["one", "two"], Loose, "toy")
    text = help_text("toy", "It toys.", Loose, ())
    assert text.startswith("usage: moesim toy WHAT [key=value ...]")
    assert "run.SETTING=VALUE" in text


@pytest.mark.parametrize("word", ["hydra.run.dir=file", "hydra.run.dir=file/below"])
def test_a_folder_that_cannot_be_is_refused_before_anything_runs(moesim, empty_folder, word):
    (empty_folder / "file").touch()
    code, out, err = moesim("validate", "kernels", word)
    assert (code, out) == (2, "")
    assert "file' is a file; choose another folder with hydra.run.dir=FOLDER." in err


def test_a_folder_without_permission_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: path != tmp_path)  # root may do anything
    with pytest.raises(ConfigError, match=r"no permission to write into '.*'; choose another"):
        check_folder(tmp_path / "runs" / "mine")
