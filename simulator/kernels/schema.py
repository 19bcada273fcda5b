"""The form of our kernel tables: one Parquet file per GPU, serving engine and operator.

Columns of text are dictionary-encoded; every row keeps the backend, its version and the kernel that
ran. Times are seconds, messages bytes. Units stand in the field metadata, provenance in the file
metadata.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from simulator.errors import TableError, unknown
from simulator.quantities import names_a_file

PACKAGE = "simulator.hardware_specs.kernel_tables"

ENGINES = ("vllm", "trtllm", "sglang")
"""Serving engines with tables; the first is measured on every GPU and stands in for the others."""

Rows = dict[str, NDArray[Any]]
"""A table in memory: columns of equal length by name."""

MONOTONE = "monotone_seconds"
"""Column of times made monotone along the operator's last key."""

_TEXT = {
    "backend": "serving framework that was measured",
    "version": "its version",
    "kernel_source": "kernel that ran",
    "dtype": "format of weights (products) or of the cache and messages",
}


@dataclass(frozen=True, slots=True)
class Operator:
    """The columns of one operator's tables.

    Parameters
    ----------
    name
        File name without suffix.
    keys
        Whole-number columns that identify a row next to the text columns, with their units, in the
        order rows are sorted by.
    grow_along
        The last of the keys: along it a time is expected not to fall.
    labels
        Further text columns, with their meaning.
    monotone
        Whether a second column of times holds the measured ones made monotone along the last key
        (`kernels.monotone`).
    """

    name: str
    keys: Mapping[str, str]
    labels: Mapping[str, str]
    monotone: bool = False

    @property
    def times(self) -> dict[str, str]:
        """Columns of times with how they came to be."""
        fitted = {MONOTONE: "fitted"} if self.monotone else {}
        return {"seconds": "measured"} | fitted

    @property
    def text(self) -> dict[str, str]:
        """Text columns with their meaning."""
        return _TEXT | dict(self.labels)

    @property
    def grow_along(self) -> str:
        """The key along which one kernel's time is expected not to fall."""
        return list(self.keys)[-1]

    @property
    def identity(self) -> list[str]:
        """Columns that identify a row, in sort order."""
        return ["dtype", *self.labels, "backend", "version", *self.keys]


_HEADS = {"head_dim": "element", "window": "token", "kv_heads": "head", "heads": "head"}
_DELTA_HEADS = {"key_heads": "head", "value_heads": "head", "batch": "request"}
_DELTA_PARTS = {"part": "convolution (with activation) or rule (delta rule with its gates)"}
_MODULE = {"architecture": "model whose attention module was measured, as in its config.json"}
_EXPERTS = {
    "experts": "expert",
    "top_k": "expert",
    "hidden": "element",
    "inter": "element",
    "matrices": "matrix",
    "tensor_parallel": "GPU",
    "expert_parallel": "GPU",
}

OPERATORS = {
    operator.name: operator
    for operator in (
        Operator("gemm", {"n": "element", "k": "element", "m": "token"}, {}, monotone=True),
        Operator("experts", _EXPERTS | {"tokens": "token"}, {}),
        Operator("masked_experts", _EXPERTS | {"tokens": "token"}, {}),
        Operator("decode_attention", _HEADS | {"context": "token", "batch": "request"}, {}),
        Operator("prefill_attention", _HEADS | {"tokens": "token"}, {}),
        Operator("latent_decode", {"heads": "head", "context": "token", "batch": "request"}, {}),
        Operator("latent_prefill", {"heads": "head", "tokens": "token"}, {}),
        Operator(
            "latent_absorb",
            {"heads": "head", "tokens": "token"},
            {"phase": "pre: queries into latent space; post: values out of it"},
        ),
        Operator("all_reduce", {"gpus": "GPU", "message": "byte"}, {}),
        Operator(
            "nccl",
            {"gpus": "GPU", "message": "byte"},
            {"collective": "all_gather, all_reduce, all_to_all or reduce_scatter"},
        ),
        Operator("linear_decode", _DELTA_HEADS, _DELTA_PARTS),
        Operator("linear_prefill", _DELTA_HEADS | {"tokens": "token"}, _DELTA_PARTS),
        Operator(
            "sparse_decode", {"heads": "head", "context": "token", "batch": "request"}, _MODULE
        ),
        Operator("sparse_prefill", {"heads": "head", "tokens": "token"}, _MODULE),
        Operator(
            "all_to_all",
            {
                "gpus": "GPU",
                "nodes": "node",
                "hidden": "element",
                "top_k": "expert",
                "experts": "expert",
                "tokens": "token",
            },
            {"mode": "communication library and mode", "phase": "dispatch or combine"},
        ),
    )
}


def sort_rows(operator: Operator, rows: Rows) -> Rows:
    """Return the rows in the operator's order, kernels apart within equal keys."""
    order = [rows[name] for name in [*operator.identity, "kernel_source"]]
    index = np.lexsort(order[::-1])
    return {name: column[index] for name, column in rows.items()}


def write_table(path: Path, operator: Operator, rows: Rows, provenance: Mapping[str, str]) -> None:
    """Write one table, rows sorted, Zstandard-compressed.

    Parameters
    ----------
    path
        File to write; its folder must exist.
    rows
        Columns as `Operator` names them.
    provenance
        File metadata, text to text.
    """
    rows = sort_rows(operator, rows)
    fields, arrays = [], []
    for name, meaning in operator.text.items():
        fields.append(_field(name, pa.dictionary(pa.int16(), pa.string()), meaning=meaning))
        arrays.append(pa.array(rows[name].astype(str)).dictionary_encode().cast(fields[-1].type))
    for name, unit in operator.keys.items():
        fields.append(_field(name, pa.int32(), unit=unit))
        arrays.append(pa.array(rows[name].astype(np.int32)))
    for name, kind in operator.times.items():
        fields.append(_field(name, pa.float32(), unit="s", kind=kind))
        arrays.append(pa.array(rows[name].astype(np.float32)))
    schema = pa.schema(fields, metadata=dict(provenance))
    table = pa.Table.from_arrays(arrays, schema=schema)
    pq.write_table(
        table,
        path,
        compression="zstd",
        compression_level=19,
        use_dictionary=_dictionaries(operator),
    )


def _dictionaries(operator: Operator) -> list[str]:
    return [*operator.text, *operator.keys]


def _field(name: str, stored: pa.DataType, **metadata: str) -> pa.Field:
    return pa.field(name, stored, nullable=False, metadata=metadata)


def read_table(
    gpu: str, engine: str, name: str, columns: Iterable[str] | None = None
) -> Rows | None:
    """Read a shipped table, or None where that engine was not measured on that GPU.

    Parameters
    ----------
    gpu, engine, name
        Measured GPU, one of `ENGINES`, and one of `OPERATORS`. For a GPU, also the folder of a
        machine that was measured by itself: its tables stand for every engine. A specification
        given as a file that names no tables has none.
    columns
        Columns to read; None reads all.

    Raises
    ------
    TableError
        If there is no such engine, or no table at all of the GPU; the message names the nearest.
    """
    if names_a_file(gpu):
        return _read_own(Path(gpu) / f"{name}.parquet", OPERATORS[name], columns)
    root = files(PACKAGE)
    gpus = sorted(entry.name for entry in root.iterdir() if entry.is_dir())
    if gpu not in gpus:
        raise TableError(unknown("kernel tables of GPU", gpu, gpus))
    if engine not in ENGINES:
        raise TableError(unknown("kernel tables of engine", engine, ENGINES))
    entry = root.joinpath(gpu).joinpath(engine).joinpath(f"{name}.parquet")
    if not entry.is_file():
        return None
    source = pa.BufferReader(entry.read_bytes())
    # `pyarrow.parquet.read_table` would import the module of data sets first.
    with pq.ParquetFile(source) as file:
        return to_rows(file.read(columns=None if columns is None else list(columns)))


def _read_own(path: Path, operator: Operator, columns: Iterable[str] | None) -> Rows | None:
    """Read a table from a user's folder; None where there is no such file."""
    if not path.is_file():
        return None
    wanted = [*operator.text, *operator.keys, *operator.times] if columns is None else columns
    try:
        rows = to_rows(pq.read_table(path, columns=list(wanted)))
    except (OSError, pa.ArrowException) as error:
        raise TableError(f"{path} is no kernel table: {error}") from error
    missing = [column for column in wanted if column not in rows]
    if missing:
        raise TableError(f"{path} lacks the columns {', '.join(missing)} of {operator.name}.")
    return rows


def to_rows(table: pa.Table) -> Rows:
    """Turn an Arrow table into columns of NumPy arrays; text columns become arrays of ``str``."""
    rows: Rows = {}
    for name in table.column_names:
        column = table.column(name).combine_chunks()
        if pa.types.is_dictionary(column.type):
            words = np.array(column.dictionary.to_pylist(), dtype=str)
            rows[name] = words[column.indices.to_numpy()]
        elif pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            rows[name] = np.array(column.to_pylist(), dtype=str)
        else:
            rows[name] = column.to_numpy(zero_copy_only=False)
    return rows


def content_hash(path: Path) -> str:
    """Hash the columns of a table: names, types, order and values, not the bytes of the file.

    Two files of equal content have one hash, whatever wrote or compressed them.
    """
    digest = hashlib.sha256()
    rows = to_rows(pq.read_table(path))
    for name, column in rows.items():
        digest.update(json.dumps([name, column.dtype.kind, len(column)]).encode())
        values = column
        if column.dtype.kind == "U":
            words, index = np.unique(column, return_inverse=True)
            digest.update("\0".join(words).encode())
            values = index.astype(np.int32)
        digest.update(values.astype(values.dtype.newbyteorder("<")).tobytes())
    return digest.hexdigest()
