"""Where the points of a sweep lie: a folder a value of an axis, a file a point.

``points/<axis>=<value>/.../<content hash>.parquet`` is Hive's layout, which pyarrow, DuckDB, polars
and Spark read. A value is percent-encoded, and null is Hive's word for it. Axes stand in the path
alone, as Hive has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from simulator.errors import ConfigError

POINTS = "points"
"""Folder of the dataset in the folder of a sweep."""

_NULL = "__HIVE_DEFAULT_PARTITION__"
_LONGEST_BYTES = 255
"""Longest name of a folder on common file systems."""


def partition(axes: Mapping[str, Any]) -> Path:
    """Return the folders that stand for values of axes.

    Raises
    ------
    ConfigError
        If a value is too long for the name of a folder.

    Examples
    --------
    >>> partition({"model": "mixtral_8x7b", "workload.path": "a/b.csv", "workload.rate": None})
    PosixPath('model=mixtral_8x7b/workload.path=a%2Fb.csv/workload.rate=__HIVE_DEFAULT_PARTITION__')
    """
    names = []
    for axis, value in axes.items():
        label = _NULL if value is None else quote(label_of(value), safe=",")
        names.append(f"{quote(axis, safe=',@')}={label}")
        if len(names[-1]) > _LONGEST_BYTES:
            raise ConfigError(
                f"{axis}={label_of(value)} is too long for the name of a folder; sweep over the "
                "options of a group instead, each a file of yours (hydra.searchpath)."
            )
    return Path(*names)


def label_of(value: Any) -> str:
    """Write the value of an axis as a text, as Hydra takes it.

    Examples
    --------
    >>> label_of(0.5), label_of(True), label_of([1, [2, "x"]]), label_of({"a": None})
    ('0.5', 'true', '[1,[2,x]]', '{a:null}')
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{','.join(map(label_of, value))}]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{label_of(item)}" for key, item in value.items()) + "}"
    return str(value)
