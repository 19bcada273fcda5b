"""Placements of experts on ranks, as plans write them."""

from __future__ import annotations

import re

from simulator.errors import ConfigError
from simulator.streams import Streams

STREAM = "identify.placement"
"""Stream of shuffled placements: ``shuffled n`` is block n of seed 0."""

Placement = tuple[tuple[int, ...], ...]
"""Experts by rank."""

_FORMS = "contiguous, round_robin, shuffled 1 (or another number), or [[0, 1], [2, 3]]"


def shuffled(number: int) -> str:
    """Write the word for a random placement."""
    return f"shuffled {number}"


def read_placement(given: object, experts: int, ranks: int, place: str) -> Placement:
    """Read one placement.

    Parameters
    ----------
    given
        A word, which spreads experts evenly, or the list of experts of each rank.
    experts, ranks
        How many there are; experts a multiple of ranks.
    place
        Where it stands, for messages.

    Raises
    ------
    ConfigError
        If it does not place each expert once.

    Examples
    --------
    >>> read_placement("round_robin", experts=4, ranks=2, place="here")
    ((0, 2), (1, 3))
    """
    if isinstance(given, str):
        return _from_word(given, experts, ranks, place)
    if not isinstance(given, list) or not all(isinstance(rank, list) for rank in given):
        raise ConfigError(f"{place}: {given!r} is no placement; write one of {_FORMS}.")
    placed = [expert for rank in given for expert in rank]
    if len(given) != ranks or sorted(map(str, placed)) != sorted(map(str, range(experts))):
        raise ConfigError(
            f"{place}: must place each of the experts 0 to {experts - 1} once, on {ranks} ranks."
        )
    return tuple(tuple(rank) for rank in given)


def _from_word(word: str, experts: int, ranks: int, place: str) -> Placement:
    order = list(range(experts))
    number = re.fullmatch(r"shuffled (\d+)", word)
    if number:
        order = Streams(seed=0).block(STREAM, int(number[1])).permutation(experts).tolist()
    elif word == "round_robin":
        order = [expert for rank in range(ranks) for expert in range(rank, experts, ranks)]
    elif word != "contiguous":
        raise ConfigError(f"{place}: {word!r} is no placement; write one of {_FORMS}.")
    each = experts // ranks
    return tuple(tuple(sorted(order[rank * each : (rank + 1) * each])) for rank in range(ranks))
