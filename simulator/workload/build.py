"""From settings to a workload: the kinds, chosen by name from ``WORKLOADS``."""

from __future__ import annotations

from collections.abc import Callable

from simulator.errors import ConfigError
from simulator.registry import Registry
from simulator.workload.config import WorkloadConfig
from simulator.workload.mix import build_mix
from simulator.workload.open_loop import length_laws, open_loop, prompt_notes
from simulator.workload.presets import read_preset
from simulator.workload.readers import READERS, ReadPolicy
from simulator.workload.readers.files import existing_file
from simulator.workload.replay import Replay, TraceWorkload, open_trace
from simulator.workload.requests import MAX_TOKENS, Workload
from simulator.workload.synthetic import SyntheticWorkload
from simulator.workload.times import ExponentialTimes
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
    _check_sessions(config, workload)
    closed = config.sessions is not None and config.sessions.think_s is not None
    if closed or not (config.traffic_classes or config.shared_prefix or config.sessions):
        return workload
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
def preset_workload(config: WorkloadConfig, requests: int) -> Workload:
    """Build an open loop from a preset, at its measured rate or another."""
    preset = read_preset(config.preset or DEFAULT_PRESET)
    rate = preset.rate if config.rate is None else config.rate
    return open_loop(config, preset, rate, requests)


@WORKLOADS.register("mix")
def mix_workload(config: WorkloadConfig, requests: int) -> Workload:
    """Build a mix of presets."""
    return build_mix(config, requests)


@WORKLOADS.register("closed_loop")
def closed_loop_workload(config: WorkloadConfig, requests: int) -> SyntheticWorkload:
    """Build a closed loop of a fixed number of users."""
    preset = None if config.preset is None else read_preset(config.preset)
    prompt, output = length_laws(config, preset)
    users = f"closed loop of {config.concurrency} users"
    think = None if config.think_s is None else ExponentialTimes(config.think_s)
    rest = "without think time" if think is None else f"after a time to think, {think.assumption}"
    notes = [f"{users}: a new request enters when one finishes, {rest}"]
    notes += [*(preset.assumptions if preset else ()), *prompt_notes(config)]
    return SyntheticWorkload(
        title=f"{users}, {preset.title}" if preset else users,
        requests=requests,
        concurrency=config.concurrency,
        mean_rate=None,
        assumptions=tuple(notes),
        prompt=prompt,
        output=output,
        arrivals=None,
        think=think,
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
