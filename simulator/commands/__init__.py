"""Commands: one module each, imported when called."""

from __future__ import annotations

from typing import NamedTuple


class Command(NamedTuple):
    """A command: the module of this package whose ``main`` runs it, and what it is for."""

    module: str
    purpose: str


COMMANDS = {
    "simulate": Command("simulate", "one scenario with and without speculative decoding, paired"),
    "sweep": Command("sweep", "a grid of scenarios, resumable, as one Parquet dataset"),
    "plan": Command("plan", "the cheapest deployment that holds the objectives at a load"),
    "recover": Command("recover", "what a run that was cut off has left of its trace"),
    "export": Command("export", "a run as a timeline for trace viewers (--perfetto)"),
    "compare": Command("compare", "what differs between runs, paired, with intervals"),
    "explain": Command("explain", "where the time of a step goes, and what holds SD back"),
    "validate": Command(
        "validate", "how far off predictions are: kernels, deployments, MoESD, an engine"
    ),
    "calibrate": Command("calibrate", "fit to measurements; what measurements can determine"),
    "study": Command("study", "whether what learns pays: draft lengths, prefetchers, defences"),
    "workload": Command("workload", "traffic described; presets fitted to traces"),
    "report": Command("report", "a run, sweep or plan as one HTML page that needs no network"),
    "list": Command("listing", "known models, GPUs, drafters, workloads and parts, with sources"),
    "show": Command("show", "a topology with its links and collectives; placements of experts"),
    "kernels": Command("kernels", "measured kernel tables: import them again from their source"),
    "completion": Command("completion", 'shell completion: eval "$(moesim completion bash)"'),
}
"""The commands by name, as ``moesim --help`` lists them."""
