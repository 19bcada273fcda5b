"""Target efficiency against batch size: why MoE gains from speculation where dense models do not.

    python examples/target_efficiency.py [PICTURE]

Draws T_T(B, 1) / T_T(B, gamma) of Qwen2-57B-A14B and OPT-30B on two A100, from measured
kernels alone. With few requests, verifying extra tokens wakes extra experts and the MoE model
loses; once all experts are awake anyway, verification is nearly free; at large batches computation
decides for both.
"""

import sys
from pathlib import Path

from simulator.compose import compose
from simulator.report.plots import plot_target_efficiency
from simulator.scenario import build

BATCHES = list(range(1, 129))
GAMMA = 4
CONTEXT_TOKENS = 300.0


def curve(model: str) -> tuple[list[int], list[float]]:
    """Return batches and target efficiencies of a shipped model."""
    scenario = build(
        compose(
            [
                f"model={model}",
                "hardware=a100_sxm",
                "hardware.tensor_parallel=2",
                "workload=fixed_batch",
                "routing=uniform",
            ]
        )
    )
    model_of_time = scenario.step_model
    return BATCHES, [
        model_of_time.target_efficiency(batch, GAMMA, CONTEXT_TOKENS) for batch in BATCHES
    ]


if __name__ == "__main__":
    destination = Path(sys.argv[1] if len(sys.argv) > 1 else "target_efficiency.png")
    curves = {
        "Qwen2-57B-A14B (MoE)": curve("qwen2_57b_a14b"),
        "OPT-30B (dense)": curve("opt_30b"),
    }
    sys.stdout.write(f"wrote {plot_target_efficiency(curves, destination)}\n")
