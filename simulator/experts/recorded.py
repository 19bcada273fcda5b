"""Recorded routes: a Parquet file of which experts the tokens of sequences picked.

Columns, a row for each token in each MoE layer, in any order:

============  ==================  ==========================================================
``sequence``  integer             which text (one request: its prompt, its output, or both)
``token``     integer             place in the text; those of a sequence follow each other
``layer``     integer             MoE layer, from 0; dense layers are not counted
``experts``   list of integers    the K experts picked, from 0, all different
``features``  list of numbers     optional: what a drafter saw of the token (`experts.drafts`);
                                  rows of layer 0 are read, those of others may be empty
============  ==================  ==========================================================

The metadata of the file should say ``model`` (a name of the catalogue) and ``experts`` (of a
layer), so that routes of another model are told apart even where the numbers happen to fit.
`write_routes` makes such a file of routes that are in memory, for use from Python.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from simulator.errors import DataError
from simulator.experts.pool import RoutePool
from simulator.models.architecture import Architecture, experts_of
from simulator.quantities import missing_file

Ints = NDArray[np.int64]

COLUMNS = ("sequence", "token", "layer", "experts")
"""Columns of a file, all needed."""

FEATURES = "features"
"""The column that may be there: what a drafter saw of each token."""

SHORTEST_TOKENS = 32
"""Least tokens of a sequence: a verify step must find its tokens within one."""


def write_routes(pool: RoutePool, model: str, path: Path) -> None:
    """Write routes in the form that `read_routes` reads.

    Parameters
    ----------
    pool
        The routes.
    model
        Name of the model in the catalogue.
    path
        The Parquet file.
    """
    layers, tokens, top_k = pool.chosen.shape
    sequence = np.repeat(np.arange(len(pool.lengths)), pool.lengths)
    place = np.arange(tokens) - pool.starts[sequence]
    picked = pa.array(pool.chosen.reshape(-1))
    table = pa.table(
        {
            "sequence": np.tile(sequence, layers),
            "token": np.tile(place, layers),
            "layer": np.repeat(np.arange(layers), tokens),
            "experts": pa.FixedSizeListArray.from_arrays(picked, top_k),
        }
    )
    if pool.features is not None:
        size = pool.features.shape[1]
        seen = pa.array(pool.features.reshape(-1))
        lists: list[Any] = pa.FixedSizeListArray.from_arrays(seen, size).to_pylist()
        column = pa.array(lists + [[]] * (tokens * (layers - 1)), pa.list_(pa.float64()))
        table = table.append_column(FEATURES, column)
    metadata = {"model": model, "experts": str(pool.experts)}
    beside = path.with_suffix(".part")
    pq.write_table(table.replace_schema_metadata(metadata), beside)
    beside.replace(path)


def read_routes(path: Path | str, arch: Architecture) -> RoutePool:
    """Read the routes of a model.

    Parameters
    ----------
    path
        Parquet file with `COLUMNS`.
    arch
        The model that they must be of.

    Raises
    ------
    DataError
        If the file cannot be read, is of another model, or lacks a token of a layer; the message
        names the file, and what to do.
    """
    experts = experts_of(arch).experts
    table = _read(path)
    chosen = _experts(table, path)
    _check_model(table, chosen, arch, path)
    sequence, token, layer = (table[key].to_numpy() for key in COLUMNS[:3])
    order = np.lexsort((token, sequence, layer))
    sequence, token = (_by_layer(key[order], arch.moe_layers, path) for key in (sequence, token))
    lengths = _lengths(sequence, token, path)
    narrow = chosen[order].astype(np.min_scalar_type(experts - 1))
    features = _features(table, order[: len(token)], path)
    return RoutePool(experts, narrow.reshape(arch.moe_layers, len(token), -1), lengths, features)


def brings_features(path: Path | str) -> bool:
    """Tell whether a file of routes has what a drafter saw; no, where it cannot be read."""
    try:
        return FEATURES in pq.read_schema(path).names
    except (OSError, pa.ArrowException):
        return False


def _features(table: pa.Table, rows: Ints, path: Path | str) -> NDArray[np.float64] | None:
    """Return what a drafter saw of each token, shape (tokens, d); None without the column."""
    if FEATURES not in table.column_names:
        return None
    kind = table[FEATURES].type
    if not _is_list(kind) or not (
        pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type)
    ):
        raise DataError(
            f"{path}: the column {FEATURES} holds {kind}; it must hold lists of numbers."
        )
    column = table[FEATURES].take(pa.array(rows)).combine_chunks()
    sizes = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    values: Any = pc.list_flatten(column).to_numpy(zero_copy_only=False).astype(np.float64)
    if not sizes[0] or (sizes != sizes[0]).any() or not np.isfinite(values).all():
        raise DataError(
            f"{path}: tokens have {sizes.min()} to {sizes.max()} features in layer 0, or some that "
            f"are no finite numbers; each token needs the same number of them."
        )
    return np.asarray(values.reshape(len(rows), -1))


def _is_list(kind: pa.DataType) -> bool:
    """Tell whether a column holds lists of any of Arrow's kinds."""
    lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(is_one(kind) for is_one in lists)


def _by_layer(key: Ints, layers: int, path: Path | str) -> Ints:
    """Return a column of one layer, after checking that it is that of every other."""
    tokens, odd = divmod(len(key), layers)
    if odd or (key.reshape(layers, tokens) != key[:tokens]).any():
        raise DataError(f"{path}: every token needs one row in each of the {layers} layers.")
    return key[:tokens]


def _read(path: Path | str) -> pa.Table:
    try:
        table = pq.read_table(path)
    except FileNotFoundError:
        raise DataError(missing_file("file of routes", Path(path))) from None
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path} is no Parquet file of routes: {error}") from error
    missing = [key for key in COLUMNS if key not in table.column_names]
    if missing or not table.num_rows:
        lacks = f"lacks the columns {', '.join(missing)}" if missing else "has no rows"
        raise DataError(f"{path} {lacks}; routes have {', '.join(COLUMNS)}.")
    for key in COLUMNS:
        _check_column(table[key], key, path)
    return table


def _check_column(column: pa.ChunkedArray, key: str, path: Path | str) -> None:
    """Refuse a column of other values than integers, or lists of them, and one with gaps."""
    kind, form = column.type, "integers"
    if key == "experts":
        form = "lists of integers"
        kind = kind.value_type if _is_list(kind) else None
    if kind is None or not pa.types.is_integer(kind):
        raise DataError(f"{path}: the column {key} holds {column.type}; it must hold {form}.")
    gaps = column.null_count
    if key == "experts" and not gaps:
        gaps = pc.list_flatten(column).null_count
    if gaps:
        raise DataError(f"{path}: {gaps} values are missing in the column {key}; fill them in.")


def _experts(table: pa.Table, path: Path | str) -> Ints:
    """Return the experts of each row, shape (rows, K)."""
    column = table["experts"].combine_chunks()
    lengths = pc.list_value_length(column).to_numpy(zero_copy_only=False)
    if not lengths[0] or not (lengths == lengths[0]).all():
        raise DataError(f"{path}: tokens pick {lengths.min()} to {lengths.max()} experts, not K.")
    chosen: Any = pc.list_flatten(column).to_numpy(zero_copy_only=False)
    ordered = np.sort(chosen.reshape(len(lengths), -1).astype(np.int64), axis=1)
    twice = (np.diff(ordered, axis=1) == 0).any(axis=1)
    if twice.any() or ordered.min() < 0:
        row = int(np.argmax(twice | (ordered.min(axis=1) < 0)))
        raise DataError(f"{path}: row {row} picks {ordered[row].tolist()}, no K different experts.")
    return ordered


def _check_model(table: pa.Table, chosen: Ints, arch: Architecture, path: Path | str) -> None:
    """Refuse routes of another model."""
    metadata = table.schema.metadata or {}
    model = metadata.get(b"model", b"").decode(errors="replace") or arch.name
    moe = experts_of(arch)
    stated = metadata.get(b"experts", b"0").decode(errors="replace")
    if not stated.isdecimal():
        raise DataError(f"{path}: its metadata say experts={stated!r}, which is no number.")
    experts = int(stated) or None
    layers = int(pc.max(table["layer"]).as_py()) + 1
    found = (experts or moe.experts, chosen.shape[1], layers)
    wanted = (moe.experts, moe.top_k, arch.moe_layers)
    if (model, *found) == (arch.name, *wanted) and chosen.max() < moe.experts:
        return
    least = f"{experts}" if experts else f"at least {chosen.max() + 1}"
    raise DataError(
        f"{path} was recorded on {model if b'model' in metadata else 'a model'} with "
        f"{least} experts, top {found[1]}, {found[2]} MoE layers, but model={arch.name} has "
        f"{wanted[0]} experts, top {wanted[1]}, {wanted[2]} MoE layers. Record this model, choose "
        f"the model of the file, or routing=sampled."
    )


def _lengths(sequence: Ints, token: Ints, path: Path | str) -> Ints:
    """Return the tokens of each sequence; those of one must follow each other."""
    heads = np.flatnonzero(np.diff(sequence, prepend=sequence[0] - 1))
    lengths = np.diff(heads, append=len(sequence))
    expected = np.arange(len(token)) - np.repeat(heads - token[heads], lengths)
    if (token != expected).any():
        row = int(np.argmax(token != expected))
        raise DataError(
            f"{path}: sequence {sequence[row]} goes on with token {token[row]} where "
            f"{expected[row]} should be; tokens of a sequence must follow each other."
        )
    if lengths.min() < SHORTEST_TOKENS:
        short = sequence[heads[int(np.argmin(lengths))]]
        raise DataError(
            f"{path}: sequence {short} has {lengths.min()} tokens; leave out those below "
            f"{SHORTEST_TOKENS}, in which a verify step may not find its tokens."
        )
    return lengths
