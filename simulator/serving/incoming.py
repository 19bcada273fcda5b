"""Requests as they come: what a workload says, and what is accepted of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import repeat

from simulator.serving.deployment import Deployment
from simulator.serving.prefix_cache import block_keys
from simulator.serving.request import PLAIN, Request, Traits
from simulator.serving.trajectories import (
    Trajectory,
    draw_runs,
    lay_trajectories,
    runs_by_round,
    spans,
)
from simulator.speculation.acceptance import Acceptance
from simulator.speculation.by_class import ClassAcceptance
from simulator.streams import Streams
from simulator.workload.requests import RequestTraits, Workload


def incoming(
    workload: Workload, acceptance: Acceptance, deployment: Deployment, streams: Streams
) -> Iterator[Request]:
    """Turn blocks of the workload into requests that know what is accepted of them, lazily."""
    for number, block in enumerate(workload.blocks(streams)):
        generator = streams.block("acceptance", number)
        for span in spans(block.output_tokens):
            prompts, outputs = block.prompt_tokens[span], block.output_tokens[span]
            its = acceptance
            if isinstance(acceptance, ClassAcceptance) and block.traits is not None:
                its = acceptance.of(block.traits.traffic_class[span])
            runs = draw_runs(outputs, deployment.max_gamma, its, generator)
            trajectories: Iterable[Trajectory | None] = repeat(None, len(outputs))
            if deployment.new_policy is None:
                laid = runs, outputs
                if acceptance.by_token:
                    laid = runs_by_round(runs, outputs, outputs - 1)
                trajectories = lay_trajectories(
                    *laid,
                    prompts + 1,
                    outputs - 1,
                    lookahead_tokens=deployment.lookahead_tokens,
                    block_tokens=deployment.block_tokens,
                )
            columns = (block.arrival_s[span].tolist(), prompts.tolist(), outputs.tolist())
            request_id, end = block.first_id + span.start, 0
            for arrival_s, prompt, output, trajectory, traits in zip(
                *columns, trajectories, _traits(block.traits, span, deployment), strict=True
            ):
                start, end = end, end + output
                yield Request(
                    request_id, arrival_s, prompt, output, runs[start:end], trajectory, traits
                )
                request_id += 1


def _traits(traits: RequestTraits | None, span: slice, deployment: Deployment) -> Iterable[Traits]:
    """Return the traits of a part of a block, request by request."""
    if traits is None:
        return repeat(PLAIN, span.stop - span.start)
    columns = (
        traits.traffic_class,
        traits.tenant,
        traits.priority,
        traits.session,
        traits.cancel_after_s,
    )
    keys: Iterable[tuple[int, ...]] = repeat(())
    if deployment.prefix_cache:
        keys = (
            block_keys(hashes, traits.hash_tokens, deployment.block_tokens)
            for hashes in traits.prefixes[span]
        )
    plain = (*(column[span].tolist() for column in columns), keys)
    if traits.follows is None and traits.think_s is None:
        return map(Traits, *plain)
    count = span.stop - span.start
    follows = repeat(None, count) if traits.follows is None else traits.follows[span].tolist()
    think_s = repeat(0.0, count) if traits.think_s is None else traits.think_s[span].tolist()
    return map(Traits, *plain, follows, think_s)
