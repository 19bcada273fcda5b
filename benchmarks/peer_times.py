"""Step times of the peer: the default timing model of NVIDIA Dynamo's mocker, a polynomial.

A step takes, in milliseconds, ``4.209989e-07 n^2 + 1.518344e-02 n + 16.50142`` for the n prompt
tokens that it computes, if any, and ``-25.74 u^2 + 54.01 u + 5.74`` for those that decode, if any,
where u is the share of the KV cache that their tokens take.

Source: ai-dynamo-runtime 1.6.1 on PyPI, which is built from the crate aisimulate-core 0.13.0,
module ``engine::common::perf_model``. The six coefficients stand in its binary, and it answers with
them: its fastest first token of W1 takes 24.385704 ms, n = 512, its fastest token after that
5.766417 ms, u = 513 / 1,048,576.
"""

from __future__ import annotations

from collections.abc import Sequence

from simulator.costs.curves import Curve, Window

KV_BLOCKS = 16_384
"""KV blocks of a worker, the mocker's default ``num_gpu_blocks``."""

BLOCK_TOKENS = 64
"""Tokens of a block, its default ``block_size``."""


def prefill_s(tokens: int) -> float:
    """Return the time that prompt tokens add to a step.

    Examples
    --------
    >>> round(prefill_s(512), 9)
    0.024385704
    """
    return 1e-3 * (4.209989e-07 * tokens**2 + 1.518344e-02 * tokens + 16.50142)


def decode_s(context_tokens: int) -> float:
    """Return the time that decoding requests add to a step, by their tokens summed.

    Examples
    --------
    >>> round(decode_s(513), 9)
    0.005766417
    """
    used = context_tokens / (KV_BLOCKS * BLOCK_TOKENS)
    return 1e-3 * (-25.74 * used**2 + 54.01 * used + 5.74)


class PeerTimes:
    """The polynomial as step times of a replica (`serving.replica.StepTimes`), without drafts.

    As our own tables it is linear within segments, sixteen to the octave (`costs.curves.Curve`).
    """

    gamma = 0
    query_tokens = 1

    def __init__(self) -> None:
        self._prefill_s = Curve(prefill_s)
        self._decode_s = Curve(decode_s)
        self._windows: dict[int, Window] = {}

    def decode_window(self, requests: int, context_tokens: int) -> Window:
        """Time of a step without prefill; the number of requests does not matter."""
        first, last = Curve.segment(context_tokens)
        window = self._windows.get(first)
        if window is None:
            window = Window(*self._decode_s.line(first), first, last, 0.0)
            self._windows[first] = window
        return window

    def mixed_s(
        self, requests: int, context_tokens: int, chunks: Sequence[tuple[int, int]]
    ) -> float:
        """Time of a step with prefill."""
        prompt_s = self._prefill_s.at(sum([end - start for start, end in chunks]))
        return prompt_s + self._decode_s.at(context_tokens) if requests else prompt_s

    def active_experts(self, requests: int, prompt_tokens: int) -> float:
        """No experts are modelled."""
        return 0.0
