"""Prefix hashes of many requests at once."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from simulator.workload.ragged import Ragged
from simulator.workload.readers.fields import MAX_HASH
from simulator.workload.readers.rows import Ints


def ragged(column: pa.ChunkedArray, prompt_tokens: Ints, hash_tokens: int) -> Ragged | None:
    """Return the hashes of the blocks that prompts fill; the last, filled in part, is dropped.

    Parameters
    ----------
    column
        Lists of whole numbers, or texts of them with a space between.
    prompt_tokens
        Lengths of the prompts, int64[rows].
    hash_tokens
        Tokens of a hash.

    Returns
    -------
    Ragged or None
        None if one of them is no hash, or a prompt has more of them than blocks.
    """
    try:
        lists = column.combine_chunks()
        if pa.types.is_string(lists.type):
            lists = pc.split_pattern(pc.if_else(pc.equal(lists, ""), None, lists), " ")
        lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
        flat = lists.flatten()
        if pa.types.is_floating(flat.type) or flat.null_count:
            return None
        values = flat.cast(pa.int64()).to_numpy()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError):
        return None
    if values.size and not 0 <= values.min() <= values.max() <= MAX_HASH:
        return None
    if np.any(lengths > -(-prompt_tokens // hash_tokens)):
        return None
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])
    return Ragged(values, starts).cut(prompt_tokens // hash_tokens)
