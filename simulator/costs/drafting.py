"""How drafts come about, and what a round costs beyond the passes of target and drafter."""

from __future__ import annotations

from dataclasses import dataclass, field

from simulator.models.draft_tree import CHAIN, DraftTree

EXCHANGES = 2
"""Messages of a round between a drafter on GPUs of its own and the target: drafts there, what was
accepted back."""


@dataclass(frozen=True, slots=True)
class Drafting:
    """How drafts come about.

    Parameters
    ----------
    tree
        Candidates by depth.
    proposal_rate
        Share of the rounds of a request that have a draft at all (n-gram look-ups find nothing in
        the others). A step is priced at the mean: ``1 + proposal_rate * drafted tokens`` query
        tokens per request.
    lookup_request_s, lookup_token_s
        Host time of a look-up, once a round: per request, and per token of its text, s.
    own_gpus
        Whether the drafter has GPUs of its own. Its pass over prompts then runs beside the target's
        and is taken to end no later; its draft passes still precede the verification.
    link_s
        Time of one message between these GPUs and the target's, s; a round waits for `EXCHANGES`.
    """

    tree: DraftTree = field(default=CHAIN)
    proposal_rate: float = 1.0
    lookup_request_s: float = 0.0
    lookup_token_s: float = 0.0
    own_gpus: bool = False
    link_s: float = 0.0

    def query_tokens(self, gamma: int) -> int:
        """Return the most target tokens of a request in a verify step: its draft and one more.

        Examples
        --------
        >>> Drafting().query_tokens(3), Drafting(DraftTree((4, 2, 1))).query_tokens(3)
        (4, 21)
        """
        return self.tree.nodes(gamma) + 1

    def mean_query_tokens(self, gamma: int) -> float:
        """Return the mean target tokens of a request in a verify step: what the step is priced at.

        Examples
        --------
        >>> Drafting(proposal_rate=0.5).mean_query_tokens(3)
        2.5
        """
        if self.proposal_rate == 1.0:
            return self.query_tokens(gamma)
        return 1.0 + self.proposal_rate * self.tree.nodes(gamma)

    def round_s(self, requests: float, context_tokens: float, gamma: int) -> float:
        """Return the host and link time that a round adds, s.

        Parameters
        ----------
        requests, context_tokens
            Requests of one attention group that decode, and their mean context.
        gamma
            Depth of the draft; no draft costs nothing.
        """
        if not (gamma and requests):
            return 0.0
        lookup_s = self.lookup_request_s + self.lookup_token_s * context_tokens
        return requests * lookup_s + EXCHANGES * self.link_s
