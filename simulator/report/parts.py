"""The parts of a step as reports show them: order, names and colours."""

from __future__ import annotations

from collections.abc import Iterable

PART_COLOURS = {
    "projections": "#0b6bcb",
    "attention": "#d1495b",
    "linear_attention": "#e8899a",
    "router": "#7251b5",
    "dispatch": "#8f7a1e",
    "experts": "#e08e0b",
    "combine": "#c2a83e",
    "expert_transfers": "#6b1e3a",
    "shared_experts": "#a85d12",
    "mlp": "#2a9d5c",
    "lm_head": "#5fb3d9",
    "all_reduce": "#4a5a8a",
    "pipeline": "#8496c4",
    "elementwise": "#a3b18a",
    "sampling": "#d4a5a5",
    "engine": "#7a7a7a",
    "rejection": "#3d3d3d",
}
"""Parts as a layer runs them, each with its colour; parts of other names follow in grey."""


def part_name(part: str) -> str:
    """Return the name of a part as people write it."""
    return {"lm_head": "LM head", "mlp": "MLP", "all_reduce": "all-reduce"}.get(
        part, part.replace("_", " ")
    )


def in_order(names: Iterable[str]) -> list[str]:
    """Order parts as a layer runs them, each once."""
    known = list(PART_COLOURS)
    return sorted(dict.fromkeys(names), key=lambda name: (*known, name).index(name))
