"""Metrics pages as a vLLM server writes them."""

PREFIX = "vllm:spec_decode_"


def page(*servers, suffix="_total", other=True):
    """Return a page of servers, each as ``server`` returns it."""
    lines = []
    if other:
        lines += [
            "# HELP vllm:num_requests_running Number of requests in model execution batches.",
            "# TYPE vllm:num_requests_running gauge",
            'vllm:num_requests_running{engine="0",model_name="m"} 3.0',
            "python_gc_objects_collected_total 10.0",
        ]
    for one in servers:
        lines += [line.replace("@", suffix) for line in one]
    return "\n".join(lines) + "\n"


def server(drafts, by_position, model="m", engine="0", **changes):
    """Return the counters of one server, consistent unless changed by name."""
    counts = {
        "num_drafts": drafts,
        "num_draft_tokens": drafts * len(by_position),
        "num_accepted_tokens": sum(by_position),
    } | changes
    labels = f'engine="{engine}",model_name="{model}"'
    lines = [
        f"{PREFIX}{name}@{{{labels}}} {value}"
        for name, value in counts.items()
        if value is not None
    ]
    lines += [f"{PREFIX}num_drafts_created{{{labels}}} 1.76e+09"]
    lines += [
        f'{PREFIX}num_accepted_tokens_per_pos@{{{labels},position="{index}"}} {float(count)}'
        for index, count in enumerate(by_position)
    ]
    return lines
