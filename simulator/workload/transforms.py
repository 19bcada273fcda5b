"""Recorded requests made denser, sparser, slower or shorter, a block at a time.

Each takes and yields blocks of any size whose requests follow no other; ids are those of the
result. None looks at the random streams of a run but `jittered`: every replication replays the
same requests.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import DataError
from simulator.streams import Streams
from simulator.workload.ragged import Ragged
from simulator.workload.requests import BLOCK_REQUESTS, MAX_TOKENS, RequestBlock, RequestTraits

MAX_TICK_REQUESTS = 1 << 17
"""Most requests of one instant that are spread over time (kind: assumed): they are in memory."""

Ints = NDArray[np.int64]

_GOLDEN, _MIX_1, _MIX_2 = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
"""Constants of splitmix64 (Steele, Lea and Flood, OOPSLA 2014)."""

_BITS_62 = (1 << 62) - 1
"""Prefix hashes and numbers of sessions have so many bits (`readers.fields.MAX_HASH`)."""

_TRAIT_COLUMNS = ("traffic_class", "tenant", "priority", "session", "cancel_after_s")
"""Arrays of `RequestTraits` that requests have which follow no other."""


def thinned(blocks: Iterable[RequestBlock], share: float) -> Iterator[RequestBlock]:
    """Keep each conversation, or request that is part of none, with a probability.

    Drawn by a hash of its number in the trace, so it is the same in every replication. The
    excess of the variance of counts over that of a Poisson process falls with the square of the
    share, so burstiness falls.
    """
    for block in blocks:
        key = block.first_id + np.arange(block.size)
        if block.traits is not None:
            key = np.where(block.traits.session >= 0, block.traits.session, key)
        rows = np.flatnonzero(uniforms(key) < share)
        if rows.size:
            yield taken(block, rows)


def windowed(blocks: Iterable[RequestBlock], from_s: float, to_s: float) -> Iterator[RequestBlock]:
    """Keep what came from one time on and before another, s; time then begins at the first."""
    for block in blocks:
        rows = np.flatnonzero((block.arrival_s >= from_s) & (block.arrival_s < to_s))
        if rows.size:
            yield _moved(taken(block, rows), block.arrival_s[rows] - from_s)
        if block.size and block.arrival_s[-1] >= to_s:
            return


def jittered(
    blocks: Iterable[RequestBlock], tick_s: float, streams: Streams
) -> Iterator[RequestBlock]:
    """Spread requests of one recorded instant uniformly over the tick that it begins, s.

    A tick ends early where the next instant begins, so that requests of different instants stay in
    order. Request i takes uniform ``i mod BLOCK_REQUESTS`` of a block of stream ``trace_jitter``.

    Raises
    ------
    DataError
        If one instant has more than ``MAX_TICK_REQUESTS`` requests.
    """
    last: RequestBlock | None = None  # of the last instant, whose end is not known yet
    of_last = np.empty(0)
    for number, block in enumerate(recut(blocks)):
        uniform = streams.block("trace_jitter", number).random(BLOCK_REQUESTS)[: block.size]
        known = block if last is None else joined([last, block])
        uniform = np.concatenate([of_last, uniform])
        end_s = float(known.arrival_s[-1])
        open_from = int(np.searchsorted(known.arrival_s, end_s))
        if known.size - open_from > MAX_TICK_REQUESTS:
            raise DataError(
                f"the trace has more than {MAX_TICK_REQUESTS:,} requests at one instant, {end_s:g} "
                "s after its start; set workload.jitter_s=0 to replay them at once."
            )
        if open_from:
            settled = _part(known, 0, open_from)
            yield _spread(settled, uniform[:open_from], tick_s, end_s)
        last, of_last = _part(known, open_from, known.size), uniform[open_from:]
    if last is not None:
        yield _spread(last, of_last, tick_s, np.inf)


def scaled(blocks: Iterable[RequestBlock], factor: float) -> Iterator[RequestBlock]:
    """Replay so many times the requests in the same time, with the burstiness of the trace.

    The recorded count N(t), linear between two arrivals, becomes ``floor(factor * N(t))``. So the
    CV of inter-arrival times and that of counts in windows stay what they are, bursts last as long
    and the day has the same shape. A factor of 2 sends each request twice, the second halfway to
    the next (after the last it is taken to be as far as the last gap); a factor of 0.5 leaves out
    every other.

    The second and further copies are of other users: their conversations and prefix hashes are
    others, shared among copies of the same rank as in the trace.
    """
    count, gap_s = 0, 0.0
    before: RequestBlock | None = None  # the last row waits until it is known when the next comes
    for block in blocks:
        known = block if before is None else joined([before, block])
        if known.size > 1:
            yield from _copied(known, known.size - 1, count, factor)
            count += known.size - 1
            gap_s = float(known.arrival_s[-1] - known.arrival_s[-2])
        before = _part(known, known.size - 1, known.size)
    if before is not None:
        yield from _copied(
            joined([before, _moved(before, before.arrival_s + gap_s)]), 1, count, factor
        )


def stretched(blocks: Iterable[RequestBlock], factor: float) -> Iterator[RequestBlock]:
    """Let everything take so many times as long: the rate falls, the CV of gaps stays."""
    for block in blocks:
        yield _moved(block, block.arrival_s * factor)


def recut(blocks: Iterable[RequestBlock], requests: int | None = None) -> Iterator[RequestBlock]:
    """Yield blocks of ``BLOCK_REQUESTS``, numbered anew, up to so many requests in all."""
    first_id, rest = 0, None
    for block in chain(blocks, (None,)):
        if block is None:
            smallest = 1
        else:
            rest = block if rest is None else joined([rest, block])
            smallest = BLOCK_REQUESTS
        while rest is not None and rest.size >= smallest:
            size = min(BLOCK_REQUESTS, rest.size)
            if requests is not None:
                size = min(size, requests - first_id)
            yield replace(_part(rest, 0, size), first_id=first_id)
            first_id += size
            if first_id == requests:
                return
            rest = _part(rest, size, rest.size)


def cut(block: RequestBlock, prompt_tokens: int, output_tokens: int) -> RequestBlock:
    """Cut lengths to these, and the prefixes of those whose prompts are cut."""
    prompts = np.minimum(block.prompt_tokens, prompt_tokens)
    traits = block.traits
    if traits is not None and np.any(prompts < block.prompt_tokens):
        most = np.where(prompts < block.prompt_tokens, prompts // traits.hash_tokens, MAX_TOKENS)
        traits = replace(traits, prefixes=_packed(traits.prefixes).cut(most))
    return RequestBlock(
        block.first_id,
        block.arrival_s,
        prompts,
        np.minimum(block.output_tokens, output_tokens),
        traits,
    )


def taken(block: RequestBlock, rows: Ints) -> RequestBlock:
    """Return some rows of a block, in the order given."""
    traits = block.traits
    prefixes = _packed(traits.prefixes).take(rows) if traits else ()
    return _rows(block, rows, prefixes)


def joined(blocks: list[RequestBlock]) -> RequestBlock:
    """Put blocks after one another; all or none have traits."""
    return RequestBlock(
        blocks[0].first_id,
        np.concatenate([block.arrival_s for block in blocks]),
        np.concatenate([block.prompt_tokens for block in blocks]),
        np.concatenate([block.output_tokens for block in blocks]),
        _joined_traits([block.traits for block in blocks if block.traits is not None]),
    )


def _joined_traits(parts: list[RequestTraits]) -> RequestTraits | None:
    if not parts:
        return None
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(one, name) for one in parts]) for name in _TRAIT_COLUMNS
    }
    prefixes = Ragged.joined(_packed(one.prefixes) for one in parts)
    return replace(parts[0], prefixes=prefixes, **columns)


def _packed(prefixes: Sequence[tuple[int, ...]]) -> Ragged:
    return prefixes if isinstance(prefixes, Ragged) else Ragged.of(prefixes)


def _part(block: RequestBlock, first: int, end: int) -> RequestBlock:
    """Return rows that follow each other, without a copy of theirs."""
    span = slice(first, end)
    return _rows(block, span, block.traits.prefixes[span] if block.traits else ())


def _rows(
    block: RequestBlock, rows: slice | Ints, prefixes: Sequence[tuple[int, ...]]
) -> RequestBlock:
    """Return some rows of a block, given their prefixes."""
    traits = block.traits
    if traits is not None:
        columns: dict[str, Any] = {name: getattr(traits, name)[rows] for name in _TRAIT_COLUMNS}
        traits = replace(traits, prefixes=prefixes, **columns)
    return RequestBlock(
        block.first_id,
        block.arrival_s[rows],
        block.prompt_tokens[rows],
        block.output_tokens[rows],
        traits,
    )


def _moved(block: RequestBlock, arrival_s: NDArray[np.float64]) -> RequestBlock:
    return replace(block, arrival_s=arrival_s)


def _spread(
    block: RequestBlock, uniform: NDArray[np.float64], tick_s: float, end_s: float
) -> RequestBlock:
    """Spread requests of whole instants; the next instant after them is ``end_s``."""
    after = np.searchsorted(block.arrival_s, block.arrival_s, side="right")
    width_s = np.minimum(tick_s, np.append(block.arrival_s, end_s)[after] - block.arrival_s)
    arrival_s = block.arrival_s + uniform * width_s
    order = np.argsort(arrival_s, kind="stable")
    return _moved(taken(block, order), arrival_s[order])


def _copied(block: RequestBlock, rows: int, before: int, factor: float) -> Iterator[RequestBlock]:
    """Yield the copies of the first rows, each placed between its arrival and the next row's.

    Parameters
    ----------
    before
        Requests of the trace before these.
    """
    edges = np.ceil((before + np.arange(rows + 1)) * factor).astype(np.int64)
    source = np.repeat(np.arange(rows), np.diff(edges))
    if source.size == 0:
        return
    number = np.arange(edges[0], edges[-1])
    share = np.clip(number / factor - (before + source), 0.0, 1.0)
    gap_s = np.diff(block.arrival_s[: rows + 1])
    copies = taken(block, source)
    copies = _moved(copies, copies.arrival_s + share * gap_s[source])
    yield _other_users(copies, number - edges[source])


def _other_users(block: RequestBlock, rank: Ints) -> RequestBlock:
    """Give copies of a rank above 0 conversations and prefix hashes of their own."""
    traits = block.traits
    if traits is None or not rank.any():
        return block
    packed = _packed(traits.prefixes)
    first, end = packed.starts[0], packed.starts[-1]
    values = _other(packed.values[first:end], np.repeat(rank, packed.lengths))
    prefixes = Ragged(values, packed.starts - first)
    session = np.where(traits.session < 0, traits.session, _other(traits.session, rank))
    return replace(block, traits=replace(traits, session=session, prefixes=prefixes))


def _other(numbers: Ints, rank: Ints) -> Ints:
    """Return numbers of 62 bits that are others for every rank, those of rank 0 as they are."""
    shift = np.array(_GOLDEN & _BITS_62, np.int64) * rank
    return (numbers + shift) & _BITS_62


def uniforms(numbers: Ints) -> NDArray[np.float64]:
    """Return uniforms in [0, 1) that depend on the numbers alone (splitmix64)."""
    mixed = (numbers.astype(np.uint64) + np.uint64(1)) * np.uint64(_GOLDEN)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(_MIX_1)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(_MIX_2)
    return ((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(11)).astype(np.float64) * 2.0**-53
