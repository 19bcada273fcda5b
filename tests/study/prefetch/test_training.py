"""Batches: who draws by class, and what is tail."""

import numpy as np

from simulator.study.prefetch.bank import Item
from simulator.study.prefetch.losses import Recipe
from simulator.study.prefetch.training import Effort, tail_classes, train_on_items


def items(rare):
    """Forty sequences of a token, few of which are of the second class."""
    labels = np.zeros((40, 1, 2), dtype=bool)
    labels[:, 0, 0] = True
    labels[:rare, 0] = [False, True]
    return [Item(one.astype(float), one) for one in labels]


def test_drawn_by_class_batches_lack_the_tail_as_if_classes_were_as_frequent():
    effort = Effort(steps=200, batch=4, hidden=2)
    lacked = [
        train_on_items(
            items(2), Recipe(stratified=by_class), effort, np.random.default_rng(0)
        ).missing_tail
        for by_class in (False, True)
    ]
    # Chances that none of four is of the class: .95^4 and .5^4.
    np.testing.assert_allclose(lacked, [0.95**4, 0.5**4], atol=0.08)


def test_recipes_see_the_same_batches():
    effort = Effort(steps=20, batch=4, hidden=2)
    found = [
        train_on_items(items(5), chosen, effort, np.random.default_rng(3)).missing_tail
        for chosen in (Recipe(), Recipe(auc_weight=4.0), Recipe(weighted=True))
    ]
    assert found[0] == found[1] == found[2] > 0


def test_the_tail_is_the_rarer_half_of_what_is_there():
    assert tail_classes(np.array([7, 3, 0, 9, 1])).tolist() == [1, 4]
