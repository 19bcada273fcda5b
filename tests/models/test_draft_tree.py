"""The shape of drafts, counted node by node."""

from hypothesis import given
from hypothesis import strategies as st

from simulator.models.draft_tree import CHAIN, DraftTree

widths = st.lists(st.integers(1, 4), max_size=4)
gammas = st.integers(0, 6)


def grown(widths, gamma):
    """Levels of a tree, each a list of nodes, grown one node at a time."""
    levels, level = [], ["root"]
    for depth in range(gamma):
        width = widths[depth] if depth < len(widths) else 1
        level = [(node, child) for node in level for child in range(width)]
        levels.append(level)
    return levels


@given(widths, gammas)
def test_nodes_are_those_of_a_tree_grown_by_hand(widths, gamma):
    levels, tree = grown(widths, gamma), DraftTree(widths)
    assert tree.levels(gamma) == [len(level) for level in levels]
    assert tree.nodes(gamma) == sum(len(level) for level in levels)


@given(widths, st.integers(1, 6))
def test_each_draft_pass_reads_the_level_before(widths, gamma):
    tree = DraftTree(widths)
    assert tree.pass_tokens(gamma) == [1, *tree.levels(gamma)[:-1]]
    assert sum(tree.pass_tokens(gamma)) == 1 + tree.nodes(gamma - 1)


@given(gammas)
def test_widths_of_one_are_a_chain(gamma):
    assert DraftTree([1] * gamma).levels(gamma) == CHAIN.levels(gamma) == [1] * gamma
    assert DraftTree([1] * gamma).nodes(gamma) == gamma
