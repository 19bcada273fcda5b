"""The KV cache of a replica, in blocks of a fixed number of tokens."""

from __future__ import annotations

from simulator.errors import InvariantError


class KvCache:
    """Counts the blocks that are free; which block holds what does not matter to a step's time.

    Parameters
    ----------
    capacity_tokens
        Tokens that fit; what does not fill a block is lost.
    block_tokens
        Tokens of a block (vLLM's ``--block-size``).

    Examples
    --------
    >>> cache = KvCache(100, 16)
    >>> cache.total_blocks, cache.blocks(17)
    (6, 2)
    >>> cache.take(2)
    >>> cache.free_blocks
    4
    """

    __slots__ = ("block_tokens", "free_blocks", "total_blocks")

    def __init__(self, capacity_tokens: int, block_tokens: int) -> None:
        self.block_tokens = block_tokens
        self.total_blocks = capacity_tokens // block_tokens
        self.free_blocks = self.total_blocks

    def blocks(self, tokens: int) -> int:
        """Return the blocks that hold a number of tokens of one request."""
        return -(-tokens // self.block_tokens)

    def take(self, blocks: int) -> None:
        """Take blocks; the caller has made sure that they are free.

        Raises
        ------
        InvariantError
            If they are not.
        """
        if blocks > self.free_blocks:
            raise InvariantError(f"{blocks} KV blocks taken where {self.free_blocks} are free.")
        self.free_blocks -= blocks

    def give(self, blocks: int) -> None:
        """Give blocks back.

        Raises
        ------
        InvariantError
            If more come back than were taken.
        """
        self.free_blocks += blocks
        if self.free_blocks > self.total_blocks:
            raise InvariantError(
                f"{self.free_blocks} of {self.total_blocks} KV blocks are free after {blocks} "
                "came back."
            )
