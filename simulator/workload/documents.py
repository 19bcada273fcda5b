"""Documents that many requests ask about: long contexts that a prefix cache may hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.errors import ConfigError
from simulator.streams import Streams
from simulator.workload.columns import Ints, RequestColumns, in_blocks
from simulator.workload.lengths import LengthLaw
from simulator.workload.requests import BLOCK_REQUESTS, RequestBlock
from simulator.workload.spans import HASH_TOKENS, STRIDE
from simulator.workload.traits_config import MAX_COUNT
from simulator.workload.wrapped import WrappedWorkload


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentLaws:
    """Which documents there are, and how often each is asked about.

    Parameters
    ----------
    count
        How many.
    zipf
        Exponent of their popularity: the k-th is asked about in proportion to ``k**-zipf``.
    tokens
        Their lengths; each document has one.

    Raises
    ------
    ConfigError
        If there are no documents, too many, or the exponent is out of range.

    Examples
    --------
    >>> from simulator.workload.lengths import FixedLength
    >>> laws = DocumentLaws(count=2, zipf=1.0, tokens=FixedLength(100))
    >>> laws.popularity.round(3).tolist(), round(laws.expected_reuse(3), 3)
    ([0.667, 0.333], 0.444)
    """

    count: int
    zipf: float
    tokens: LengthLaw

    def __post_init__(self) -> None:
        if not 1 <= self.count <= MAX_COUNT or not 0.0 <= self.zipf <= 10.0:
            raise ConfigError(
                f"{self.count:,} documents of popularity k^-{self.zipf:g}: give 1 to "
                f"{MAX_COUNT:,} of them, and an exponent from 0 to 10."
            )

    @property
    def popularity(self) -> NDArray[np.float64]:
        """Chance of each document."""
        weights = np.arange(1.0, self.count + 1.0) ** -self.zipf
        popularity: NDArray[np.float64] = weights / weights.sum()
        return popularity

    def expected_reuse(self, requests: int) -> float:
        """Return the share of requests whose document was asked about before.

        ``1 - sum_k (1 - (1 - p_k)^n) / n``: all but the first about each.
        """
        seen = -np.expm1(requests * np.log1p(-np.minimum(self.popularity, 1.0 - 1e-15)))
        return 1.0 - float(seen.sum()) / requests


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentWorkload(WrappedWorkload):
    """Requests whose prompt is a document and then what the inner workload says of it.

    Block ``b`` draws documents from block ``b`` of the stream ``documents``; their lengths come
    from ``documents.tokens``, by their number.

    Parameters
    ----------
    inner
        Arrivals, questions and answers; nothing else tells its requests apart.
    laws
        The documents.
    """

    laws: DocumentLaws

    @property
    def max_prompt_tokens(self) -> int:
        """Longest document and question, tokens."""
        return self.laws.tokens.max_tokens + self.inner.max_prompt_tokens

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What was assumed."""
        laws = self.laws
        return (
            *self.inner.assumptions,
            f"each prompt begins with one of {laws.count:,} documents of {laws.tokens.mean():,.0f} "
            f"tokens on average, popularity k^-{laws.zipf:g}, drawn anew each time: "
            f"{laws.expected_reuse(self.requests):.0%} of the requests ask about one that was "
            "asked about before in this run",
        )

    def blocks(self, streams: Streams) -> Iterator[RequestBlock]:
        """Draw the requests, block after block."""
        return in_blocks(self._chunks(streams), self.requests, linked=False)

    def _chunks(self, streams: Streams) -> Iterator[RequestColumns]:
        shelf = _Shelf(self.laws.tokens, streams)
        steps = np.cumsum(self.laws.popularity)
        for number, block in enumerate(self.inner.blocks(streams)):
            which = streams.block("documents", number).random(BLOCK_REQUESTS)[: block.size]
            documents = np.minimum(np.searchsorted(steps, which, "right"), self.laws.count - 1)
            tokens = shelf.tokens(documents)
            columns = RequestColumns.plain(
                block.arrival_s, tokens + block.prompt_tokens, block.output_tokens
            )
            nothing = np.zeros_like(documents)
            spans = [documents * STRIDE, tokens // HASH_TOKENS, nothing, nothing]
            yield columns._replace(spans=np.stack(spans, axis=1))


class _Shelf:
    """The lengths of documents, drawn a block at a time when one of it is asked about."""

    def __init__(self, law: LengthLaw, streams: Streams) -> None:
        self._law = law
        self._streams = streams
        self._drawn: dict[int, Ints] = {}

    def tokens(self, documents: Ints) -> Ints:
        """Return the lengths of documents, tokens."""
        blocks, places = np.divmod(documents, BLOCK_REQUESTS)
        found = np.empty_like(documents)
        for block in np.unique(blocks).tolist():
            if block not in self._drawn:
                generator = self._streams.block("documents.tokens", block)
                self._drawn[block] = self._law.sample(generator, BLOCK_REQUESTS)
            here = blocks == block
            found[here] = self._drawn[block][places[here]]
        return found
