"""A plan about popularity tiers of experts, checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import networkx as nx
import numpy as np

from simulator.errors import ConfigError
from simulator.study.identify.check import EPSILON, EPSILON_RANGE, Check, Twin, cover
from simulator.study.identify.placements import Placement, read_placement, shuffled
from simulator.study.identify.plan_file import PlanFile
from simulator.study.identify.popularity import (
    TierBackbone,
    Tiers,
    Totals,
    assumed_tiers,
    tier_backbone,
)
from simulator.study.identify.solutions import sample_bound

_TWINS = 3
_Offered = tuple[list[str], tuple[Placement, ...]]
"""Placements with the words for them."""

_OFFERED, _MOST_EXTRA = 8, 6
"""Shuffled placements offered beside those of a plan, and placements added at most."""


@dataclass(frozen=True, kw_only=True)
class Popularity:
    """Settings of a plan about popularity tiers."""

    experts: int
    ranks: int
    tokens: tuple[float, ...]
    """Tokens that an expert of each tier receives."""

    tiers: tuple[int, ...] = ()
    """Tier assumed for each expert, from 0; drawn from a named stream where left out."""

    seed: int = 0
    tolerance: float = 0.0
    epsilon: float = EPSILON


def check_popularity(plan: PlanFile, advance: Callable[[float], None]) -> Check:
    """Check a plan about popularity tiers.

    Parameters
    ----------
    plan
        With ``experts``, ``ranks``, ``tokens`` and ``placements``; see `read_placement`.
    advance
        Told of work done, 1 in all.

    Raises
    ------
    ConfigError
        If the plan is malformed.
    """
    apart = ("placements", "candidates", "weights")
    settings = plan.settings(Popularity, apart)
    _refuse(settings, plan)
    truth = _truth(settings, plan)
    words, placements = _placements(plan, "placements", settings)
    if not placements:
        raise ConfigError(f"{plan.path} observes nothing; add 'placements: [contiguous]'.")
    offered = _placements(plan, "candidates", settings)
    totals = Totals(np.array(settings.tokens), truth, placements, settings.tolerance)
    names = tuple(f"expert {expert}" for expert in range(settings.experts))
    received = totals.tokens[truth]
    weights = plan.weights(names) or dict(zip(names, received.tolist(), strict=True))
    course: list[int] = []
    found = TierBackbone(np.ones(settings.experts, bool), (), 0)
    for count in range(1, len(placements) + 1):
        found = tier_backbone(replace(totals, placements=placements[:count]), found.twins)
        course.append(int(found.free.sum()))
        advance(1 / (len(placements) + 1))
    extra, suffices, probe = _extra(offered, settings, totals, found)
    advance(1 / (len(placements) + 1))
    return Check(
        knowledge="popularity",
        unknowns=names,
        rows=tuple(f"rank totals, {word}" for word in words),
        assumed=_assumed(settings),
        solutions=1 + len(found.twins),
        exact=not found.free.any(),
        pinned={
            name: f"tier {tier}"
            for name, tier, free in zip(names, truth, found.free, strict=True)
            if not free
        },
        weights=weights,
        samples=sample_bound(1 / len(placements), len(placements), settings.epsilon),
        samples_words=f"random ones of the {len(placements)} placements",
        unique_after=course.index(0) + 1 if 0 in course else None,
        twins=tuple(_twin(totals, twin, probe) for twin in found.twins[:_TWINS]),
        extra=extra,
        extra_suffices=suffices,
        graph=_graph(names, words, placements),
        rank=int(np.linalg.matrix_rank(totals.incidence())),
        course=tuple(course),
    )


def _refuse(settings: Popularity, plan: PlanFile) -> None:
    experts, ranks, tokens = settings.experts, settings.ranks, settings.tokens
    if experts < 1 or ranks < 1 or experts % ranks:
        raise ConfigError(
            f"{plan.place('ranks')}: {experts} experts do not spread evenly over {ranks} ranks."
        )
    if len(set(tokens)) < max(2, len(tokens)) or min(tokens) < 0:
        raise ConfigError(
            f"{plan.place('tokens')} must give each of two or more tiers its own number of tokens, "
            "none below 0: [1, 2, 4, 8]. Tiers of equal popularity cannot be told apart."
        )
    plan.refuse_unless(0 <= settings.tolerance < 1, "tolerance", "at least 0 and below 1")
    plan.refuse_unless(0 < settings.epsilon < 1, "epsilon", EPSILON_RANGE)
    plan.refuse_unless(settings.seed >= 0, "seed", "at least 0")


def _truth(settings: Popularity, plan: PlanFile) -> Tiers:
    if not settings.tiers:
        return assumed_tiers(settings.experts, len(settings.tokens), settings.seed)
    if len(settings.tiers) != settings.experts:
        raise ConfigError(
            f"{plan.place('tiers')} gives {len(settings.tiers)} tiers for {settings.experts} "
            "experts; give one each, or leave it out."
        )
    if not set(settings.tiers) <= set(range(len(settings.tokens))):
        raise ConfigError(f"{plan.place('tiers')}: tiers go from 0 to {len(settings.tokens) - 1}.")
    return np.array(settings.tiers)


def _assumed(settings: Popularity) -> str:
    if settings.tiers:
        return "the tiers that the plan gives"
    return f"a tier drawn for each expert (stream identify.tiers, seed {settings.seed})"


def _placements(plan: PlanFile, key: str, settings: Popularity) -> _Offered:
    words, placements = [], []
    for index, given in enumerate(plan.entries(key)):
        place = plan.place(key, index)
        placements.append(read_placement(given, settings.experts, settings.ranks, place))
        words.append(given if isinstance(given, str) else f"placement {index + 1} of the plan")
    return words, tuple(placements)


def _extra(
    given: _Offered, settings: Popularity, totals: Totals, found: TierBackbone
) -> tuple[tuple[str, ...], bool, tuple[str, Placement] | None]:
    """Add placements until all tiers are determined; return the first one offered as well."""
    words, offered = given if given[0] else _fresh(totals.placements, settings)
    probe = (words[0], offered[0]) if offered else None
    chosen: list[str] = []
    while found.free.any() and len(chosen) < _MOST_EXTRA:
        agrees = np.array([[totals.agree(t, place) for t in found.twins] for place in offered])
        best = cover(agrees)[:1]
        if not best:
            break
        chosen.append(words[best[0]])
        totals = replace(totals, placements=(*totals.placements, offered[best[0]]))
        found = tier_backbone(totals, found.twins)
    return tuple(f"rank totals, {word}" for word in chosen), not found.free.any(), probe


def _fresh(seen: Sequence[Placement], settings: Popularity) -> _Offered:
    """Return shuffled placements that the plan does not have."""
    words = [shuffled(number) for number in range(1, len(seen) + _OFFERED + 1)]
    placements = [read_placement(w, settings.experts, settings.ranks, "") for w in words]
    fresh = [(w, p) for w, p in zip(words, placements, strict=True) if p not in seen][:_OFFERED]
    return [word for word, _ in fresh], tuple(placement for _, placement in fresh)


def _twin(totals: Totals, twin: Tiers, probe: tuple[str, Placement] | None) -> Twin:
    changes = {
        f"expert {expert}": (f"tier {true}", f"tier {other}")
        for expert, (true, other) in enumerate(zip(totals.truth, twin, strict=True))
        if true != other
    }
    words = "agrees with every total"
    if probe:
        busiest = [totals.of(tiers, probe[1]).max() for tiers in (totals.truth, twin)]
        words = (
            f"agrees with every total; placed {probe[0]}, the busiest rank would get "
            f"{busiest[0]:g} or {busiest[1]:g} tokens"
        )
    return Twin(changes, words)


def _graph(
    names: Sequence[str], words: Sequence[str], placements: Sequence[Placement]
) -> nx.Graph[str | int]:
    graph: nx.Graph[str | int] = nx.Graph()
    graph.add_nodes_from(names, side=0)
    totals = [
        (f"{word}, rank {number}", rank)
        for word, placement in zip(words, placements, strict=True)
        for number, rank in enumerate(placement)
    ]
    for index, (label, rank) in enumerate(totals):
        graph.add_node(index, side=1, label=label)
        graph.add_edges_from((index, names[expert]) for expert in rank)
    return graph
