"""Checks of the settings of speculative decoding: what is missing, wrong, or without effect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.errors import ConfigError, unknown, written
from simulator.models.draft_tree import DraftTree

if TYPE_CHECKING:
    from simulator.speculation.config import SpeculationConfig

MAX_TREE_TOKENS = 1024
"""Largest draft tree (kind: assumed): engines verify up to about 64 nodes."""

MAX_ALPHA_SPREAD = 10.0
"""Widest spread of requests on the logit (kind: assumed): beyond, all are near 0 or near 1."""

_OF_KIND = {
    "alphas": ("by_position", "speculation.alphas=[0.8,0.7,0.6]"),
    "alpha_spread": ("heterogeneous", "speculation.alpha_spread=0.28"),
    "regime": ("regime", "the measured ones of speculation=regime"),
    "phases": ("phases", "the ones of speculation=phases"),
    "path": ("recorded", "speculation.path=accepted.csv"),
    "profile": ("profile", "speculation.profile=qwen3_5_mtp"),
}
"""By setting the acceptance model that it belongs to and that needs it, and an example."""

_OPTIONAL = {"task": "profile", "temperature": "profile"}
"""By setting the acceptance model that it belongs to, and that does without."""

_HOTTEST = 5.0
"""Highest sampling temperature (kind: assumed); servers take up to 2."""

_SHIPPED = {"iid", *(kind for kind, _ in _OF_KIND.values())}

DRAFTER_GPUS = ("shared", "own")
"""Where a drafter runs: on the GPUs of its target, or on GPUs of its own."""


def check_acceptance(config: SpeculationConfig) -> None:
    """Refuse rates that are missing or no rates, and settings of another acceptance model.

    A model of a third party may look at any of them.

    Raises
    ------
    ConfigError
        At the first that is wrong.
    """
    if config.alpha is not None:
        _check_rate("speculation.alpha", config.alpha)
    for index, value in enumerate(config.alphas):
        _check_rate(f"speculation.alphas[{index}]", value)
    kind = config.acceptance
    if kind in ("iid", "heterogeneous") and config.alpha is None:
        raise ConfigError(
            f"speculation.alpha=null but speculation.acceptance={kind} needs it; for example "
            f"speculation.alpha=0.7."
        )
    for key, (owner, example) in _OF_KIND.items():
        value = getattr(config, key)
        if kind == owner and (value is None or value == []):
            raise ConfigError(
                f"speculation.{key}={written(value)} but speculation.acceptance={kind} needs it; "
                f"for example {example}."
            )
    owners = {key: owner for key, (owner, _) in _OF_KIND.items()} | _OPTIONAL
    for key, owner in owners.items():
        value = getattr(config, key)
        if value is not None and value != [] and kind in _SHIPPED - {owner}:
            raise ConfigError(
                f"speculation.{key}={value!r} has no effect with speculation.acceptance={kind}; "
                f"choose speculation.acceptance={owner}."
            )
    if kind == "profile" and config.alpha is not None:
        raise ConfigError(
            f"speculation.alpha={config.alpha!r} has no effect with "
            "speculation.acceptance=profile: the profile has rates of its own. "
            "Choose speculation=profile, or speculation.alpha=null."
        )
    _check_spread(config)
    if config.temperature is not None and not 0.0 <= config.temperature <= _HOTTEST:
        raise ConfigError(
            f"speculation.temperature={config.temperature!r} must lie in [0, {_HOTTEST:g}]: it is "
            f"the sampling temperature; 0 is greedy."
        )


def _check_spread(config: SpeculationConfig) -> None:
    """Refuse a spread that is none, or around a rate that has no logit."""
    spread = config.alpha_spread
    if spread is None:
        return
    if not 0.0 < spread <= MAX_ALPHA_SPREAD:
        raise ConfigError(
            f"speculation.alpha_spread={spread!r} must lie in (0, {MAX_ALPHA_SPREAD:g}]: it is a "
            f"standard deviation on the logit of alpha. Without spread: speculation.acceptance=iid."
        )
    if config.alpha in (0.0, 1.0):
        raise ConfigError(
            f"speculation.alpha={config.alpha!r} leaves speculation.alpha_spread={spread!r} "
            f"nothing to spread; choose a rate between 0 and 1, or speculation.acceptance=iid."
        )


def check_drafting(config: SpeculationConfig) -> None:
    """Refuse trees, look-ups and placements that contradict the rest.

    Raises
    ------
    ConfigError
        At the first that is wrong.
    """
    _check_tree(config)
    rate = config.proposal_rate
    if not 0.0 < rate <= 1.0:
        raise ConfigError(
            f"speculation.proposal_rate={rate!r} must lie in (0, 1]: it is the share of rounds "
            f"that have a draft. speculation.gamma=0 turns speculation off."
        )
    if config.acceptance == "recorded" and (rate != 1.0 or config.tree):
        raise ConfigError(
            f"speculation.tree={config.tree!r} and speculation.proposal_rate={rate!r} have no "
            f"effect with speculation.acceptance=recorded: its counts are what was accepted. Leave "
            f"them at [] and 1."
        )
    if config.drafter_gpus not in DRAFTER_GPUS:
        raise ConfigError(unknown("speculation.drafter_gpus", config.drafter_gpus, DRAFTER_GPUS))
    if (config.drafter_gpus == "own") != (config.link_s is not None):
        raise ConfigError(
            f"speculation.link_s={written(config.link_s)} with speculation.drafter_gpus="
            f"{config.drafter_gpus}: a drafter on its own GPUs needs one, for example "
            f"speculation.link_s=2.0e-5; one that shares them has none."
        )
    if config.link_s is not None and not 0.0 <= config.link_s <= 1.0:
        raise ConfigError(
            f"speculation.link_s={config.link_s!r} must lie in 0..1 s: it is the time of a message "
            f"between two GPUs."
        )


def _check_tree(config: SpeculationConfig) -> None:
    """Refuse trees that are too flat, too large, or whose chances are not known."""
    tree, ranks = config.tree, config.tree_ranks
    for index, value in enumerate(ranks):
        _check_rate(f"speculation.tree_ranks[{index}]", value)
    for index, width in enumerate(tree):
        if not 1 <= width <= MAX_TREE_TOKENS:
            raise ConfigError(
                f"speculation.tree[{index}]={width!r} must lie in 1..{MAX_TREE_TOKENS}: it is the "
                f"number of candidates after each node of that depth."
            )
    if tree and config.gamma > len(tree):
        raise ConfigError(
            f"speculation.tree={tree!r} has {len(tree)} levels where speculation.gamma="
            f"{config.gamma} asks for as many; give more, or set speculation.gamma={len(tree)}."
        )
    nodes = DraftTree(tuple(tree)).nodes(config.gamma)
    if tree and nodes > MAX_TREE_TOKENS:
        raise ConfigError(
            f"speculation.tree={tree!r} has {nodes} nodes, all of which would be verified; "
            f"{MAX_TREE_TOKENS} is the most that can be simulated."
        )
    wide = any(width > 1 for width in tree)
    if wide != bool(ranks):
        raise ConfigError(
            f"speculation.tree_ranks={ranks!r} with speculation.tree={tree!r}: a tree with several "
            f"candidates needs the chances of those after the first, for example "
            f"speculation.tree_ranks=[0.27,0.17,0.11,0.07]; no other draft has any."
        )


def check_policy(config: SpeculationConfig) -> None:
    """Refuse settings of a policy that are missing, wrong, or would have no effect.

    Raises
    ------
    ConfigError
        At the first that is wrong.
    """
    if not config.memory_rounds >= 1.0:
        raise ConfigError(
            f"speculation.memory_rounds={config.memory_rounds!r} must be at least 1; for example "
            f"speculation.memory_rounds=10000."
        )
    if config.policy != "fixed" and not config.gamma:
        raise ConfigError(
            f"speculation.policy={config.policy} has nothing to choose at speculation.gamma=0; "
            f"set speculation.gamma to the longest draft."
        )
    if (config.policy == "threshold") != (config.threshold is not None):
        raise ConfigError(
            f"speculation.threshold={written(config.threshold)} with speculation.policy="
            f"{config.policy}: the policy threshold needs one, for example "
            f"speculation.threshold=0.5; no other policy has any."
        )
    if config.threshold is not None and not 0.0 <= config.threshold <= 1.0:
        raise ConfigError(
            f"speculation.threshold={config.threshold!r} must lie in [0, 1]: it is the share of "
            f"drafted tokens that has to be accepted."
        )
    if (config.policy == "batch_schedule") != bool(config.schedule):
        raise ConfigError(
            f"speculation.schedule={config.schedule!r} with speculation.policy={config.policy}: "
            f"the policy batch_schedule needs one, for example "
            f"speculation.schedule=[[1,16,{config.gamma}],[17,256,0]]; no other policy has any."
        )
    _check_schedule(config)
    if (config.policy == "belief_table") != (config.table is not None):
        raise ConfigError(
            f"speculation.table={written(config.table)} with speculation.policy={config.policy}: "
            f"the policy belief_table needs one, a file that moesim study control has written; no "
            f"other policy has any."
        )


def _check_schedule(config: SpeculationConfig) -> None:
    begin = 1
    for index, row in enumerate(config.schedule):
        place = f"speculation.schedule[{index}]={row!r}"
        if len(row) != 3:
            raise ConfigError(f"{place} must be [first batch, last batch, draft length].")
        first, last, gamma = row
        if first != begin or last < first:
            raise ConfigError(
                f"{place} must begin at batch {begin}, where the row before ends, and end at "
                f"that batch or later."
            )
        if not 0 <= gamma <= config.gamma:
            raise ConfigError(
                f"{place}: the draft length must lie in 0..{config.gamma} (speculation.gamma)."
            )
        begin = last + 1


def _check_rate(key: str, value: float) -> None:
    if not 0.0 <= value <= 1.0:
        raise ConfigError(
            f"{key}={value!r} must lie in [0, 1]: it is the chance that a draft token is accepted."
        )
