"""Experts in host memory: what a step waits for, what a GPU is spared, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.scenarios import make_config
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.compose import compose
from simulator.config import HardwareConfig
from simulator.costs.compiled import CompiledSteps
from simulator.costs.offload import PART, ExpertTransfers, expert_transfers
from simulator.costs.step import StepShape
from simulator.errors import CapacityError, ConfigError
from simulator.experts.config import PINNED, ExpertsConfig, OffloadConfig, RoutingConfig
from simulator.experts.offload import Transfers
from simulator.experts.sampling import Archetype
from simulator.hardware.gpu import gpu_names, load_gpu
from simulator.models.catalog import load_architecture
from simulator.models.parallelism import Parallelism
from simulator.models.parameters import expert_bytes
from simulator.report.verdict import verdict
from simulator.scenario import build
from simulator.speculation.config import SpeculationConfig
from simulator.study.assumptions import assumptions
from simulator.study.decomposition import decompose
from simulator.study.explain import explain
from simulator.workload.config import WorkloadConfig

LAST_TOKEN = OffloadConfig(
    resident_experts=64, policy=PINNED, prefetch="last_token", prefetch_experts=4
)
SHORT = WorkloadConfig(preset="chat", rate=1.0, max_prompt_tokens=1000, max_output_tokens=200)


def offloaded(resident=64, model="qwen3_30b_a3b", *, hardware=None, fidelity="expected", **groups):
    """A configuration with experts in host memory on one L40; ``resident`` or a whole offload."""
    offload = OffloadConfig(resident_experts=resident) if isinstance(resident, int) else resident
    return make_config(
        model,
        **(
            {
                "hardware": hardware or HardwareConfig(gpu="l40", tensor_parallel=1),
                "workload": SHORT,
                "speculation": SpeculationConfig(gamma=3, alpha=0.61),
                "experts": ExpertsConfig(fidelity=fidelity, offload=offload),
            }
            | groups
        ),
    )


@pytest.fixture(scope="module")
def scenario():
    """Qwen3-30B-A3B on one L40, half of its experts in host memory."""
    return build(compose(["scenario=offloaded"]))


def test_a_model_that_did_not_fit_fits_and_the_error_names_the_way():
    everything = offloaded(None)
    with pytest.raises(CapacityError, match=r"experts in host memory \(experts.offload=") as caught:
        build(everything)
    proposed = int(str(caught.value).split("resident_experts:")[1].split("}")[0])
    assert build(offloaded(proposed)).deployment(3).kv_capacity_tokens > 0
    with pytest.raises(CapacityError):
        build(offloaded(proposed + 1))


def test_only_what_is_resident_takes_memory():
    arch = load_architecture("qwen3_30b_a3b")
    tokens = [build(offloaded(held)).deployment(0).kv_capacity_tokens for held in (64, 72)]
    kv_bytes = 2 * 4 * 128 * 2 * arch.layers
    assert (tokens[0] - tokens[1]) * kv_bytes == pytest.approx(
        8 * arch.layers * expert_bytes(arch), rel=1e-3
    )
    pinned = OffloadConfig(resident_experts=64, policy=PINNED)
    buffered = tokens[0] - build(offloaded(pinned)).deployment(0).kv_capacity_tokens
    assert buffered * kv_bytes == pytest.approx(expert_bytes(arch), abs=32 * kv_bytes)


def test_the_stall_is_a_part_of_the_step_of_bytes_over_bandwidth(scenario):
    model, arch = scenario.step_model, scenario.config.model
    step = model.target_step(StepShape(4, 1, 300))
    missing = model.offload.missing(4, step.active_experts)
    expected_s = 48 * missing * expert_bytes(arch) / load_gpu("l40").host_bandwidth
    assert step.parts[PART].seconds == pytest.approx(expected_s)
    assert step.parts[PART].kind == "assumed"
    without = replace(model, offload=None).target_step(StepShape(4, 1, 300))
    assert step.total_s - without.total_s == pytest.approx(expected_s)
    assert 0 < missing < step.active_experts / 2


@pytest.mark.parametrize("gamma", [0, 3])
def test_compiled_steps_wait_as_long(scenario, gamma):
    compiled, model = CompiledSteps(scenario.step_model, gamma), scenario.step_model
    for requests, context, chunks in ((0, 0, ((0, 300),)), (2, 600, ((0, 96),))):
        shape = replace(
            model.verify_shape(requests, gamma, context / max(requests, 1)), prefill=chunks
        )
        exact = model.step(shape, gamma).total_s
        assert compiled.mixed_s(requests, context, chunks) == pytest.approx(exact, rel=0.02)
    plain = model.step(model.verify_shape(4, gamma, 500), gamma).total_s
    assert compiled.decode_s(4, 2000) == pytest.approx(plain, rel=0.02)


def test_all_experts_resident_cost_nothing_more():
    hardware = HardwareConfig(gpu="h100_sxm", tensor_parallel=1)
    model = build(offloaded(128, hardware=hardware)).step_model
    assert model.step(StepShape(4, 1, 300), 0).parts[PART].seconds == 0.0


def test_gpus_that_split_an_expert_load_their_shares_side_by_side():
    gpu, arch = load_gpu("a100_sxm"), load_architecture("mixtral_8x7b")
    given_ = OffloadConfig(resident_experts=2), None, gpu, arch
    assert expert_transfers(*given_, Parallelism(2)).expert_s == pytest.approx(
        expert_transfers(*given_, Parallelism(1)).expert_s / 2
    )


def test_every_gpu_has_a_host_link_and_one_without_is_refused():
    assert all(load_gpu(name).host_bandwidth for name in gpu_names())
    gpu, arch = replace(load_gpu("l40"), host_bandwidth=None), load_architecture("mixtral_8x7b")
    with pytest.raises(ConfigError, match=r"give experts\.offload\.host_bandwidth"):
        expert_transfers(OffloadConfig(resident_experts=2), None, gpu, arch, Parallelism())
    slow = OffloadConfig(resident_experts=2, host_bandwidth=1e9)
    transfers = expert_transfers(slow, None, gpu, arch, Parallelism())
    assert transfers.expert_s == pytest.approx(expert_bytes(arch) / 1e9)


def test_offloading_favours_speculation_once_all_experts_are_needed_and_not_before(scenario):
    """MoESD: a step bound by memory favours verification; few tokens wake experts of their own."""
    model, acceptance = scenario.step_model, scenario.acceptance
    on_gpu = replace(model, offload=None)

    def speedups(batch):
        return [decompose(one, acceptance, batch, 300, 3).speedup for one in (model, on_gpu)]

    few, few_on_gpu = speedups(2)
    many, many_on_gpu = speedups(64)
    assert few < 1 < few_on_gpu
    assert many > many_on_gpu > 1


def test_explain_and_assumptions_tell(scenario):
    taken_apart = explain(scenario, 4, 300)
    assert max(taken_apart.verify.parts, key=taken_apart.verify.share) == PART
    assert taken_apart.plain.missing_experts < taken_apart.verify.missing_experts
    words = " ".join(verdict(taken_apart))
    assert "more resident ones (experts.offload.resident_experts), or a shorter draft" in words
    told = " ".join(assumptions(scenario, None))
    for fact in (
        "64 of 128 experts",
        "nothing overlaps this",
        "31.5 GB/s, the peak of NVIDIA L40",
    ):
        assert fact in told
    uniform = build(offloaded(routing=RoutingConfig(law="uniform")))
    assert "equally popular with every request" in " ".join(assumptions(uniform, None))


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=6),
    st.floats(0.0, 6.0),
)
def test_prefetches_hide_behind_the_layers_before(counts, compute_s):
    """The closed form against the layers one by one on one link, an expert a second."""
    missing, prefetched = (np.array(column) for column in zip(*counts, strict=True))
    layers, one = len(counts), OffloadConfig(resident_experts=1)
    prices = ExpertTransfers(one, Archetype(experts=8, top_k=1), layers, expert_s=1.0)
    now = link_free = 0.0
    for demand, early in counts:
        link_free += early
        now = max(now, link_free) + demand  # demand goes first, and delays later prefetches
        link_free += demand
        now += compute_s / layers
    stall_s = prices.stall_s(Transfers(missing, prefetched, missing), compute_s)
    assert stall_s == pytest.approx(now - compute_s, abs=1e-9)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": "llama_3_1_8b"}, "Llama-3.1-8B is dense"),
        ({"resident": 129}, "has 128 experts, and a token uses 8"),
        ({"resident": 7}, "Take 8 to 128"),
        (
            {"hardware": HardwareConfig(gpu="l40", tensor_parallel=2, expert_parallel=2)},
            "hardware.expert_parallel=2: each GPU would have a resident set of its own",
        ),
        (
            {"resident": LAST_TOKEN},
            "must see which experts a step chose.*take experts.fidelity=sampled",
        ),
        ({"fidelity": "event"}, "stalls a step as a whole"),
        (
            {
                "fidelity": "expected",
                "routing": RoutingConfig(law="recorded", path="routes.parquet"),
            },
            "shows only where the recorded routes are followed",
        ),
    ],
)
def test_what_cannot_be_followed_is_refused(changes, words):
    changes = {"resident": 64} | changes
    with pytest.raises(ConfigError, match=words):
        build(offloaded(**changes))
