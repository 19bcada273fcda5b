from dataclasses import replace

import pytest

from simulator.hardware.gpu import load_gpu
from simulator.kernels.stand_in import below_peak, over_links
from simulator.kernels.timing import Timing

L40S, L40, H100, H800 = (load_gpu(name) for name in ("l40s", "l40", "h100_sxm", "h800_sxm"))


@pytest.mark.parametrize(
    ("seconds", "kind", "expected"),
    [
        (2.0, "measured", (2.0, "measured")),  # slower than the peak allows: as it stands
        (0.5, "measured", (1.0, "fitted")),
        (0.5, "assumed", (1.0, "assumed")),
    ],
)
def test_a_second_of_peak_work_takes_a_second(seconds, kind, expected):
    assert below_peak(Timing(seconds, kind), 181.05e12, "bfloat16", L40) == expected


def test_measured_gpus_are_not_judged_by_their_data_sheet():
    fast = Timing(0.1, "measured")
    assert below_peak(fast, L40S.peak("fp8"), "fp8", L40S) is fast


def test_only_what_is_sent_follows_the_links():
    empty, timing = Timing(1.0, "measured"), Timing(5.0, "measured")
    assert over_links(timing, empty, H100, H800) == (1 + 4 * 900 / 400, "fitted")
    assert over_links(Timing(0.9, "measured"), empty, H100, H800) == (0.9, "fitted")


@pytest.mark.parametrize(
    "gpu", [H100, replace(H800, nvlink_bandwidth=None), replace(H800, nvlink_bandwidth=9e11)]
)
def test_like_links_and_no_links_leave_the_time(gpu):
    timing = Timing(5.0, "measured")
    assert over_links(timing, Timing(1.0, "measured"), H100, gpu) is timing
