"""What GPUs draw, and what a token takes: a line between idle and thermal design power."""

from __future__ import annotations

from functools import cache

from simulator.hardware.gpu import Gpu
from simulator.quantities import Quantity, read_data

_PACKAGE, _FILE = "simulator.hardware_specs", "power"


@cache
def idle_share() -> Quantity:
    """Return what a GPU draws while it waits, as a share of its thermal design power."""
    return Quantity.read(
        read_data(_PACKAGE, _FILE, "power model").get("idle_share"),
        "hardware_specs/power.yaml: idle_share",
    )


def watts(gpu: Gpu, utilisation: float) -> float | None:
    """Return the power that one GPU draws, W.

    ``idle + (TDP - idle) u``: a line, with u the share of time in which steps run. A step is taken
    to draw the whole TDP, an upper bound: decode, which memory binds, draws less. Host, network and
    cooling are not in it.

    Parameters
    ----------
    gpu
        The GPU.
    utilisation
        Share of time in which it runs steps, in [0, 1].

    Returns
    -------
    float or None
        None if the TDP is not known.

    Examples
    --------
    >>> from simulator.hardware.gpu import load_gpu
    >>> [round(watts(load_gpu("h100_sxm"), u)) for u in (0.0, 0.5, 1.0)]
    [105, 402, 700]
    """
    if gpu.tdp_watts is None:
        return None
    idle = idle_share().value
    return gpu.tdp_watts * (idle + (1.0 - idle) * utilisation)


def joules_per_token(gpu: Gpu, gpus: int, utilisation: float, tokens_per_s: float) -> float | None:
    """Return the energy that one output token takes, J: power of all GPUs over tokens per second.

    Parameters
    ----------
    gpu, gpus
        The GPU, and how many of it serve.
    utilisation
        As in `watts`.
    tokens_per_s
        Output tokens of all of them together, tokens/s.

    Returns
    -------
    float or None
        None if the TDP is not known, or no token comes out.

    Examples
    --------
    >>> from simulator.hardware.gpu import load_gpu
    >>> joules_per_token(load_gpu("h100_sxm"), 8, 1.0, 5600.0)
    1.0
    """
    each = watts(gpu, utilisation)
    return None if each is None or tokens_per_s <= 0.0 else gpus * each / tokens_per_s
