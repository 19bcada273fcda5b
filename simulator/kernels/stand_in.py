"""One GPU's measurements standing for another's: what differs, and how times follow."""

from __future__ import annotations

from simulator.hardware.gpu import Gpu
from simulator.kernels.timing import Timing, weaker


def below_peak(timing: Timing, flops: float, dtype: str, gpu: Gpu) -> Timing:
    """Return a time no shorter than the GPU's own peak allows, where another stands for it.

    ``max(T, FLOPs / peak)``; a GPU with tables of its own is left as it was measured.

    Parameters
    ----------
    timing
        What the tables say.
    flops, dtype
        Work of the kernel, and the format whose peak it runs at.
    gpu
        The GPU asked about.
    """
    if gpu.name == gpu.tables:
        return timing
    roof = flops / gpu.peak(dtype)
    return timing if timing.seconds >= roof else Timing(roof, weaker(timing.kind, "fitted"))


def over_links(timing: Timing, empty: Timing, measured: Gpu, gpu: Gpu) -> Timing:
    """Return the time of a collective over the GPU's own NVLink, where another stands for it.

    What a message takes beyond an empty one is bandwidth, and grows as that of NVLink falls::

        T0 + (T - T0) x NVLink measured / NVLink of the GPU

    Parameters
    ----------
    timing, empty
        What the tables say of the message, and of an empty one (T0).
    measured, gpu
        The measured GPU, and the GPU asked about.
    """
    ours, theirs = gpu.nvlink_bandwidth, measured.nvlink_bandwidth
    if ours is None or theirs is None or ours == theirs:
        return timing
    sent = max(0.0, timing.seconds - empty.seconds)  # small messages scatter around T0
    return Timing(timing.seconds - sent + sent * theirs / ours, weaker(timing.kind, "fitted"))
