"""Building a scenario: what is chosen, and what is refused before anything runs."""

from dataclasses import replace

import pytest
from helpers.scenarios import make_config

from simulator.config import Config, HardwareConfig, RunConfig
from simulator.costs.memory import plan_memory
from simulator.errors import CapacityError, ConfigError
from simulator.experts.config import RoutingConfig
from simulator.models.catalog import model_names
from simulator.models.parallelism import Parallelism
from simulator.scenario import build
from simulator.serving.config import SchedulerConfig
from simulator.speculation.config import SpeculationConfig
from simulator.study.assumptions import assumptions
from simulator.workload.config import WorkloadConfig

SHORT = WorkloadConfig(kind="closed_loop", concurrency=4, prompt_tokens=100, output_tokens=100)


@pytest.mark.parametrize(
    ("model", "gpu", "gpus"),
    [
        ("qwen3_30b_a3b", "h100_sxm", 1),
        ("mixtral_8x7b", "h100_sxm", 2),
        ("deepseek_v3", "h200_sxm", 8),
        ("llama_3_1_8b", "l40s", 1),
    ],
)
def test_the_fewest_gpus_that_hold_the_model_are_chosen(model, gpu, gpus):
    scenario = build(make_config(model, hardware=HardwareConfig(gpu=gpu), workload=SHORT))
    assert scenario.parallelism == Parallelism(gpus)


@pytest.mark.parametrize("model", model_names())
def test_every_shipped_model_runs_somewhere(model):
    dtype = make_config(model).model.dtype
    gpu = "h200_sxm" if dtype.startswith("fp8") else "b200_sxm"
    scenario = build(make_config(model, hardware=HardwareConfig(gpu=gpu), workload=SHORT))
    (costs,) = scenario.deployment(3).costs
    assert 0 < costs.decode_s(4, 400) < 1


REFUSALS = [
    ({"hardware": HardwareConfig(gpu="h10_sxm")}, ConfigError, "Did you mean 'h100_sxm'"),
    ({"hardware": HardwareConfig(engine="vlm")}, ConfigError, "Did you mean 'vllm'"),
    (
        {"hardware": HardwareConfig(gpu="l40s", tensor_parallel=1)},
        CapacityError,
        "Use more or larger",
    ),
    ({"hardware": HardwareConfig(tensor_parallel=3)}, ConfigError, "sizes that fit: 1, 2, 4"),
    (
        {"hardware": HardwareConfig(gpu="gb200", tensor_parallel=8)},
        ConfigError,
        "exceeds the 4 GPUs",
    ),
    ({"routing": RoutingConfig(law="uniforn")}, ConfigError, "Did you mean 'uniform'"),
    ({"scheduler": SchedulerConfig(router="robin")}, ConfigError, "Did you mean 'round_robin'"),
    (
        {"speculation": SpeculationConfig(alpha=0.5, acceptance="idd")},
        ConfigError,
        "Did you mean 'iid'",
    ),
    (
        {"speculation": SpeculationConfig(alpha=0.5, drafter="eagle")},
        ConfigError,
        "Did you mean 'eagle3'",
    ),
    (
        {"speculation": SpeculationConfig(alpha=0.5, drafter="opt_350m")},
        ConfigError,
        "another vocabulary",
    ),
    (
        {"workload": replace(SHORT, prompt_tokens=200_000)},
        ConfigError,
        "limited to .* Lower workload.max_prompt_tokens",
    ),
]


@pytest.mark.parametrize(("groups", "error", "message"), REFUSALS)
def test_what_cannot_run_is_refused(groups, error, message):
    with pytest.raises(error, match=message):
        build(make_config("qwen2_57b_a14b", **groups))


EIGHT_H200 = {"gpu": "h200_sxm", "tensor_parallel": 1}

SPREAD_REFUSALS = [
    (
        "deepseek_v3",
        EIGHT_H200 | {"data_parallel": 16, "expert_parallel": 16},
        "hardware.data_parallel=16 hardware.expert_parallel=16: .* exceeds the 8 GPUs",
    ),
    (
        "deepseek_v3",
        EIGHT_H200 | {"data_parallel": 8, "expert_parallel": 3},
        "hardware.expert_parallel=3: .* sizes that fit: 1, 2, 4, 8",
    ),
    (
        "deepseek_v3",
        {"gpu": "h200_sxm", "data_parallel": 16},
        "fits no tensor-parallel group .* exceeds the 8 GPUs",
    ),
    ("llama_3_1_8b", EIGHT_H200 | {"data_parallel": 2}, "Use hardware.replicas"),
    ("llama_3_1_8b", EIGHT_H200 | {"expert_parallel": 2}, "expert_parallel=2: .* does not divide"),
    ("llama_3_1_8b", EIGHT_H200 | {"pipeline_parallel": 99}, "sizes that fit: 1 to 32"),
]


@pytest.mark.parametrize(("model", "hardware", "message"), SPREAD_REFUSALS)
def test_spreads_that_cannot_run_are_refused(model, hardware, message):
    config = make_config(model, hardware=HardwareConfig(**hardware), workload=SHORT)
    with pytest.raises(ConfigError, match=message):
        build(config)


def test_the_group_size_is_chosen_for_the_attention_groups_asked_for():
    """Two groups share the experts, so each needs fewer GPUs than a replica of its own would."""
    hardware = HardwareConfig(gpu="h200_sxm", data_parallel=2, expert_parallel=2)
    config = make_config("qwen3_235b_a22b", hardware=hardware, workload=SHORT)
    alone = replace(config, hardware=HardwareConfig(gpu="h200_sxm"))
    assert build(config).parallelism == Parallelism(2, 2, 2)
    assert build(alone).parallelism == Parallelism(4)


def test_limits_hold_for_every_attention_group():
    hardware = {"gpu": "b200_sxm", "tensor_parallel": 1, "expert_parallel": 8}
    config = make_config(
        "deepseek_v3", hardware=HardwareConfig(**hardware, data_parallel=8), workload=SHORT
    )
    scenario = build(config)
    deployment = scenario.deployment(0)
    assert deployment.limits.max_num_seqs == 8 * config.scheduler.max_num_seqs
    assert deployment.limits.max_batched_tokens == 8 * config.scheduler.max_batched_tokens
    memory = plan_memory(
        *(scenario.gpu, scenario.engine, config.model, None, scenario.parallelism),
        max_num_seqs=config.scheduler.max_num_seqs,
        draft_tokens=0,
    )
    whole_blocks = memory.kv_capacity_tokens // 16
    assert deployment.kv_capacity_tokens == 8 * 16 * whole_blocks


def test_what_spreading_assumes_is_said():
    hardware = {"gpu": "b200_sxm", "tensor_parallel": 4, "pipeline_parallel": 2}
    spread = HardwareConfig(**hardware, data_parallel=2, expert_parallel=8)
    config = make_config("deepseek_v3", hardware=spread, workload=SHORT)
    lines = " ".join(assumptions(build(config), None))
    for expected in ("spread over 8 GPUs", "2 attention groups", "2 equal micro-batches"):
        assert expected in lines


def test_a_model_that_fits_nowhere_says_so():
    config = make_config("deepseek_v3", hardware=HardwareConfig(gpu="l40s"), workload=SHORT)
    with pytest.raises(CapacityError, match="fits no tensor-parallel group of up to 8"):
        build(config)


def test_speculation_off_needs_no_matching_drafter():
    config = make_config(
        "mixtral_8x7b",
        workload=SHORT,
        speculation=SpeculationConfig(gamma=0, alpha=0.0, drafter="opt_350m"),
    )
    assert build(config).step_model is not None


def test_the_baseline_does_not_load_the_drafter():
    scenario = build(make_config("qwen2_57b_a14b", workload=SHORT))
    assert scenario.deployment(0).kv_capacity_tokens > scenario.deployment(3).kv_capacity_tokens


def test_verifying_needs_token_budget():
    with pytest.raises(ConfigError, match="Raise the latter to 1024"):
        Config(
            model=make_config().model,
            speculation=SpeculationConfig(gamma=3, alpha=0.5),
            scheduler=SchedulerConfig(max_num_seqs=256, max_batched_tokens=512),
        )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seed": -1}, r"run.seed=-1 must lie in 0"),
        ({"replications": 0}, "run.replications=0"),
        ({"requests": 0}, "run.requests=0"),
        ({"warmup_fraction": 1.0}, "run.warmup_fraction=1.0"),
        ({"workers": 0}, "run.workers=0"),
    ],
)
def test_impossible_run_settings_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        RunConfig(**settings)


@pytest.mark.parametrize(
    "settings",
    [
        {size: 0}
        for size in (
            *("tensor_parallel", "data_parallel", "expert_parallel", "pipeline_parallel"),
            "replicas",
        )
    ],
)
def test_impossible_hardware_settings_are_refused(settings):
    (key,) = settings
    with pytest.raises(ConfigError, match=f"hardware.{key}=0 must"):
        HardwareConfig(**settings)


@pytest.mark.parametrize("settings", [{"max_num_seqs": 0}, {"max_batched_tokens": 0}])
def test_impossible_scheduler_settings_are_refused(settings):
    with pytest.raises(ConfigError, match="must be at least 1"):
        SchedulerConfig(**settings)


@pytest.mark.parametrize(
    ("model", "groups", "expected"),
    [
        ("qwen3_30b_a3b", {}, "share experts as measured on Qwen3-30B-A3B"),
        ("qwen3_235b_a22b", {}, "no overlap was measured"),
        ("mixtral_8x7b", {"routing": RoutingConfig(law="uniform")}, "independently and uniformly"),
        (
            "mixtral_8x7b",
            {"routing": RoutingConfig(within_request=0.5)},
            "exponent 0.5 within a request",
        ),
        ("llama_3_1_8b", {}, "is dense"),
        (
            "llama_3_1_8b",
            {"speculation": SpeculationConfig(acceptance="by_position", alphas=[0.9, 0.5])},
            "0.9, 0.5 by position",
        ),
        (
            "llama_3_1_8b",
            {"speculation": SpeculationConfig(gamma=0, alpha=0)},
            "speculation is off",
        ),
        ("llama_3_1_8b", {}, "ms of host time a step"),
        ("llama_3_1_8b", {}, "prompts run beside decoding, in chunks of up to 8,192 tokens a step"),
        (
            "llama_3_1_8b",
            {"scheduler": SchedulerConfig(recv_interval=4)},
            "new ones are looked for every 4 steps while anything runs",
        ),
        (
            "llama_3_1_8b",
            {"hardware": HardwareConfig(gpu="h200_sxm", engine="sglang")},
            "prompts run in steps of their own",
        ),
        (
            "deepseek_v3",
            {"hardware": HardwareConfig(gpu="h200_sxm", data_parallel=8, expert_parallel=8)},
            "to 8 attention groups; a step waits for the group with most",
        ),
    ],
)
def test_assumptions_are_said(model, groups, expected):
    config = make_config(
        model, **{"hardware": HardwareConfig(gpu="b200_sxm"), "workload": SHORT} | groups
    )
    assert any(expected in line for line in assumptions(build(config), None))
