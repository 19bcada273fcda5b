"""Mixes of presets: several kinds of traffic on one deployment, told apart in reports."""

from __future__ import annotations

from dataclasses import replace

from simulator.errors import InvariantError
from simulator.workload.config import WorkloadConfig
from simulator.workload.merged import MergedWorkload, Part
from simulator.workload.open_loop import open_loop
from simulator.workload.presets import DEFAULT_PRESET, read_preset
from simulator.workload.sessions import SessionWorkload
from simulator.workload.traits_config import TrafficClassConfig


def traffic_classes(config: WorkloadConfig) -> tuple[TrafficClassConfig, ...]:
    """Return the classes of a workload's requests: those that are set, or the parts of its mix.

    Raises
    ------
    TableError
        If a preset of the mix is unknown.

    Examples
    --------
    >>> from simulator.workload.mix_config import MixPartConfig
    >>> mix = MixPartConfig(preset="chat"), MixPartConfig(preset="code", share=3.0)
    >>> for one in traffic_classes(WorkloadConfig(kind="mix", mix=mix, rate=4.0)):
    ...     print(one.name, one.share, one.slo.ttft_s)
    chat 1.0 2.0
    code 3.0 0.45
    """
    if not config.mix:
        return config.traffic_classes
    return tuple(part.traffic_class(read_preset(part.preset).slo) for part in config.mix)


def tasks(config: WorkloadConfig) -> dict[str, str]:
    """Return the tasks of acceptance profiles that a workload's texts are, by what reports call it.

    One for each part of a mix, one of a preset, none of what has no preset.

    Examples
    --------
    >>> from simulator.workload.mix_config import MixPartConfig
    >>> mix = MixPartConfig(preset="code", name="editors"), MixPartConfig(preset="long_context_rag")
    >>> tasks(WorkloadConfig(kind="mix", mix=mix, rate=4.0))
    {'editors': 'coding', 'long_context_rag': 'retrieval'}
    >>> tasks(WorkloadConfig(preset="chat"))
    {'chat': 'chat'}
    """
    if config.mix:
        return {part.title: read_preset(part.preset).acceptance for part in config.mix}
    name = config.preset or (DEFAULT_PRESET if config.kind == "preset" else None)
    return {} if name is None else {name: read_preset(name).acceptance}


def build_mix(config: WorkloadConfig, requests: int) -> MergedWorkload:
    """Build a mix of presets.

    Parameters
    ----------
    config
        The settings: the rate of all together, limits of lengths, hours.
    requests
        How many requests.
    """
    rate = config.rate
    if rate is None:
        raise InvariantError("a mix without a rate was accepted.")
    total = sum(part.share for part in config.mix)
    alone = replace(config, kind="preset", mix=())
    parts, notes = [], []
    for index, part in enumerate(config.mix):
        share, preset = part.share / total, read_preset(part.preset)
        workload = open_loop(alone, preset, rate * share, requests)
        notes += [f"{part.title} ({share:.0%}): {line}" for line in workload.assumptions]
        parts.append(
            Part(
                name=part.title,
                workload=workload,
                traffic_class=index,
                priority=part.priority,
                tenants=part.tenants,
                cancel_after_s=part.cancel_after_s,
            )
        )
        if part.cancel_after_s is not None:
            notes.append(
                f"clients of class {part.title} give up after {part.cancel_after_s:g} s on average "
                "(exponential), however far their request is"
            )
    shares = " + ".join(f"{part.share / total:.0%} {part.title}" for part in config.mix)
    return MergedWorkload(
        title=f"mix of {shares}, {rate:g} requests/s",
        requests=requests,
        mean_rate=rate,
        assumptions=tuple(dict.fromkeys(notes)),
        parts=tuple(parts),
        linked=any(isinstance(part.workload, SessionWorkload) for part in parts),
    )
