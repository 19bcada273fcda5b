"""All-reduce inside one node."""

from __future__ import annotations

import numpy as np

from simulator.errors import TableError
from simulator.kernels.loggrid import LogGrid
from simulator.kernels.schema import Rows
from simulator.kernels.timing import Timing


class AllReduceTable:
    """Times of the custom all-reduce over message sizes, one curve per number of GPUs."""

    def __init__(self, gpu: str, rows: Rows) -> None:
        self._gpu = gpu
        self._curves = {
            int(gpus): LogGrid(
                [rows["message"][rows["gpus"] == gpus].astype(float)],
                rows["seconds"][rows["gpus"] == gpus],
                (1.0,),
            )
            for gpus in np.unique(rows["gpus"])
        }

    def at(self, message_bytes: float, gpus: int) -> Timing:
        """Return the time to sum a message over ``gpus`` GPUs.

        Raises
        ------
        TableError
            If that number of GPUs was not measured; the message names those that were.
        """
        if gpus == 1:
            return Timing(0.0, "measured")  # nothing to send
        curve = self._curves.get(gpus)
        if curve is None:
            known = ", ".join(map(str, self._curves))
            raise TableError(
                f"all-reduce over {gpus} GPUs was not measured on {self._gpu}; measured: {known}."
            )
        return curve.at(message_bytes)
