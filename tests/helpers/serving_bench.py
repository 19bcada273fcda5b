"""A small serving bench: fake step times, in-memory traces."""

from dataclasses import dataclass, field, fields, replace
from functools import partial

import numpy as np

from simulator.costs.curves import Window
from simulator.models.draft_tree import DraftTree
from simulator.serving.cluster import Cluster, serve
from simulator.serving.cluster_config import AffinityConfig
from simulator.serving.deployment import ClusterPlan, Deployment
from simulator.serving.queues import QUEUES
from simulator.serving.router import ROUTERS
from simulator.serving.scheduler import Limits
from simulator.serving.step_followers import DispatchTraces
from simulator.speculation.acceptance import PositionAcceptance
from simulator.streams import Streams
from simulator.trace.schema import EVENTS, ITERATIONS, REQUESTS, STEP_TIMES, row_columns
from simulator.workload.requests import RequestBlock, RequestTraits


@dataclass
class FakeSteps:
    """A step takes a constant, plus a share per request and per prompt token."""

    gamma: int = 0
    step_s: float = 1.0
    request_s: float = 0.0
    prompt_token_s: float = 0.0
    tree: tuple = ()

    @property
    def query_tokens(self):
        return DraftTree(self.tree).nodes(self.gamma) + 1

    def decode_window(self, requests, context_tokens):
        return Window(self.step_s + self.request_s * requests, 0.0, 0, 10**12, 0.0)

    def mixed_s(self, requests, context_tokens, chunks):
        tokens = sum(end - start for start, end in chunks)
        return self.step_s + self.request_s * requests + self.prompt_token_s * tokens

    def active_experts(self, requests, prompt_tokens):
        return 0.0


@dataclass
class FakeTrace:
    """Keeps the rows of a trace writer in memory."""

    columns: list[str]
    rows: list = field(default_factory=list)
    flushes: int = 0

    def flush(self):
        self.flushes += 1

    def column(self, name):
        index = self.columns.index(name)
        return np.array([row[index] for row in self.rows])


@dataclass
class FixedWorkload:
    """Requests given as lists."""

    arrival_s: list
    prompt_tokens: list
    output_tokens: list
    concurrency: int | None = None
    title: str = "fixed"
    traits: RequestTraits | None = None

    @property
    def requests(self):
        return len(self.prompt_tokens)

    @property
    def max_output_tokens(self):
        return max(self.output_tokens)

    def blocks(self, streams):
        yield RequestBlock(
            0,
            np.array(self.arrival_s, float),
            np.array(self.prompt_tokens),
            np.array(self.output_tokens),
            self.traits,
        )


def make_traits(count, *, hash_tokens=1, prefixes=None, **columns):
    """Traits of requests: columns by name, the rest as if nothing told them apart."""
    defaults = {"traffic_class": 0, "tenant": 0, "priority": 0, "session": -1}
    filled = {
        name: np.array(columns.pop(name, [value] * count)) for name, value in defaults.items()
    }
    cancel_after_s = np.array(columns.pop("cancel_after_s", [np.inf] * count), float)
    assert not columns
    return RequestTraits(
        **filled,
        cancel_after_s=cancel_after_s,
        prefixes=prefixes or [()] * count,
        hash_tokens=hash_tokens,
    )


@dataclass
class Bench:
    """Runs a workload and keeps what it wrote."""

    requests: FakeTrace = field(default_factory=lambda: FakeTrace(row_columns(REQUESTS)))
    iterations: FakeTrace = field(default_factory=lambda: FakeTrace(row_columns(ITERATIONS)))
    changes: FakeTrace = field(default_factory=lambda: FakeTrace(row_columns(EVENTS)))
    times: FakeTrace = field(default_factory=lambda: FakeTrace(row_columns(STEP_TIMES)))
    events: int = 0

    def run_scenario(self, scenario, gamma):
        """Run one arm of a built scenario."""
        self.events = serve(
            scenario.deployment(gamma),
            scenario.router(),
            scenario.workload,
            scenario.acceptance,
            Streams(scenario.config.run.seed),
            requests_trace=self.requests,
            iterations_trace=self.iterations,
        )
        return self

    def run(
        self,
        workload,
        steps,
        *,
        alpha=0.5,
        acceptance=None,
        router="least_outstanding",
        seed=1,
        policy=None,
        queue="fcfs",
        **settings,
    ):
        """Serve; ``policy`` makes a draft policy, ``steps`` then have the longest draft."""
        self.events = serve(
            deployment(steps, policy=policy, queue=queue, **settings),
            new_router(router),
            workload,
            acceptance or PositionAcceptance([alpha]),
            Streams(seed),
            requests_trace=self.requests,
            iterations_trace=self.iterations,
        )
        return self

    def run_cluster(
        self, workload, pools, *, alpha=0.5, router="least_outstanding", seed=1, **plan
    ):
        """Serve with pools, and what changes them."""
        self.events = Cluster(
            ClusterPlan(pools=pools, **plan),
            new_router(router),
            workload,
            PositionAcceptance([alpha]),
            Streams(seed),
            requests_trace=self.requests,
            iterations_trace=self.iterations,
            events_trace=self.changes,
            dispatch_traces=DispatchTraces(step_times=self.times),
        ).run()
        return self


def deployment(steps, *, policy=None, queue="fcfs", **settings):
    """Equal replicas; ``policy`` makes a draft policy, ``steps`` then have the longest draft."""
    names = [field.name for field in fields(Limits)]
    limits = {name: settings.pop(name) for name in names if name in settings}
    limits = Limits(**({"max_num_seqs": 256, "max_batched_tokens": 8192} | limits))
    lengths = range(steps.gamma + 1) if policy else [steps.gamma]
    return Deployment(
        costs=[replace(steps, gamma=gamma) for gamma in lengths],
        limits=limits,
        new_queue=QUEUES.get(queue),
        new_policy=policy,
        **({"replicas": 1, "kv_capacity_tokens": 10**9} | settings),
    )


def new_router(kind):
    """What makes a router with its default settings."""
    return partial(ROUTERS.get(kind), AffinityConfig())
