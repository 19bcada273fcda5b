import numpy as np
import pytest
from helpers.trace_rows import request_row
from hypothesis import given
from hypothesis import strategies as st

from simulator.trace.metrics import measure
from simulator.trace.read import Run
from simulator.trace.schema import CANCELLED
from simulator.trace.tenants import jain

BASELINE = ("baseline", 0)
amounts = st.lists(st.integers(0, 10**9), min_size=1, max_size=50)


@given(amounts)
def test_jains_index_lies_between_one_for_all_and_one_for_each(values):
    found = jain(np.array(values))
    if not any(values):
        assert found is None
    else:
        assert 1 / len(values) - 1e-12 <= found <= 1 + 1e-12


@given(amounts, st.integers(1, 1000))
def test_jains_index_does_not_depend_on_the_unit(values, factor):
    found, scaled = jain(np.array(values)), jain(factor * np.array(values))
    assert found == scaled if found is None else found == pytest.approx(scaled)


def test_jains_index_is_the_share_that_is_served_alike():
    """R. Jain et al., section 3: if k of n users get the same and the rest nothing, it is k/n."""
    assert jain(np.array([5, 5, 0, 0, 0, 5, 0, 0, 0, 0])) == pytest.approx(0.3)


@pytest.fixture
def tenants(write_trace):
    rows = [
        # 10 prompt tokens each: 4 of tenant 0 from the cache, one request after the window.
        request_row(0, 0.0, 0.5, 1.0, 6, tenant=0, cached_tokens=4),
        request_row(1, 1.0, 1.5, 2.0, 5, tenant=2),
        request_row(2, 2.0, 2.5, tenant=2, outcome=CANCELLED, emitted_tokens=3, output_tokens=9),
        request_row(3, 3.0, tenant=1, output_tokens=7),
        request_row(4, 10.0, 10.5, 12.0, 8, tenant=0),
    ]
    slo = {"ttft_s": 1.0, "tpot_s": 0.11, "e2e_s": None, "share": 0.9}
    paths = write_trace({BASELINE: rows}, {BASELINE: []}, {"slo": slo})
    return measure(*paths, 0.0)[Run(*BASELINE)].tenants


def test_service_is_what_is_computed_within_the_window(tenants):
    assert tenants.service_tokens.tolist() == [6 + 6, 0, 10 + 5 + 10 + 3]
    assert tenants.demand_tokens.tolist() == [6 + 6 + 10 + 8, 17, 10 + 5 + 10 + 9]


def test_requests_are_counted_by_tenant(tenants):
    assert tenants.requests.tolist() == [2, 1, 2]
    assert tenants.finished.tolist() == [2, 0, 1]
    assert tenants.attained.tolist() == [1, 0, 0]
    assert tenants.good.tolist() == [1, 0, 0]
    assert tenants.window_s == 10.0


def test_runs_join_though_one_lacks_the_last_tenants(tenants, write_trace):
    rows = [request_row(0, 0.0, 0.5, 1.0, tenant=1), request_row(1, 5.0, 5.5, 6.0, tenant=3)]
    other = measure(*write_trace({BASELINE: rows}, {BASELINE: []}), 0.0)[Run(*BASELINE)].tenants
    for total in (tenants + other, other + tenants):
        assert total.requests.tolist() == [2, 2, 2, 1]


def test_one_tenant_is_no_table(write_trace):
    rows = [request_row(i, float(i), i + 0.5, i + 0.9) for i in range(3)]
    assert (
        measure(*write_trace({BASELINE: rows}, {BASELINE: []}), 0.0)[Run(*BASELINE)].tenants is None
    )
