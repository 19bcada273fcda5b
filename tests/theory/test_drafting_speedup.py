"""The event simulation against the closed form where drafts are no i.i.d. chain.

As `test_closed_form_speedup`: a fixed batch without queueing, both with the same cost model. Tokens
per round come from the acceptance model's closed form in one and from its draws in the other.
"""

import numpy as np
import pytest
from helpers.scenarios import fixed_batch
from helpers.serving_bench import Bench

from simulator.speculation.config import RegimeConfig, SpeculationConfig
from simulator.study.decomposition import decompose

MEASURED = RegimeConfig(alpha_high=0.836, alpha_low=0.524, high_tokens=40, low_tokens=97)

DRAFTING = {
    "regime": {"acceptance": "regime", "regime": MEASURED},
    "heterogeneous": {"acceptance": "heterogeneous", "alpha": 0.6, "alpha_spread": 0.5},
    "tree": {"alpha": 0.6, "tree": [3, 2, 1], "tree_ranks": [0.3, 0.2]},
    "tree and regime": {
        "acceptance": "regime",
        "regime": MEASURED,
        "tree": [2, 2, 2],
        "tree_ranks": [0.3],
    },
    "look-ups": {"alpha": 0.7, "drafter": "ngram", "proposal_rate": 0.5},
    "own GPUs": {"alpha": 0.7, "drafter_gpus": "own", "link_s": 2e-4},
}


def token_rate(scenario, gamma):
    """Tokens per second, and mean context, over the steps in which the whole batch decodes."""
    steps = Bench().run_scenario(scenario, gamma).iterations
    full = steps.column("decode_requests") == scenario.workload.concurrency
    full &= steps.column("prefill_tokens") == 0
    seconds = steps.column("duration_s")[full]
    context = steps.column("context_tokens")[full] / scenario.workload.concurrency
    emitted = steps.column("emitted_tokens")[full].sum()
    return emitted / seconds.sum(), np.average(context, weights=seconds)


@pytest.mark.parametrize("settings", DRAFTING.values(), ids=DRAFTING)
def test_simulated_speedup_is_the_closed_form(settings):
    batch, gamma, output_tokens = 16, 3, 800
    speculation = SpeculationConfig(gamma=gamma, **settings)
    scenario = fixed_batch(
        batch, gamma, output_tokens=output_tokens, requests=160, speculation=speculation
    )
    speculative, context = token_rate(scenario, gamma)
    plain, _ = token_rate(fixed_batch(batch, gamma, output_tokens=output_tokens), 0)
    closed = decompose(scenario.step_model, scenario.acceptance, batch, context, gamma)
    assert speculative / plain == pytest.approx(closed.speedup, rel=0.015)
