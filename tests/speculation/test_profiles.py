"""Acceptance profiles: their closed form, their draws, their data, and how a task is chosen."""

from importlib.resources import files

import numpy as np
import pytest

from simulator.errors import ConfigError, TableError
from simulator.speculation.acceptance import ACCEPTANCE
from simulator.speculation.candidates import Candidates
from simulator.speculation.config import RegimeConfig, SpeculationConfig
from simulator.speculation.heterogeneous import HeterogeneousAcceptance
from simulator.speculation.position import PositionAcceptance
from simulator.speculation.profiled import AcceptanceShape, ProfiledAcceptance
from simulator.speculation.profiles import (
    choose_shape,
    profile_names,
    read_profile,
    task_offsets,
)
from simulator.speculation.regime import RegimeAcceptance


def logit(alpha):
    return float(np.log(alpha / (1 - alpha)))


def model(**shape):
    return ProfiledAcceptance(AcceptanceShape(**shape), Candidates())


@pytest.mark.parametrize("gamma", [1, 3, 8])
def test_without_gain_and_spread_it_is_acceptance_by_position(gamma):
    alphas = 0.8 * 0.9 ** np.arange(gamma)
    profiled = model(level=logit(0.8), decay=0.9)
    assert profiled.tokens_per_round(gamma) == pytest.approx(
        PositionAcceptance(alphas).tokens_per_round(gamma)
    )


@pytest.mark.parametrize("gamma", [1, 3, 8])
def test_with_gain_alone_it_is_that_of_regimes(gamma):
    regime = RegimeConfig(alpha_high=0.836, alpha_low=0.524, high_tokens=40, low_tokens=97)
    profiled = model(level=logit(0.524), gain=logit(0.836) - logit(0.524))
    expected = RegimeAcceptance(regime, Candidates()).tokens_per_round(gamma)
    assert profiled.tokens_per_round(gamma) == pytest.approx(expected)


@pytest.mark.parametrize("spread", [0.28, 1.5])
def test_with_spread_alone_it_is_that_of_heterogeneous_requests(spread):
    expected = HeterogeneousAcceptance(0.6, spread, Candidates()).tokens_per_round(4)
    assert model(level=logit(0.6), spread=spread).tokens_per_round(4) == pytest.approx(
        expected, rel=1e-5
    )


def test_draws_meet_the_closed_form():
    profiled = model(level=0.6, decay=0.93, spread=0.4, gain=1.53)
    lengths = np.full(300, 4000)
    runs = profiled.draw(lengths, 4, np.random.default_rng(5)).reshape(300, 4000)
    rounds = 0
    for row in runs.tolist():
        place = 0
        while place < 4000:
            place += 1 + row[place]
            rounds += 1
    assert lengths.sum() / rounds == pytest.approx(profiled.tokens_per_round(4), rel=0.01)


def test_gamma_caps_the_same_draws():
    profiled = model(level=1.0, decay=0.95, spread=0.3, gain=1.5)
    lengths = np.array([500, 700])
    long, short = (profiled.draw(lengths, gamma, np.random.default_rng(2)) for gamma in (6, 2))
    assert np.minimum(long, 2).tolist() == short.tolist()


@pytest.mark.parametrize(
    "shape", [{"decay": 0.0}, {"decay": 1.1}, {"spread": -1.0}, {"gain": -0.1}, {"low_tokens": 1.0}]
)
def test_shapes_that_are_none_are_refused(shape):
    with pytest.raises(ConfigError, match="acceptance shape needs"):
        AcceptanceShape(level=0.0, **shape)


def test_a_measured_task_is_taken_as_it_is():
    profile = read_profile("llama_3_2_1b_dspark")
    shape, notes = choose_shape(profile, "tool_call", None)
    assert (shape, notes) == (profile.tasks["tool_call"].shape, ())
    assert choose_shape(profile, None, None).shape == profile.tasks["coding"].shape


def test_another_task_is_moved_from_the_nearest_and_says_so():
    profile = read_profile("llama_3_2_1b_dspark")
    shape, (note,) = choose_shape(profile, "translation", None)
    apart = task_offsets()["translation"].value - task_offsets()["writing"].value
    assert shape == profile.tasks["writing"].shape.shifted(apart)
    assert "not translation: log-odds -0.35, a judgement" in note


def test_another_temperature_is_assumed_and_says_so():
    profile = read_profile("qwen3_5_mtp")
    shape, (note,) = choose_shape(profile, None, 1.7)
    assert shape.level == pytest.approx(profile.tasks["coding"].shape.level - 0.15)
    assert "measured at temperature 0.7, not 1.7" in note
    assert choose_shape(profile, None, 0.7).assumptions == ()


def test_an_unknown_task_names_the_nearest():
    with pytest.raises(ConfigError, match="Did you mean 'coding'"):
        choose_shape(read_profile("qwen3_5_mtp"), "codng", None)


def test_a_task_that_compares_with_none_is_refused(tmp_path):
    path = tmp_path / "mine.yaml"
    text = shipped("qwen3_5_mtp").replace("  coding:", "  poems:")
    path.write_text(text, encoding="utf-8")
    profile = read_profile(str(path))
    assert choose_shape(profile, "poems", None).assumptions == ()
    with pytest.raises(ConfigError, match="measured on poems alone"):
        choose_shape(profile, "chat", None)


def shipped(name):
    folder = files("simulator.workloads.acceptance")
    return folder.joinpath(f"{name}.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("  coding:\n", "  coding:\n    gain: 3\n", "gain is 3; write"),
        ("temperature_slope:", "slope:", "lacks temperature_slope"),
        ("      values:", "      numbers:", "lengths lacks values"),
        ("    level:", "    height:", "lacks level"),
        ("decay: {value: 0.9478", "decay: {value: 1.9478", "needs a decay in"),
    ],
)
def test_files_that_are_none_are_refused(tmp_path, before, after, message):
    path = tmp_path / "mine.yaml"
    text = shipped("qwen3_5_mtp")
    assert before in text
    path.write_text(text.replace(before, after), encoding="utf-8")
    with pytest.raises(TableError, match=message):
        read_profile(str(path))


def test_an_unknown_profile_names_the_nearest():
    config = SpeculationConfig(acceptance="profile", profile="qwen3_5_mpt")
    with pytest.raises(TableError, match="Did you mean 'qwen3_5_mtp'"):
        ACCEPTANCE.get("profile", "here")(config)


def test_every_profile_can_be_drawn_from():
    for name in profile_names():
        config = SpeculationConfig(acceptance="profile", profile=name, task="chat")
        acceptance = ACCEPTANCE.get("profile", "here")(config)
        assert 1.0 < acceptance.tokens_per_round(3) < 4.0


def test_settings_of_a_profile_mean_nothing_elsewhere():
    with pytest.raises(ConfigError, match=r"choose speculation\.acceptance=profile"):
        SpeculationConfig(alpha=0.6, task="coding")
    with pytest.raises(ConfigError, match=r"speculation\.profile=null but"):
        SpeculationConfig(acceptance="profile")
    with pytest.raises(ConfigError, match="sampling temperature"):
        SpeculationConfig(acceptance="profile", profile="mismatch", temperature=-1.0)
    with pytest.raises(ConfigError, match=r"alpha=0\.6 has no effect .* rates of its own"):
        SpeculationConfig(acceptance="profile", profile="mismatch", alpha=0.6)
