"""Requests of many clients, each with rates, burstiness and lengths of its own (ServeGen).

ServeGen publishes no requests but what describes them: of every client and window of ten minutes a
rate and a law of inter-arrival times, and of every client the distributions of lengths. So this
draws them: counts vary by chance, and input and output lengths are drawn independently (ServeGen's
own sampler takes one uniform for both and fixes the counts).

Source: alibaba/ServeGen (Apache-2.0); Xiang et al., ServeGen, 2025.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simulator.errors import ConfigError
from simulator.streams import Streams
from simulator.workload.ragged import Ragged
from simulator.workload.readers.servegen import Client, Floats, read_clients
from simulator.workload.requests import MAX_TOKENS, RequestBlock, RequestTraits
from simulator.workload.transforms import cut, recut

MAX_WINDOW_REQUESTS = 10**7
"""Most requests of a window, which is in memory (kind: assumed); the busiest published has 2e6."""


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time with constant rates.

    Parameters
    ----------
    index
        Which of the windows in the files it is part of.
    begins_s, ends_s
        Since the period began, s.
    """

    index: int
    begins_s: float
    ends_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientWorkload:
    """An open loop of the superposed requests of clients.

    The period of the files, or the window of it that is asked for, is gone through again and again.
    Client ``i`` of ``n`` draws in the ``w``-th window from block ``w n + i`` of the streams
    ``servegen_arrivals`` and ``servegen_lengths``.

    Parameters
    ----------
    title, requests, max_prompt_tokens, max_output_tokens, mean_rate, assumptions
        As in ``Workload``.
    clients
        The clients; each is a tenant.
    windows
        The stretches of a period, in order.
    factor
        Times the measured rates.
    """

    title: str
    requests: int
    max_prompt_tokens: int
    max_output_tokens: int
    mean_rate: float
    assumptions: tuple[str, ...]
    clients: Sequence[Client]
    windows: Sequence[Window]
    factor: float

    @property
    def concurrency(self) -> None:
        """None: an open loop."""
        return

    @property
    def told(self) -> frozenset[str]:
        """What is told of requests."""
        return frozenset({"tenant"})

    def blocks(self, streams: Streams) -> Iterator[RequestBlock]:
        """Draw the requests, window after window."""
        for block in recut(self._windows(streams), self.requests):
            yield cut(block, self.max_prompt_tokens, self.max_output_tokens)

    def _windows(self, streams: Streams) -> Iterator[RequestBlock]:
        size = len(self.clients)
        to_come = np.array(
            [
                equilibrium(client, self.windows[0].index, streams.block("servegen_starts", i))
                for i, client in enumerate(self.clients)
            ]
        )
        period_s = self.windows[-1].ends_s
        number = 0
        while True:
            for window in self.windows:
                begins_s = number // len(self.windows) * period_s + window.begins_s
                parts = []
                for i, client in enumerate(self.clients):
                    block = number * size + i
                    times_s, to_come[i] = self._arrivals(
                        client, window, to_come[i], streams.block("servegen_arrivals", block)
                    )
                    if times_s.size:
                        generator = streams.block("servegen_lengths", block)
                        parts.append(_requests(client, i, window, begins_s + times_s, generator))
                number += 1
                if parts:
                    yield _merged(parts)

    def _arrivals(
        self, client: Client, window: Window, to_come: float, generator: np.random.Generator
    ) -> tuple[Floats, float]:
        """Return the arrivals in a window since it began, s, and what is left to the next.

        Both are measured in operational time, in which the rate is 1: ``to_come`` mean gaps.
        """
        rate = self.factor * float(client.rates[window.index])
        length = rate * (window.ends_s - window.begins_s)
        times = [np.empty(0)]
        while to_come < length:
            draws = gaps(client, window.index, generator, int(1.2 * (length - to_come)) + 16)
            ends = to_come + np.cumsum(draws)
            arrived = np.concatenate([[to_come], ends[:-1]])
            inside = int(np.searchsorted(ends, length)) + 1
            times.append(arrived[: min(inside, arrived.size)])
            to_come = float(ends[min(inside, ends.size) - 1])
        return (np.concatenate(times) / rate if rate else times[0]), to_come - length


def open_clients(
    path: Path,
    requests: int,
    *,
    rate: float | None = None,
    window_s: Sequence[float] | None = None,
    max_prompt_tokens: int = MAX_TOKENS,
    max_output_tokens: int = MAX_TOKENS,
) -> ClientWorkload:
    """Read a folder of clients and return the workload that they make.

    Parameters
    ----------
    path
        A folder or tar archive with two files a client.
    requests
        How many to draw.
    rate
        Mean requests/s; the rates of all clients are scaled alike. None: as measured.
    window_s
        The part of the period that is drawn, s. None: all.
    max_prompt_tokens, max_output_tokens
        Cut longer lengths to these.

    Raises
    ------
    DataError
        If a file is malformed or missing.
    ConfigError
        If there are no requests in the window, or too many in one of the files' windows.
    """
    clients = read_clients(path)
    windows = _stretches(clients[0].starts_s, window_s)
    span_s = windows[-1].ends_s if windows else 0.0
    means = np.array(
        [[one.rates[w.index] * (w.ends_s - w.begins_s) for w in windows] for one in clients]
    )
    if means.sum() < 1:
        period_s = _edges(clients[0].starts_s)[-1]
        raise ConfigError(
            f"{path} has {means.sum():.2g} requests in workload.window_s={window_s}; its period "
            f"has {period_s:,.0f} s."
        )
    measured = float(means.sum()) / span_s
    factor = 1.0 if rate is None else rate / measured
    _check_heaviest(path, factor * float(means.sum(axis=0).max()))
    longest_prompt, longest_output = _longest(clients, means)
    return ClientWorkload(
        title=f"clients of {path.name}, {measured if rate is None else rate:.3g} requests/s",
        requests=requests,
        max_prompt_tokens=min(longest_prompt, max_prompt_tokens),
        max_output_tokens=min(longest_output, max_output_tokens),
        mean_rate=measured if rate is None else rate,
        assumptions=_notes(len(clients), measured, scaled=rate is not None),
        clients=clients,
        windows=windows,
        factor=factor,
    )


def _check_heaviest(path: Path, requests: float) -> None:
    """Refuse a window of more requests than memory should hold."""
    if requests > MAX_WINDOW_REQUESTS:
        raise ConfigError(
            f"{path} has {requests:.3g} requests in one of its windows, above "
            f"{MAX_WINDOW_REQUESTS:,}; lower workload.rate."
        )


def _longest(clients: Sequence[Client], means: Floats) -> tuple[int, int]:
    """Return the longest prompt and output, tokens, of clients that send anything.

    Parameters
    ----------
    means
        Requests of each client and window, shape (clients, windows).
    """
    datasets = [
        dataset
        for one, mean in zip(clients, means, strict=True)
        if mean.any()
        for dataset in one.datasets
    ]
    prompt_tokens = max(int(prompts.tokens[-1]) for _, prompts, _ in datasets)
    output_tokens = max(int(outputs.tokens[-1]) for *_, outputs in datasets)
    return prompt_tokens, output_tokens


def _notes(clients: int, measured: float, *, scaled: bool) -> tuple[str, ...]:
    """Say what drawing assumes, for the report; rates in requests/s."""
    drawn = (
        f"requests are drawn for {clients} clients, each by its own law of inter-arrival "
        "times and of lengths, input and output independently; the period is repeated",
        "no prefix is shared between requests",
    )
    if not scaled:
        return drawn
    return (
        *drawn,
        f"the rate is scaled from the {measured:.3g} requests/s measured; lengths stay",
    )


def gaps(client: Client, window: int, generator: np.random.Generator, size: int) -> Floats:
    """Draw inter-arrival times of a client in a window, in units of their mean."""
    shape = float(client.shapes[window])
    if client.weibull[window]:
        return generator.weibull(shape, size) / math.gamma(1 + 1 / shape)
    return generator.gamma(shape, 1 / shape, size)


def equilibrium(client: Client, window: int, generator: np.random.Generator) -> float:
    """Draw the time to the first arrival of a renewal process that began long ago.

    A uniform share of a gap that is drawn in proportion to its length: of a Gamma law of shape k
    that is one of shape k + 1, of a Weibull law the power 1/k of a Gamma variable of shape 1 + 1/k.
    """
    shape = float(client.shapes[window])
    if client.weibull[window]:
        gap = generator.gamma(1 + 1 / shape) ** (1 / shape) / math.gamma(1 + 1 / shape)
    else:
        gap = generator.gamma(shape + 1, 1 / shape)
    return float(gap * generator.random())


def _edges(starts_s: Floats) -> Floats:
    """Return where windows begin, and where the last ends: it is as long as the one before."""
    last_s = float(starts_s[-1] - starts_s[-2]) if starts_s.size > 1 else 600.0
    return np.append(starts_s, starts_s[-1] + last_s)


def _stretches(starts_s: Floats, window_s: Sequence[float] | None) -> list[Window]:
    """Return the windows, or the parts of them between two times; time begins at the first."""
    edges = _edges(starts_s)
    from_s, to_s = (edges[0], edges[-1]) if window_s is None else window_s
    return [
        Window(i, max(begins_s, from_s) - from_s, min(ends_s, to_s) - from_s)
        for i, (begins_s, ends_s) in enumerate(
            zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
        )
        if begins_s < to_s and ends_s > from_s
    ]


def _requests(
    client: Client,
    tenant: int,
    window: Window,
    arrival_s: Floats,
    generator: np.random.Generator,
) -> tuple[Floats, NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return arrivals, tenants, prompts and outputs of a client in a window."""
    prompts, outputs = client.lengths_at(float(client.starts_s[window.index]))
    uniforms = generator.random((2, arrival_s.size))
    return (
        arrival_s,
        np.full(arrival_s.size, tenant),
        prompts.at(uniforms[0]),
        outputs.at(uniforms[1]),
    )


def _merged(
    parts: Sequence[tuple[Floats, NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]],
) -> RequestBlock:
    """Put the requests of all clients in order of time."""
    arrival_s, tenants, prompts, outputs = (
        np.concatenate(columns) for columns in zip(*parts, strict=True)
    )
    order = np.argsort(arrival_s, kind="stable")
    zeros = np.zeros(order.size, np.int64)
    traits = RequestTraits(
        traffic_class=zeros,
        tenant=tenants[order],
        priority=zeros,
        session=zeros - 1,
        cancel_after_s=np.full(order.size, np.inf),
        prefixes=Ragged(np.empty(0, np.int64), np.zeros(order.size + 1, np.int64)),
        hash_tokens=1,
    )
    return RequestBlock(0, arrival_s[order], prompts[order], outputs[order], traits)
