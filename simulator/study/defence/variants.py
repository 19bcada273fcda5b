"""What else attackers can do: variants of the attack against every noise, without queue or limit.

How a session ends depends on the replies alone, not on when they come. So variants run without an
endpoint, as many sessions of each as are asked for, on the same pictures and directions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import binomtest

from simulator.mlp import one_thread
from simulator.serving.tenants.config import FIRST_HIT, VERIFIED, AttackConfig
from simulator.serving.tenants.defended import Defended
from simulator.serving.tenants.pictures import Pictures
from simulator.serving.tenants.session import Session, margins
from simulator.streams import Streams
from simulator.study.defence.measure import misleads
from simulator.study.defence.models import trained
from simulator.study.defence.question import Question
from simulator.trace.statistics import CONFIDENCE, Interval

ASKED = "as asked"
"""The attack of the question."""

FARTHER = 5.0
"""Factor of mu by which an attacker outgrows noise: the law knows nu / mu alone."""

AVERAGED = 4
"""Replies a point of a variant that averages."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What a variant of the attack came to.

    Parameters
    ----------
    variant
        What it is called, by the setting that differs.
    defence, nu
        Whom it attacks.
    sessions
        How many, all to their end.
    first_hit, believed, majority
        Sessions, as in `figures.FIGURES`.
    queries_per_session
        Mean replies.
    """

    variant: str
    defence: str
    nu: float
    sessions: int
    first_hit: int
    believed: int
    majority: int
    queries_per_session: float

    def share(self, figure: str) -> Interval:
        """Return the share of sessions of a figure, with Wilson's interval (1927)."""
        count = getattr(self, figure)
        bounds = binomtest(count, self.sessions).proportion_ci(CONFIDENCE, method="wilson")
        return Interval(count / self.sessions, float(bounds.low), float(bounds.high))


def variants(attack: AttackConfig) -> dict[str, AttackConfig]:
    """Return an attack and what its attacker may do instead, by what differs.

    Examples
    --------
    >>> list(variants(AttackConfig(mu=0.02)))
    ['as asked', 'mu=0.1', 'eot=4', 'stop=first_hit']
    >>> list(variants(AttackConfig(kind="square", stop="first_hit")))
    ['as asked', 'eot=4', 'stop=verified']
    """
    found = {ASKED: attack}
    if attack.perturbs:
        mu = FARTHER * attack.reach.mu
        found[f"mu={mu:g}"] = replace(attack, mu=mu)
    if attack.eot == 1 and attack.budget > AVERAGED * attack.step_queries:
        found[f"eot={AVERAGED}"] = replace(attack, eot=AVERAGED)
    stop = FIRST_HIT if attack.verifies else VERIFIED
    found[f"stop={stop}"] = replace(attack, stop=stop, repeats=None)
    return found


VariantJob = tuple[Question, str, str, float]
"""A question, the name of a variant, and a defence and its noise."""


def variant_jobs(question: Question) -> Sequence[VariantJob]:
    """Return what there is to try of a question."""
    if not question.variant_sessions:
        return []
    names = variants(question.tenants.attack)
    return [(question, name, *noise) for noise in question.noises for name in names]


@one_thread
def try_out(job: VariantJob) -> Tried:
    """Run the sessions of a variant against a noise."""
    question, name, defence, nu = job
    model, held_out = trained(defence, question.seed)
    pictures = Pictures.seen_by(model, *held_out)
    config, streams = variants(question.tenants.attack)[name], Streams(question.seed)
    streams = streams.within("variants")
    endpoint, judge = (Defended(model, nu, streams, name) for name in ("defence", "judge"))
    sessions, majority = [], 0
    for number in range(question.variant_sessions):
        generator = streams.block("session", number)
        row = pictures.drawn(generator)
        label = int(pictures.labels[row])
        session = Session(config, pictures.pixels[row], label, generator)
        while session.points is not None:
            session.take(margins(endpoint.scores(session.points), label).tolist())
        majority += misleads(judge, session.candidate, label)
        sessions.append(session)
    return Tried(
        name,
        defence,
        nu,
        len(sessions),
        sum(one.first_hit > 0 for one in sessions),
        sum(one.hit for one in sessions),
        majority,
        float(np.mean([one.queries for one in sessions])),
    )
