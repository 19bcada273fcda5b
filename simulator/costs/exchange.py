"""What one call of DeepEP takes: the tokens of all GPUs to their experts, or results back."""

from __future__ import annotations

from simulator.hardware.topology import Topology
from simulator.kernels.tables import KernelTables
from simulator.kernels.timing import Timing
from simulator.models.operators import Combine, Dispatch


def exchange_time(
    op: Dispatch | Combine, tokens_per_gpu: float, tables: KernelTables, topology: Topology | None
) -> Timing:
    """Price a dispatch or combine of one layer.

    Parameters
    ----------
    op
        What travels.
    tokens_per_gpu
        Tokens of each GPU, were all loaded like the busiest.
    tables, topology
        Measured kernels, and where the GPUs lie; None for one node.

    Raises
    ------
    TableError
        If so many GPUs were not measured and there is no topology.
    """
    price = tables.dispatch if isinstance(op, Dispatch) else tables.combine
    return price(
        tokens_per_gpu,
        hidden=op.hidden,
        top_k=op.top_k,
        experts=op.experts,
        gpus=op.gpus,
        nodes=1 if topology is None else topology.first(op.gpus).islands,
        mode=op.backend,
        dtype_bytes=op.bytes_per_token / op.hidden,
        topology=topology,
    )
