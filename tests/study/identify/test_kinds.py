"""Kinds of measurements by name."""

import pytest

from simulator.errors import ConfigError
from simulator.study.identify.kinds import kind_of


def test_an_unknown_kind_names_the_nearest():
    with pytest.raises(ConfigError, match="Did you mean 'ar_step_time'"):
        kind_of("ar_steptime")
