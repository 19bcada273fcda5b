"""From settings to a workload: the kinds, chosen by name from ``WORKLOADS``."""

from __future__ import annotations

from collections.abc import Callable

from simulator.errors import ConfigError, DataError
from simulator.registry import Registry
from simulator.workload.config import WorkloadConfig
from simulator.workload.mix import build_mix
from simulator.workload.open_loop import check_room, length_laws, open_loop, prompt_notes
from simulator.workload.presets import DEFAULT_PRESET, read_preset
from simulator.workload.readers import READERS, ReadPolicy
from simulator.workload.readers.files import existing_file
from simulator.workload.readers.likely import likely_format
from simulator.workload.replay import Replay, TraceWorkload, open_trace
from simulator.workload.replay_config import of_sessions
from simulator.workload.requests import MAX_TOKENS, Workload
from simulator.workload.servegen import ClientWorkload, open_clients
from simulator.workload.session_replay import SessionTraceWorkload, open_sessions
from simulator.workload.synthetic import SyntheticWorkload
from simulator.workload.times import ExponentialTimes
from simulator.workload.traits import TraitedWorkload

WorkloadFactory = Callable[[WorkloadConfig, int], Workload]

WORKLOADS: Registry[WorkloadFactory] = Registry("workload")
"""By ``workload.kind``: from settings and the number of requests to a workload."""


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
    check_room(config, workload.max_prompt_tokens)
    closed = config.sessions is not None and config.sessions.think_s is not None
    if closed or not (config.traffic_classes or config.shared_prefix or config.sessions):
        return workload
    told: frozenset[str] = frozenset()
    if isinstance(workload, (TraceWorkload, SessionTraceWorkload, ClientWorkload)):
        told = workload.told
    if config.shared_prefix and "prefixes" in told:
        raise ConfigError(
            "workload.shared_prefix is set, but the trace tells which prefixes its prompts share: "
            "leave it null."
        )
    return TraitedWorkload(
        told=told,
        inner=workload,
        classes=config.traffic_classes,
        shared_prefix=config.shared_prefix,
        sessions=config.sessions,
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
def trace_workload(config: WorkloadConfig, requests: int) -> TraceWorkload | SessionTraceWorkload:
    """Build the replay of a trace file."""
    reader = READERS.get(config.format, "workload.format")
    path = existing_file(config.path or "", folders=of_sessions(config))
    policy = ReadPolicy(
        on_bad_row=config.on_bad_row,
        hash_tokens=config.hash_tokens,
        tasks=tuple(one.name for one in config.traffic_classes),
    )
    if of_sessions(config):
        return open_sessions(
            path,
            reader,
            requests,
            policy=policy,
            users=config.concurrency,
            rate=config.rate,
            max_prompt_tokens=config.max_prompt_tokens or MAX_TOKENS,
            max_output_tokens=config.max_output_tokens or MAX_TOKENS,
        )
    replay = Replay(
        keep_share=config.keep_share,
        window_s=config.window_s,
        jitter_s=config.jitter_s,
        rate_scale=config.rate_scale,
        time_stretch=config.time_stretch,
        max_prompt_tokens=config.max_prompt_tokens or MAX_TOKENS,
        max_output_tokens=config.max_output_tokens or MAX_TOKENS,
    )
    try:
        return open_trace(path, reader, requests, policy=policy, replay=replay)
    except DataError as error:
        likely = likely_format(path)
        if likely in (None, config.format):
            raise
        raise DataError(f"{error} The file looks like workload.format={likely}.") from error


@WORKLOADS.register("servegen")
def servegen_workload(config: WorkloadConfig, requests: int) -> ClientWorkload:
    """Build an open loop of many clients from the files that ServeGen publishes of each.

    Source: alibaba/ServeGen (Apache-2.0); Xiang et al., ServeGen, 2025.
    """
    return open_clients(
        existing_file(config.path or "", folders=True),
        requests,
        rate=config.rate,
        window_s=config.window_s,
        max_prompt_tokens=config.max_prompt_tokens or MAX_TOKENS,
        max_output_tokens=config.max_output_tokens or MAX_TOKENS,
    )
