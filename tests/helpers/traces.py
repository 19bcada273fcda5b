"""Reading trace files in tests."""

import numpy as np

from simulator.workload.readers import READERS, ReadPolicy
from simulator.workload.recorded import TraceRow
from simulator.workload.transforms import joined


def read_block(path, format_name, **policy):
    """All requests of a file as one block."""
    return joined(list(READERS.get(format_name)(path, ReadPolicy(**policy))))


def read_rows(path, format_name="azure", **policy):
    """All requests of a file as rows, checked for what every reader promises."""
    block = read_block(path, format_name, **policy)
    assert block.prompt_tokens.dtype == block.output_tokens.dtype == np.int64
    assert np.all(np.diff(block.arrival_s) >= 0)
    assert np.isfinite(block.arrival_s).all()
    columns = (block.arrival_s, block.prompt_tokens, block.output_tokens)
    return list(map(TraceRow, *(column.tolist() for column in columns)))
