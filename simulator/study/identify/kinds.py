"""Kinds of measurements, and whether they carry the scale of seconds.

A time parameter is one that step times are proportional to. Multiply all of them by c: a step time
becomes c times as long, and a ratio of step times stays. So data of ratios alone, however many,
leave the scale of seconds free.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from simulator.errors import ConfigError, unknown


class Kind(NamedTuple):
    """A kind of measurement.

    Parameters
    ----------
    unit
        "s", or "1" for a ratio.
    feels
        What it depends on: ``top_k``, ``gamma``, ``batch``.
    meaning
        What is measured, for people.
    """

    unit: str
    feels: tuple[str, ...]
    meaning: str


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "speedup": Kind(
            "1",
            ("top_k", "gamma", "batch"),
            "speedup of decoding with drafts over decoding without",
        ),
        "ar_step_time": Kind(
            "s", ("top_k", "batch"), "time of a plain step of the target, T_T(B, 1)"
        ),
        "verify_step_time": Kind(
            "s", ("top_k", "gamma", "batch"), "time of a verify step of the target, T_T(B, gamma)"
        ),
        "draft_step_time": Kind("s", ("batch",), "time of one draft step, T_D(B, 1)"),
        "reject_time": Kind("s", ("batch",), "time of rejection sampling in one round, T_rej"),
    }
)
"""What a plan for MoESD's parameters may measure."""


def kind_of(name: str, origin: str = "") -> Kind:
    """Return a kind by name.

    Raises
    ------
    ConfigError
        If there is none; the message names the nearest.
    """
    if name not in KINDS:
        raise ConfigError(unknown("kind of measurement", name, KINDS, origin))
    return KINDS[name]
