"""The shape of a draft: a chain of tokens, or a tree with several candidates by depth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import mul


@dataclass(frozen=True, slots=True)
class DraftTree:
    """How many candidates a draft has after each of its nodes.

    Every node of a depth has as many children: the drafter's most likely next tokens. So depth d
    holds ``k_1 k_2 ... k_d`` nodes. A tree of widths one is a chain. A drafter that is one token
    per pass reads the tree level by level.

    Parameters
    ----------
    widths
        Children of a node by depth, each >= 1; deeper than that there is one.

    Examples
    --------
    >>> tree = DraftTree((4, 2, 1))
    >>> tree.nodes(3), tree.nodes(1), tree.pass_tokens(3)
    (20, 4, [1, 4, 8])
    >>> DraftTree().nodes(3), DraftTree().pass_tokens(3)
    (3, [1, 1, 1])
    """

    widths: Sequence[int] = ()

    def levels(self, gamma: int) -> list[int]:
        """Return the nodes of each depth up to ``gamma``."""
        widths = [*self.widths, *[1] * gamma][:gamma]
        return list(accumulate(widths, mul))

    def nodes(self, gamma: int) -> int:
        """Return the drafted tokens of a draft of depth ``gamma``, all of which are verified."""
        return sum(self.levels(gamma))

    def pass_tokens(self, gamma: int) -> list[int]:
        """Return the tokens of a request that enter each of the ``gamma`` draft passes.

        The first pass reads the last token of the text, each later one the level drafted before.
        The last level is never read by the drafter.
        """
        return [1, *self.levels(gamma)][:gamma]


CHAIN = DraftTree()
"""One candidate at every depth."""
