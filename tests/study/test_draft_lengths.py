"""Draft lengths by batch: they are those of the closed form, at batches that run."""

import pytest

from simulator.compose import compose
from simulator.scenario import build
from simulator.study.decomposition import best_draft_length, decompose
from simulator.study.draft_lengths import DraftLengths, draft_lengths

CONTEXT_TOKENS = 1000


@pytest.fixture(scope="module")
def scenario():
    return build(compose(["model=mixtral_8x7b", "scheduler.max_num_seqs=100"]))


@pytest.fixture(scope="module")
def grid(scenario):
    return draft_lengths(scenario, 24, CONTEXT_TOKENS)


def test_the_batch_asked_for_stands_among_those_that_run(grid):
    assert grid.batches == (1, 4, 16, 24, 64)  # 256 is beyond the scheduler's limit


def test_every_cell_is_the_closed_form(grid, scenario):
    model, acceptance = scenario.step_model, scenario.acceptance
    assert list(grid.speedups) == list(range(1, 9))
    assert grid.speedups[3][3] == decompose(model, acceptance, 24, CONTEXT_TOKENS, 3).speedup


def test_the_best_is_what_the_advice_proposes(grid, scenario):
    proposed = [
        best_draft_length(scenario.step_model, scenario.acceptance, batch, CONTEXT_TOKENS).gamma
        for batch in grid.batches
    ]
    assert list(grid.best) == proposed


def test_where_nothing_pays_speculation_is_off():
    assert DraftLengths((1, 8), {1: (0.9, 1.1), 2: (0.8, 1.0)}).best == (0, 1)


def test_a_tree_is_not_made_deeper():
    tree = build(compose(["speculation=tree"]))
    assert list(draft_lengths(tree, 4, CONTEXT_TOKENS).speedups) == [1, 2, 3]
