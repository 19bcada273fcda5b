"""How every reported figure is defined. The definitions travel in the file metadata of the trace.

Columns are those of the table of requests, or of iterations where it says so. *Window*: the
measured stretch of a run (:mod:`simulator.trace.windows`); *measured requests*: all that arrive in
it, whatever becomes of them.
"""

from __future__ import annotations

TIME_DEFINITIONS = {
    "ttft_s": "first_token_s - arrival_s",
    "tpot_s": (
        "(e2e_s - ttft_s) / (output_tokens - 1) = (finish_s - first_token_s) / (output_tokens - 1);"
        " undefined for one output token"
    ),
    "e2e_s": "finish_s - arrival_s",
    "ttft_from_admission_s": "first_token_s - admitted_s",
    "queue_s": "admitted_s - arrival_s",
    "percentiles": (
        "of measured requests that finish (of queue_s: that come in); what leaves otherwise is in "
        "no percentile. Linear between order statistics; withheld on fewer than 100 / (1 - p) "
        "requests"
    ),
}
"""Times of a request."""

REQUEST_DEFINITIONS = {
    "requests_per_s": "requests that finish within the window / its length",
    "goodput_per_s": "of these, requests that meet their SLO / length of the window",
    "attainment": (
        "measured requests that finish and exceed no bound of their SLO / measured "
        "requests; rejected, timed out, cancelled and failed ones count as missed"
    ),
    "slo_missed": "measured requests that exceed each bound / measured requests",
    "outcomes": "requests of the whole run by how they left",
    "outcome_shares": "measured requests by how they left / measured requests",
    "completed": "requests of the whole run that finished",
    "rejected": "requests of the whole run that found the queue full",
    "measured": "measured requests that finish",
    "mean_acceptance_length": "1 + sum(accepted_draft_tokens) / sum(rounds)",
    "prefix_hit_rate": "sum(cached_tokens) / sum(prompt_tokens), of measured requests that come in",
    "preemptions": "how often requests of the whole run lost their KV blocks",
    "preempted": "requests of the whole run that lost them at least once",
    "jain_service": (
        "(sum x)^2 / (n sum x^2) over the n tenants, x = prompt tokens computed and output tokens "
        "emitted for measured requests that leave within the window"
    ),
    "jain_demand": "the same of what the measured requests ask for: service can be as uneven",
}
"""Figures that stand on the table of requests."""

ITERATION_DEFINITIONS = {
    "output_tokens_per_s": "output tokens emitted within the window / its length",
    "mean_batch": "decode_requests of a replica, time average over iterations that decode",
    "mean_context_tokens": "context_tokens per decoding request, average over requests and time",
    "active_experts": "active_experts, time average over iterations that decode",
    "step_s": "mean duration of iterations that only decode",
    "utilisation": "busy time / (length of the window * replicas seen)",
    "kv_usage": "kv_usage, time average over busy replicas",
    "kv_usage_peak": "largest kv_usage within the window",
    "mean_draft_tokens": "draft tokens per round of the window",
    "num_drafts": "rounds with drafts, whole run (vLLM: vllm:spec_decode_num_drafts)",
    "num_draft_tokens": "tokens drafted, whole run (vLLM: vllm:spec_decode_num_draft_tokens)",
    "num_accepted_tokens": "of these kept, whole run (vLLM: vllm:spec_decode_num_accepted_tokens)",
    "verdict": "stable, backlogged or overloaded, and the signal that decided",
    "saturated": "whether the queue grew until the last arrival: ttft_s and e2e_s are withheld",
}
"""Figures that stand on the table of iterations, or on both."""

EVENT_DEFINITIONS = {
    "replica_s": (
        "a replica is paid for from start, or from ready where no start came before (it was there "
        "at first, or returned), until stop, lost or end"
    ),
    "gpu_hours": "replica_s * gpus / 3600, mean over replications",
    "saved": "1 - replica_s / (most replicas at once * length of the run)",
    "lost_attempts": "attempts at requests that the loss of a replica cut off",
}
"""Figures that stand on the table of events, by their key under ``cluster`` of an arm."""

EXPERT_DEFINITIONS = {
    "imbalance": (
        "tokens of the rank with most / mean over ranks, mean over the layers of all iterations "
        "that are here"
    ),
}
"""Figures that stand on the table of expert loads, by their key under ``experts`` of an arm."""

STEP_TIME_DEFINITIONS = {
    "skew": "sum(drawn_s) / sum(expected_s) - 1",
    "rest": "sum(duration_s - held_up_s) / sum(drawn_s) - 1: what overlapping batches change",
    "contention": "sum(held_up_s) / sum(duration_s)",
}
"""Figures that stand on the table of step times, by their key under ``experts`` of an arm."""

LINK_DEFINITIONS = {
    "utilisation": "bytes / (bandwidth of the link, both ways, * length of the interval)",
}
"""What the columns of the table of links mean."""

DEFINITIONS = TIME_DEFINITIONS | REQUEST_DEFINITIONS | ITERATION_DEFINITIONS
"""All of an arm, by their key in ``summary.json``."""
