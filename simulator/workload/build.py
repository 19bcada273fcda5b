"""From settings to a workload: the kinds, chosen by name from ``WORKLOADS``."""

from __future__ import annotations

from collections.abc import Callable

from simulator.errors import ConfigError, InvariantError
from simulator.registry import Registry
from simulator.workload.arrivals import ARRIVALS, ArrivalParameters
from simulator.workload.config import WorkloadConfig
from simulator.workload.lengths import FixedLength, LengthLaw, UniformLength
from simulator.workload.presets import Preset, read_preset
from simulator.workload.readers import READERS, ReadPolicy
from simulator.workload.readers.files import existing_file
from simulator.workload.replay import Replay, TraceWorkload, open_trace
from simulator.workload.requests import MAX_TOKENS, Workload
from simulator.workload.swing import Swinging
from simulator.workload.synthetic import SyntheticWorkload
from simulator.workload.traits import TraitedWorkload

WorkloadFactory = Callable[[WorkloadConfig, int], Workload]

WORKLOADS: Registry[WorkloadFactory] = Registry("workload")

DEFAULT_PRESET = "chat"


def build_workload(config: WorkloadConfig, requests: int) -> Workload:
    """Build the workload that the settings describe.

    Parameters
    ----------
    config
        The settings.
    requests
        How many requests to serve, >= 1 (a trace may hold fewer).

    Raises
    ------
    ConfigError
        If a name is unknown or a setting impossible.
    DataError
        If a trace file is missing or malformed.
    TableError
        If the preset is unknown.

    Examples
    --------
    >>> workload = build_workload(WorkloadConfig(preset="chat", rate=2.0), requests=100)
    >>> workload.title, workload.mean_rate, workload.max_output_tokens
    ('chat, after the Azure conversation trace of 2023, 2 requests/s', 2.0, 1000)
    """
    if requests < 1:
        raise ConfigError(f"{requests} requests leave nothing to simulate; ask for at least 1.")
    workload = WORKLOADS.get(config.kind, "workload.kind")(config, requests)
    if not (config.traffic_classes or config.shared_prefix or config.sessions):
        return workload
    _check_sessions(config, workload)
    return TraitedWorkload(
        inner=workload,
        classes=config.traffic_classes,
        shared_prefix=config.shared_prefix,
        sessions=config.sessions,
    )


def _check_sessions(config: WorkloadConfig, workload: Workload) -> None:
    longest = workload.max_prompt_tokens
    if config.sessions is not None and config.sessions.max_tokens < longest:
        raise ConfigError(
            f"workload.sessions.max_tokens is {config.sessions.max_tokens}, but one turn alone may "
            f"have {longest} tokens; raise it to at least {longest}, or cut turns with "
            "workload.max_prompt_tokens."
        )


@WORKLOADS.register("preset")
def preset_workload(config: WorkloadConfig, requests: int) -> SyntheticWorkload:
    """Build an open loop from a preset, at its measured rate or another."""
    preset = read_preset(config.preset or DEFAULT_PRESET)
    rate = preset.rate if config.rate is None else config.rate
    law = config.arrivals or preset.arrivals
    arrivals = ARRIVALS.get(law, "workload.arrivals")(ArrivalParameters(rate, preset.modulations))
    if config.swing is not None:
        arrivals = Swinging(arrivals, config.swing)
    prompt, output = _length_laws(config, preset)
    assumptions = [arrivals.assumption, *preset.assumptions, *_prompt_notes(config)]
    if rate != preset.rate:
        assumptions.append(
            f"the rate is scaled from the {preset.rate:g} requests/s measured; lengths stay"
        )
    return SyntheticWorkload(
        title=f"{preset.title}, {rate:g} requests/s",
        requests=requests,
        concurrency=None,
        mean_rate=rate,
        assumptions=tuple(assumptions),
        prompt=prompt,
        output=output,
        arrivals=arrivals,
    )


@WORKLOADS.register("closed_loop")
def closed_loop_workload(config: WorkloadConfig, requests: int) -> SyntheticWorkload:
    """Build a closed loop of a fixed number of users without think time."""
    preset = None if config.preset is None else read_preset(config.preset)
    prompt, output = _length_laws(config, preset)
    users = f"closed loop of {config.concurrency} users"
    notes = [f"{users}: a new request enters when one finishes, without think time"]
    notes += [*(preset.assumptions if preset else ()), *_prompt_notes(config)]
    return SyntheticWorkload(
        title=f"{users}, {preset.title}" if preset else users,
        requests=requests,
        concurrency=config.concurrency,
        mean_rate=None,
        assumptions=tuple(notes),
        prompt=prompt,
        output=output,
        arrivals=None,
    )


@WORKLOADS.register("trace")
def trace_workload(config: WorkloadConfig, requests: int) -> TraceWorkload:
    """Build the replay of a trace file."""
    reader = READERS.get(config.format, "workload.format")
    return open_trace(
        existing_file(config.path or ""),
        reader,
        requests,
        policy=ReadPolicy(
            on_bad_row=config.on_bad_row,
            hash_tokens=config.hash_tokens,
            tasks=tuple(one.name for one in config.traffic_classes),
        ),
        replay=Replay(
            keep_share=config.keep_share,
            window_s=config.window_s,
            jitter_s=config.jitter_s,
            rate_scale=config.rate_scale,
            time_stretch=config.time_stretch,
            max_prompt_tokens=config.max_prompt_tokens or MAX_TOKENS,
            max_output_tokens=config.max_output_tokens or MAX_TOKENS,
        ),
    )


def _length_laws(config: WorkloadConfig, preset: Preset | None) -> tuple[LengthLaw, LengthLaw]:
    """Return the laws of prompt and output: fixed, or the preset's, cut where a cap is set."""
    prompt, output = (preset.prompt, preset.output) if preset else (None, None)
    return (
        _length_law(config, "prompt", prompt),
        _length_law(config, "output", output),
    )


def _length_law(config: WorkloadConfig, what: str, fitted: LengthLaw | None) -> LengthLaw:
    fixed, cap = getattr(config, f"{what}_tokens"), getattr(config, f"max_{what}_tokens")
    if fixed is not None:
        shortest = max(1, int(config.random_range_ratio * fixed))
        return FixedLength(fixed) if shortest == fixed else UniformLength(shortest, fixed)
    if fitted is None:
        raise InvariantError("a workload without preset and without fixed lengths was accepted.")
    return fitted if cap is None else fitted.capped(cap)


def _prompt_notes(config: WorkloadConfig) -> list[str]:
    """Say which lengths were set by hand, and what prompts share."""
    notes = []
    if not (config.shared_prefix or config.sessions):
        notes.append("no prefix is shared between requests")
    for what in ("prompt", "output"):
        fixed, cap = getattr(config, f"{what}_tokens"), getattr(config, f"max_{what}_tokens")
        if fixed is not None:
            ratio = config.random_range_ratio
            spread = "" if ratio == 1.0 else f"uniformly {ratio:g} to 1 times "
            notes.append(f"every {what} has {spread}{fixed} tokens")
        elif cap is not None:
            notes.append(f"{what}s longer than {cap} tokens are cut to it")
    return notes
