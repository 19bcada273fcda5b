"""Drawn workloads in tests."""

import numpy as np

from simulator.streams import Streams


def columns_of(workload, *traits, seed=0):
    """Arrivals, lengths, prefixes and some traits of all blocks, by name."""
    blocks = list(workload.blocks(Streams(seed)))
    assert [block.first_id for block in blocks] == list(range(0, workload.requests, 1024))
    columns = {name: np.concatenate([getattr(b.traits, name) for b in blocks]) for name in traits}
    for name in ("prompt_tokens", "output_tokens", "arrival_s"):
        columns[name] = np.concatenate([getattr(block, name) for block in blocks])
    columns["prefixes"] = [prefix for block in blocks for prefix in block.traits.prefixes]
    return columns
