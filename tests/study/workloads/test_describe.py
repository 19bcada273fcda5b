"""A description of known requests: every figure by hand or by another road."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from simulator.streams import Streams
from simulator.study.workloads.describe import describe
from simulator.study.workloads.figures import curves, metrics, write_curves
from simulator.study.workloads.over_time import OverTime
from simulator.workload.build import build_workload
from simulator.workload.config import WorkloadConfig
from simulator.workload.traits_config import SharedPrefixConfig, TrafficClassConfig

CACHES = (1000, 1_000_000)


@pytest.fixture(scope="module")
def found():
    config = WorkloadConfig(
        preset="chat",
        rate=40.0,
        arrivals="poisson",
        traffic_classes=(
            TrafficClassConfig(name="few", share=3.0, tenants=1),
            TrafficClassConfig(name="many", share=1.0, tenants=3),
        ),
        shared_prefix=SharedPrefixConfig(tokens=160, groups=3),
    )
    return describe(build_workload(config, 4000), Streams(1), CACHES)


def test_metrics(found):
    flat = metrics(found)
    assert flat["requests"] == 4000
    assert flat["rate"] == pytest.approx(40.0, rel=0.07)
    assert flat["prompt_tokens_p50"] == pytest.approx(1000, rel=0.05)
    assert flat["output_tokens_max"] <= 1000
    assert abs(flat["spearman_prompt_output"]) < 0.05
    assert flat["clients"] == 4
    assert flat["top_1_share"] == pytest.approx(0.75, abs=0.03)
    assert flat["clients_of_90_percent"] == 3
    assert flat["fano_1_s"] == pytest.approx(flat["count_cv_1_s"] ** 2 * flat["rate"], rel=0.03)
    # Nearly every prompt is long enough for all ten hashes of its prefix.
    assert flat["reuse_unlimited"] == pytest.approx(160 / flat["prompt_tokens_mean"], rel=0.05)
    assert flat["reuse_1000_tokens"] == flat["reuse_1000000_tokens"] == flat["reuse_unlimited"]
    assert flat["reuse_per_request"] > flat["reuse_unlimited"]
    assert "day_peak_to_mean" not in flat


def test_curves_are_a_long_table_with_units(found, tmp_path):
    drawn = curves(found)
    assert list(drawn) == [
        "rate",
        "count_cv2",
        "fano",
        "prompt_tokens_cdf",
        "output_tokens_cdf",
        "reuse",
        "clients",
    ]
    table = pq.read_table(write_curves(drawn, tmp_path / "figures.parquet", "a test"))
    assert table.schema.metadata[b"moesim.workload"] == b"a test"
    rows = table.to_pylist()
    clients = [row for row in rows if row["figure"] == "clients"]
    assert [row["at"] for row in clients] == [1, 2, 3, 4]
    assert clients[-1]["value"] == 1.0
    assert {row["at_unit"] for row in rows} == {"s", "token", "client"}
    reuse = {row["at"]: row["value"] for row in rows if row["figure"] == "reuse"}
    assert reuse[np.inf] == metrics(found)["reuse_unlimited"]


def test_a_closed_loop_has_no_arrivals():
    config = WorkloadConfig(kind="closed_loop", concurrency=4, prompt_tokens=128, output_tokens=9)
    found = describe(build_workload(config, 50), Streams(1), ())
    assert metrics(found) == {
        "requests": 50,
        **{f"prompt_tokens_{key}": 128.0 for key in ("mean", "p50", "p90", "p99", "max")},
        **{f"output_tokens_{key}": 9.0 for key in ("mean", "p50", "p90", "p99", "max")},
    }
    assert list(curves(found)) == ["prompt_tokens_cdf", "output_tokens_cdf"]


def test_rate_over_time_in_bins_that_grow():
    over_time = OverTime()
    times_s = np.arange(0.0, 5000.0, 2.5)
    for part in np.split(times_s, [10, 700, 1300]):
        over_time.add(part, np.full(part.size, 7))
    assert over_time.bin_s == 16.0  # the least power of two of which 512 hold 5,000 s
    at_s, rate = over_time.rate()
    assert at_s[:2].tolist() == [8.0, 24.0]
    np.testing.assert_allclose(rate, 0.4, rtol=0.1)
    assert over_time.requests.sum() == times_s.size
    assert over_time.tokens.sum() == 7 * times_s.size
    assert over_time.day() is None


def test_the_hours_of_a_day_and_a_half():
    """Twice the rate in the second hour, which is seen on both days."""
    hours = np.concatenate([np.arange(h, h + 1, 0.02 if h % 24 == 1 else 0.04) for h in range(36)])
    over_time = OverTime()
    over_time.add(hours * 3600, np.ones(hours.size, dtype=np.int64))
    day = over_time.day()
    mean = (36 + 2) / 36
    assert day[1] == pytest.approx(2 / mean, rel=0.02)
    assert day[0] == pytest.approx(1 / mean, rel=0.02)
    assert day[20] == pytest.approx(1 / mean, rel=0.02)
