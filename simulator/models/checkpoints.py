"""What engines load models and drafters by: their names on Hugging Face."""

from __future__ import annotations

import re

from simulator.models.architecture import Architecture
from simulator.models.drafters import Drafter

_HUB = re.compile(r"https://huggingface\.co/(?P<name>[^/]+/[^/]+)")


def model_checkpoint(model: Architecture) -> str | None:
    """Return the checkpoint whose configuration an architecture was taken from.

    Returns
    -------
    str or None
        ``OWNER/NAME`` on Hugging Face; None if the source is no page of a checkpoint there.

    Examples
    --------
    >>> from simulator.models.catalog import load_architecture
    >>> model_checkpoint(load_architecture("qwen3_235b_a22b"))
    'Qwen/Qwen3-235B-A22B'
    """
    found = _HUB.match(model.source)
    return found["name"] if found else None


def drafter_checkpoint(drafter: Drafter, model: Architecture) -> str | None:
    """Return the checkpoint of a drafter for a model.

    Returns
    -------
    str or None
        None where a drafter needs none of its own (n-gram look-up, a layer that comes with the
        target) or where none is known.

    Examples
    --------
    >>> from simulator.models.catalog import load_architecture, load_drafter
    >>> drafter_checkpoint(load_drafter("eagle3"), load_architecture("qwen3_235b_a22b"))
    'nvidia/Qwen3-235B-A22B-Eagle3'
    """
    if drafter.architecture is not None:
        return model_checkpoint(drafter.architecture)
    known = {head.model: head.checkpoint for head in drafter.checkpoints}
    return known.get(model.name)
