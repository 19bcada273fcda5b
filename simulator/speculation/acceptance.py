"""How many drafted tokens the target accepts.

A round's *uncapped* accepted-run length L is one draw; a draft of depth gamma has ``min(L, gamma)``
accepted. So every draft length, and plain decoding, see the same draws (common random numbers).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InvariantError
from simulator.registry import Registry
from simulator.speculation.candidates import candidates_of
from simulator.speculation.config import SpeculationConfig
from simulator.speculation.heterogeneous import HeterogeneousAcceptance
from simulator.speculation.phases import PhaseAcceptance
from simulator.speculation.position import PositionAcceptance
from simulator.speculation.profiled import ProfiledAcceptance
from simulator.speculation.profiles import choose_shape, read_profile
from simulator.speculation.recorded import RecordedAcceptance, read_recorded
from simulator.speculation.regime import RegimeAcceptance

__all__ = ["ACCEPTANCE", "Acceptance", "PositionAcceptance"]


T = TypeVar("T")


class Acceptance(Protocol):
    """What an acceptance model offers."""

    by_token: bool
    """What tells the draws of a request apart: the number of the round, or, in token time, how much
    of the output is there when a round starts. In token time a text is the same whatever the draft
    length: draw i is that of a round that starts with 1 + i tokens out."""

    def draw(
        self, output_tokens: NDArray[np.int64], gamma: int, generator: np.random.Generator
    ) -> NDArray[np.int64]:
        """Draw the runs of consecutive requests, each ``min(L, gamma)``.

        Parameters
        ----------
        output_tokens
            Requested output lengths, each >= 1. A request owns as many draws: enough for one token
            a round.
        gamma
            Depth of the drafts, >= 1. It caps runs; what is taken from the generator, and L, do not
            depend on it.
        generator
            Where randomness comes from.

        Returns
        -------
        ndarray
            int64[sum(output_tokens)], one request after another.
        """
        ...

    def tokens_per_round(self, gamma: int) -> float:
        """Return the tokens of a round with drafts of depth gamma, bonus token included.

        All tokens over all rounds in the long run, over requests of equal length.
        """
        ...


ACCEPTANCE: Registry[Callable[[SpeculationConfig], Acceptance]] = Registry("acceptance model")


@ACCEPTANCE.register("iid")
def iid(config: SpeculationConfig) -> PositionAcceptance:
    """Accept every drafted token with the same chance."""
    return PositionAcceptance([_given(config.alpha)], candidates_of(config))


@ACCEPTANCE.register("by_position")
def by_position(config: SpeculationConfig) -> PositionAcceptance:
    """Accept with a chance that depends on the position in the draft."""
    return PositionAcceptance(config.alphas, candidates_of(config))


@ACCEPTANCE.register("heterogeneous")
def heterogeneous(config: SpeculationConfig) -> HeterogeneousAcceptance:
    """Accept with a chance that depends on the request."""
    alpha, spread = _given(config.alpha), _given(config.alpha_spread)
    return HeterogeneousAcceptance(alpha, spread, candidates_of(config))


@ACCEPTANCE.register("regime")
def regime(config: SpeculationConfig) -> RegimeAcceptance:
    """Accept with a chance that changes along the text."""
    return RegimeAcceptance(_given(config.regime), candidates_of(config))


@ACCEPTANCE.register("phases")
def phases(config: SpeculationConfig) -> PhaseAcceptance:
    """Accept with a chance that depends on the request, most of which are alike for a while."""
    return PhaseAcceptance(_given(config.phases), candidates_of(config))


@ACCEPTANCE.register("recorded")
def recorded(config: SpeculationConfig) -> RecordedAcceptance:
    """Accept what was accepted in recorded rounds."""
    return read_recorded(_given(config.path), config.gamma)


@ACCEPTANCE.register("profile")
def profile(config: SpeculationConfig) -> ProfiledAcceptance:
    """Accept as published acceptance lengths have it: decay, easy and hard text, own requests."""
    found = read_profile(_given(config.profile))
    shape, _ = choose_shape(found, config.task, config.temperature)
    return ProfiledAcceptance(shape, candidates_of(config))


def _given(value: T | None) -> T:
    """Return a setting that the checks of `SpeculationConfig` have found to be there."""
    if value is None:
        raise InvariantError("a setting that its acceptance model needs is not there.")
    return value
