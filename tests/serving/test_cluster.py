"""Clusters that change on the way: failures, autoscaling, and prefill apart from decode."""

import numpy as np
import pytest
from helpers.serving_bench import Bench, FakeSteps, FixedWorkload, deployment

from simulator.serving.cluster_config import (
    AutoscalingConfig,
    FailuresConfig,
    LossConfig,
)
from simulator.serving.link_config import DegradedConfig, KvLinkConfig
from simulator.trace.schema import EVENT_NAMES, FAILED, FINISHED


def changes(bench):
    """The events of a run: when, what, and to which replica."""
    return [(row[0], EVENT_NAMES[row[1]], row[2]) for row in bench.changes.rows]


def losing(*losses, **settings):
    return FailuresConfig(losses=tuple(LossConfig(**loss) for loss in losses), **settings)


def row(bench, number):
    """The row of a request, by column."""
    rows = {found[0]: found for found in bench.requests.rows}
    return dict(zip(bench.requests.columns, rows[number], strict=True))


def test_a_lost_request_begins_anew_elsewhere():
    """Steps of 1 s; lost at 2.5 s, in the third step, which leaves no row."""
    bench = Bench().run_cluster(
        FixedWorkload([0.0], [10], [5]),
        [deployment(FakeSteps(), replicas=2)],
        failures=losing({"at_s": 2.5, "replica": 0}),
    )
    done = row(bench, 0)
    assert (done["replica"], done["prefill_replica"], done["retries"]) == (1, 1, 1)
    assert (done["arrival_s"], done["admitted_s"]) == (0.0, 2.5)
    assert (done["first_token_s"], done["finish_s"]) == (3.5, 7.5)
    assert (done["emitted_tokens"], done["recomputed_tokens"]) == (5, 10)
    steps = bench.iterations
    assert steps.column("start_s").tolist() == [0.0, 1.0, 2.5, 3.5, 4.5, 5.5, 6.5]
    assert steps.column("replica").tolist() == [0, 0, 1, 1, 1, 1, 1]
    lost = bench.changes.rows[2]
    assert lost[1:] == (EVENT_NAMES.index("lost"), 0, 1, 1, 2)  # 2 tokens emitted in vain
    assert changes(bench) == [
        (0.0, "ready", 0),
        (0.0, "ready", 1),
        (2.5, "lost", 0),
        (7.5, "end", 1),
    ]


def test_a_loss_comes_before_a_step_that_ends_at_the_same_instant():
    bench = Bench().run_cluster(
        FixedWorkload([0.0], [10], [2]),
        [deployment(FakeSteps(), replicas=2)],
        failures=losing({"at_s": 2.0, "replica": 0}),
    )
    assert row(bench, 0)["finish_s"] == 4.0
    assert row(bench, 0)["retries"] == 1


def test_a_return_comes_before_an_arrival_of_the_same_instant():
    bench = Bench().run_cluster(
        FixedWorkload([3.0], [10], [1]),
        [deployment(FakeSteps())],
        failures=losing({"at_s": 1.0, "replica": 0, "repair_s": 2.0}),
    )
    assert row(bench, 0)["admitted_s"] == 3.0


def test_requests_wait_for_a_replica_that_will_return():
    bench = Bench().run_cluster(
        FixedWorkload([0.0, 2.0], [10, 10], [3, 3]),
        [deployment(FakeSteps())],
        failures=losing({"at_s": 1.5, "replica": 0, "repair_s": 10.0}),
    )
    for number in (0, 1):
        assert row(bench, number)["first_token_s"] == 12.5
        assert row(bench, number)["retries"] == 1 - number


def test_a_request_that_is_tried_anew_may_wait_as_long_as_any():
    """It came at 0 s, and again at 5.5 s at the same replica, behind one that needs 6 s."""
    bench = Bench().run_cluster(
        FixedWorkload([0.0, 0.0], [1, 1], [6, 3]),
        [deployment(FakeSteps(), max_num_seqs=1, queue_timeout_s=8.0)],
        failures=losing({"at_s": 4.5, "replica": 0, "repair_s": 1.0}),
    )
    assert row(bench, 1)["outcome"] == FINISHED
    assert row(bench, 1)["admitted_s"] == 11.5


def test_a_request_lost_while_it_decoded_may_wait_as_long_as_any():
    """Its decode replica is lost at 4.5 s, and request 1 then prefills until 11 s."""
    pools = [
        deployment(FakeSteps(), role="prefill", queue_timeout_s=8.0, max_batched_tokens=1),
        deployment(FakeSteps(), role="decode"),
    ]
    bench = Bench().run_cluster(
        FixedWorkload([0.0, 1.0], [1, 10], [20, 1]),
        pools,
        failures=losing({"at_s": 4.5, "replica": 1, "repair_s": 1.0}),
    )
    assert row(bench, 0)["outcome"] == FINISHED
    assert row(bench, 0)["admitted_s"] == 11.0


def test_requests_fail_where_nobody_will_come():
    bench = Bench().run_cluster(
        FixedWorkload([0.0, 2.0], [10, 10], [3, 3]),
        [deployment(FakeSteps())],
        failures=losing({"at_s": 1.5, "replica": 0}),
    )
    first, second = row(bench, 0), row(bench, 1)
    assert (first["outcome"], second["outcome"]) == (FAILED, FAILED)
    assert (first["left_s"], second["left_s"]) == (1.5, 2.0)
    assert second["replica"] == -1
    assert np.isnan(second["admitted_s"])
    assert np.isnan(first["finish_s"])


def test_retries_run_out():
    losses = [{"at_s": 1.5 + 1.25 * i, "replica": i % 2, "repair_s": 0.5} for i in range(9)]
    bench = Bench().run_cluster(
        FixedWorkload([0.0], [10], [5]),
        [deployment(FakeSteps(), replicas=2)],
        failures=losing(*losses, max_retries=2),
    )
    left = row(bench, 0)
    assert (left["outcome"], left["retries"], left["left_s"]) == (FAILED, 2, 4.0)
    assert left["emitted_tokens"] == 1  # of the last attempt


def test_a_closed_loop_sends_the_next_when_one_fails():
    """Far more of them than Python calls may nest."""
    bench = Bench().run_cluster(
        FixedWorkload([0.0] * 3000, [10] * 3000, [5] * 3000, concurrency=2),
        [deployment(FakeSteps())],
        failures=losing({"at_s": 1.5, "replica": 0}),
    )
    assert (bench.requests.column("outcome") == FAILED).all()
    assert len(bench.requests.rows) == 3000


def test_a_loss_of_what_is_not_there_does_nothing():
    bench = Bench().run_cluster(
        FixedWorkload([0.0, 0.0], [10, 10], [9, 9]),
        [deployment(FakeSteps(), replicas=2)],
        failures=losing(
            {"at_s": 1.5, "replica": 0, "repair_s": 3.0},
            {"at_s": 2.5, "replica": 0, "repair_s": 9.0},
        ),
    )
    assert [time for time, event, _ in changes(bench) if event == "ready"] == [0.0, 0.0, 4.5]


def test_random_failures_are_the_same_whatever_the_draft_length():
    """Common random numbers: both arms meet the same losses of replicas."""

    def lost(gamma):
        workload = FixedWorkload([float(i) for i in range(60)], [10] * 60, [10] * 60)
        bench = Bench().run_cluster(
            workload,
            [deployment(FakeSteps(gamma=gamma, step_s=0.5), replicas=3)],
            failures=FailuresConfig(mtbf_s=20.0, mttr_s=5.0),
        )
        return [change for change in changes(bench) if change[0] < 60 and change[1] != "end"]

    assert lost(0) == lost(2)
    assert len(lost(0)) > 9


def test_replicas_are_lost_for_the_share_of_time_that_theory_says():
    """Up mtbf / (mtbf + mttr) of the time, an alternating renewal process."""
    bench = Bench().run_cluster(
        FixedWorkload([20_000.0], [10], [1]),
        [deployment(FakeSteps(), replicas=8)],
        failures=FailuresConfig(mtbf_s=30.0, mttr_s=10.0),
    )
    up_s = 0.0
    for time_s, event, _ in changes(bench):
        up_s += {"ready": -time_s, "lost": time_s, "end": time_s}[event]
    # 4,000 cycles; the share's standard error is about 0.75 * 0.25 * sqrt(2 / 4000) = 0.0042.
    assert up_s / (8 * 20_000.0) == pytest.approx(0.75, abs=4 * 0.0042)


def scaled(**settings):
    defaults = {
        "max_replicas": 8,
        "target": 4.0,
        "interval_s": 5.0,
        "startup_s": 7.0,
        "stabilisation_s": 20.0,
    }
    return AutoscalingConfig(**(defaults | settings))


def test_the_autoscaler_starts_what_the_queue_needs():
    """12 long requests at once and 4 wanted at each: 3 replicas, ready after the start-up time."""
    bench = Bench().run_cluster(
        FixedWorkload([0.0] * 12, [10] * 12, [100] * 12),
        [deployment(FakeSteps())],
        autoscaling=scaled(),
    )
    assert changes(bench)[:5] == [
        (0.0, "ready", 0),
        (5.0, "start", 1),
        (5.0, "start", 2),
        (12.0, "ready", 1),
        (12.0, "ready", 2),
    ]


def test_the_autoscaler_reaches_the_replicas_that_a_steady_load_needs():
    """Little's law: 20 requests/s that stay 1 s are 20 at once; 4 at each are 5 replicas."""
    count = 4000
    bench = Bench().run_cluster(
        FixedWorkload([i / 20 for i in range(count)], [1] * count, [10] * count),
        [deployment(FakeSteps(step_s=0.1))],
        autoscaling=scaled(stabilisation_s=0.0),
    )
    serving, seen = 0, {}
    for time_s, event, _ in changes(bench):
        serving += {"ready": 1, "drain": -1}.get(event, 0)
        seen[time_s] = serving
    # Within the tolerance of 10 % of the target; 4 would hold 5 each, 6 would hold 3.3.
    assert {serving for time_s, serving in seen.items() if 60 < time_s < 200} <= {5}
    assert seen[max(time for time in seen if time <= 60)] == 5


def test_replicas_are_given_up_only_after_the_stabilisation_time():
    """A burst, then nothing for long: the two drain 20 s after the last look that wanted them."""
    bench = Bench().run_cluster(
        FixedWorkload([0.0] * 12 + [100.0], [10] * 13, [10] * 13),
        [deployment(FakeSteps(), replicas=3)],
        autoscaling=scaled(),
    )
    drains = [(time_s, index) for time_s, event, index in changes(bench) if event == "drain"]
    assert drains == [(35.0, 2), (35.0, 1)]
    stops = [(time_s, index) for time_s, event, index in changes(bench) if event == "stop"]
    assert stops == drains  # they had nothing left


def test_replicas_of_the_start_are_kept_for_the_stabilisation_time():
    """Nothing wants them from the first look, at 5 s, on; that after 20 s more gives them up."""
    bench = Bench().run_cluster(
        FixedWorkload([0.0, 100.0], [10, 10], [1, 1]),
        [deployment(FakeSteps(), replicas=3)],
        autoscaling=scaled(),
    )
    drains = [(time_s, index) for time_s, event, index in changes(bench) if event == "drain"]
    assert drains == [(30.0, 2), (30.0, 1)]


def test_a_draining_replica_finishes_what_it_has():
    bench = Bench().run_cluster(
        FixedWorkload([0.0, 0.0], [10, 10], [12, 12]),
        [deployment(FakeSteps(), replicas=2)],
        autoscaling=scaled(stabilisation_s=0.0),
    )
    assert changes(bench)[2:] == [(5.0, "drain", 1), (12.0, "stop", 1), (12.0, "end", 0)]
    assert (bench.requests.column("finish_s") == 12.0).all()


@pytest.mark.parametrize(("signal", "target"), [("queue", 4.0), ("utilisation", 0.3), ("slo", 2.0)])
def test_every_signal_scales_up_under_load_and_down_after_it(signal, target):
    burst = [i / 10 for i in range(300)]
    calm = [40 + 4.0 * i for i in range(60)]
    count = len(burst) + len(calm)
    bench = Bench().run_cluster(
        FixedWorkload(burst + calm, [100] * count, [20] * count),
        [deployment(FakeSteps(step_s=0.1), max_num_seqs=8, kv_capacity_tokens=1600)],
        autoscaling=scaled(signal=signal, target=target),
    )
    seen = [event for _, event, _ in changes(bench)]
    assert seen.count("start") > 0
    assert seen.count("stop") > 0
    assert (bench.requests.column("outcome") == FINISHED).all()


def test_prefill_and_decode_on_different_replicas():
    """By hand: 1 s prefill, 100 bytes at 40 bytes/s, 0.5 s latency, then steps of 0.25 s."""
    bench = Bench().run_cluster(
        FixedWorkload([0.0], [10], [5]),
        [
            deployment(FakeSteps(), role="prefill", kv_bytes_per_token=10.0),
            deployment(FakeSteps(step_s=0.25), role="decode"),
        ],
        kv_link=KvLinkConfig(bytes_per_s=40.0, latency_s=0.5),
    )
    done = row(bench, 0)
    assert (done["prefill_replica"], done["replica"]) == (0, 1)
    assert done["first_token_s"] == 1.0
    assert done["finish_s"] == 1.0 + 100 / 40 + 0.5 + 4 * 0.25
    assert bench.iterations.column("replica").tolist() == [0, 1, 1, 1, 1]
    assert bench.iterations.column("prefill_tokens").tolist() == [10, 0, 0, 0, 0]


def test_with_infinite_bandwidth_decode_follows_prefill_at_once():
    """Three requests arrive together; one prefill a step, so they decode 1 s apart."""
    bench = Bench().run_cluster(
        FixedWorkload([0.0] * 3, [10] * 3, [3] * 3),
        [
            deployment(FakeSteps(), role="prefill", max_num_seqs=1),
            deployment(FakeSteps(step_s=0.5), role="decode"),
        ],
        kv_link=KvLinkConfig(bytes_per_s=float("inf")),
    )
    assert bench.requests.column("first_token_s").tolist() == [1.0, 2.0, 3.0]
    assert bench.requests.column("finish_s").tolist() == [2.0, 3.0, 4.0]


@pytest.mark.parametrize("router", ["least_outstanding", "least_outstanding_tokens"])
def test_requests_prefilled_in_one_step_go_to_different_decode_replicas(router):
    """A router counts what is on its way, however fast the link."""
    pools = [
        deployment(FakeSteps(), role="prefill", kv_bytes_per_token=1.0),
        deployment(FakeSteps(), role="decode", replicas=4),
    ]
    workload = FixedWorkload([0.0] * 8, [10] * 8, [6] * 8)
    bench = Bench().run_cluster(workload, pools, router=router)
    assert np.bincount(bench.requests.column("replica")).tolist() == [0, 2, 2, 2, 2]


def test_one_token_needs_no_decode_replica():
    bench = Bench().run_cluster(
        FixedWorkload([0.0], [10], [1]),
        [deployment(FakeSteps(), role="prefill"), deployment(FakeSteps(), role="decode")],
    )
    assert (row(bench, 0)["replica"], row(bench, 0)["finish_s"]) == (0, 1.0)


def test_a_dip_of_the_link_delays_what_is_sent_in_it():
    """10 bytes/s, a tenth of it from 2 to 4 s: of 20 bytes from 1 s, 10 are through at 2 s."""
    bench = Bench().run_cluster(
        FixedWorkload([0.0], [20], [2]),
        [
            deployment(FakeSteps(), role="prefill", kv_bytes_per_token=1.0),
            deployment(FakeSteps(step_s=0.25), role="decode"),
        ],
        kv_link=KvLinkConfig(
            bytes_per_s=10.0, degraded=(DegradedConfig(at_s=2.0, for_s=2.0, factor=0.1),)
        ),
    )
    assert row(bench, 0)["finish_s"] == pytest.approx(4.0 + 8 / 10 + 0.25)
    assert [change[1:] for change in changes(bench)][2:4] == [
        ("link_slower", -1),
        ("link_back", -1),
    ]


@pytest.mark.parametrize(
    ("lost", "at_s", "finish_s"),
    [
        (0, 1.5, 2.5 + 1.0 + 2.5 + 4.0),  # the sender, back 1 s later: all over again
        (1, 1.5, 3.5 + 2.5 + 4.0),  # the target: prefill at once, but the link is busy until 3.5 s
        (1, 3.5, 3.5 + 1.0 + 2.5 + 4.0),  # as it arrives: the loss comes first
        (1, 5.0, 5.0 + 1.0 + 2.5 + 4.0),  # while it decodes
    ],
)
def test_a_transfer_is_lost_with_either_end(lost, at_s, finish_s):
    """On its way from 1 s to 3.5 s; decoded from then to 7.5 s."""
    bench = Bench().run_cluster(
        FixedWorkload([0.0], [10], [5]),
        [
            deployment(FakeSteps(), role="prefill", kv_bytes_per_token=10.0),
            deployment(FakeSteps(), role="decode"),
        ],
        kv_link=KvLinkConfig(bytes_per_s=40.0),
        failures=losing({"at_s": at_s, "replica": lost, "repair_s": 1.0}),
    )
    assert (row(bench, 0)["retries"], row(bench, 0)["finish_s"]) == (1, finish_s)
    lost_tokens = bench.changes.column("lost_tokens").sum()
    assert bench.iterations.column("emitted_tokens").sum() == 5 + lost_tokens


def test_a_cluster_that_changes_nothing_is_the_plain_one_to_the_bit():
    """Nothing fails within the run, so hooks, counters and early ends must not show."""
    arrivals = [0.3 * i for i in range(50)]
    workload = FixedWorkload(arrivals, [20] * 50, [10] * 50)
    plain = Bench().run(workload, FakeSteps(gamma=2, step_s=0.1), replicas=3)
    other = Bench().run_cluster(
        workload,
        [deployment(FakeSteps(gamma=2, step_s=0.1), replicas=3)],
        failures=losing({"at_s": 1e6, "replica": 0}),
    )
    assert other.requests.rows == plain.requests.rows
    assert other.iterations.rows == plain.iterations.rows
    assert changes(other)[-1][0] == max(plain.requests.column("left_s"))


def test_a_pool_that_is_four_times_as_fast_serves_four_times_as_much():
    """Two users and one request at a time: whoever finishes gets the next."""
    bench = Bench().run_cluster(
        FixedWorkload([0.0] * 100, [10] * 100, [10] * 100, concurrency=2),
        [
            deployment(FakeSteps(step_s=0.05), max_num_seqs=1),
            deployment(FakeSteps(step_s=0.2), max_num_seqs=1),
        ],
    )
    assert np.bincount(bench.requests.column("replica")).tolist() == [80, 20]
