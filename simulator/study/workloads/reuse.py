"""How much of the prompts was there before: prefix reuse under caches of several sizes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from simulator.workload.requests import RequestBlock, RequestTraits

MOST_HASHES = 2_000_000
"""Distinct hashes held at once by a cache of unlimited size, about 200 MB; beyond, the oldest go.

Its reuse is then that of a cache of so many hashes (`Cache.limited`)."""


@dataclass(slots=True)
class Cache:
    """A cache of prefixes that forgets what was used longest ago (LRU).

    Of a request the hashes are touched last to first, so that the ends of prefixes go before their
    beginnings, as in vLLM. A hash stands for its tokens and all before them: a prompt hits as far
    as its hashes are there without a gap.

    Parameters
    ----------
    tokens
        What it holds, tokens; None: all that is ever said, up to ``MOST_HASHES``.

    Examples
    --------
    >>> cache = Cache(tokens=32)
    >>> [cache.reused((1, 2), 16, 40), cache.reused((1, 2, 3), 16, 48), cache.reused((1,), 16, 9)]
    [0, 32, 9]
    """

    tokens: int | None
    reused_tokens: int = 0
    limited: bool = False
    """Whether a cache of unlimited size has forgotten something."""
    _held: OrderedDict[int, None] = field(default_factory=OrderedDict)

    def reused(self, hashes: Sequence[int], hash_tokens: int, prompt_tokens: int) -> int:
        """Return how many tokens of a prompt are there, and take in all that it says."""
        hits = next((n for n, one in enumerate(hashes) if one not in self._held), len(hashes))
        reused = min(hits * hash_tokens, prompt_tokens)
        self.reused_tokens += reused
        for one in reversed(hashes):
            self._held[one] = None
            self._held.move_to_end(one)
        room = MOST_HASHES if self.tokens is None else self.tokens // hash_tokens
        while len(self._held) > room:
            self._held.popitem(last=False)
            self.limited |= self.tokens is None
        return reused


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
    caches: list[Cache] = field(init=False)

    def __post_init__(self) -> None:
        self.caches = [Cache(None), *(Cache(tokens) for tokens in sorted(set(self.cache_tokens)))]

    def add(self, block: RequestBlock) -> None:
        """Follow the requests of a block."""
        traits = block.traits
        if traits is None or not any(traits.prefixes):
            self.prompt_tokens += int(block.prompt_tokens.sum())
            return
        self._follow(block, traits)

    def _follow(self, block: RequestBlock, traits: RequestTraits) -> None:
        unlimited, *finite = self.caches
        for hashes, prompt in zip(traits.prefixes, block.prompt_tokens.tolist(), strict=True):
            self.prompt_tokens += prompt
            if not hashes:
                continue
            self.requests += 1
            self.shares += unlimited.reused(hashes, traits.hash_tokens, prompt) / prompt
            for cache in finite:
                cache.reused(hashes, traits.hash_tokens, prompt)

    def share(self, cache: Cache) -> float:
        """Return the share of all prompt tokens that a cache had."""
        return cache.reused_tokens / self.prompt_tokens
