"""Acceptance that changes with the traffic: phases of mostly easy, and of mostly hard requests."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulator.speculation.candidates import Candidates
from simulator.speculation.config import PhasesConfig
from simulator.speculation.position import PositionAcceptance
from simulator.speculation.text_states import TextStates


class PhaseAcceptance:
    """Requests are easy or hard to draft, and for a while most of those that come are alike.

    The phase is a two-state Markov chain over the requests in the order in which they arrive: each
    ends it with chance ``1 / stretch_requests``. A request is of the kind of its phase with chance
    ``own_share``, and all its drafted tokens are accepted with the rate of its kind. So all who
    decode at a time share a phase that nobody sees; what is accepted tells of it, with noise. Every
    block of requests that is drawn (1,024 of a preset) begins anew, in either phase alike.

    Parameters
    ----------
    phases
        Rates, mixing and length of the phases.
    candidates
        What a round proposes.

    Examples
    --------
    >>> model = PhaseAcceptance(PhasesConfig(
    ...     alpha_easy=0.9, alpha_hard=0.4, own_share=1.0, stretch_requests=100.0), Candidates())
    >>> round(model.tokens_per_round(1), 2)  # as many tokens of either: 2 / (1 / 1.9 + 1 / 1.4)
    1.61
    """

    by_token = False

    def __init__(self, phases: PhasesConfig, candidates: Candidates) -> None:
        self._phases = phases
        self._candidates = candidates
        self._kinds = [
            PositionAcceptance([alpha], candidates)
            for alpha in (phases.alpha_easy, phases.alpha_hard)
        ]

    def draw(
        self, output_tokens: NDArray[np.int64], gamma: int, generator: np.random.Generator
    ) -> NDArray[np.int64]:
        """Draw the phase and the kind of each request, then its runs (`acceptance.Acceptance`)."""
        requests, phases = len(output_tokens), self._phases
        text = TextStates(phases.stretch_requests, phases.stretch_requests)
        in_easy_phase = text.draw(np.array([requests]), generator)
        easy = in_easy_phase == (generator.random(requests) < phases.own_share)
        rates = np.where(easy, phases.alpha_easy, phases.alpha_hard)
        return self._candidates.runs(np.repeat(rates, output_tokens), gamma, generator)

    def tokens_per_round(self, gamma: int) -> float:
        """Return all tokens over all rounds, for requests of equal length; half of them easy."""
        return self.tokens_per_round_of(gamma, 0.5)

    def tokens_per_round_of(self, gamma: int, easy_share: float) -> float:
        """Return all tokens over all rounds where a share of the requests is easy.

        The harmonic mean over requests, as hard ones take more rounds for as many tokens.
        """
        easy, hard = (kind.tokens_per_round(gamma) for kind in self._kinds)
        return 1.0 / (easy_share / easy + (1.0 - easy_share) / hard)
