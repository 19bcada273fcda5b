"""Sampled routes against published overlaps and unions; one model fast, through the command."""

import pytest

from simulator.errors import TableError
from simulator.study.routing.published import TOLERANCE, compare_published, published_models

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("model", published_models())
def test_routes_of_another_seed_share_what_was_measured(model):
    found = compare_published([model], seed=5)
    assert len(found) >= 2
    assert max(abs(one.error) for one in found) < TOLERANCE


def test_a_model_without_figures_names_the_nearest():
    with pytest.raises(TableError, match="Did you mean 'glm_5'"):
        compare_published(["glm_6"])
