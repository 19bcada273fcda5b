"""Wide expert parallelism beside what was reported, and speculation as EP grows: small cases."""

import io
from dataclasses import replace

import pytest
from helpers.step_models import step_model
from rich.console import Console

from simulator.costs.forward import total_s
from simulator.costs.step import StepShape
from simulator.errors import ConfigError
from simulator.quantities import Quantity
from simulator.report.wide_ep import print_wide_ep
from simulator.report.wide_ep_plots import plot_parts, plot_speculation
from simulator.study.wide_ep.decode import HOST, model, overlapped_s
from simulator.study.wide_ep.published import Reported, reported_deployments
from simulator.study.wide_ep.speculation import curve
from simulator.study.wide_ep.validate import Plan, WideEp, summary

PLAN = Plan(
    expert_parallel=(8, 16), batches=(1, 64, 4000), gamma=1, alpha=0.85, context_tokens=2000
)


def quantity(value):
    return Quantity(value, "1", "this test", "assumed")


@pytest.fixture(scope="module")
def sixteen():
    """Two nodes: 16 GPUs of 16 experts each, 64 requests on each GPU."""
    sizes = ("tensor_parallel=1", "data_parallel=16", "expert_parallel=16")
    lies = ("topology=rails_infiniband_h100", "all2all_backend=deepep_low_latency")
    words = tuple(f"hardware.{word}" for word in (*sizes, *lies))
    reported = Reported(
        name="sixteen",
        title="16 H100",
        overrides=("model=deepseek_v3", "hardware=h100_sxm", *words),
        output_tokens=quantity(8000.0),
        batch=quantity(64.0),
        context_tokens=quantity(1000.0),
        mtp_acceptance=quantity(0.8),
        overlapped=True,
    )
    return model(reported)


@pytest.fixture(scope="module")
def found(sixteen):
    settings = {"gamma": 1, "alpha": 0.85, "context_tokens": 2000, "same_requests": 16.0}
    curves = tuple(curve(size, PLAN.batches, **settings) for size in PLAN.expert_parallel)
    return WideEp(PLAN, (sixteen,), curves)


@pytest.fixture(scope="module")
def eight():
    backend = {"all2all_backend": "deepep_low_latency", "topology": "nvswitch_h100"}
    return step_model("deepseek_v3", "h200_sxm", 1, data=8, expert=8, **backend)


def test_what_was_reported_says_where_it_comes_from():
    for one in reported_deployments():
        assert "from memory" in one.output_tokens.source
        assert one.output_tokens.kind == "measured"


def test_throughput_is_requests_of_a_node_over_the_time_of_a_step(sixteen):
    serial = sixteen.variants[0]
    assert serial.step_s == pytest.approx(total_s(sixteen.parts))
    assert serial.tokens_per_s == pytest.approx(8 * 64 / serial.step_s)
    assert serial.ratio == pytest.approx(sixteen.reported_step_s / serial.step_s)


def test_every_change_saves_what_it_says(sixteen):
    rates = {variant.name: variant for variant in sixteen.variants}
    assert next(iter(rates)) == "serial"
    sent = sixteen.parts["dispatch"].seconds + sixteen.parts["combine"].seconds
    assert rates["free_exchange"].step_s == pytest.approx(rates["serial"].step_s - sent)
    mtp = rates["mtp"]
    assert mtp.step_s > rates["serial"].step_s  # a round drafts, and verifies two tokens
    assert mtp.tokens_per_s == pytest.approx(8 * 64 * 1.8 / mtp.step_s)
    assert rates["overlapped"].step_s < rates["mtp_overlapped"].step_s


def test_overlap_hides_the_shorter_of_computation_and_exchange(eight):
    """On one node the exchange is short: all of it hides, and two halves compute."""
    shape, half = (StepShape(requests, 1, 1000) for requests in (512, 256))
    parts = eight.target_step(half).parts
    hidden = ("dispatch", "combine", *HOST)
    computed = sum(time.seconds for part, time in parts.items() if part not in hidden)
    whole = eight.target_step(shape).parts
    host = sum(whole[part].seconds for part in HOST)
    assert overlapped_s(eight, shape) == pytest.approx(2 * computed + host)


def test_many_gpus_wake_all_experts_anyway(found):
    """Eight times one request wake a part of 256 experts, and drafts more of them."""
    few, many = (line.points[0] for line in found.curves)
    assert few.experts_penalty > 1.3 * many.experts_penalty > 0
    assert few.penalty > many.penalty
    assert found.shrinks
    assert found.least_penalty.expert_parallel == 16


def test_where_a_gpu_has_many_requests_the_exchange_costs_more_with_more_gpus(found):
    few, many = (line.points[-1] for line in found.curves)
    assert few.batch == many.batch == 64
    assert many.exchange_penalty > few.exchange_penalty
    assert many.speedup < few.speedup


def test_penalties_are_parts_of_the_whole(found):
    for line in found.curves:
        for point in (*line.points, line.same_requests):
            assert point.experts_penalty + point.exchange_penalty <= point.penalty + 1e-12


def test_batches_beyond_the_cache_are_left_out(found):
    assert [[point.batch for point in line.points] for line in found.curves] == [[1, 64]] * 2


@pytest.mark.parametrize(
    ("penalties", "shrinks"),
    [((0.2, 0.1, 0.05), True), ((0.2, 0.05, 0.1), True), ((0.1, 0.2), False), ((3, 4, 2), False)],
)
def test_a_penalty_that_grows_is_not_said_to_shrink(found, penalties, shrinks):
    first = found.curves[0]
    curves = tuple(
        replace(first, points=(replace(first.points[0], target_efficiency=1 - penalty),))
        for penalty in penalties
    )
    assert replace(found, curves=curves).shrinks is shrinks


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"expert_parallel": (8,)}, "two sizes or more"),
        ({"batches": (4, 2)}, r"batches=\[4, 2\]"),
        ({"gamma": 0}, "gamma=0 .* at least 1"),
    ],
)
def test_plans_without_a_question_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        replace(PLAN, **change)


def test_tables_fit_the_screen_and_say_which_way_it_went(found):
    console = Console(width=80, record=True, file=io.StringIO())
    print_wide_ep(found, console)
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 80
    words = " ".join(text.split())
    for expected in (
        "16 H100: 64 requests a GPU, context 1,000",
        "MTP, 80% accepted (assumed)",
        "What was reported lies",
        "The small-batch penalty shrinks up to EP 16",
    ):
        assert expected in words


def test_the_summary_has_every_ratio_and_point(found):
    metrics = summary(found)["metrics"]
    assert metrics["sixteen_serial_ratio"] == found.deployments[0].variants[0].ratio
    assert metrics["sixteen_dispatch_s"] == found.deployments[0].parts["dispatch"].seconds
    assert metrics["ep8_batch1_speedup"] == found.curves[0].points[0].speedup
    assert metrics["small_batch_penalty_shrinks"] is True


@pytest.mark.slow
def test_pictures_are_drawn(found, tmp_path):
    for draw in (plot_speculation, plot_parts):
        file = draw(found, tmp_path / "picture.png")
        assert file.read_bytes()[:4] == b"\x89PNG"
