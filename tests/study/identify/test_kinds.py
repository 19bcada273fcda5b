"""Ratios leave the scale of seconds free; one time fixes it."""

import pytest

from simulator.errors import ConfigError
from simulator.study.identify.kinds import KINDS, seconds_are_free


@pytest.mark.parametrize("kind", [name for name, kind in KINDS.items() if kind.unit == "s"])
def test_one_time_among_ratios_fixes_the_scale(kind):
    assert seconds_are_free(["speedup"] * 228)
    assert not seconds_are_free(["speedup", kind])


def test_no_data_fix_nothing():
    assert seconds_are_free([])


def test_an_unknown_kind_names_the_nearest():
    with pytest.raises(ConfigError, match="Did you mean 'ar_step_time'"):
        seconds_are_free(["ar_steptime"])
