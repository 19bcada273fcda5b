"""Replay of a recorded trace: as it was, or denser, sparser, slower, or a part of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from simulator.errors import ConfigError, DataError
from simulator.streams import Streams
from simulator.workload.extent import Extent
from simulator.workload.readers.policy import ReadPolicy, ReadReport, TraceReader
from simulator.workload.requests import MAX_TOKENS, RequestBlock
from simulator.workload.transforms import cut, jittered, recut, scaled, stretched, thinned, windowed

MAX_SKIPPED_SHARE = 0.5
"""Where more of the rows than this are bad, the file is of another format (kind: assumed)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """How a trace is replayed; the steps are taken in this order.

    Parameters
    ----------
    keep_share
        Share of the requests, or whole conversations, that is kept, by chance.
    window_s
        Only what came from the first to the second time, s. None: all.
    jitter_s
        Requests of one instant are spread over so long, s. None: over the tick of the format.
    rate_scale
        Times as many requests in the same time.
    time_stretch
        Times as long for the same requests.
    max_prompt_tokens, max_output_tokens
        Longer lengths are cut to these.
    """

    keep_share: float = 1.0
    window_s: tuple[float, ...] | None = None
    jitter_s: float | None = None
    rate_scale: float = 1.0
    time_stretch: float = 1.0
    max_prompt_tokens: int = MAX_TOKENS
    max_output_tokens: int = MAX_TOKENS

    def changed(
        self, blocks: Iterator[RequestBlock], report: ReadReport, streams: Streams | None
    ) -> Iterator[RequestBlock]:
        """Yield what is replayed of blocks as read, in blocks of any size.

        Parameters
        ----------
        report
            Of the reader, which says how coarse times are as soon as it has read something.
        streams
            Where jitter is drawn from; None: times stay coarse, everything else is the same.
        """
        if self.keep_share < 1.0:
            blocks = thinned(blocks, self.keep_share)
        if self.window_s is not None:
            blocks = windowed(blocks, self.window_s[0], self.window_s[1])
        if streams is not None:
            blocks = self._jittered(blocks, report, streams)
        if self.rate_scale != 1.0:
            blocks = scaled(blocks, self.rate_scale)
        if self.time_stretch != 1.0:
            blocks = stretched(blocks, self.time_stretch)
        return blocks

    def _jittered(
        self, blocks: Iterator[RequestBlock], report: ReadReport, streams: Streams
    ) -> Iterator[RequestBlock]:
        """Spread over a tick that is known once the first block was read."""
        first = next(blocks, None)
        if first is None:
            return
        whole = _chain(first, blocks)
        tick_s = self.tick_s(report)
        yield from jittered(whole, tick_s, streams) if tick_s else whole

    def tick_s(self, report: ReadReport) -> float:
        """Return over how long the requests of an instant are spread, s."""
        return report.tick_s if self.jitter_s is None else self.jitter_s

    def cut(self, block: RequestBlock) -> RequestBlock:
        """Cut the lengths of requests, and the prefixes of those whose prompts are cut."""
        return cut(block, self.max_prompt_tokens, self.max_output_tokens)

    def sentences(self, report: ReadReport) -> list[str]:
        """Say what was changed, for the report."""
        found = []
        if self.keep_share < 1.0:
            found.append(f"a share of {self.keep_share:g} of the trace is kept, by chance")
        if self.window_s is not None:
            found.append("only {:g} to {:g} s of the trace are replayed".format(*self.window_s))
        if self.tick_s(report):
            found.append(
                f"requests recorded at one instant are spread over {self.tick_s(report):g} s"
            )
        if self.rate_scale != 1.0:
            found.append(
                f"the trace is replayed at {self.rate_scale:g} times its rate: the count of "
                "arrivals is multiplied, so that bursts last as long; copies are of other users"
            )
        if self.time_stretch != 1.0:
            found.append(f"the trace takes {self.time_stretch:g} times as long as recorded")
        return found


AS_RECORDED = Replay()
"""Everything as it was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceWorkload:
    """The requests of a trace file.

    The file is read again at every replay, so memory does not depend on its length. Every
    replication replays the same requests, at the same times but for the jitter within a tick. Made
    by ``open_trace``, which checks the rows and finds the bounds.

    Parameters
    ----------
    title, requests, max_prompt_tokens, max_output_tokens, mean_rate, assumptions
        As in ``Workload``.
    path, reader, policy
        The file and how to read it.
    replay
        What is changed of it.
    report
        What was found when it was opened: bad rows that are skipped, above all.
    """

    title: str
    requests: int
    max_prompt_tokens: int
    max_output_tokens: int
    mean_rate: float | None
    assumptions: tuple[str, ...]
    path: Path
    reader: TraceReader
    policy: ReadPolicy
    replay: Replay
    report: ReadReport

    @property
    def concurrency(self) -> None:
        """None: an open loop."""
        return

    @property
    def told(self) -> frozenset[str]:
        """What the trace tells of its requests."""
        return self.report.told

    def blocks(self, streams: Streams) -> Iterator[RequestBlock]:
        """Read the requests, block after block; the streams are used for jitter alone.

        Raises
        ------
        DataError
            If the file has fewer rows than when it was opened.
        """
        left = self.requests
        policy = replace(self.policy, report=ReadReport())
        read = self.reader(self.path, policy)
        for block in recut(self.replay.changed(read, policy.report, streams), self.requests):
            left -= block.size
            yield self.replay.cut(block)
        if left:
            raise DataError(f"{self.path} became shorter while it was replayed; run again.")


def open_trace(
    path: Path,
    reader: TraceReader,
    requests: int,
    *,
    policy: ReadPolicy | None = None,
    replay: Replay = AS_RECORDED,
) -> TraceWorkload:
    """Read a trace once, check its rows and return its replay.

    Parameters
    ----------
    path, reader
        The file and how to read it.
    requests
        Replay at most so many; only what they need is read and checked.
    policy
        What to do with bad rows. None: refuse them.
    replay
        What to change of it.

    Raises
    ------
    DataError
        If a row is malformed, the message names the file and the line; if no request is left; or
        if so many rows are bad that the file is something else.
    """
    policy = policy or ReadPolicy()
    report = policy.report
    extent = Extent(replay.max_prompt_tokens, replay.max_output_tokens)
    for block in recut(replay.changed(reader(path, policy), report, None), requests):
        extent.add(block)
    _check_rows(path, extent.requests, policy, replay)
    notes = [*report.sentences(), *report.notes, *replay.sentences(report), *extent.notes()]
    return TraceWorkload(
        title=f"replay of {path.name}",
        requests=extent.requests,
        max_prompt_tokens=extent.prompt_tokens,
        max_output_tokens=extent.output_tokens,
        mean_rate=extent.mean_rate,
        assumptions=("every replication replays the same requests", *notes),
        path=path,
        reader=reader,
        policy=policy,
        replay=replay,
        report=report,
    )


def _check_rows(path: Path, rows: int, policy: ReadPolicy, replay: Replay) -> None:
    """Refuse a trace of which nothing is left, or that is mostly bad."""
    report = policy.report
    skipped = report.skipped.total()
    if skipped > MAX_SKIPPED_SHARE * (skipped + report.rows):
        raise DataError(
            f"{path}: {skipped:,} bad rows and {report.rows:,} good ones: "
            f"{'; '.join(report.sentences())}. Does workload.format fit the file?"
        )
    if policy.hash_tokens is not None and "prefixes" not in report.told:
        raise ConfigError(
            f"workload.hash_tokens is {policy.hash_tokens}, but {path} has no prefix hashes; leave "
            "it null."
        )
    if rows == 0:
        raise ConfigError(
            f"{path} has no request within workload.window_s={replay.window_s} and "
            f"workload.keep_share={replay.keep_share:g}; widen them."
        )


def _chain(first: RequestBlock, rest: Iterator[RequestBlock]) -> Iterator[RequestBlock]:
    yield first
    yield from rest
