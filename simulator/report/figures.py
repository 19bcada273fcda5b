"""Numbers as people read them, three significant digits and a unit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from simulator.trace.statistics import Interval
from simulator.units import MS, US

ABSENT = "-"
"""Stands where there is no figure."""


def seconds(value: float | None) -> str:
    """Write a time in the unit that suits it.

    Examples
    --------
    >>> [seconds(t) for t in (12.34, 0.01234, 0.00001234, 0.0, None)]
    ['12.3 s', '12.3 ms', '12.3 us', '0 s', '-']
    """
    if value is None:
        return ABSENT
    for unit, scale in (("s", 1.0), ("ms", MS), ("us", US)):
        if abs(value) >= 0.9995 * scale:
            return f"{number(value / scale)} {unit}"
    return f"{number(value / US)} us" if value else "0 s"


def number(value: float | None) -> str:
    """Write a number with three significant digits, thousands apart, whole from 1,000 on.

    Examples
    --------
    >>> [number(x) for x in (0.01234, 1.0, 98.76, 123.4, 12345.6, None)]
    ['0.0123', '1.00', '98.8', '123', '12,346', '-']
    """
    if value is None:
        return ABSENT
    if 0 < abs(value) < 0.9995:
        return f"{value:#.3g}"
    digits = next((n for limit, n in ((9.995, 2), (99.95, 1)) if abs(value) < limit), 0)
    return f"{value:,.{digits}f}"


def percent(value: float | None) -> str:
    """Write a share in percent.

    Examples
    --------
    >>> percent(0.7345), percent(None)
    ('73 %', '-')
    """
    return ABSENT if value is None else f"{100 * value:.0f} %"


def fine_percent(value: float | None) -> str:
    """Write a share or an error in percent with one decimal; None and NaN are absent.

    Examples
    --------
    >>> fine_percent(0.0123), fine_percent(float("nan")), fine_percent(None)
    ('1.2 %', '-', '-')
    """
    return ABSENT if value is None or math.isnan(value) else f"{100 * value:.1f} %"


def signed_percent(value: float) -> str:
    """Write a deviation in percent with its sign.

    Examples
    --------
    >>> signed_percent(0.0123), signed_percent(-0.2)
    ('+1.2 %', '-20.0 %')
    """
    return f"{100 * value:+.1f} %"


def factor(value: float | None) -> str:
    """Write a ratio.

    Examples
    --------
    >>> factor(1.4567)
    '1.46x'
    """
    return ABSENT if value is None else f"{value:.2f}x"


def bounds(interval: Mapping[str, Any]) -> str:
    """Write the bounds of an interval, or nothing if it has none.

    Examples
    --------
    >>> bounds({"value": 1.2, "low": 1.15, "high": 1.254})
    '1.15 to 1.25'
    """
    if interval["low"] is None or interval["high"] is None:
        return ""
    return f"{interval['low']:.2f} to {interval['high']:.2f}"


def plus_minus(interval: Interval | None, form: str = ".2f") -> str:
    """Write a value and half of its interval, both in a format, the latter without a sign.

    Examples
    --------
    >>> plus_minus(Interval(0.0581, 0.05, 0.066), "+.3f"), plus_minus(Interval(1.5, None, None))
    ('+0.058 ±0.008', '1.50')
    >>> plus_minus(None)
    '-'
    """
    if interval is None:
        return ABSENT
    if interval.low is None or interval.high is None:
        return f"{interval.value:{form}}"
    half = (interval.high - interval.low) / 2
    return f"{interval.value:{form}} ±{half:{form.removeprefix('+')}}"
