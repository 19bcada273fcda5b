import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.report.figures import bounds, factor, number, percent, seconds

SCALES = {"s": 1.0, "ms": 1e-3, "us": 1e-6}


@given(st.floats(1e-6, 1e5))
def test_a_time_reads_back_to_three_digits(value):
    digits, unit = seconds(value).split()
    assert float(digits.replace(",", "")) * SCALES[unit] == pytest.approx(value, rel=0.0051)


@given(st.floats(1e-3, 1e12))
def test_a_number_reads_back_to_three_digits(value):
    assert float(number(value).replace(",", "")) == pytest.approx(value, rel=0.0051)


@given(st.floats(1e-6, 999))
def test_no_time_below_a_thousand_seconds_is_wider_than_its_column(value):
    assert re.fullmatch(r"[\d.]{3,4} (s|ms|us)", seconds(value))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.99949, "999 ms"),
        (0.9996, "1.00 s"),
        (9.996, "10.0 s"),
        (99.96, "100 s"),
        (3600.0, "3,600 s"),
        (2.5e-8, "0.0250 us"),
    ],
)
def test_rounding_moves_on_to_the_next_unit_in_time(value, text):
    assert seconds(value) == text


def test_what_is_absent_is_a_dash():
    assert seconds(None) == number(None) == percent(None) == factor(None) == "-"
    assert bounds({"value": 1.0, "low": None, "high": None}) == ""
