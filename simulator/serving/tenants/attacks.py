"""Query-based attacks, each a generator of bursts that knows nothing of time.

An attack yields the points of a step, shape (n, d), all to be asked together, and is sent their
*margins*, n of them: the score of the right class less the best of the others, so that a point is
misclassified where its margin is negative. Row 0 is always a point that the attack may submit, the
*candidate*: where it is now, or what it tries. An attack never ends by itself.

Points that probe may leave the ball, and the range of pixels, by their perturbation; candidates
never do.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.registry import Registry
from simulator.serving.tenants.balls import L2, LINF, Ball, downhill

Floats = NDArray[np.float64]

Search = Generator[Floats, Sequence[float], None]
"""Yields bursts of points, and is sent their margins."""


class Reach(NamedTuple):
    """What an attack may do.

    Parameters
    ----------
    mu
        Size of a perturbation: of probes that estimate a gradient, or of steps that are tried.
    samples
        q, directions that one estimate of a gradient takes.
    radius, norm
        Ball around the picture.
    step
        Length of a step down an estimated gradient, in the norm.
    budget
        Points that the attack reckons with.
    """

    mu: float
    samples: int
    radius: float
    norm: str
    step: float
    budget: int

    def ball(self, start: Floats) -> Ball:
        """Return the ball around a picture."""
        return Ball(start, self.radius, self.norm)


class Attack(NamedTuple):
    """A kind of attack.

    Parameters
    ----------
    search
        Starts it: from the picture, shape (d,), what it may do, and what it draws from.
    norms
        Norms for which it is made.
    uses
        Which of ``mu``, ``samples`` and ``step`` it looks at.
    points
        Of a step, from ``samples``.
    perturbed
        How many of the two points that it compares lie a normal perturbation of size mu away, 1 or
        2; 0 if it compares otherwise.
    """

    search: Callable[[Floats, Reach, np.random.Generator], Search]
    norms: tuple[str, ...]
    uses: frozenset[str] = frozenset()
    points: Callable[[int], int] = lambda samples: 1
    perturbed: int = 0


ATTACKS: Registry[Callable[[], Attack]] = Registry("attack")


def nes_search(start: Floats, reach: Reach, generator: np.random.Generator) -> Search:
    """Descend a gradient estimated from antithetic pairs (Ilyas et al., 1804.08598).

    ``g = sum_i (f(x + mu u_i) - f(x - mu u_i)) u_i / (2 mu q)``, u normal: 2q + 1 queries a step.
    """
    point, count, ball = start, reach.samples, reach.ball(start)
    while True:
        directions = generator.standard_normal((count, start.size))
        probes = reach.mu * directions
        margins = np.array((yield np.concatenate([point[None], point + probes, point - probes])))
        slopes = (margins[1 : count + 1] - margins[count + 1 :]) @ directions
        point = ball.project(point + reach.step * downhill(slopes, reach.norm))


def zo_sign_search(start: Floats, reach: Reach, generator: np.random.Generator) -> Search:
    """Descend the sign of forward differences (ZO-signSGD, Liu et al., ICLR 2019).

    ``g = sum_i (f(x + mu u_i) - f(x)) u_i / (mu q)``, u normal: q + 1 queries a step.
    """
    point, ball = start, reach.ball(start)
    while True:
        directions = generator.standard_normal((reach.samples, start.size))
        margins = np.array((yield np.concatenate([point[None], point + reach.mu * directions])))
        slopes = (margins[1:] - margins[0]) @ directions
        point = ball.project(point + reach.step * downhill(slopes, reach.norm))


def simba_search(start: Floats, reach: Reach, generator: np.random.Generator) -> Search:
    """Try one pixel after another, up or down by mu; keep what helps (SimBA, 1905.07121).

    One query a step. The best margin so far is remembered, not asked again.
    """
    point, ball = start, reach.ball(start)
    (best,) = yield point[None]
    while True:
        for pixel in generator.permutation(start.size):
            for change in (reach.mu, -reach.mu):
                tried = point.copy()
                tried[pixel] += change
                tried = ball.project(tried)
                if tried.tobytes() == point.tobytes():
                    continue  # the ball holds it: nothing to ask
                (margin,) = yield tried[None]
                if margin < best:
                    point, best = tried, margin
                    break


def local_search(start: Floats, reach: Reach, generator: np.random.Generator) -> Search:
    """Try normal steps of size mu; go where the margin is smaller, both asked anew each step.

    ``h(x) = f(x + mu u) - f(x) < 0`` accepts: two queries a step, the textbook's rule.
    """
    point, ball = start, reach.ball(start)
    while True:
        tried = ball.project(point + reach.mu * generator.standard_normal(start.size))
        ahead, here = yield np.array([tried, point])
        if ahead < here:
            point = tried


_BOTH = LINF, L2
_GRADIENT = frozenset({"mu", "samples", "step"})


@ATTACKS.register("nes")
def nes() -> Attack:
    """Return the attack of `nes_search`."""
    return Attack(nes_search, _BOTH, _GRADIENT, lambda samples: 2 * samples + 1, 2)


@ATTACKS.register("zo_sign")
def zo_sign() -> Attack:
    """Return the attack of `zo_sign_search`."""
    return Attack(zo_sign_search, (LINF,), _GRADIENT, lambda samples: samples + 1, 1)


@ATTACKS.register("simba")
def simba() -> Attack:
    """Return the attack of `simba_search`."""
    return Attack(simba_search, _BOTH, frozenset({"mu"}))


@ATTACKS.register("random_search")
def random_search() -> Attack:
    """Return the attack of `local_search`."""
    return Attack(local_search, _BOTH, frozenset({"mu"}), lambda samples: 2, 1)
