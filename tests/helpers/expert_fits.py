"""A made-up law of expert kernels on A100, whose rows a fit must give back."""

from simulator.kernels.fits import ExpertFit

SHAPES = [(8, 2, 4096, 14336), (128, 8, 2048, 768), (160, 8, 6144, 2560), (256, 8, 3072, 1024)]
"""Experts, top-k, hidden and inter of four models."""


def expert_law(per_active_s: float, activation_share: float) -> ExpertFit:
    """A law with the two terms that tests vary."""
    return ExpertFit(
        gpu="a100_sxm",
        engine="vllm",
        dtype="bfloat16",
        backend="backend",
        version="version",
        rows=0,
        median_error=0.0,
        mean_error=0.0,
        t0_s=30e-6,
        per_expert_s=50e-9,
        per_active_s=per_active_s,
        eta_bandwidth=0.85,
        activation_share=activation_share,
        eta_compute=0.55,
        exponent=1.5,
        shapes=4,
        unseen_median_error=0.0,
        unseen_worst_error=0.0,
    )
