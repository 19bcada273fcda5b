"""What an engine is told of drafts: vLLM's ``--speculative-config``, SGLang's options."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from simulator.models.drafters import Drafter
from simulator.speculation.config import SpeculationConfig
from simulator.speculation.policies import FIXED
from simulator.study.plan.exports.servers import Server

SCHEDULE = "batch_schedule"
"""The policy that an engine has as a table."""


def kind_of(drafter: Drafter) -> str:
    """Return how engines tell drafters apart: ``mtp``, ``eagle3``, ``draft_model`` or ``ngram``.

    Examples
    --------
    >>> from simulator.models.catalog import load_drafter
    >>> [kind_of(load_drafter(name)) for name in ("deepseek_mtp", "eagle3", "qwen2_0_5b", "ngram")]
    ['mtp', 'eagle3', 'draft_model', 'ngram']
    """
    if drafter.kind == "head":
        return "mtp" if drafter.layer == "target" else "eagle3"
    return "draft_model" if drafter.kind == "model" else drafter.kind


def vllm_config(
    server: Server, drafter: Drafter, schedule: Sequence[Sequence[int]]
) -> dict[str, Any]:
    """Return vLLM's ``--speculative-config``.

    Parameters
    ----------
    server
        Whose.
    drafter
        What drafts.
    schedule
        Rows ``[first batch, last batch, draft length]``, none for one draft length.

    Examples
    --------
    >>> from simulator.compose import compose
    >>> from simulator.study.plan.exports.servers import servers
    >>> words = ["model=deepseek_v3", "hardware.tensor_parallel=8", "speculation.gamma=1"]
    >>> (server,) = servers(compose(words))
    >>> vllm_config(server, server.drafter, [])
    {'method': 'mtp', 'num_speculative_tokens': 1}
    """
    kind = kind_of(drafter)
    told: dict[str, Any] = {"method": kind}
    if server.drafter_checkpoint:
        told["model"] = server.drafter_checkpoint
    told["num_speculative_tokens"] = server.config.speculation.gamma
    if schedule:
        told["num_speculative_tokens_per_batch_size"] = [list(row) for row in schedule]
    if kind == "draft_model":
        told["draft_tensor_parallel_size"] = drafter.tensor_parallel
    return told


_SGLANG = {"mtp": "EAGLE", "eagle3": "EAGLE3", "draft_model": "STANDALONE", "ngram": "NGRAM"}
"""SGLang's ``--speculative-algorithm``; EAGLE without a draft model takes the target's own head."""


def sglang_options(server: Server, drafter: Drafter) -> list[tuple[str, Any]]:
    """Return SGLang's options of speculation: a chain of ``gamma`` tokens, and the one after it."""
    kind, gamma = kind_of(drafter), server.config.speculation.gamma
    steps = None if kind == "ngram" else gamma
    return [
        ("--speculative-algorithm", _SGLANG[kind]),
        ("--speculative-draft-model-path", server.drafter_checkpoint or None),
        ("--speculative-num-steps", steps),
        ("--speculative-eagle-topk", None if kind == "ngram" else 1),
        ("--speculative-num-draft-tokens", gamma + 1),
    ]


def unsaid(server: Server, drafter: Drafter, *, schedule: bool, tables: bool) -> list[str]:
    """Say what of the simulated speculation an engine is not told.

    Parameters
    ----------
    server, drafter
        Whose, and what drafts.
    schedule
        Whether the commands carry a table of draft lengths.
    tables
        Whether the engine knows such tables.
    """
    speculation, notes = server.config.speculation, []
    if server.drafter_checkpoint.startswith("YOUR_"):
        notes.append(
            f"No {drafter.title} for {server.model.title} is known to be published: name yours for "
            f"{server.drafter_checkpoint}."
        )
    notes += _unsaid_policy(speculation, schedule, tables)
    if speculation.tree:
        notes.append(
            f"Simulated with the draft tree {speculation.tree}; the command drafts a chain of "
            f"{speculation.gamma}."
        )
    if speculation.drafter_gpus == "own":
        notes.append(
            "Simulated with the drafter on GPUs of its own; the command shares the target's."
        )
    return notes


def _unsaid_policy(speculation: SpeculationConfig, schedule: bool, tables: bool) -> list[str]:
    """Say what became of a policy that chooses draft lengths."""
    policy, gamma = speculation.policy, speculation.gamma
    if policy == FIXED or (policy == SCHEDULE and schedule):
        return []
    if schedule:
        return [
            f"The policy {policy} is no setting of the engine: the table by batch size is what it "
            "leads to at the simulated step times and acceptance."
        ]
    what = "the table of draft lengths by batch size" if policy == SCHEDULE else f"policy {policy}"
    reason = f"{what} cannot be expressed" if tables else f"the engine has no place for {what}"
    return [f"{reason[0].upper()}{reason[1:]}: the command always drafts {gamma}."]
