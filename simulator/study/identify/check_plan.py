"""One way in: check whatever a plan is about."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from simulator.study.identify.check import Check
from simulator.study.identify.check_digits import check_digits
from simulator.study.identify.check_moesd import check_moesd
from simulator.study.identify.check_popularity import check_popularity
from simulator.study.identify.plan_file import KNOWLEDGE, read_plan

_CHECKS = dict(zip(KNOWLEDGE, (check_moesd, check_popularity, check_digits), strict=True))


def check_plan(path: Path | str, advance: Callable[[float], None] = lambda _: None) -> Check:
    """Say what the measurements of a plan can determine.

    Parameters
    ----------
    path
        The plan, YAML.
    advance
        Told of work done, 1 in all.

    Raises
    ------
    SimulatorError
        If the plan is missing or malformed; the message names the line.
    """
    plan = read_plan(path)
    return _CHECKS[plan.content["knowledge"]](plan, advance)
