"""More work never takes less time, but where a measured table says so and the dip is listed."""

from dataclasses import replace
from functools import cache

import pytest
from helpers.grown_steps import built, without_dips
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from simulator.costs.step import StepShape
from simulator.errors import SimulatorError
from simulator.hardware.gpu import load_gpu
from simulator.kernels.schema import ENGINES
from simulator.kernels.tables import ExpertShape, KernelTables
from simulator.models.parallelism import Parallelism
from simulator.quantities import data_names
from simulator.study.tables.monotone import summarise_dips

MODELS = data_names("simulator.conf.model")
MEASURED_GPUS = ("a100_sxm", "h100_sxm", "b200_sxm", "l40s")
"""One of each generation: reading all tables would take most of the time."""

GPUS = (*MEASURED_GPUS, "a800_sxm")
"""And one that another's measurements stand for."""

PART_TABLES = {
    "attention": (
        "decode_attention", "prefill_attention", "latent_decode", "latent_prefill",
        "latent_absorb", "sparse_decode", "sparse_prefill",
    ),
    "linear_attention": ("linear_decode", "linear_prefill"),
    "experts": ("experts",),
    "all_reduce": ("all_reduce",),
    "dispatch": ("nccl",),
    "combine": ("nccl",),
    "pipeline": ("nccl",),
    **dict.fromkeys(("projections", "mlp", "router", "shared_experts", "lm_head"), ("gemm",)),
}  # fmt: skip
"""Tables that a part of a step is priced from; other parts come from formulas."""

spreads = st.one_of(
    st.sampled_from([1, 2, 4, 8]).map(Parallelism),
    st.sampled_from([2, 4, 8]).map(lambda gpus: Parallelism(gpus, expert=gpus)),
    st.sampled_from([2, 8]).map(lambda gpus: Parallelism(data=gpus, expert=gpus)),
    st.just(Parallelism(2, data=2, expert=4)),
    st.just(Parallelism(2, pipeline=2)),
)


def logarithmic(most):
    """Counts from 1 to a power of two, small ones as often as large ones."""
    return st.floats(0, most).map(lambda power: round(2**power))


def prompts(starts):
    """No prompt chunk, or one."""
    chunk = st.tuples(starts, logarithmic(12)).map(lambda c: ((c[0], c[0] + c[1]),))
    return st.just(()) | chunk


@st.composite
def grown_steps(draw, starts):
    """Two step shapes, the second with more of one thing, and that thing."""
    requests = draw(st.just(0) | logarithmic(8))
    shape = StepShape(
        requests,
        draw(st.integers(1, 6)) if requests else 1,
        draw(logarithmic(15)) if requests else 0,
        draw(prompts(starts)),
    )
    assume(requests or shape.prefill)
    what = draw(st.sampled_from(["prompt", "context", "batch", "query"]))
    more = draw(logarithmic(10))
    if what == "prompt":
        start, end = shape.prefill[0] if shape.prefill else (0, 0)
        return shape, replace(shape, prefill=((start, end + more),)), what
    assume(requests)
    if what == "context":
        return shape, replace(shape, context_tokens=shape.context_tokens + more), what
    if what == "batch":
        return shape, replace(shape, decode_requests=requests + more), what
    return shape, replace(shape, query_tokens=shape.query_tokens + draw(st.integers(1, 3))), what


def pairings(gpus):
    """Model, GPU, engine and how the model is spread."""
    return st.tuples(
        st.sampled_from(MODELS), st.sampled_from(gpus), st.sampled_from(ENGINES), spreads
    )


def priced(model, shapes, gamma):
    """The costs of both shapes; the example is dropped where something was not measured."""
    assume(model is not None)
    try:
        return [model.step(shape, gamma) for shape in shapes]
    except SimulatorError:
        return assume(False)


@settings(max_examples=150)
@given(
    pairings(GPUS), st.sampled_from([1.0, 0.65]), grown_steps(logarithmic(13)), st.integers(0, 5)
)
def test_without_measured_dips_no_step_gets_cheaper_as_it_grows(pairing, overlap, steps, gamma):
    *shapes, _ = steps
    if pairing[3].expert > 1 and any(shape.prefill for shape in shapes):
        # Decoding requests beside a prompt even out its tokens over the ranks: the overlap law
        # takes the prompt for few independent tokens and a further request for one more.
        overlap = 1.0
    with without_dips() as build:
        small, large = priced(build(*pairing, overlap), shapes, gamma)
    assert large.total_s >= small.total_s * (1 - 1e-9)


@cache
def deepest(gpu, engine, operators):
    """The deepest dip listed in the tables that answer for an engine."""
    return max(
        (
            dips.largest
            for operator in operators
            for source in {engine, ENGINES[0]}
            for dips in summarise_dips(gpu, source, operator)
        ),
        default=0.0,
    )


@pytest.mark.slow
@settings(max_examples=150)
@given(pairings(MEASURED_GPUS), grown_steps(st.just(0)))
def test_a_part_of_a_step_falls_only_as_deep_as_a_listed_dip(pairing, steps):
    # Whole prompts only: a chunk is a difference of two times, and falls further than either.
    *shapes, _ = steps
    small, large = priced(built(*pairing), shapes, 0)
    for part, time in small.parts.items():
        listed = deepest(pairing[1], pairing[2], PART_TABLES.get(part, ()))
        assert large.parts[part].seconds >= time.seconds * (1 - listed) * (1 - 1e-9), part


@settings(max_examples=200)
@given(
    st.sampled_from(GPUS),
    st.sampled_from(ENGINES),
    st.sampled_from(["bfloat16", "fp8", "fp8_block", "w4a16_mxfp4", "int4_wo", "nvfp4"]),
    st.sampled_from([(8, 2), (32, 4), (60, 4), (64, 6), (128, 8), (256, 8), (384, 8), (512, 10)]),
    st.sampled_from([(2048, 768), (2880, 2880), (4096, 14336), (7168, 2048)]),
    st.sampled_from([(1, 1), (2, 1), (1, 2), (1, 8)]),
    logarithmic(14),
    st.floats(0.01, 1.0),
    st.floats(0.01, 1.0),
)
def test_routed_experts_never_get_cheaper_as_more_are_active(
    gpu, engine, dtype, counts, widths, split, tokens, one, other
):
    tables = KernelTables.load(load_gpu(gpu), engine)
    shape = ExpertShape(*counts, *widths, split[0], expert_parallel=split[1])
    local = counts[0] / split[1]
    try:
        few, many = (
            tables.experts(tokens, share * local, shape, dtype).seconds
            for share in sorted((one, other))
        )
    except SimulatorError:
        assume(False)
    assert many >= few * (1 - 1e-9)
