"""``python -m sglang.launch_server`` for a deployment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from simulator.models.parallelism import ALLGATHER, LOW_LATENCY
from simulator.serving.cluster_config import MIXED
from simulator.study.plan.exports.command import Export, command_line
from simulator.study.plan.exports.drafting import sglang_options, unsaid
from simulator.study.plan.exports.precision import precision
from simulator.study.plan.exports.remarks import remarks, simulated_as
from simulator.study.plan.exports.servers import Server

_START = "python -m sglang.launch_server"
_ENGINE = "sglang"
_QUEUES = ("fcfs", "priority")


def sglang(servers: Sequence[Server]) -> Export:
    r"""Return the commands that start a deployment under SGLang.

    With data-parallel attention SGLang states GPUs and limits of the whole server, where vLLM
    states those of an attention group.

    Examples
    --------
    >>> from simulator.compose import compose
    >>> from simulator.study.plan.exports.servers import servers
    >>> words = ["model=deepseek_v3", "hardware.tensor_parallel=8", "speculation.gamma=1"]
    >>> print(*sglang(servers(compose(words))).commands)
    python -m sglang.launch_server \
      --model-path deepseek-ai/DeepSeek-V3 \
      --tp 8 \
      --max-running-requests 256 \
      --chunked-prefill-size 8192 \
      --speculative-algorithm EAGLE \
      --speculative-num-steps 1 \
      --speculative-eagle-topk 1 \
      --speculative-num-draft-tokens 2
    """
    commands = tuple(command_line(_START, _options(server)) for server in servers)
    return Export("SGLang", commands, tuple(_notes(servers)))


def _options(server: Server) -> list[tuple[str, Any]]:
    hardware, scheduler = server.config.hardware, server.config.scheduler
    groups, told = hardware.data_parallel, precision(server.model)
    drafts = [] if server.drafter is None else sglang_options(server, server.drafter)
    return [
        ("--model-path", server.checkpoint),
        ("--tp", server.stage_gpus),
        ("--pp-size", hardware.pipeline_parallel if hardware.pipeline_parallel > 1 else None),
        ("--dp", groups if groups > 1 else None),
        ("--enable-dp-attention", groups > 1),
        *_experts(server),
        ("--max-running-requests", scheduler.max_num_seqs * groups),
        ("--chunked-prefill-size", scheduler.max_batched_tokens * groups),
        ("--enable-priority-scheduling", scheduler.queue == "priority"),
        ("--disable-radix-cache", not scheduler.prefix_cache),
        ("--quantization", told.quantization),
        ("--kv-cache-dtype", "fp8_e4m3" if told.fp8_cache else None),
        *drafts,
        ("--disaggregation-mode", server.role if server.role != MIXED else None),
    ]


def _experts(server: Server) -> list[tuple[str, Any]]:
    hardware, redundant = server.config.hardware, server.config.experts.redundant
    deepep = hardware.data_parallel > 1 and hardware.all2all_backend != ALLGATHER
    mode = "low_latency" if hardware.all2all_backend == LOW_LATENCY else "normal"
    return [
        ("--ep-size", hardware.expert_parallel if hardware.expert_parallel > 1 else None),
        ("--moe-a2a-backend", "deepep" if deepep else None),
        ("--deepep-mode", mode if deepep else None),
        ("--enable-eplb", redundant > 0),
        ("--ep-num-redundant-experts", redundant or None),
    ]


def _notes(servers: Sequence[Server]) -> list[str]:
    first = servers[0]
    notes = [*remarks(servers), *precision(first.model).notes]
    notes += simulated_as(first, _ENGINE, "SGLang")
    if first.config.scheduler.queue not in _QUEUES:
        notes.append(f"SGLang has no queue like scheduler.queue={first.config.scheduler.queue}.")
    if first.drafter is not None:
        notes += unsaid(first, first.drafter, schedule=False, tables=False)
    return notes
