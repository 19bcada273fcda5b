"""The serving instance, priced once, and an easy process in its place for short studies."""

from dataclasses import replace

import numpy as np
import pytest

from simulator.compose import compose
from simulator.speculation.control.pomdp import Pomdp
from simulator.speculation.control.settings import LearnerSettings
from simulator.study.control.instance import read_instance
from simulator.study.control.study import study
from simulator.study.control.surrogate import surrogate


def derive(name, *overrides, edges=None):
    """Derive the surrogate of an instance."""
    instance = read_instance(name, overrides)
    return surrogate(instance, compose(instance.words), edges)


@pytest.fixture(scope="session")
def serving():
    return derive("serving")


@pytest.fixture(scope="session")
def easy_to_learn(serving):
    """The same buckets on a process whose states last: short runs tell them apart."""
    phase = np.array([[0.95, 0.05], [0.05, 0.95]])
    fast, slow = np.array([[0.95, 0.05], [0.3, 0.7]]), np.array([[0.7, 0.3], [0.05, 0.95]])
    by_action = ((slow, fast), (slow, slow), (fast, slow))
    transitions = [
        np.block([[phase[p, q] * pair[p] for q in (0, 1)] for p in (0, 1)]) for pair in by_action
    ]
    shown = np.kron([[0.02, 0.08, 0.9], [0.9, 0.08, 0.02]], np.eye(2))
    pomdp = Pomdp(transitions, shown, np.tile([1.0, 0.0], 3))
    return replace(serving, pomdp=pomdp)


@pytest.fixture(scope="session")
def short(easy_to_learn):
    """A study of two seeds and some thousand intervals."""
    return run_short(easy_to_learn, workers=1)


def run_short(found, *, workers):
    """Run it on so many processes."""
    settings = LearnerSettings(
        divisions=6, first_exploration=3000, explore_intervals=3000, exploit_intervals=1500
    )
    return study(found, settings, seeds=[3, 4], intervals=6000, workers=workers)
