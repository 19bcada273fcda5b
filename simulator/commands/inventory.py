"""What moesim knows, as tables of text: one function per topic of ``moesim list``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from typing import Any

from simulator.commands.settings import group_options
from simulator.costs.engine import engine_names, load_engine
from simulator.experts.laws import ROUTING_LAWS
from simulator.experts.placement_kinds import PLACEMENTS
from simulator.experts.prefetch import PREFETCHERS
from simulator.hardware.gpu import gpu_names, load_gpu
from simulator.hardware.prices import load_prices
from simulator.hardware.topology import load_topology, topology_names
from simulator.kernels.schema import ENGINES, OPERATORS
from simulator.kernels.tables import KernelTables
from simulator.models.architecture import Architecture
from simulator.models.catalog import (
    default_drafter,
    drafter_names,
    load_architecture,
    load_drafter,
    model_names,
)
from simulator.models.parameters import (
    active_parameters,
    kv_bytes_per_token,
    state_bytes_per_request,
    total_parameters,
    weight_bytes,
)
from simulator.quantities import read_data
from simulator.registry import Registry
from simulator.report.figures import number
from simulator.serving.queues import QUEUES
from simulator.serving.router import ROUTERS
from simulator.speculation.acceptance import ACCEPTANCE
from simulator.speculation.policies import POLICIES
from simulator.speculation.profiles import profile_names, read_profile
from simulator.units import GIB, GIGA, MEGA, TERA, US
from simulator.workload.arrivals import ARRIVALS
from simulator.workload.build import WORKLOADS
from simulator.workload.diurnal import diurnal_names, read_diurnal
from simulator.workload.presets import preset_names, read_preset
from simulator.workload.readers import READERS

PARTS: dict[str, Registry[Any]] = {
    "experts.offload.prefetch": PREFETCHERS,
    "experts.placement": PLACEMENTS,
    "scheduler.queue": QUEUES,
    "scheduler.router": ROUTERS,
    "routing.law": ROUTING_LAWS,
    "speculation.acceptance": ACCEPTANCE,
    "speculation.policy": POLICIES,
    "workload.kind": WORKLOADS,
    "workload.arrivals": ARRIVALS,
    "workload.format": READERS,
}
"""Settings that choose a part by its kind, and the registries of the parts."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """One table.

    Parameters
    ----------
    title
        What it shows and how to choose a row on the command line.
    columns
        Headings; one that ends in ``>`` is of numbers, aligned right.
    rows
        One per name.
    sources
        Where the figures of a row come from, by name; printed below the table.
    """

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    sources: dict[str, str]


def models() -> list[Sheet]:
    """List the architectures with their size, and with what their attention keeps of a request."""
    rows, kept, sources = [], [], {}
    for name in model_names():
        arch = load_architecture(name)
        total, active, weights = (
            total_parameters(arch) / GIGA,
            active_parameters(arch) / GIGA,
            weight_bytes(arch) / GIGA,
        )
        moe = arch.moe
        experts = f"{moe.top_k} of {moe.experts}" if moe else "dense"
        context = f"{arch.max_context_tokens:,}"
        rows.append((name, f"{total:.1f}", f"{active:.1f}", experts, context, f"{weights:.1f}"))
        cache, state = kv_bytes_per_token(arch), state_bytes_per_request(arch) / MEGA
        size = f"{state:.1f}" if state else "-"
        kept.append((name, _attention(arch), _formats(arch), f"{cache:,.0f}", size))
        sources[name] = f"{arch.title}: {arch.source}"
    columns = ("name", "total B>", "active B>", "experts>", "context>", "weights GB>")
    keeps = ("name", "attention", "formats", "KV B/token>", "state MB>")
    return [
        Sheet("Models (model=NAME); parameters in 1e9", columns, rows, {}),
        Sheet("Their attention, formats, and what one request keeps", keeps, kept, sources),
    ]


def gpus() -> list[Sheet]:
    """List the GPUs with memory, bandwidth, peaks, power and price."""
    rows, costs, sources, prices = [], [], {}, load_prices()
    for name in gpu_names():
        gpu = load_gpu(name)
        peaks = ", ".join(f"{dtype} {peak / TERA:,.0f}" for dtype, peak in gpu.peak_flops.items())
        memory, bandwidth = gpu.memory_bytes / GIB, gpu.memory_bandwidth / TERA
        rows.append((name, f"{memory:.0f}", f"{bandwidth:.2f}", f"{gpu.node_gpus}", peaks))
        price = prices.of(name)
        costs.append((name, number(gpu.tdp_watts), number(price.value if price else None)))
        known = [*gpu.provenance.values(), *filter(None, [price])]
        sources[name] = f"{gpu.title}: {_joined(quantity.source for quantity in known)}"
    columns = ("name", "GiB>", "TB/s>", "a node>", "dense peak, TFLOP/s")
    return [
        Sheet("GPUs (hardware=NAME)", columns, rows, {}),
        Sheet(
            "Their design power, and list price an hour (moesim plan prices=FILE)",
            ("name", "W>", "USD>"),
            costs,
            sources,
        ),
    ]


def topologies() -> list[Sheet]:
    """List the topologies with the narrowest and the longest of their routes.

    Each source stands once, with the first topology that has it: most of them share links.
    """
    rows, sources = [], {}
    told: set[str] = set()
    for name in topology_names():
        one = load_topology(name)
        narrowest, longest = one.bandwidth.min() / GIGA, one.latency_s.max() / US
        islands = f"{one.gpus // one.island_gpus} x {one.island_gpus}"
        rows.append((name, f"{one.gpus}", islands, f"{narrowest:.1f}", f"{longest:.1f}"))
        found = [*(quantity.source for quantity in one.provenance.values()), one.wiring_source]
        new = [source for source in found if source not in told]
        rest = ["otherwise as above"] if len(new) < len(found) else []
        sources[name] = f"{one.title}: {_joined([*new, *rest])}"
        told.update(new)
    columns = ("name", "GPUs>", "islands>", "GB/s>", "us>")
    title = "Topologies (hardware.topology, cluster.topology); narrowest and longest route"
    return [Sheet(title, columns, rows, sources)]


def drafters() -> list[Sheet]:
    """List the drafters and the models that use them unless told otherwise."""
    rows, sources = [], {}
    users: dict[str, list[str]] = {}
    for model in model_names():
        users.setdefault(default_drafter(model), []).append(model)
    for name in drafter_names():
        drafter = load_drafter(name)
        own = drafter.architecture
        size = f"{total_parameters(own) / GIGA:.2f}" if own else "-"
        rows.append((name, drafter.title, drafter.kind, size, _joined(users.get(name, ["-"]))))
        sources[name] = drafter.source
    columns = ("name", "drafter", "kind", "total B>", "default of")
    return [Sheet("Drafters (speculation.drafter=NAME)", columns, rows, sources)]


def workloads() -> list[Sheet]:
    """List the presets, fitted to traces, and the options of the workload group."""
    rows, sources = [], {}
    for name in preset_names():
        preset = read_preset(name)
        prompt = preset.prompt.mean()
        if preset.documents is not None:
            prompt += preset.documents.tokens.mean()
        means = f"{prompt:,.0f}", f"{preset.output.mean():,.0f}"
        rows.append((name, f"{preset.rate:g}", preset.arrivals, *means))
        sources[name] = preset.trace
    columns = ("name", "rate/s>", "arrivals", "mean prompt>", "mean output>")
    hours = [(name, read_diurnal(name).title) for name in diurnal_names()]
    origins = {name: read_diurnal(name).trace for name in diurnal_names()}
    options = [(name, _headline("workload", name)) for name in group_options("workload")]
    return [
        Sheet("Workloads (workload=NAME)", ("name", "what it is"), options, {}),
        Sheet(
            "Presets (workload.preset=NAME); tokens, of a session its first", columns, rows, sources
        ),
        Sheet("Hours (workload.diurnal.profile=NAME)", ("name", "what it is"), hours, origins),
    ]


def acceptance() -> list[Sheet]:
    """List the acceptance profiles, task by task, with their acceptance lengths."""
    rows, sources = [], {}
    for name in profile_names():
        profile = read_profile(name)
        for task, measured in profile.tasks.items():
            lengths = " ".join(f"{length:.2f}" for length in measured.lengths.values())
            rows.append((name, task, f"{measured.shape.decay:.2f}", lengths))
        sources[name] = f"{profile.title}: {_joined(t.source for t in profile.tasks.values())}"
    columns = ("name", "task", "decay>", "acceptance length at draft lengths 1, 2, ...")
    return [
        Sheet("Acceptance (speculation=profile speculation.profile=NAME)", columns, rows, sources)
    ]


def scenarios() -> list[Sheet]:
    """List the scenarios."""
    rows = [
        (name, str(read_data("simulator.conf.scenario", name, "scenario")["title"]))
        for name in group_options("scenario")
    ]
    return [Sheet("Scenarios (scenario=NAME)", ("name", "what it is"), rows, {})]


def engines() -> list[Sheet]:
    """List what the engines themselves cost, figure by figure."""
    sheets = []
    for name in engine_names():
        engine = load_engine(name)
        rows = [
            (key, f"{quantity.value:g} {quantity.unit.removesuffix('1')}".strip(), quantity.kind)
            for key, quantity in engine.provenance.items()
        ]
        sources = {key: quantity.source for key, quantity in engine.provenance.items()}
        title = f"{engine.title} (hardware.engine={name})"
        sheets.append(Sheet(title, ("figure", "value>", "kind"), rows, sources))
    return sheets


def tables() -> list[Sheet]:
    """List the measured kernel tables of every GPU, engine by engine."""
    columns = ("engine", "operator", "dtype", "backend", "version", "rows>")
    sheets = []
    for name in gpu_names():
        gpu = load_gpu(name)
        rows = [
            (part.engine, part.operator, part.dtype, part.backend, part.version, f"{part.rows:,}")
            for engine in ENGINES
            for part in KernelTables.load(gpu, engine).describe()
        ]
        stands = "" if gpu.tables == name else f", measured on {gpu.tables}"
        sheets.append(Sheet(f"Kernel tables of {gpu.title} ({name}){stands}", columns, rows, {}))
    manifest = read_data("simulator.hardware_specs.kernel_tables", "manifest", "manifest")
    source = f"{manifest['package']} {manifest['package_version']} ({manifest['licence']})"
    sheets[-1].sources["all tables"] = source
    return sheets


def formats() -> list[Sheet]:
    """List the formats of traces that can be replayed, and where traces of them come from."""
    parts: dict[str, object] = {f"workload.format={name}": READERS.get(name) for name in READERS}
    parts["workload.kind=servegen"] = WORKLOADS.get("servegen")
    rows = [(name, _first_line(one).removeprefix("Read ")) for name, one in parts.items()]
    sources = {name: _source(one) for name, one in parts.items()}
    title = "Traces (workload=trace workload.path=FILE workload.format=NAME)"
    return [Sheet(title, ("setting", "what it is"), rows, sources)]


def parts() -> list[Sheet]:
    """List the kinds of the parts that a setting chooses by name, plug-ins included."""
    rows = [
        (f"{setting}={kind}", _first_line(registry.get(kind)))
        for setting, registry in PARTS.items()
        for kind in registry
    ]
    return [Sheet("Parts", ("setting", "what it does"), rows, {})]


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic: its names, quickly, and its tables."""

    names: Callable[[], Iterable[str]]
    sheets: Callable[[], list[Sheet]]


TOPICS = {
    "models": Topic(model_names, models),
    "gpus": Topic(gpu_names, gpus),
    "topologies": Topic(topology_names, topologies),
    "drafters": Topic(drafter_names, drafters),
    "acceptance": Topic(profile_names, acceptance),
    "workloads": Topic(partial(group_options, "workload"), workloads),
    "formats": Topic(lambda: READERS, formats),
    "scenarios": Topic(partial(group_options, "scenario"), scenarios),
    "engines": Topic(engine_names, engines),
    "tables": Topic(lambda: OPERATORS, tables),
    "parts": Topic(lambda: PARTS, parts),
}
"""What can be listed."""


def _attention(arch: Architecture) -> str:
    """Say which attention a model has, in a few words."""
    attention = arch.attention
    if attention.indexer is not None:
        return f"{attention.kind}, sparse {attention.indexer.top_k}"
    if attention.windowed_layers:
        return f"{attention.kind}, window {attention.window_tokens}"
    if arch.linear_layers:
        return f"{attention.kind}, {arch.linear_layers} linear"
    return attention.kind


def _formats(arch: Architecture) -> str:
    """Name the formats of the weights, that of routed experts last."""
    experts = [arch.expert_dtype] if arch.moe else []
    return _joined([arch.projection_dtype, arch.dtype, *experts])


def _headline(group: str, option: str) -> str:
    """Return the comment that heads the file of an option and says what it is."""
    text = files(f"simulator.conf.{group}").joinpath(f"{option}.yaml").read_text(encoding="utf-8")
    return text.partition("\n")[0].removeprefix("# ")


def _joined(texts: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(texts))


def _source(part: object) -> str:
    """Return the paragraph of a docstring that names the source."""
    text = (inspect.getdoc(part) or "").partition("Source: ")[2].partition("\n\n")[0]
    return " ".join(text.split()).rstrip(".") or "not stated"


def _first_line(part: object) -> str:
    return (inspect.getdoc(part) or "").partition("\n")[0].replace("``", "")
