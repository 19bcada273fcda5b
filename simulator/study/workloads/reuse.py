r"""How much of the prompts was there before: prefix reuse under caches of all sizes at once.

A cache that forgets what was used longest ago (LRU) holds the most recently used pieces of text,
whatever its size: a piece is there if no more others were used since than the cache has room for.
So one list of pieces by last use answers for all sizes (Mattson, Gecsei, Slutz and Traiger, IBM
Systems Journal 9, 1970: stack distances).

A hash stands for its tokens *and all before them*, so that prompts are chains: who uses a piece
uses all before it. Of a request the beginning counts as used last, as in vLLM, where the ends of
prefixes are the first to go. Then the pieces that a request was the last to use are the end of its
chain, from some place on, and the list is kept as that place for each request: a request costs a
few operations, not one for each piece it shares.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from simulator.workload.requests import RequestBlock

MOST_PIECES = 2_000_000
"""Pieces of text that are remembered at least, in about 400 MB; beyond twice that the rest go."""

_CHUNK = 1024
"""Requests whose pieces are added up together."""


class _Stretch(NamedTuple):
    """Pieces of a chain that one request was the last to use."""

    first: int
    last: int
    user: int
    newer: int
    """Pieces used by others since."""


@dataclass(slots=True)
class LastUses:
    """Pieces of text in the order of their last use.

    Examples
    --------
    >>> uses = LastUses()
    >>> uses.use((1, 2, 3)), uses.use((7, 8))
    ([], [])
    >>> stretches = uses.use((1, 2, 9))
    >>> [hits(stretches, room) for room in (2, 3, 4, 10)]
    [0, 1, 2, 2]
    """

    _user: dict[int, int] = field(default_factory=dict)
    """Of each piece the request that used it last."""
    _start: array[int] = field(default_factory=lambda: array("q"))
    """Of each request the place in its chain from which on nobody used it again."""
    _own: array[int] = field(default_factory=lambda: array("q"))
    """Of each request how many pieces that is."""
    _chunk_sums: array[int] = field(default_factory=lambda: array("q"))
    limited: bool = False
    """Whether anything was forgotten."""

    def use(self, chain: Sequence[int]) -> list[_Stretch]:
        """Use the pieces of a chain; return where the known ones stood, from its beginning on."""
        stretches = list(self._stretches(chain))[::-1]
        for one in stretches:
            used = one.last - one.first + 1
            self._start[one.user] = one.last + 1
            self._own[one.user] -= used
            self._chunk_sums[one.user // _CHUNK] -= used
        number = len(self._start)
        if number % _CHUNK == 0:
            self._chunk_sums.append(0)
        self._start.append(0)
        self._own.append(len(chain))
        self._chunk_sums[-1] += len(chain)
        self._user.update(dict.fromkeys(chain, number))
        if len(self._user) > 2 * MOST_PIECES:
            self._forget()
        return stretches

    def _stretches(self, chain: Sequence[int]) -> Iterator[_Stretch]:
        """Yield where the known pieces stand, from the end of the chain back."""
        last = self._known(chain) - 1
        while last >= 0:
            user = self._user[chain[last]]
            first = min(self._start[user], last)
            yield _Stretch(first, last, user, self._used_after(user))
            last = first - 1

    def _known(self, chain: Sequence[int]) -> int:
        """Return how many pieces are known: who knows one knows all before it."""
        low, high = 0, len(chain)
        while low < high:
            middle = (low + high) // 2
            if chain[middle] in self._user:
                low = middle + 1
            else:
                high = middle
        return low

    def _used_after(self, user: int) -> int:
        chunk = user // _CHUNK
        near = sum(self._own[user + 1 : (chunk + 1) * _CHUNK])
        return near + sum(self._chunk_sums[chunk + 1 :])

    def _forget(self) -> None:
        """Forget what was used longest ago; the end of a chain goes before its beginning."""
        self.limited = True
        kept, oldest = 0, len(self._own)
        while oldest and kept < MOST_PIECES:
            oldest -= 1
            kept += self._own[oldest]
        self._user = {piece: user for piece, user in self._user.items() if user >= oldest}


def hits(stretches: Sequence[_Stretch], room: int) -> int:
    """Return how many pieces of a chain a cache of so much room has, from its beginning on."""
    found = 0
    for one in stretches:
        found = one.first + min(max(room - one.newer, 0), one.last - one.first + 1)
        if found <= one.last:
            break
    return found


@dataclass(slots=True)
class PrefixReuse:
    """Reuse under an unlimited cache and under finite ones.

    Parameters
    ----------
    cache_tokens
        Sizes of the finite caches, tokens.
    """

    cache_tokens: Sequence[int]
    prompt_tokens: int = 0
    requests: int = 0
    """Requests that say what they may share."""
    shares: float = 0.0
    """Sum over requests of the share of the prompt that an unlimited cache has."""
    reused_tokens: dict[int | None, int] = field(init=False)
    """By size of the cache, tokens; None: unlimited."""
    uses: LastUses = field(default_factory=LastUses)

    def __post_init__(self) -> None:
        self.reused_tokens = dict.fromkeys([None, *sorted(set(self.cache_tokens))], 0)

    def add(self, block: RequestBlock) -> None:
        """Follow the requests of a block."""
        self.prompt_tokens += int(block.prompt_tokens.sum())
        traits = block.traits
        if traits is None:
            return
        for chain, prompt in zip(traits.prefixes, block.prompt_tokens.tolist(), strict=True):
            if len(chain):
                self._follow(chain, traits.hash_tokens, prompt)

    def _follow(self, chain: Sequence[int], hash_tokens: int, prompt_tokens: int) -> None:
        stretches = self.uses.use(chain)
        known = stretches[-1].last + 1 if stretches else 0
        self.requests += 1
        self.shares += min(known * hash_tokens, prompt_tokens) / prompt_tokens
        for size in self.reused_tokens if known else ():
            there = known if size is None else hits(stretches, size // hash_tokens)
            self.reused_tokens[size] += min(there * hash_tokens, prompt_tokens)

    def share(self, size: int | None) -> float:
        """Return the share of all prompt tokens that a cache of a size, tokens, had."""
        return self.reused_tokens[size] / self.prompt_tokens
