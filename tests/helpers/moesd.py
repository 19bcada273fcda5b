"""A small reproduction of MoESD, run once."""

from functools import cache

from simulator.costs.engine import load_engine
from simulator.study.moesd.bottom_up import ENGINE
from simulator.study.moesd.validate import MoesdValidation, prepare, validate_moesd

BATCHES = (8, 60)
"""What calibration of the MoE looks at, so that both roles occur."""


@cache
def reduced() -> MoesdValidation:
    """Two batches of every curve, in this process."""
    return validate_moesd(prepare(BATCHES), workers=1, advance=lambda _: None)


def profile():
    """The profile that stands for the paper's engine, before calibration."""
    return load_engine(ENGINE)
