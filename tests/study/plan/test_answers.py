"""From simulations to what a plan says: rows, what binds, headroom, Pareto points, near misses."""

from dataclasses import replace

import pytest
from helpers.planning import FormulaBench, by_capacity, drive, outcome, seen

from simulator.slo import SloConfig
from simulator.study.plan import confirm
from simulator.study.plan.cheapest import Design
from simulator.study.plan.confirm import check, lengthened, next_cheaper
from simulator.study.plan.decide import Assessment
from simulator.study.plan.deployment import Deployment
from simulator.study.plan.headroom import headroom
from simulator.study.plan.horizon import Horizon
from simulator.study.plan.nearest import nearest_simulated
from simulator.study.plan.offers import binding_constraint, offer_of
from simulator.study.plan.points import operating_points, pareto
from simulator.study.plan.rates import RateLimit
from simulator.study.plan.screening import Screening

PLAIN = Deployment(model="m", gpu="h100_sxm", replicas=3)
LINE = Screening(
    batches=(1, 8, 64),
    token_s=(0.010, 0.012, 0.030),
    tokens_per_request=100.0,
    kv_requests=32.0,
    bound_rate=10.0,
    likely_rate=8.0,
)


@pytest.mark.parametrize(
    ("run", "binding"),
    [
        (outcome(seen(0.5, tpot_s=900, ttft_s=10)), "tpot"),
        (outcome(seen(0.5, e2e_s=900)), "e2e"),
        (outcome(seen(0.5, ttft_s=900), kv_usage=0.97, kv_usage_peak=1.0), "kv_memory"),
        (outcome(seen(0.5, ttft_s=900), mean_batch=63.0), "max_num_seqs"),
        (outcome(seen(0.5, ttft_s=900), overloaded=True), "decode"),
        (outcome(seen(0.5, ttft_s=900)), "ttft"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_stops_a_deployment(run, binding):
    assert binding_constraint([run], LINE) == binding


def test_prompts_may_be_what_takes_the_time():
    slow = outcome(seen(0.5, ttft_s=900), overloaded=True)
    assert binding_constraint([slow], replace(LINE, binding="prefill")) == "prefill"
    assert binding_constraint([], LINE) == "none"


def test_headroom_counts_the_replicas_that_it_takes():
    """Four requests/s a replica: three hold ten, two do not, and fifteen take four."""
    limit = RateLimit(PLAIN, rates=(12.0, 12.0, 12.0), held=(), beyond=())
    found = drive(headroom(FormulaBench(), limit), by_capacity(lambda _: 4.0))
    assert (found.one_less_holds, found.replicas_n_plus_1) == (False, 4)
    assert (found.peak_holds, found.peak_replicas) == (False, 4)
    roomy = replace(limit, rates=(24.0, 24.0, 24.0))
    found = drive(headroom(FormulaBench(), roomy), by_capacity(lambda _: 8.0))
    assert (found.one_less_holds, found.replicas_n_plus_1) == (True, 3)
    assert (found.peak_holds, found.peak_replicas) == (True, 3)
    refuted = [PLAIN.with_replicas(2)]
    found = drive(headroom(FormulaBench(), roomy, refuted), by_capacity(lambda _: 8.0))
    assert (found.one_less_holds, found.replicas_n_plus_1) == (False, 4)


def test_a_row_pools_its_replications():
    shares = (seen(1.0, requests=1000), seen(0.99, requests=1000, tpot_s=10))
    found = Assessment(PLAIN, 10.0, tuple(outcome(one) for one in shares), (0.99,))
    asked = FormulaBench().question
    asked.usd_per_hour = lambda gpu, gpus: 2.5 * gpus
    offer = offer_of(asked, found)
    (row,) = offer.classes
    assert offer.meets
    assert row.attainment.value == pytest.approx(0.995)
    assert row.missed["tpot_s"] == pytest.approx(0.005)
    assert offer.usd_per_hour == 7.5
    assert offer.usd_per_million_tokens == pytest.approx(7.5 / 3.6)


def test_the_nearest_miss_says_what_it_would_take():
    worse, close = (
        Assessment(PLAIN, 10.0, (outcome(seen(share, ttft_s=100)),), (0.99,))
        for share in (0.5, 0.97)
    )
    asked = FormulaBench(objectives={"all": SloConfig(ttft_s=2.0)}).question
    miss = nearest_simulated(asked, [worse, close])
    assert miss.attainment == {"all": 0.97}
    assert miss.takes[0].startswith("97.0 % of the requests in time")


def test_only_pareto_points_of_each_kind_are_kept():
    slower = replace(LINE, token_s=tuple(2 * each for each in LINE.token_s))
    other = replace(PLAIN, gpu="l40s")
    designs = [Design(PLAIN, LINE), Design(PLAIN, slower), Design(other, slower)]
    points = operating_points(designs, [(PLAIN, outcome(1.0))])
    assert sum(point.simulated for point in points) == 1
    kinds = [point.deployment.gpu for point in points if not point.simulated]
    assert kinds == ["h100_sxm"] * 2 + ["l40s"] * 2  # batches of 64 do not fit the cache
    assert {point.deployment.gpu for point in points if point.pareto} == {"h100_sxm"}
    assert pareto(points) == pareto(list(reversed(points)))


def cheaper(*designs, top):
    asked = FormulaBench().question
    asked.usd_per_hour = lambda gpu, gpus: gpus * {"h100_sxm": 2.5, "l40s": 1.0}.get(gpu, 9.0)
    asked.usd_per_gpu_hour = {}
    asked.limits = type("Limits", (), {"max_gpus": 64, "max_usd_per_hour": None})
    return next_cheaper(asked, designs, top)


def test_the_next_cheaper_costs_least_less_and_the_strongest_may_be_another():
    strong = Design(Deployment(model="m", gpu="h100_sxm"), LINE)
    weak = Design(Deployment(model="m", gpu="l40s"), replace(LINE, likely_rate=0.1))
    literal, strongest = cheaper(strong, weak, top=PLAIN)
    assert (literal.gpu, literal.replicas) == ("l40s", 7)  # 7 of 7.5 $/h
    assert (strongest.gpu, strongest.replicas) == ("h100_sxm", 2)
    assert cheaper(strong, top=strong.with_replicas(1)) == (None, None)


def test_a_confirmation_measures_twice_as_long_after_the_same_warm_up():
    longer = lengthened(Horizon(span_s=300.0, warmup_fraction=0.5))
    assert longer.span_s == pytest.approx(450.0)
    assert longer.span_s * longer.warmup_fraction == pytest.approx(150.0)


def test_fresh_seeds_refute_what_does_not_hold(monkeypatch):
    bench = FormulaBench()
    monkeypatch.setattr(confirm, "fresh_seeds", lambda _: (11, 12, 13, 14, 15))
    held = drive(check(bench, PLAIN), by_capacity(lambda _: 4.0))
    refuted = drive(check(bench, PLAIN), by_capacity(lambda _: 3.0))
    assert held.meets
    assert not refuted.meets
    assert refuted.reason.startswith("50.0 % of the requests are in time")
    assert len(bench.asked) == 10
