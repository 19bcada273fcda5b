"""``vllm serve`` for a deployment."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from simulator.serving.cluster_config import DECODE, MIXED, PREFILL
from simulator.study.plan.exports.command import Export, command_line
from simulator.study.plan.exports.drafting import unsaid, vllm_config
from simulator.study.plan.exports.precision import precision
from simulator.study.plan.exports.remarks import remarks, simulated_as
from simulator.study.plan.exports.servers import Server

_ENGINE = "vllm"
_CONNECTOR = "NixlConnector"
_KV_ROLES = {PREFILL: "kv_producer", DECODE: "kv_consumer"}
_QUEUES = {"fcfs": None, "priority": "priority"}
"""Value of ``--scheduling-policy`` by ``scheduler.queue``; None is the default."""


def vllm(servers: Sequence[Server], schedule: Sequence[Sequence[int]] = ()) -> Export:
    r"""Return the commands that start a deployment under vLLM.

    Parameters
    ----------
    servers
        Its servers, pool by pool.
    schedule
        Draft lengths by batch size, rows ``[first batch, last batch, draft length]``: of the
        deployment's schedule, or what its policy leads to. None drafts always as long.

    Examples
    --------
    >>> from simulator.compose import compose
    >>> from simulator.study.plan.exports.servers import servers
    >>> words = ["model=deepseek_v3", "hardware.tensor_parallel=8", "speculation.gamma=1"]
    >>> print(*vllm(servers(compose(words))).commands)
    vllm serve deepseek-ai/DeepSeek-V3 \
      --tensor-parallel-size 8 \
      --max-num-seqs 256 \
      --max-num-batched-tokens 8192 \
      --speculative-config '{"method": "mtp", "num_speculative_tokens": 1}'
    """
    commands = tuple(
        command_line(
            f"vllm serve {shlex.quote(server.checkpoint)}",
            [*_parallel(server), *_limits(server), *_formats(server), *_drafts(server, schedule)],
        )
        for server in servers
    )
    return Export("vLLM", commands, tuple(_notes(servers, bool(schedule))))


def _parallel(server: Server) -> list[tuple[str, Any]]:
    hardware = server.config.hardware
    redundant = server.config.experts.redundant
    several = hardware.data_parallel > 1
    return [
        ("--tensor-parallel-size", server.tensor),
        ("--pipeline-parallel-size", _above_one(hardware.pipeline_parallel)),
        ("--data-parallel-size", _above_one(hardware.data_parallel)),
        ("--enable-expert-parallel", hardware.expert_parallel > 1),
        ("--all2all-backend", hardware.all2all_backend if several else None),
        ("--enable-eplb", redundant > 0),
        ("--eplb-config", {"num_redundant_experts": redundant} if redundant else None),
    ]


def _limits(server: Server) -> list[tuple[str, Any]]:
    scheduler = server.config.scheduler
    return [
        ("--max-num-seqs", scheduler.max_num_seqs),
        ("--max-num-batched-tokens", scheduler.max_batched_tokens),
        ("--block-size", scheduler.block_tokens if scheduler.block_tokens != 16 else None),
        ("--scheduling-policy", _QUEUES.get(scheduler.queue)),
        ("--no-enable-prefix-caching", not scheduler.prefix_cache),
    ]


def _formats(server: Server) -> list[tuple[str, Any]]:
    told = precision(server.model)
    return [
        ("--quantization", told.quantization),
        ("--kv-cache-dtype", "fp8" if told.fp8_cache else None),
    ]


def _drafts(server: Server, schedule: Sequence[Sequence[int]]) -> list[tuple[str, Any]]:
    options: list[tuple[str, Any]] = []
    if server.drafter is not None:
        options.append(("--speculative-config", vllm_config(server, server.drafter, schedule)))
    if server.role != MIXED:
        transfer = {"kv_connector": _CONNECTOR, "kv_role": _KV_ROLES[server.role]}
        options.append(("--kv-transfer-config", transfer))
    return options


def _notes(servers: Sequence[Server], schedule: bool) -> list[str]:
    first = servers[0]
    notes = [*remarks(servers), *precision(first.model).notes]
    notes += simulated_as(first, _ENGINE, "vLLM")
    if first.config.scheduler.queue not in _QUEUES:
        notes.append(f"vLLM has no queue like scheduler.queue={first.config.scheduler.queue}.")
    for server in servers:
        spread = server.config.hardware.expert_parallel
        if 1 < spread < server.stage_gpus:
            notes.append(
                f"vLLM spreads experts over all {server.stage_gpus} GPUs of a server; simulated "
                f"over {spread}."
            )
    if first.drafter is not None:
        notes += unsaid(first, first.drafter, schedule=schedule, tables=True)
    return notes


def _above_one(size: int) -> int | None:
    return size if size > 1 else None
