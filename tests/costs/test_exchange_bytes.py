"""Bytes of the exchange around experts, on their links, against closed forms of even routing."""

import numpy as np
import pytest

from simulator.costs.exchange_bytes import ExchangedBytes
from simulator.experts.loads import rank_loads
from simulator.experts.placement import contiguous
from simulator.hardware.bundles import TransferPattern
from simulator.hardware.collectives import COLLECTIVES, Steps, alone_s, fastest
from simulator.hardware.exchange import KINDS, Exchange, exchange_line
from simulator.hardware.topology import load_topology
from simulator.models.operators import AllGather, Combine, Dispatch, ReduceScatter

EXPERTS, TOP_K = 64, 4
RAILS = load_topology("rails_infiniband_h100")
TOKENS = 1024.0


def loads(gpus, chosen=None):
    """Every expert alike, unless it is said which are chosen."""
    chosen = np.arange(int(TOKENS) * TOP_K) % EXPERTS if chosen is None else chosen
    return rank_loads(np.tile(chosen, (2, 1)), contiguous(EXPERTS, gpus))


def dispatch(kind, gpus):
    shape = (1, TOP_K, EXPERTS, gpus, 1)
    return [Dispatch(kind, 100.0, *shape), Combine(kind, 200.0, *shape)]


@pytest.mark.parametrize("gpus", [8, 16])
@pytest.mark.parametrize("kind", KINDS)
def test_on_even_loads_links_are_busy_as_the_closed_form_of_the_exchange_says(kind, gpus):
    found = ExchangedBytes(dispatch(kind, gpus), gpus, RAILS)
    exchanged = found.of(TOKENS, loads(gpus))
    line = exchange_line(RAILS, Exchange(kind, gpus, gpus // 8, TOP_K, EXPERTS))
    [there, *_] = TransferPattern(RAILS, found.pairs).bundles(exchanged.dispatch)
    assert there.alone_s == pytest.approx(line.s_per_byte * TOKENS / gpus * 100.0)
    turned = [(receiver, sender) for sender, receiver in found.pairs]
    [back, *_] = TransferPattern(RAILS, turned).bundles(exchanged.combine)
    assert back.alone_s == pytest.approx(2 * there.alone_s)


def test_over_nodes_a_gather_goes_the_fastest_way():
    found = ExchangedBytes([AllGather(100.0, 16, 1), ReduceScatter(100.0, 16, 1)], 16, RAILS)
    [bundle] = TransferPattern(RAILS, found.pairs).bundles(found.of(TOKENS, loads(16)).dispatch)
    part = RAILS.first(16)
    way = COLLECTIVES["all_gather"][fastest(part, "all_gather", 2.0**20).algorithm]
    steps = [Steps(times, sent) for times, sent in way(part, TOKENS * 100.0)]
    idle = alone_s(part, way(part, 0.0))
    assert bundle.alone_s <= alone_s(part, steps) - idle + 1e-12  # its steps go on side by side
    assert bundle.alone_s >= 0.5 * (alone_s(part, steps) - idle)


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_gpu_gets_follows_what_it_computes(kind):
    """All copies for the experts of the first of 8 GPUs: 8 times the even share, others nothing."""
    found = ExchangedBytes(dispatch(kind, 8), 8)
    even = found.by_rank(found.of(TOKENS, loads(8)))[0]
    hot = found.by_rank(found.of(TOKENS, loads(8, np.arange(int(TOKENS) * TOP_K) % 8)))[0]
    assert hot[:, 0] == pytest.approx(8 * even[:, 0])
    assert not hot[:, 1:].any()


def test_ranks_of_several_gpus_keep_what_goes_between_these():
    """Of four GPUs in two ranks each gets three quarters of 100 bytes a token, two from outside."""
    found = ExchangedBytes([AllGather(100.0, 4, 1), ReduceScatter(200.0, 4, 1)], 2)
    brought, sent = found.by_rank(found.of(TOKENS, loads(2)))
    assert brought == pytest.approx(np.full((1, 2), 2 * 2 * TOKENS * 100.0 / 4))
    assert sent == pytest.approx(2 * brought)
