"""Prefix caching: KV blocks that stay after their request, for others that begin alike.

As in vLLM, a full block is known by a key that stands for its tokens and all before them. The
blocks of a request that leaves go to the end of a queue of free blocks, its last block first;
those with a key can be found there until they come to the front and are taken for something else.
Blocks without a key pass through the same queue and so push the others out.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from simulator.serving.kv_cache import KvCache
from simulator.serving.request import Request


def block_keys(hashes: Sequence[int], hash_tokens: int, block_tokens: int) -> tuple[int, ...]:
    """Return the keys of the whole blocks that hashes of a request's content cover.

    Parameters
    ----------
    hashes
        Each stands for ``hash_tokens`` tokens and all before them, and is not negative.
    hash_tokens, block_tokens
        Tokens of a hash and of a block; neither need be a multiple of the other.

    Returns
    -------
    tuple of int
        Equal for two requests exactly where their hashes say that they are alike up to the end of
        a block: from the first hash that covers it, and which of the blocks under it this is.

    Examples
    --------
    >>> block_keys([7, 8], 32, 16) == block_keys([7, 9], 32, 16)
    False
    >>> block_keys([7, 8], 32, 16)[:2] == block_keys([7, 9], 32, 16)[:2]
    True
    >>> len(block_keys([7, 8, 9], 16, 32))
    1
    """
    blocks = len(hashes) * hash_tokens // block_tokens
    most = hash_tokens // block_tokens + 2  # blocks that can end under one hash
    return tuple(
        [
            hashes[((block + 1) * block_tokens - 1) // hash_tokens] * most + block % most
            for block in range(blocks)
        ]
    )


class PrefixCache:
    """Knows which blocks of a KV cache hold what.

    The KV cache counts free blocks, and whoever needs some without asking what they held takes
    them off that count. They come from the front of the queue. Since others only join at its end,
    it is enough to take them off the queue when somebody next asks (`_catch_up`).

    A block computed while another with its key is there, as the last of a prompt that is known
    whole, gets no key before its request leaves, and then only if the other is gone. vLLM keeps
    both and finds either.

    Parameters
    ----------
    cache
        The KV cache. Blocks that are taken already have no keys.

    Examples
    --------
    >>> import numpy as np
    >>> from simulator.serving.request import Traits
    >>> first, second = (
    ...     Request(n, 0.0, 40, 5, np.zeros(5, np.int64), None, Traits(prefix=(70, 71)))
    ...     for n in range(2)
    ... )
    >>> cache = KvCache(160, 16)
    >>> prefix = PrefixCache(cache)
    >>> prefix.find(first)
    0
    >>> cache.take(3); first.blocks = 3; prefix.register(first, 40)
    >>> prefix.release(first, 44)
    >>> cache.free_blocks, prefix.find(second)
    (10, 2)
    """

    def __init__(self, cache: KvCache) -> None:
        self._cache = cache
        self._users: dict[int, int] = {}
        """How many requests hold the block of a key."""
        self._free: OrderedDict[int, int] = OrderedDict()
        """The queue: blocks by key, one each, or by a negative number for a run without keys."""
        self._queued = 0
        self._runs = 0
        self._held: dict[Request, list[int | None]] = {}
        """Keys of the first blocks of a request; None where another block has the key."""
        self._catch_up()

    def find(self, request: Request) -> int:
        """Return how many of its first blocks need not be computed; one token always is."""
        self._catch_up()
        keys = request.traits.prefix
        most = min(len(keys), (request.prefill_tokens - 1) // self._cache.block_tokens)
        for index in range(most):
            if not self._knows(keys[index]):
                return index
        return most

    def _knows(self, key: int) -> bool:
        """Tell whether a block with a key is there, in use or free."""
        return key in self._users or key in self._free

    def in_use(self, request: Request, found: int) -> int:
        """Return how many of the first ``found`` blocks others hold: they take up nothing more."""
        return sum([key in self._users for key in request.traits.prefix[:found]])

    def claim(self, request: Request, found: int) -> None:
        """Let a request hold its first ``found`` blocks, which are there."""
        if not found:
            return
        users, free = self._users, self._free
        held: list[int | None] = list(request.traits.prefix[:found])
        for key in request.traits.prefix[:found]:
            if key in users:
                users[key] += 1
            else:
                del free[key]
                users[key] = 1
                self._queued -= 1
                self._cache.take(1)
        self._held[request] = held

    def register(self, request: Request, computed_tokens: int) -> None:
        """Give keys to the blocks that a request's first ``computed_tokens`` fill."""
        if not request.traits.prefix:
            return
        self._catch_up()
        held = self._held.setdefault(request, [])
        whole = computed_tokens // self._cache.block_tokens
        for key in request.traits.prefix[len(held) : whole]:
            if self._knows(key):
                held.append(None)
            else:
                self._users[key] = 1
                held.append(key)

    def release(self, request: Request, computed_tokens: int) -> None:
        """Give back the blocks of a request that leaves with so many tokens computed."""
        self.register(request, computed_tokens)
        held = self._held.pop(request, [])
        whole = min(computed_tokens // self._cache.block_tokens, len(held))
        for index, repeated in enumerate(request.traits.prefix[:whole]):
            if held[index] is None and not self._knows(repeated):
                held[index], self._users[repeated] = repeated, 1
        self._queue_run(request.blocks - len(held))
        for key in reversed(held):
            if key is None:
                self._queue_run(1)
            elif self._users[key] > 1:
                self._users[key] -= 1
            else:
                del self._users[key]
                self._free[key] = 1
                self._queued += 1
                self._cache.give(1)

    def _queue_run(self, blocks: int) -> None:
        """Give back blocks without keys."""
        if blocks:
            self._append(blocks)
            self._cache.give(blocks)

    def _append(self, blocks: int) -> None:
        free = self._free
        last = next(reversed(free), 0)
        if last >= 0:
            self._runs += 1
            last = -self._runs
            free[last] = 0
        free[last] += blocks
        self._queued += blocks

    def _catch_up(self) -> None:
        """Take off the front of the queue what the cache has lent out since."""
        free, missing = self._free, self._queued - self._cache.free_blocks
        if missing < 0:  # lent out for a step and not needed after all; at first all there are
            self._append(-missing)
        while missing > 0:
            key = next(iter(free))
            blocks = free[key]
            if blocks > missing:
                free[key] = blocks - missing
                break
            del free[key]
            missing -= blocks
        self._queued = self._cache.free_blocks
