"""Collectives inside one node: the engine's own all-reduce, and those of NCCL.

A message is the whole buffer of one GPU: what an all-reduce sums, what an all-gather leaves on
every GPU, what a reduce-scatter starts from, what a GPU sends in an all-to-all.
"""

from __future__ import annotations

import numpy as np

from simulator.errors import TableError
from simulator.kernels.loggrid import LogGrid
from simulator.kernels.schema import Rows
from simulator.kernels.timing import Timing


class CollectiveTable:
    """Times of one collective over message sizes, one curve per number of GPUs.

    Between measured sizes the curve is a power law; below the smallest it is flat, above the
    largest it grows in proportion.

    Parameters
    ----------
    name
        What it is called in messages.
    gpu
        The measured GPU.
    rows
        Columns ``gpus``, ``message`` and ``seconds``.
    """

    def __init__(self, name: str, gpu: str, rows: Rows) -> None:
        self._name, self._gpu = name, gpu
        self._curves = {
            int(gpus): LogGrid(
                [rows["message"][rows["gpus"] == gpus].astype(float)],
                rows["seconds"][rows["gpus"] == gpus],
                (1.0,),
            )
            for gpus in np.unique(rows["gpus"])
        }

    @property
    def gpus(self) -> tuple[int, ...]:
        """Numbers of GPUs that were measured."""
        return tuple(self._curves)

    def at(self, message_bytes: float, gpus: int) -> Timing:
        """Return the time over ``gpus`` GPUs; one GPU has nothing to send.

        Raises
        ------
        TableError
            If that number of GPUs was not measured; the message names those that were.
        """
        if gpus == 1:
            return Timing(0.0, "measured")
        curve = self._curves.get(gpus)
        if curve is None:
            known = ", ".join(map(str, self._curves))
            raise TableError(
                f"{self._name} over {gpus} GPUs was not measured on {self._gpu}; measured: "
                f"{known}. Name what links them (hardware.topology)."
            )
        return curve.at(message_bytes)


class NcclTables:
    """NCCL's collectives on one GPU, by name."""

    def __init__(self, gpu: str, rows: Rows) -> None:
        self._tables = {
            str(name): CollectiveTable(
                str(name).replace("_", "-"),
                gpu,
                {key: column[rows["collective"] == name] for key, column in rows.items()},
            )
            for name in np.unique(rows["collective"])
        }

    def __getitem__(self, collective: str) -> CollectiveTable:
        """Return one of ``all_gather``, ``all_reduce``, ``all_to_all`` and ``reduce_scatter``."""
        return self._tables[collective]
