"""The event simulation against MoESD's formula, both with the same cost model.

A fixed batch without queueing must show the speedup ``sigma (gamma + 1) / (gamma T_D/T_T +
T_T(B, gamma)/T_T(B, 1) + T_rej/T_T)``, where a verify step has gamma + 1 query tokens per request.
"""

import numpy as np
import pytest
from helpers.scenarios import fixed_batch
from helpers.serving_bench import Bench
from helpers.suites import some

from simulator.study.decomposition import decompose

OUTPUT_TOKENS = 1500
ROUNDS = 60_000  # enough that tokens per round are known to a third of a percent


def token_rate(scenario, gamma):
    """Tokens per second, and mean context, over the steps in which the whole batch decodes."""
    steps = Bench().run_scenario(scenario, gamma).iterations
    full = steps.column("decode_requests") == scenario.workload.concurrency
    full &= steps.column("prefill_tokens") == 0
    seconds = steps.column("duration_s")[full]
    context = steps.column("context_tokens")[full] / scenario.workload.concurrency
    return steps.column("emitted_tokens")[full].sum() / seconds.sum(), np.average(
        context, weights=seconds
    )


def deviation(batch, gamma):
    """Relative difference of the simulated speedup from the closed form."""
    rounds_per_request = OUTPUT_TOKENS / (1 - 0.8 ** (gamma + 1)) * (1 - 0.8)
    requests = max(2 * batch, round(ROUNDS / rounds_per_request))
    speculative, context = token_rate(
        fixed_batch(batch, gamma, output_tokens=OUTPUT_TOKENS, requests=requests), gamma
    )
    plain, _ = token_rate(fixed_batch(batch, gamma, output_tokens=OUTPUT_TOKENS), 0)
    scenario = fixed_batch(batch, gamma, output_tokens=OUTPUT_TOKENS)
    closed = decompose(scenario.step_model, scenario.acceptance, batch, context, gamma)
    return speculative / plain / closed.speedup - 1


@pytest.mark.parametrize("batch", [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128])
@pytest.mark.parametrize("gamma", some(range(1, 9), 1, 4, 8))
def test_simulated_speedup_is_the_closed_form(batch, gamma):
    assert abs(deviation(batch, gamma)) < 0.01
