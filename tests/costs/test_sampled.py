"""Step costs with drawn loads: by direct computation, and against closed forms on even routing."""

import numpy as np
import pytest
from helpers.scenarios import make_config

from simulator.config import HardwareConfig
from simulator.costs.compiled import CompiledSteps
from simulator.costs.forward import total_s
from simulator.costs.layer_times import LayerTimes
from simulator.costs.rank_times import RankTimes
from simulator.costs.sampled import ExpertPrices, SampledSteps
from simulator.costs.step import StepShape
from simulator.experts.config import RoutingConfig
from simulator.experts.load_aware import load_aware
from simulator.experts.loads import rank_loads
from simulator.experts.placement import contiguous
from simulator.models.operators import Experts
from simulator.scenario import build
from simulator.speculation.config import SpeculationConfig

EXPERTS, TOP_K, RANKS, LAYERS = 128, 8, 8, 48


@pytest.fixture(scope="module")
def model():
    """Qwen3-30B-A3B over eight H100: a group each, experts over all."""
    config = make_config(
        "qwen3_30b_a3b",
        hardware=HardwareConfig(
            gpu="h100_sxm", tensor_parallel=1, data_parallel=8, expert_parallel=8
        ),
        routing=RoutingConfig(law="uniform"),
        speculation=SpeculationConfig(gamma=0, alpha=0.7),
    )
    return build(config).step_model


class Draws:
    """Even or skewed loads, and what they were asked for."""

    ranks = RANKS

    def __init__(self, skewed=False):
        self.skewed, self.asked = skewed, []

    def draw(self, requests, query_tokens, prompt_tokens, parts=1):
        self.asked.append((requests, query_tokens, prompt_tokens, parts))
        tokens = requests * query_tokens + prompt_tokens
        whole = self._loads(tokens)
        return [whole] if parts == 1 else [whole, *[self._loads(tokens // parts)] * parts]

    def stall_s(self, seconds):
        return 0.0

    def passed(self, seconds):
        return 0.0

    def _loads(self, tokens):
        chosen = np.arange(tokens * TOP_K) % (EXPERTS // 2 if self.skewed else EXPERTS)
        return rank_loads(np.tile(chosen, (LAYERS, 1)), contiguous(EXPERTS, RANKS))


def sampled(model, draws, **settings):
    taken = []
    compiled = CompiledSteps(model, 0)
    return SampledSteps(compiled, ExpertPrices(model), draws, taken.append, **settings), taken


def test_a_table_of_times_is_that_of_its_function_and_asks_once():
    asked = []

    def price(copies, active):
        asked.append((copies, active))
        return copies * active

    times = RankTimes(price, 16)
    rng = np.random.default_rng(1)
    copies, active = rng.uniform(16, 5000, (48, 8)), rng.integers(1, 17, (48, 8))
    for _ in range(3):
        assert times.at(copies, active) == pytest.approx(copies * active)
    assert len(asked) == len(set(asked)) == times.priced


def test_on_even_loads_a_step_takes_what_closed_forms_say(model):
    """Closed forms count the rank that chance loads most: above even loads, by little at 1024."""
    steps, _ = sampled(model, Draws())
    expected = CompiledSteps(model, 0).decode_s(1024, 1024 * 500)
    window = steps.decode_window(1024, 1024 * 500)
    assert window.base_s == pytest.approx(expected, rel=0.01)
    assert window.active_experts == EXPERTS
    assert not window.first_tokens <= 1024 * 500 <= window.last_tokens  # drawn again next time


def test_an_expert_with_two_replicas_at_work_is_one_active_expert(model):
    """As in closed forms: the column of iterations counts experts, not slots."""

    class Replicated(Draws):
        def _loads(self, tokens):
            chosen = np.zeros((LAYERS, tokens * TOP_K), dtype=int)
            return rank_loads(chosen, load_aware(np.ones(EXPERTS), RANKS, redundant=RANKS))

    steps, taken = sampled(model, Replicated())
    assert steps.decode_window(64, 64 * 500).active_experts == 1
    assert taken[0].whole.loads.active.sum() == 2 * LAYERS


@pytest.mark.parametrize("skewed", [False, True])
def test_the_slowest_rank_of_every_layer_is_priced(model, skewed):
    """Half of the experts take all: their ranks have twice the copies, and 16 experts each."""
    steps, taken = sampled(model, Draws(skewed))
    seconds = steps.decode_window(512, 512 * 500).base_s
    forward = model.target
    tokens = 1024 if skewed else 512  # were all ranks as loaded as the slowest
    outside = model.target_step(StepShape(512, 1, 500))
    routed = ("experts", "dispatch", "combine")
    outside_s = sum(time.seconds for part, time in outside.parts.items() if part not in routed)
    slowest_s = total_s(forward.rank_experts(tokens, 16))
    exchange_s = total_s(forward.exchange_around(512, 512))
    assert seconds == pytest.approx(outside_s + slowest_s + exchange_s, rel=2e-3)
    [drawn] = taken
    assert drawn.drawn_s == seconds
    assert drawn.whole.experts_s.shape == (LAYERS, RANKS)
    assert (drawn.whole.experts_s[:, -1] == 0).all() == skewed


def test_layers_and_what_happens_once_make_up_a_step(model):
    compiled = CompiledSteps(model, 0)
    steps, taken = sampled(model, Draws(), layers=LayerTimes(model, compiled))
    for chunks in ((), [(0, 700), (300, 400)]):
        if chunks:
            steps.mixed_s(64, 64 * 800, chunks)
        else:
            steps.decode_window(64, 64 * 800)
        drawn = taken[-1]
        assert drawn.drawn_s == pytest.approx(drawn.once_s + drawn.layers_s + drawn.whole.seconds)
        once = total_s(model.host(8 + len(chunks))) + total_s(model.target.logits(8 + len(chunks)))
        assert drawn.once_s >= 0.9 * once
    forward = model.target
    steps.decode_window(64, 64 * 800)
    layers_s = total_s(forward.dense(8)) + total_s(forward.decode_attention(8, 1, 800))
    assert taken[-1].layers_s == pytest.approx(layers_s, rel=1e-3)


def test_two_batches_have_half_each_and_read_the_experts_twice(model):
    compiled = CompiledSteps(model, 0)
    steps, taken = sampled(model, Draws(), layers=LayerTimes(model, compiled), parts=2)
    steps.decode_window(512, 512 * 500)
    [drawn] = taken
    assert [part.tokens for part in (drawn.whole, *drawn.parts)] == [512, 256, 256]
    assert sum(part.seconds for part in drawn.parts) > drawn.whole.seconds
    steps.decode_window(1, 500)
    assert len(taken[-1].parts) == 1  # nothing to cut


def test_prices_do_not_grow_with_steps(model):
    prices = ExpertPrices(model)
    steps = SampledSteps(CompiledSteps(model, 0), prices, Draws(), lambda _: None)
    steps.decode_window(256, 256 * 500)
    before = prices.times.priced
    for context in range(500, 600):
        steps.decode_window(256, 256 * context)
    assert prices.times.priced == before
    assert next(op.calls for op in model.target.operators if isinstance(op, Experts)) == LAYERS


def test_moving_experts_takes_its_time_behind_a_step(model):
    class Moved(Draws):
        def passed(self, seconds):
            self.passed_s = seconds
            return 0.25

    draws = Moved()
    stays, moves = sampled(model, Draws()), sampled(model, draws)
    before_s, after_s = (steps.decode_window(64, 64 * 500).base_s for steps, _ in (stays, moves))
    assert draws.passed_s == pytest.approx(before_s)
    assert after_s == pytest.approx(before_s + 0.25)
    (moved,), (stayed,) = moves[1], stays[1]
    assert (moved.drawn_s, moved.moving_s) == (stayed.drawn_s, 0.25)
    assert moved.once_s == pytest.approx(stayed.once_s + 0.25)
