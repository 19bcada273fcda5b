"""The control: the same closed loop with a SimPy process per request and an event per round.

How one would write it first. It says the same as the engine, iteration by iteration, on a load
whose prompts fit a step whole and whose caches never run out.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import simpy

from simulator.scenario import Scenario
from simulator.serving.trajectories import draw_runs
from simulator.streams import Streams
from simulator.study.paired import Run, trace_metadata
from simulator.trace.merge import merge
from simulator.trace.schema import ITERATIONS
from simulator.trace.writer import BLOCK_ROWS, TraceWriter

Process = Generator[simpy.Event, Any, None]


class Naive:
    """One replica whose requests are processes.

    Parameters
    ----------
    scenario
        A closed loop on one replica at a fixed draft length.
    trace
        Where its iterations go.
    """

    def __init__(self, scenario: Scenario, trace: TraceWriter) -> None:
        self._env = simpy.Environment()
        self._deployment = scenario.deployment(scenario.config.speculation.gamma)
        self._costs = self._deployment.costs[-1]
        self._requests = self._draw(scenario)
        self._trace = trace
        self._users = scenario.workload.concurrency or 0
        self._prompts: list[tuple[int, simpy.Event]] = []
        self._residents: list[simpy.Event] = []
        self._context_tokens = 0
        self._emitted = 0

    def run(self) -> None:
        """Serve to the last token."""
        for _ in range(self._users):
            self._send_next()
        self._env.process(self._steps())
        self._env.run()

    def _draw(self, scenario: Scenario) -> Iterator[tuple[int, list[int]]]:
        """Draw prompt lengths and the rounds of each output, from the streams of the engine."""
        config, streams = scenario.config, Streams(scenario.config.run.seed, 0)
        for number, block in enumerate(scenario.workload.blocks(streams)):
            generator = streams.block("acceptance", number)
            lengths = zip(block.prompt_tokens.tolist(), block.output_tokens.tolist(), strict=True)
            gamma, acceptance = config.speculation.gamma, scenario.acceptance
            runs = draw_runs(block.output_tokens, gamma, acceptance, generator).tolist()
            start = 0
            for prompt, output in lengths:
                yield prompt, runs[start : start + output]
                start += output

    def _send_next(self) -> None:
        request = next(self._requests, None)
        if request is not None:
            self._env.process(self._request(*request))

    def _request(self, prompt: int, runs: list[int]) -> Process:
        """Prefill, then a round at a time."""
        prefilled = self._env.event()
        self._prompts.append((prompt, prefilled))
        yield prefilled
        self._emitted += 1
        self._context_tokens += prompt + 1
        left = len(runs) - 1
        for accepted in runs:
            if not left:
                break
            turn = self._env.event()
            self._residents.append(turn)
            yield turn
            emitted = min(accepted + 1, left)
            left -= emitted
            self._emitted += emitted
            self._context_tokens += emitted
        self._context_tokens -= prompt + len(runs)
        self._send_next()

    def _steps(self) -> Process:
        """Step after step: whoever is there takes part."""
        env, costs, trace = self._env, self._costs, self._trace
        iteration = 0
        yield env.timeout(0)
        while self._residents or self._prompts:
            residents, self._residents = self._residents, []
            prompts, self._prompts = self._prompts, []
            requests, context_tokens = len(residents), self._context_tokens
            chunks = [(0, prompt) for prompt, _ in prompts]
            prompt_tokens = sum(prompt for prompt, _ in prompts)
            if chunks:
                duration_s = costs.mixed_s(requests, context_tokens, chunks)
                experts = costs.active_experts(requests, prompt_tokens)
            else:
                base_s, slope_s, _, _, experts = costs.decode_window(requests, context_tokens)
                duration_s = base_s + slope_s * context_tokens
            start_s, self._emitted = env.now, 0
            yield env.timeout(duration_s)
            for turn in residents:
                turn.succeed()
            for _, prefilled in prompts:
                prefilled.succeed()
            yield env.timeout(0)  # all of them have their turn
            yield env.timeout(0)  # and those they sent have started
            step = (requests, costs.query_tokens, prompt_tokens, self._emitted, context_tokens)
            trace.rows.append((0, iteration, start_s, duration_s, *step, 0, experts, 0.0))
            iteration += 1
            if len(trace.rows) >= BLOCK_ROWS:
                trace.flush()


def serve(scenario: Scenario, folder: Path) -> Path:
    """Serve the closed loop of a scenario; return its iterations as written."""
    path, run = folder / "iterations.parquet", Run("speculative", 0)
    part, metadata = run.part(path), trace_metadata(scenario.config)
    constants = {"arm": run.arm, "replication": run.replication}
    with TraceWriter(part, ITERATIONS, metadata, constants) as trace:
        Naive(scenario, trace).run()
    return merge([part], path, metadata)
