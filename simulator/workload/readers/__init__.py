"""Trace readers, chosen by ``workload.format`` from ``READERS``; one module a format.

A reader streams: it holds a chunk of the file at a time, whatever its length.
"""

from simulator.workload.readers import agentic, azure, bailian, burstgpt, generic, mooncake, parquet
from simulator.workload.readers.policy import (
    ON_BAD_ROW,
    READERS,
    BadRow,
    ReadPolicy,
    ReadReport,
    TraceReader,
)

__all__ = [
    "ON_BAD_ROW",
    "READERS",
    "BadRow",
    "ReadPolicy",
    "ReadReport",
    "TraceReader",
    "agentic",
    "azure",
    "bailian",
    "burstgpt",
    "generic",
    "mooncake",
    "parquet",
]
