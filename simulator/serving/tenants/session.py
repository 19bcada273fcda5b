"""One attack on one picture, from its first query to the rule that stops it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from simulator.errors import ConfigError
from simulator.serving.tenants.attacks import ATTACKS
from simulator.serving.tenants.balls import distance
from simulator.serving.tenants.config import AttackConfig

Floats = NDArray[np.float64]


def margins(scores: Floats, label: int | NDArray[np.int64]) -> Floats:
    """Return the score of the right class less the best of the others: negative is misclassified.

    Parameters
    ----------
    scores
        Logits or log-probabilities, which have the same margins; shape (n, k).
    label
        The right class, of all rows or of each.

    Examples
    --------
    >>> margins(np.array([[3.0, 1.0, 2.0], [0.0, 0.0, 5.0]]), 0).tolist()
    [1.0, -5.0]
    """
    rows, others = np.arange(len(scores)), scores.copy()
    others[rows, label] = -np.inf
    found: Floats = scores[rows, label] - others.max(axis=1)
    return found


def margin(scores: Sequence[float], label: int) -> float:
    """Return what `margins` does, of one reply: ten times as fast on ten classes.

    Examples
    --------
    >>> margin([3.0, 1.0, 2.0], 0), margin([0.0, 0.0, 5.0], 0)
    (1.0, -5.0)
    """
    others = [*scores]
    others[label] = -math.inf
    return scores[label] - max(others)


class Session:
    """An attack, its budget, its averaging and its rule to stop, as a machine without a clock.

    Ask `points`, hand the margins to `take`, until `points` is None. Every point of a step is asked
    ``eot`` times and its margins averaged (expectation over transformation), which divides the
    variance of the defender's noise. The candidate of a step is a *hit* where its averaged margin
    is negative. With ``stop: first_hit`` that ends the session; with ``verified`` the candidate is
    asked ``repeats`` times more, and the session ends if most of these replies are wrong, else
    the attack goes on. Nothing more is asked when the budget is spent, not even to verify, so that
    queries are less than the budget plus one step, or one verification.

    Parameters
    ----------
    config
        The attack.
    picture, label
        What is attacked, shape (d,), and its class.
    generator
        What the attack draws from.
    """

    def __init__(
        self, config: AttackConfig, picture: Floats, label: int, generator: np.random.Generator
    ) -> None:
        self._config = config
        self._search = ATTACKS.get(config.kind)().search(picture, config.reach, generator)
        self._burst = next(self._search)
        self._averaged: Sequence[float] | None = None
        """Margins of a step whose candidate is being verified."""
        self.picture, self.label = picture, label
        self.candidate = self._burst[0]
        """What the attack asked last as a picture to submit, kept or not."""
        self.queries = 0
        """Replies so far."""
        self.first_hit = 0
        """Queries up to the first step whose candidate was misclassified; 0 before."""
        self.hit = False
        """Whether the attacker believes that it has won."""
        self.points: Floats | None = self._repeated()
        """What to ask next, all together, shape (n, d); None when the session is over."""

    def take(self, found: Sequence[float]) -> None:
        """Take the margins of the replies to `points`, in their order."""
        self.queries += len(found)
        if self._averaged is not None:
            if sum(one < 0.0 for one in found) * 2 > len(found):
                self._end(hit=True)
            else:
                self._go_on(self._averaged)
            return
        eot = self._config.eot
        averaged = found if eot == 1 else np.reshape(found, (-1, eot)).mean(axis=1).tolist()
        self.candidate = self._burst[0]
        if averaged[0] >= 0.0:
            self._go_on(averaged)
            return
        self.first_hit = self.first_hit or self.queries
        if self._config.verifies and self.queries >= self._config.budget:
            self._end(hit=False)
        elif self._config.verifies:
            self._averaged = averaged
            self.points = np.repeat(self.candidate[None], self._config.verifying, axis=0)
        else:
            self._end(hit=True)

    def _go_on(self, averaged: Sequence[float]) -> None:
        """Let the attack take its next step, if the budget allows one."""
        self._averaged = None
        if self.queries >= self._config.budget:
            self._end(hit=False)
            return
        try:
            self._burst = self._search.send(averaged)
        except StopIteration:
            raise ConfigError(
                f"attack={self._config.kind} ended by itself after {self.queries} queries; an "
                "attack goes on for as long as it is sent replies."
            ) from None
        self.points = self._repeated()

    def _repeated(self) -> Floats:
        eot = self._config.eot
        return np.repeat(self._burst, eot, axis=0) if eot > 1 else self._burst

    @property
    def distortion(self) -> float:
        """Distance of the candidate from the picture, in the norm of the attack.

        Raises
        ------
        ConfigError
            If the attack has left its ball.
        """
        config = self._config
        found = float(distance(self.candidate, self.picture, config.norm))
        if found > config.radius * (1.0 + 1e-9):
            raise ConfigError(
                f"attack={config.kind} would submit a picture at a distance of {found:g}, but "
                f"radius={config.radius:g} (norm={config.norm})."
            )
        return found

    def _end(self, *, hit: bool) -> None:
        self.hit, self.points = hit, None
        self._search.close()
