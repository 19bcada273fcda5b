"""INV-1 and INV-8 on random clusters that fail, scale, and prefill apart from decode."""

import numpy as np
from helpers.serving_bench import Bench, FakeSteps, FixedWorkload, deployment, make_traits
from helpers.topologies import slow_node
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.serving.cluster_config import (
    AutoscalingConfig,
    FailuresConfig,
    LossConfig,
)
from simulator.serving.link_config import DegradedConfig, DegradedLinkConfig, KvLinkConfig
from simulator.serving.router import ROUTERS
from simulator.speculation.policies import Fixed
from simulator.trace.schema import EVENT_NAMES, FAILED, FINISHED

REQUESTS = st.lists(
    st.tuples(st.floats(0, 20), st.integers(1, 40), st.integers(1, 20)), min_size=1, max_size=20
)
TIMES = st.sampled_from([0.5, 1.0, 2.0, 3.7])
GAMMA = 2


@st.composite
def failures(draw, replicas):
    """Known losses, random ones, or both."""
    losses = st.builds(
        LossConfig,
        at_s=st.floats(0, 25),
        replica=st.integers(0, replicas - 1),
        repair_s=st.none() | TIMES,
    )
    known = draw(st.lists(losses, max_size=4))
    rate = draw(st.none() | TIMES) if known else draw(TIMES)
    return FailuresConfig(
        losses=tuple(known),
        mtbf_s=rate and 4 * rate,
        mttr_s=rate,
        max_retries=draw(st.integers(0, 5)),
    )


@st.composite
def clusters(draw):
    """Draw pools with one cache and draft length, and what changes them."""
    apart = draw(st.booleans())
    roles = ["prefill", "decode"] if apart else ["mixed"]
    common = {"block_tokens": 4, "kv_capacity_tokens": draw(st.integers(72, 200))}
    common["max_num_seqs"] = draw(st.integers(1, 4))
    common["max_queue"] = draw(st.none() | st.integers(1, 3))
    common["queue_timeout_s"] = draw(st.none() | TIMES)
    policy = draw(st.sampled_from([None, lambda: Fixed(GAMMA)]))
    pools = [
        deployment(
            FakeSteps(gamma=GAMMA, step_s=draw(st.sampled_from([0.05, 0.5]))),
            role=role,
            replicas=draw(st.integers(1, 3)),
            kv_bytes_per_token=1.0,
            policy=policy,
            **common,
        )
        for role in roles
    ]
    plan = {"scaled": draw(st.integers(0, len(pools) - 1))}
    if draw(st.booleans()):
        plan["autoscaling"] = AutoscalingConfig(
            max_replicas=4,
            signal=draw(st.sampled_from(["queue", "utilisation", "slo"])),
            target=0.5,
            interval_s=draw(TIMES),
            startup_s=draw(st.just(0.0) | TIMES),
            stabilisation_s=draw(st.just(0.0) | TIMES),
        )
    if apart:
        dips = (DegradedConfig(at_s=1.0, for_s=5.0, factor=0.1),) * draw(st.integers(0, 1))
        plan["kv_link"] = KvLinkConfig(bytes_per_s=30.0, latency_s=draw(TIMES), degraded=dips)
    if apart and draw(st.booleans()):
        plan["kv_link"], plan["topology"] = None, slow_node(16)
        if draw(st.booleans()):
            dip = DegradedLinkConfig(link="hub0-gpu1", at_s=1.0, for_s=5.0, factor=0.1)
            plan["degraded_links"] = [dip]
    if draw(st.booleans()):
        least = sum(pool.replicas for pool in pools)
        plan["failures"] = draw(failures(least))
    return pools, plan


def check_events(bench):
    """A replica is ready when it was not, and goes when it was there; time does not run back."""
    assert (np.diff(bench.changes.column("time_s")) >= 0).all()
    there = {}
    for _, event, replica, _, _, _ in bench.changes.rows:
        name = EVENT_NAMES[event]
        before = there.get(replica)
        allowed = {
            "start": (None, "stop", "lost"),
            "ready": (None, "start", "lost"),
            "drain": ("ready",),
            "stop": ("start", "drain"),
            "lost": ("start", "ready", "drain"),
            "end": ("start", "ready", "drain"),
        }
        if replica >= 0:
            assert before in allowed[name], (before, name)
            there[replica] = name


@settings(max_examples=80)
@given(
    REQUESTS,
    clusters(),
    st.none() | st.integers(1, 5),
    st.sampled_from(sorted(ROUTERS)),
    st.booleans(),
)
def test_no_request_and_no_token_is_lost(requests, cluster, concurrency, router, impatient):
    arrivals, prompts, outputs = (list(column) for column in zip(*sorted(requests), strict=True))
    patience_s = np.resize([np.inf, 1.5, np.inf, 6.0] if impatient else [np.inf], len(arrivals))
    traits = make_traits(len(arrivals), cancel_after_s=patience_s)
    workload = FixedWorkload(arrivals, prompts, outputs, concurrency=concurrency, traits=traits)
    pools, plan = cluster
    bench = Bench().run_cluster(workload, pools, router=router, **plan)
    rows, steps = bench.requests, bench.iterations
    # INV-1: every request leaves once.
    assert sorted(rows.column("request_id")) == list(range(len(arrivals)))
    outcome, retries = rows.column("outcome"), rows.column("retries")
    if "failures" not in plan:
        assert not (outcome == FAILED).any()
        assert (retries == 0).all()
    else:
        assert retries.max() <= plan["failures"].max_retries
    # INV-8: what was emitted is what left with its request, and what was lost and emitted again.
    finished, failed = outcome == FINISHED, outcome == FAILED
    emitted = rows.column("emitted_tokens")
    assert (emitted[finished] == rows.column("output_tokens")[finished]).all()
    # What a replica lost is in its event; who was given up for want of any replica was at none.
    lost = bench.changes.column("lost_tokens").sum() if bench.changes.rows else 0
    at_none = rows.column("replica") == -1
    kept = steps.column("emitted_tokens").sum() if steps.rows else 0
    assert kept == emitted[~failed | at_none].sum() + lost
    if finished.all():
        prefilled = steps.column("prefill_tokens").sum()
        assert prefilled == sum(prompts) + rows.column("recomputed_tokens").sum()
    # INV-5, also of requests that began anew.
    for earlier, later in [
        ("arrival_s", "admitted_s"),
        ("admitted_s", "first_token_s"),
        ("first_token_s", "finish_s"),
        ("finish_s", "left_s"),
    ]:
        assert (rows.column(earlier)[finished] <= rows.column(later)[finished]).all()
    check_events(bench)


def test_the_clusters_here_retry_fail_scale_and_send():
    """The property above would mean little on clusters that never change."""
    seen = set()

    @settings(max_examples=200, derandomize=True)
    @given(REQUESTS, clusters())
    def look(requests, cluster):
        arrivals, prompts, outputs = (
            list(column) for column in zip(*sorted(requests), strict=True)
        )
        bench = Bench().run_cluster(
            FixedWorkload(arrivals, prompts, outputs), cluster[0], **cluster[1]
        )
        seen.update(EVENT_NAMES[event] for event in bench.changes.column("event"))
        seen.update({"retry"} if bench.requests.column("retries").any() else ())
        seen.update({"fail"} if (bench.requests.column("outcome") == FAILED).any() else ())
        apart = bench.requests.column("prefill_replica") != bench.requests.column("replica")
        seen.update({"send"} if apart.any() else ())

    look()
    assert seen >= {*EVENT_NAMES, "retry", "fail", "send"}
