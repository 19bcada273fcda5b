"""Requests as columns, for workloads that are put together from parts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InvariantError
from simulator.workload.requests import BLOCK_REQUESTS, RequestBlock, RequestTraits
from simulator.workload.spans import HASH_TOKENS, Spans

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class RequestColumns(NamedTuple):
    """Consecutive requests, one array element each; `RequestBlock` and `RequestTraits` say what."""

    arrival_s: Floats
    prompt_tokens: Ints
    output_tokens: Ints
    traffic_class: Ints
    tenant: Ints
    priority: Ints
    session: Ints
    cancel_after_s: Floats
    spans: Ints
    """`Spans.columns`, shape (n, 4)."""
    follows: Ints
    think_s: Floats

    @classmethod
    def plain(cls, arrival_s: Floats, prompt_tokens: Ints, output_tokens: Ints) -> RequestColumns:
        """Return requests that nothing else tells apart.

        Examples
        --------
        >>> columns = RequestColumns.plain(np.zeros(2), np.array([7, 9]), np.array([1, 2]))
        >>> columns.session.tolist(), columns.cancel_after_s.tolist()
        ([-1, -1], [inf, inf])
        """
        n = arrival_s.size
        zeros, none = np.zeros(n, dtype=np.int64), np.full(n, -1)
        return cls(
            arrival_s,
            prompt_tokens,
            output_tokens,
            traffic_class=zeros,
            tenant=zeros,
            priority=zeros,
            session=none,
            cancel_after_s=np.full(n, np.inf),
            spans=Spans.none(n).columns,
            follows=none,
            think_s=np.zeros(n),
        )

    @classmethod
    def of(cls, block: RequestBlock) -> RequestColumns:
        """Return the columns of a block of a drawn workload.

        Raises
        ------
        InvariantError
            If its hashes are no spans.
        """
        found = cls.plain(block.arrival_s, block.prompt_tokens, block.output_tokens)
        traits = block.traits
        if traits is None:
            return found
        if not isinstance(traits.prefixes, Spans) or traits.hash_tokens != HASH_TOKENS:
            raise InvariantError("a workload whose hashes are no spans is part of another.")
        return found._replace(
            traffic_class=traits.traffic_class,
            tenant=traits.tenant,
            priority=traits.priority,
            session=traits.session,
            cancel_after_s=traits.cancel_after_s,
            spans=traits.prefixes.columns,
            follows=found.follows if traits.follows is None else traits.follows,
            think_s=found.think_s if traits.think_s is None else traits.think_s,
        )

    def taken(self, index: slice | Ints | NDArray[np.bool_]) -> RequestColumns:
        """Return some of the requests."""
        return RequestColumns._make(column[index] for column in self)


def joined(parts: Sequence[RequestColumns]) -> RequestColumns:
    """Return requests one part after another."""
    return RequestColumns._make(np.concatenate(columns) for columns in zip(*parts, strict=True))


def in_blocks(
    chunks: Iterable[RequestColumns], requests: int, *, linked: bool
) -> Iterator[RequestBlock]:
    """Yield the first requests of a stream in blocks of `BLOCK_REQUESTS`, however it is cut.

    Parameters
    ----------
    chunks
        The stream, in order of arrival; ``follows`` counts from its beginning.
    requests
        How many are wanted.
    linked
        Whether requests may follow others.
    """
    first_id, held, count = 0, list[RequestColumns](), 0
    for chunk in chunks:
        held.append(chunk)
        count += chunk.arrival_s.size
        while count >= min(BLOCK_REQUESTS, requests - first_id):
            whole = joined(held)
            size = min(BLOCK_REQUESTS, requests - first_id)
            yield _block(first_id, whole.taken(slice(size)), linked)
            first_id += size
            held, count = [whole.taken(slice(size, None))], count - size
            if first_id == requests:
                return


def _block(first_id: int, columns: RequestColumns, linked: bool) -> RequestBlock:
    traits = RequestTraits(
        traffic_class=columns.traffic_class,
        tenant=columns.tenant,
        priority=columns.priority,
        session=columns.session,
        cancel_after_s=columns.cancel_after_s,
        prefixes=Spans(columns.spans),
        hash_tokens=HASH_TOKENS,
        follows=columns.follows if linked else None,
        think_s=columns.think_s if linked else None,
    )
    return RequestBlock(
        first_id, columns.arrival_s, columns.prompt_tokens, columns.output_tokens, traits
    )
