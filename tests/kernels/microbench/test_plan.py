"""What is timed: the shapes of a plan, their work and their routing."""

import numpy as np
import pytest

from simulator.kernels import work
from simulator.kernels.microbench.cells import ROUTINGS, Cell, expert_bytes
from simulator.kernels.microbench.plan import LAYER_CACHES, QUICK, STANDARD, make_plan
from simulator.kernels.microbench.routing import chosen_experts, distinct
from simulator.kernels.schema import OPERATORS


def experts(tokens, routing="balanced", e=64, k=8):
    keys = {"experts": e, "top_k": k, "hidden": 32, "inter": 16, "tokens": tokens}
    return Cell("experts", "bfloat16", keys, routing)


@pytest.mark.parametrize("grid", [QUICK, STANDARD])
def test_cells_hold_every_key_of_their_table_and_grow_along_the_last(grid):
    plan = make_plan(grid, "bfloat16", 32e6)
    for series in plan.series:
        operator = OPERATORS.get(series[0].operator)
        if operator is None:
            continue
        assert all(list(cell.keys) == list(operator.keys) for cell in series)
        grown = [cell.keys[operator.grow_along] for cell in series]
        assert grown == sorted(set(grown))


@pytest.mark.parametrize("cache_bytes", [0, 8e6, 32e6, 50e6, 126e6, 256e6])
def test_the_layer_of_the_line_exceeds_the_cache(cache_bytes):
    cell = make_plan(STANDARD, "bfloat16", cache_bytes).line[0]
    assert cell.keys["experts"] * expert_bytes(cell) >= LAYER_CACHES * cache_bytes
    assert cell.keys["inter"] % 64 == 0


def test_the_line_has_both_routings_and_at_most_one_row_per_expert():
    line = make_plan(STANDARD, "bfloat16", 32e6).line
    assert {cell.routing for cell in line} == set(ROUTINGS)
    for cell in line:
        assert cell.keys["tokens"] * cell.keys["top_k"] <= cell.keys["experts"]
    balanced = [distinct(cell) for cell in line if cell.routing == "balanced"]
    assert balanced == [8, 16, 24, 32, 40, 48, 56, 64]
    assert len({cell.keys["inter"] for cell in line}) == 1


def test_attention_has_decode_and_verify_over_long_caches():
    cells = [c for s in make_plan(STANDARD, "bfloat16", 32e6).series for c in s]
    decode = [c for c in cells if c.operator == "decode_attention"]
    assert {c.keys["heads"] // c.keys["kv_heads"] for c in decode} == {1, 4, 16}
    assert max(c.keys["context"] for c in decode) >= 8192


def test_copies_exceed_the_cache_whatever_its_size():
    for cache_bytes in (1e6, 1e9):
        plan = make_plan(QUICK, "bfloat16", cache_bytes)
        sizes = [s[0].keys["bytes"] for s in plan.series if "bytes" in s[0].keys]
        assert min(sizes) >= 2 * cache_bytes


@pytest.mark.parametrize("routing", ROUTINGS)
@pytest.mark.parametrize("tokens", [1, 3, 8, 40])
def test_a_token_chooses_distinct_experts(routing, tokens):
    chosen = chosen_experts(experts(tokens, routing))
    assert chosen.shape == (tokens, 8)
    assert 0 <= chosen.min() <= chosen.max() < 64
    assert all(len(set(row)) == 8 for row in chosen.tolist())


def test_balanced_routing_touches_as_many_as_it_can_and_evenly():
    for tokens in (1, 4, 8, 20):
        assert distinct(experts(tokens)) == min(64, 8 * tokens)
    counts = np.bincount(chosen_experts(experts(16)).ravel(), minlength=64)
    assert set(counts) == {2}


def test_uniform_routing_touches_what_the_law_says_and_is_the_same_every_time():
    tokens, e, k = 12, 512, 8
    law = e * (1 - (1 - k / e) ** tokens)
    assert distinct(experts(tokens, "uniform", e, k)) == pytest.approx(law, rel=0.05)
    first, again = (chosen_experts(experts(5, "uniform")) for _ in range(2))
    assert (first == again).all()


def test_work_agrees_with_that_of_the_cost_model():
    cell = experts(4)
    assert cell.work().flops == work.expert_flops(4.0, 32.0, 16.0, 3.0, 1.0, 8.0)
    moved = 32 * work.expert_bytes(32.0, 16.0, 3.0, 1.0, "bfloat16")
    moved += work.expert_activation_bytes(4.0, 32.0, 16.0, 3.0, 1.0, 8.0)
    assert cell.work().moved_bytes == moved
    keys = {"head_dim": 64, "window": 0, "kv_heads": 2, "heads": 8, "context": 100, "batch": 3}
    decode = Cell("decode_attention", "bfloat16", keys).work()
    assert decode.moved_bytes == work.cache_bytes(3.0, 100.0, 2, 64)
    assert decode.flops == work.attention_flops(300.0, 8, 64)


def test_wider_values_move_more_and_compute_the_same():
    keys = {"n": 8, "k": 4, "m": 2}
    short, long = (Cell("gemm", dtype, keys).work() for dtype in ("bfloat16", "float32"))
    assert long.moved_bytes == 2 * short.moved_bytes
    assert long.flops == short.flops
    prompt = {"head_dim": 8, "window": 0, "kv_heads": 2, "heads": 4, "tokens": 10}
    prefill = Cell("prefill_attention", "bfloat16", prompt).work()
    assert prefill.flops == work.attention_flops(50.0, 4, 8)
    assert prefill.moved_bytes == 2 * 2 * 10 * (4 + 2) * 8
    assert Cell("copy", "bfloat16", {"bytes": 10}).work().moved_bytes == 20
    assert Cell("read", "bfloat16", {"bytes": 10}).work().moved_bytes == 10
