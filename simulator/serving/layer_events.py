"""A step event by event: attention, dispatch, experts and combine of every MoE layer.

Each rank is a *device* that computes one thing at a time, in the order in which work comes to it.
A layer begins with the dense operators and the attention on every device; when the last is done the
dispatch takes the links; then every device computes its experts, and when the slowest is done the
combine takes the links. What a measured exchange takes beyond its bytes on the links comes behind
them. Host work, sampling and drafting come first, once a step.

With two batches, one computes while the other is on the links (two-batch overlap; DeepSeek-V3
report, arXiv 2412.19437, section 3.4; SGLang's ``--enable-two-batch-overlap``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import simpy
from simpy.events import NORMAL

from simulator.costs.exchange_bytes import ExchangedBytes
from simulator.costs.sampled import DrawnStep, RoutedPart
from simulator.hardware.bundles import Bundle, Floats, TransferPattern
from simulator.hardware.link_network import LinkNetwork, Together
from simulator.serving.expert_loads import LoadRows
from simulator.serving.tick import Tick

Sends = Sequence[tuple[Bundle, float]]
"""By layer what is sent, and what follows until it can be used, s."""


class ExchangeLinks:
    """Puts the exchange of a replica on the links of its GPUs.

    Parameters
    ----------
    network
        The links.
    gpus
        Those of the replica.
    exchanged
        Bytes from GPU to GPU.
    """

    def __init__(
        self, network: LinkNetwork, gpus: Sequence[int], exchanged: ExchangedBytes
    ) -> None:
        self.network = network
        self._exchanged = exchanged
        self._patterns: list[TransferPattern] = []
        if exchanged.pairs:
            there = [(gpus[sender], gpus[receiver]) for sender, receiver in exchanged.pairs]
            back = [(receiver, sender) for sender, receiver in there]
            self._patterns = [TransferPattern(network.topology, pairs) for pairs in (there, back)]

    def sends(self, part: RoutedPart) -> tuple[Sends, Sends]:
        """Return dispatch and combine of every layer; none where there is no exchange."""
        if not self._patterns:
            return (), ()
        found = self._exchanged.of(part.tokens, part.loads)
        there, back = self._patterns
        return (
            _timed(there.bundles(found.dispatch), part.dispatch_s),
            _timed(back.bundles(found.combine), part.combine_s),
        )


def _timed(bundles: list[Bundle], seconds: Floats) -> Sends:
    """Return bundles by layer, with what exchanges take alone beyond their time on the links."""
    wire_s = np.array([bundle.alone_s + bundle.latency_s for bundle in bundles])
    delays_s = np.maximum(seconds - wire_s, 0.0).tolist()
    return list(zip(bundles * (len(seconds) // len(bundles)), delays_s, strict=True))


Calls = list[Callable[[simpy.Event], None]]
"""What events of one kind call; one list for all of them, which SimPy leaves as it is."""


class _Devices:
    """When each device is free."""

    def __init__(self, env: simpy.Environment, ranks: int) -> None:
        self.env = env
        self.free_s = [0.0] * ranks

    def run(self, seconds: Sequence[float], done: Sequence[simpy.Event], calls: Calls) -> None:
        """Let every device compute behind what it has to do.

        Parameters
        ----------
        seconds
            How long each computes, s.
        done
            What happens at the end of each.
        calls
            What these events call.
        """
        now_s, free_s, schedule = self.env.now, self.free_s, self.env.schedule
        for rank, event in enumerate(done):
            free = free_s[rank]
            end_s = free_s[rank] = (free if free > now_s else now_s) + seconds[rank]
            event.callbacks = calls
            schedule(event, NORMAL, end_s - now_s)


class _Batch:
    """A batch on its way through the layers; one object for all steps of a replica."""

    def __init__(self, devices: _Devices, network: LinkNetwork, ended: Callable[[], None]) -> None:
        self._devices, self._network, self._ended = devices, network, ended
        self._done = [Tick(devices.env) for _ in devices.free_s]
        self._after_attention: Calls = [self._count_attention]
        self._after_experts: Calls = [self._count_experts]
        self._layer = self._layers = self._waiting = 0
        self._layer_s: list[float] = []
        self._experts_s: list[list[float]] = []
        self._dispatch: Sends = ()
        self._combine: Sends = ()
        self._sending: Together | None = None
        self._due_s = 0.0
        self.held_up_s = 0.0
        """What exchanges of the step have lost to others on their links, s."""

    def start(self, layers_s: float, part: RoutedPart, sends: tuple[Sends, Sends]) -> None:
        """Begin with the first layer."""
        self._experts_s = part.experts_s.tolist()
        self._layer, self._layers = 0, len(self._experts_s)
        self.held_up_s = 0.0
        self._layer_s = [layers_s / self._layers] * len(self._done)
        self._dispatch, self._combine = sends
        self._attend()

    def abandon(self) -> None:
        """Forget the step under way; the events to come find nothing to do."""
        self._after_attention.clear()
        self._after_experts.clear()
        if self._sending is not None:
            self._network.cancel_bundle(self._sending)

    def _attend(self) -> None:
        self._waiting = len(self._done)
        self._devices.run(self._layer_s, self._done, self._after_attention)

    def _count_attention(self, _: simpy.Event) -> None:
        self._waiting -= 1
        if not self._waiting:
            self._send(self._dispatch, self._compute)

    def _send(self, sends: Sends, then: Callable[[], None]) -> None:
        if not sends:
            then()
            return
        bundle, delay_s = sends[self._layer]
        self._due_s = self._devices.env.now + bundle.alone_s + bundle.latency_s + delay_s
        self._sending = self._network.send_bundle(bundle, then, delay_s)

    def _arrive(self) -> None:
        """Note that an exchange is over."""
        if self._sending is not None:
            self.held_up_s += self._devices.env.now - self._due_s
            self._sending = None

    def _compute(self) -> None:
        self._arrive()
        self._waiting = len(self._done)
        self._devices.run(self._experts_s[self._layer], self._done, self._after_experts)

    def _count_experts(self, _: simpy.Event) -> None:
        self._waiting -= 1
        if not self._waiting:
            self._send(self._combine, self._next)

    def _next(self) -> None:
        self._arrive()
        self._layer += 1
        if self._layer == self._layers:
            self._ended()
        else:
            self._attend()


class EventSteps:
    """Waits out the steps of one replica, event by event.

    Parameters
    ----------
    env
        The SimPy environment.
    links
        Its exchange on links.
    ranks
        Its devices.
    parts
        Batches that a step is cut into at most: 1, or 2 that overlap.
    rows
        Writes the loads.
    """

    def __init__(
        self, env: simpy.Environment, links: ExchangeLinks, ranks: int, parts: int, rows: LoadRows
    ) -> None:
        self._env, self._links, self._ranks, self._parts = env, links, ranks, parts
        self._rows = rows
        self._drawn: DrawnStep | None = None
        self._running = 0
        self._began_s = 0.0
        self._reset()

    def _reset(self) -> None:
        devices = _Devices(self._env, self._ranks)
        network = self._links.network
        self._batches = [_Batch(devices, network, self._batch_ended) for _ in range(self._parts)]
        self._begin, self._end = Tick(self._env), Tick(self._env)

    def take(self, drawn: DrawnStep) -> None:
        """Take what was drawn for the step to come."""
        self._drawn = drawn

    def follow(self, duration_s: float) -> simpy.Event:
        """Start a step; return what happens at its end.

        Parameters
        ----------
        duration_s
            What it would take if nothing overlapped and nobody else used the links, s.
        """
        del duration_s
        self._began_s = self._env.now
        drawn = self._drawn
        once_s = drawn.once_s if drawn is not None else 0.0
        self._begin.after(once_s).callbacks.append(self._start)
        self._end.callbacks = []
        return self._end

    def abandon(self) -> None:
        """Forget the step under way, if there is one: its replica is lost."""
        for batch in self._batches:
            batch.abandon()
        self._begin.callbacks = []
        self._reset()

    def _start(self, _: simpy.Event) -> None:
        drawn = self._drawn
        if drawn is None:
            return
        self._running = len(drawn.parts)
        sends = [self._links.sends(part) for part in drawn.parts]
        for batch, part, sent in zip(self._batches, drawn.parts, sends, strict=False):
            batch.start(drawn.layers_s, part, sent)

    def _batch_ended(self) -> None:
        self._running -= 1
        if self._running:
            return
        if self._drawn is not None:
            at_work = self._batches[: len(self._drawn.parts)]
            held_up_s = sum(batch.held_up_s for batch in at_work)
            self._rows.ended(self._drawn, self._env.now - self._began_s, held_up_s)
        self._env.schedule(self._end)
