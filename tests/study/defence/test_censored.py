"""Estimates from sessions that were cut off: right where plain shares mislead."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import CensoredData, ecdf

from simulator.study.defence.censored import Ends


def test_without_cuts_they_are_plain_shares_and_means() -> None:
    replies, event = np.array([5, 3, 3, 8]), np.array([True, False, True, False])
    ends = Ends(replies, np.zeros(4, dtype=bool))
    assert ends.chance(event) == pytest.approx(0.5)
    assert ends.mean() == pytest.approx(19 / 4)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 30), st.booleans()), min_size=2, max_size=40))
def test_the_mean_is_the_area_under_the_estimator_of_kaplan_and_meier(
    sessions: list[tuple[int, bool]],
) -> None:
    replies, cut = (np.array(column) for column in zip(*sessions, strict=True))
    cut &= replies < replies.max()  # the longest ends: nothing is left open
    found = Ends(replies, cut)
    known = ecdf(CensoredData(uncensored=replies[~cut], right=replies[cut])).sf
    times = np.concatenate([[0], known.quantiles])
    alive = np.concatenate([[1.0], known.probabilities[:-1]])
    assert found.mean() == pytest.approx(float((alive * np.diff(times)).sum()))
    assert found.chance(np.ones(len(replies), dtype=bool)) == pytest.approx(1.0)


def test_cuts_do_not_bias_what_plain_shares_get_wrong() -> None:
    # Successes are short, failures run to a budget of 1000; half of all are cut somewhere.
    generator = np.random.default_rng(1)
    wins = generator.random(4000) < 0.6
    full = np.where(wins, generator.integers(50, 800, 4000), 1000)
    ends_at = generator.integers(1, 2000, 4000)
    cut = ends_at < full
    ends = Ends(np.minimum(full, ends_at), cut)
    assert ends.chance(wins) == pytest.approx(0.6, abs=0.03)
    assert ends.mean() == pytest.approx(full.mean(), rel=0.03)
    assert wins[~cut].mean() > 0.66  # of those that ended
    assert (wins & ~cut).mean() < 0.52  # of those that began


def test_nothing_is_said_where_too_many_are_cut_before_any_could_end() -> None:
    ends = Ends(np.array([10, 20, 20, 20]), np.array([False, True, True, True]))
    assert ends.chance(np.array([True, False, False, False])) is None
    assert ends.mean() is None
    nobody = Ends(np.zeros(0), np.zeros(0, dtype=bool))
    assert nobody.chance(np.zeros(0, dtype=bool)) is None
