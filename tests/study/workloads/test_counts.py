"""Counts in windows, streamed, against the whole array at once; closed forms where there are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.streams import Streams
from simulator.study.workloads.counts import Arrivals, WindowCount, counted
from simulator.study.workloads.modulation import recording
from simulator.workload.arrivals import GammaModulatedPoisson, Poisson
from simulator.workload.modulation import Modulation


def whole(times_s, window_s):
    """Counts of the complete windows, the plain way."""
    complete = int(times_s[-1] // window_s)
    return np.bincount((times_s // window_s).astype(int), minlength=complete)[:complete]


@given(
    gaps=st.lists(st.floats(0.0, 20.0), min_size=2, max_size=60),
    cuts=st.lists(st.integers(0, 60), max_size=4),
    window_s=st.sampled_from([0.5, 1.0, 7.0]),
)
def test_blocks_of_any_size_count_as_one(gaps, cuts, window_s):
    times_s = np.cumsum(gaps) - gaps[0]
    counts = WindowCount(window_s)
    for block in np.split(times_s, sorted(cuts)):
        counts.add(block)
    expected = whole(times_s, window_s)
    assert counts.windows == expected.size
    if expected.size >= 5 and expected.sum():
        assert counts.cv2 == pytest.approx((expected.std() / expected.mean()) ** 2, abs=1e-9)
        assert counts.fano == pytest.approx(expected.var() / expected.mean(), abs=1e-9)
    else:
        assert counts.cv2 is counts.fano is None


def test_gaps_and_rate():
    arrivals = Arrivals()
    for block in ([3.0, 4.0], [], [4.0, 8.0]):
        arrivals.add(np.array(block))
    gaps = np.array([1.0, 0.0, 4.0])
    assert (arrivals.requests, arrivals.span_s, arrivals.together) == (4, 5.0, 1)
    assert arrivals.rate == pytest.approx(3 / 5)
    assert arrivals.gap_cv == pytest.approx(gaps.std() / gaps.mean())


def test_one_instant_has_no_rate():
    arrivals = counted([np.zeros(10)])
    assert arrivals.rate is arrivals.gap_cv is None
    assert arrivals.cv2() == {}


def test_poisson_counts_have_a_fano_factor_of_one():
    arrivals = counted(recording(Poisson(20.0), 2000.0, Streams(1)))
    assert arrivals.gap_cv == pytest.approx(1.0, abs=0.02)
    fano = {count.window_s: count.fano for count in arrivals.counts}
    assert fano[1] == pytest.approx(1.0, abs=4 * np.sqrt(2 / 2000))
    assert fano[10] == pytest.approx(1.0, abs=4 * np.sqrt(2 / 200))


def test_a_fluctuating_rate_scatters_as_its_closed_form_says():
    law = GammaModulatedPoisson(10.0, (Modulation(0.5, 2.0),))
    found = counted(recording(law, 10_000.0, Streams(3))).cv2()
    for window_s in (0.5, 1, 5, 20):
        assert found[window_s] == pytest.approx(law.count_cv2(window_s), rel=0.08)
