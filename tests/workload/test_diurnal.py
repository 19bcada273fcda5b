"""Hours of a week: profiles as published, and arrivals that follow them."""

from itertools import islice

import numpy as np
import pytest

from simulator.errors import ConfigError, TableError
from simulator.streams import Streams
from simulator.workload.arrivals import Poisson
from simulator.workload.config import DiurnalConfig, SwingConfig, WorkloadConfig
from simulator.workload.cycles import Cycle
from simulator.workload.diurnal import Diurnal, diurnal_names, read_diurnal

CODE = DiurnalConfig(profile="azure_code_2024", day_s=240.0)


@pytest.mark.parametrize(
    ("name", "weekend", "ratio"),
    [("azure_code_2024", 0.3, 9.5), ("azure_conversation_2024", 0.55, 1.9)],
)
def test_profiles_are_as_published(name, weekend, ratio):
    profile = read_diurnal(name)
    days = np.array(profile.weekday), np.array(profile.weekend)
    assert (5 * days[0].mean() + 2 * days[1].mean()) / 7 == pytest.approx(1.0, abs=0.005)
    assert days[1].mean() / days[0].mean() == pytest.approx(weekend, abs=0.01)
    assert days[0].max() / days[0].min() == pytest.approx(ratio, rel=0.03)
    assert profile.week().mean() == pytest.approx(1.0)
    assert profile.trace.endswith("(CC-BY-4.0)")


def test_counts_follow_the_hours_day_by_day():
    law = Diurnal(Poisson(40.0), CODE)
    times_s = np.concatenate(list(islice(law.times(Streams(1)), 66)))
    week_s = 7 * 240.0
    assert times_s[-1] > week_s
    hours = np.histogram(times_s, bins=np.arange(0, week_s + 1, 10.0))[0]
    expected = 400.0 * law.profile.week().reshape(168, 12).mean(axis=1)
    chi = ((hours - expected) ** 2 / expected).sum()
    assert chi < 168 + 5 * np.sqrt(2 * 168)


def test_a_run_may_start_on_any_day_at_any_hour():
    at = DiurnalConfig(profile="azure_code_2024", start_day="saturday", start_hour=15.0, day_s=240)
    week = Diurnal(Poisson(1.0), CODE).cycle
    later = Diurnal(Poisson(1.0), at).cycle
    moved_s = (5 + 15 / 24) * 240.0
    done = np.linspace(0.0, 2000.0, 20_001)
    before = np.interp(moved_s, week.times_at(done), done)
    some = done[::1000]
    expected = week.times_at(some + before) - moved_s
    assert later.times_at(some) == pytest.approx(expected, abs=0.1)
    assert later.times_at(np.zeros(1))[0] == pytest.approx(0.0, abs=1e-9)
    assert "starts on saturday at 15 h" in Diurnal(Poisson(1.0), at).assumption


def test_a_cycle_keeps_order_and_the_mean():
    cycle = Cycle(10.0, np.array([0.0, 3.0, 1.0]), start=0.5)
    steady = np.sort(np.random.default_rng(1).uniform(0, 1000.0, 500))
    moved = cycle.times_at(steady)
    assert (np.diff(moved) >= 0).all()
    assert np.abs(moved - steady).max() <= 10.0


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: DiurnalConfig(profile="x", start_day="mon"), ConfigError, "Did you mean 'monday'"),
        (lambda: DiurnalConfig(profile="x", start_hour=24.0), ConfigError, "start_hour is 24"),
        (lambda: DiurnalConfig(profile="x", day_s=0.0), ConfigError, r"diurnal\.day_s is 0"),
        (lambda: read_diurnal("azure_code"), TableError, "Did you mean 'azure_code_2024'"),
        (
            lambda: WorkloadConfig(diurnal=CODE, swing=SwingConfig()),
            ConfigError,
            "set one of them to null",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_all_profiles_read():
    assert all(read_diurnal(name).title for name in diurnal_names())
