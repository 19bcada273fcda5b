"""The summary of a paired run as a table for the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from simulator.report.advice import FIXED_LENGTH, MATERIAL, advice, next_override
from simulator.report.cluster import cluster_rows
from simulator.report.dispatch import dispatch_notes, dispatch_rows
from simulator.report.figures import ABSENT, bounds, factor, number, percent, seconds
from simulator.report.service import class_table, misses, objective, queue_row, service_rows
from simulator.trace.latencies import LATENCIES, QUANTILES
from simulator.trace.schema import ARMS

Json = Mapping[str, Any]

_HEADER = ("model", "hardware", "workload", "speculation")

_SCALARS: tuple[tuple[str, str, Callable[[float | None], str], str | None], ...] = (
    ("output tokens/s", "output_tokens_per_s", number, "throughput"),
    ("requests/s", "requests_per_s", number, None),
    ("mean batch", "mean_batch", number, None),
    ("active experts", "active_experts", number, None),
    ("step time", "step_s", seconds, None),
    ("acceptance length", "mean_acceptance_length", number, None),
    ("utilisation", "utilisation", percent, None),
)
"""Label, key in an arm, format, and key of the speedup beside it."""

_OF_A_POLICY = ("speculation.schedule=", "speculation.threshold=", "speculation.table=")
"""Overrides that a fixed draft length has no use for, and refuses."""


_KEEP_THE_SCENARIO = ("scenario=", "title=", "run.", "hydra.")
"""Overrides under which a run is still the one that its title names."""

_FAR_FROM_THE_MEAN = 0.05
"""Relative difference of the rate that came from the workload's mean from which on it is said."""


def print_summary(summary: Json, console: Console) -> None:
    """Print the result of a paired run: what ran, the table, why, caveats, advice, files.

    Fits 80 columns; colours only where the console has them. Parts that the summary lacks are
    left out.

    Parameters
    ----------
    summary
        Of :func:`simulator.trace.summary.summarise`. From its caller come ``scenario`` (``title``,
        ``model``, ``hardware``, ``workload``, ``speculation``, ``gamma``, ``policy``,
        ``requests``, ``replications``, ``seed``, ``overrides``), ``decomposition``,
        ``assumptions`` (sentences) and ``files`` (paths by name), all optional.
    console
        Where to print.
    """
    _print_header(summary.get("scenario") or {}, console)
    console.print(result_table(summary))
    classes = class_table(summary)
    if classes is not None:
        console.print(classes)
    for note in result_notes(summary):
        console.print(Text(note, style="dim"))
    _print_list("Warnings", summary.get("warnings") or [], console, "yellow")
    _print_list("Assumptions", summary.get("assumptions") or [], console, "dim")
    console.print()
    console.print(Text(advice(summary), style="bold"))
    _print_files(summary, console)


def _print_header(scenario: Json, console: Console) -> None:
    if scenario.get("title"):
        console.print(Text(run_title(scenario), style="bold"))
    rows = [(key, str(scenario[key])) for key in _HEADER if scenario.get(key)]
    if scenario.get("requests") and scenario.get("replications"):
        runs = f"{scenario['requests']:,} requests x {scenario['replications']} replications"
        seed = scenario.get("seed")
        rows.append(("runs", runs if seed is None else f"{runs}, seed {seed}"))
    if rows:
        print_pairs(rows, console)


def run_title(scenario: Json) -> str:
    """Name a run: the title of its scenario, or what serves what where settings were changed.

    A title of the user's own stays.

    Examples
    --------
    >>> scenario = {"title": "Chat on one H100", "model": "Mixtral-8x7B", "hardware": "2 x H100"}
    >>> run_title(scenario)
    'Chat on one H100'
    >>> run_title(scenario | {"overrides": ["model=mixtral_8x7b"]})
    'Mixtral-8x7B on 2 x H100'
    """
    given = [item.lstrip("'+") for item in scenario.get("overrides") or []]
    named = any(item.startswith("title=") for item in given)
    changed = any(not item.startswith(_KEEP_THE_SCENARIO) for item in given)
    if changed and not named and scenario.get("model"):
        return f"{scenario['model']} on {scenario['hardware']}"
    return str(scenario["title"])


def result_table(summary: Json) -> Table:
    """Return the table of a paired run: latencies, then what service and engine did, off and on."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, safe_box=True)
    table.add_column("", no_wrap=True)
    for heading in ("SD off", "SD on", "speedup", "95 % interval"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name in LATENCIES:
        key = name.removesuffix("_s")
        for label in QUANTILES:
            arms = (seconds(summary[arm][name][label]) for arm in ARMS)
            table.add_row(f"{key.upper()} {label}", *arms, *_speedup(summary, f"{key}_{label}"))
        queued = queue_row(summary) if name == "ttft_s" else None
        if queued:
            table.add_row(*queued)
        table.add_section()
    special = list(service_rows(summary))
    for row in special:
        table.add_row(*row)
    if special:
        table.add_section()
    for heading, figure, write, ratio in _SCALARS:
        arms = (write(summary[arm].get(figure)) for arm in ARMS)
        table.add_row(heading, *arms, *(_speedup(summary, ratio) if ratio else ()))
    for row in (*dispatch_rows(summary), *cluster_rows(summary)):
        table.add_row(*row)
    if (summary.get("scenario") or {}).get("policy", "fixed") != "fixed":
        lengths = (number(summary[arm].get("mean_draft_tokens")) for arm in ARMS)
        table.add_row("draft length", *lengths)
    efficiency = summary.get("target_efficiency")
    if efficiency is not None:
        table.add_row("target efficiency", ABSENT, number(efficiency))
    return table


def _speedup(summary: Json, key: str) -> tuple[str, Text]:
    interval = summary["speedup"].get(key) or {"value": None, "low": None, "high": None}
    low, high = interval["low"], interval["high"]
    style = ""
    if low is not None and high is not None and (low > 1 or high < 1):
        style = "green" if low > 1 else "red"
    return factor(interval["value"]), Text(bounds(interval), style=style)


def result_notes(summary: Json) -> Iterable[str]:
    """Explain dashes, means, a throughput that is the load, and the closed form."""
    shown = (summary[arm][name][label] for arm in ARMS for name in LATENCIES for label in QUANTILES)
    if any(value is None for value in shown):
        needs = ", ".join(f"{label} {100 / (1 - q):,.0f}" for label, q in QUANTILES.items())
        yield (
            f"{ABSENT} withheld: a percentile needs enough requests ({needs}) and an arm that "
            "keeps up with its load."
        )
    if (summary.get("replications") or 0) > 1:
        yield "Speedups average the ratios within each replication; SD off and SD on pool all."
    if misses(summary):
        yield (
            f"Goodput counts requests that finish within the SLO ({objective(summary['slo'])}); "
            "what is rejected, times out, is cancelled or fails misses it."
        )
    if _is_carried(summary):
        yield "Output tokens/s is the load that arrives: neither arm is at its limit."
    yield from _rate_note(summary)
    yield from dispatch_notes(summary)
    terms = summary.get("decomposition")
    if terms and terms.get("speedup") is not None and terms.get("gamma"):
        whole = terms["draft_ratio"] + terms["verify_ratio"] + terms["rejection_ratio"]
        yield (
            f"Closed form at batch {number(terms['batch'])}: a round yields "
            f"{terms['expected_tokens_per_round']:.2f} tokens in {whole:.2f} plain steps "
            f"({terms['draft_ratio']:.2f} draft + {terms['verify_ratio']:.2f} verify + "
            f"{terms['rejection_ratio']:.2f} rejection), {factor(terms['speedup'])} at equal batch."
            f"{_feedback(summary)}"
        )


def _rate_note(summary: Json) -> Iterable[str]:
    """Say that the requests that came are not the mean that was asked for."""
    mean = (summary.get("scenario") or {}).get("mean_rate_per_s")
    came = summary[ARMS[0]].get("requests_per_s")
    if not mean or not came or any(summary[arm]["saturated"] for arm in ARMS) or misses(summary):
        return
    if abs(came / mean - 1) > _FAR_FROM_THE_MEAN:
        yield (
            f"Requests come at {number(came)}/s in this stretch, against a mean of "
            f"{number(mean)}/s: the rate fluctuates, and a longer run (run.requests) comes "
            "closer to its mean."
        )


def _feedback(summary: Json) -> str:
    """Say that requests that leave sooner shrink the batch, where that moves the speedup.

    A batch that moves against the time per token has another cause, such as fewer replicas.
    """
    off, on = (summary[arm]["mean_batch"] for arm in ARMS)
    if not off or not on or abs(on / off - 1) < MATERIAL or not _is_carried(summary):
        return ""
    if (summary["speedup"]["tpot_p50"]["value"] > 1) != (on < off):
        return ""
    return (
        f" At equal load the batch goes from {number(off)} to {number(on)}, since requests leave "
        f"{'sooner' if on < off else 'later'}: a step of another size moves the speedup further."
    )


def _is_carried(summary: Json) -> bool:
    """Tell whether throughput stays although decoding speeds up or slows down: it is the load."""
    throughput, tpot = (summary["speedup"][key]["value"] for key in ("throughput", "tpot_p50"))
    if throughput is None or tpot is None or any(summary[arm]["saturated"] for arm in ARMS):
        return False
    return bool(abs(throughput - 1) < MATERIAL <= abs(tpot - 1))


def _print_list(title: str, sentences: Iterable[str], console: Console, style: str) -> None:
    sentences = list(sentences)
    if sentences:
        console.print()
        console.print(Text(title, style=style))
        for sentence in sentences:
            grid = Table.grid(padding=(0, 1))
            grid.add_row(Text("-"), Text(str(sentence), style=style))
            console.print(Padding.indent(grid, 2))


def print_pairs(rows: Iterable[tuple[str, str]], console: Console) -> None:
    """Print lines of a name and its value, aligned."""
    grid = Table.grid(padding=(0, 2))
    for key, value in rows:
        grid.add_row(Text(key, style="dim"), Text(value))
    console.print(Padding.indent(grid, 2))


def _print_files(summary: Json, console: Console) -> None:
    files = summary.get("files") or {}
    if files:
        console.print()
        console.print("Files")
        width = max(map(len, files))
        for name, path in files.items():  # never wrapped: people copy them
            console.print(Text(f"  {name:<{width}}  {path}"), soft_wrap=True)
    console.print()
    console.print(Text(f"Next: {next_command(summary)}"), soft_wrap=True)


def next_command(summary: Json) -> str:
    """Return the command that follows the advice, on top of the overrides of this run.

    Examples
    --------
    >>> arm = {"saturated": False}
    >>> ratios = dict.fromkeys(("tpot_p50", "e2e_p50", "throughput"), {"value": 0.9})
    >>> scenario = {"gamma": 4, "overrides": ["model=mixtral_8x7b", "speculation.gamma=4"]}
    >>> next_command(
    ...     {"baseline": arm, "speculative": arm, "speedup": ratios, "scenario": scenario}
    ... )
    'moesim simulate model=mixtral_8x7b speculation.gamma=3'
    """
    override = next_override(summary)
    setting = override.removeprefix("-m ")
    key = setting.split("=")[0] + "="
    given = (summary.get("scenario") or {}).get("overrides") or []
    dropped = (key, *_OF_A_POLICY) if setting == FIXED_LENGTH else (key,)
    kept = [item for item in given if not item.lstrip("'").startswith(dropped)]  # quoted or not
    sweep = ["-m"] if setting != override else []
    return " ".join(["moesim simulate", *sweep, *kept, setting])
