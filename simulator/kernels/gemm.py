"""Dense matrix products."""

from __future__ import annotations

import numpy as np

from simulator.errors import TableError, unknown
from simulator.kernels.loggrid import LogGrid, grid_of
from simulator.kernels.schema import MONOTONE, Rows
from simulator.kernels.timing import Timing


class GemmTable:
    """Times of ``[m, k] x [k, n]`` on the measured grid of one GPU, one grid per weight dtype.

    The measured times are used as made monotone in m (`kernels.monotone`).

    Beyond the grid the time grows in proportion to m, n or k; below it, it is that of the edge.
    """

    def __init__(self, gpu: str, rows: Rows) -> None:
        self._gpu = gpu
        self._rows = rows
        self._grids: dict[str, LogGrid] = {}

    def at(self, m: float, n: int, k: int, dtype: str) -> Timing:
        """Return the time of one product.

        Parameters
        ----------
        m
            Tokens.
        n, k
            Columns and rows of the weight.
        dtype
            Weight format.

        Raises
        ------
        TableError
            If the dtype was not measured on this GPU.
        """
        grid = self._grids.get(dtype)
        if grid is None:
            grid = self._grids[dtype] = self._build(dtype)
        return grid.at(n, k, m)

    def _build(self, dtype: str) -> LogGrid:
        keep = self._rows["dtype"] == dtype
        if not keep.any():
            known = np.unique(self._rows["dtype"]).tolist()
            raise TableError(unknown("gemm dtype", dtype, known, f"the tables of {self._gpu}"))
        columns = [self._rows[name][keep] for name in ("n", "k", "m")]
        axes, seconds = grid_of(columns, self._rows[MONOTONE][keep])
        return LogGrid(axes, seconds, (1.0, 1.0, 1.0))
