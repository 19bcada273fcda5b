"""The memory bank: what it keeps, what it pastes, and how seldom batches lack the tail then."""

import numpy as np
import pytest

from simulator.errors import ConfigError
from simulator.study.prefetch.bank import BankSettings, Item, MemoryBank
from simulator.study.prefetch.training import tail_classes

ALL = BankSettings(per_class=2, retrieved=1.0)


def sequence(*classes, mark=0.0):
    """A sequence of one-hot tokens of four classes; a feature says whose it is."""
    labels = np.eye(4, dtype=bool)[list(classes)]
    return Item(np.column_stack([labels.astype(float), np.full(len(classes), mark)]), labels)


def bank_of(tail, settings=ALL, seed=0):
    return MemoryBank(np.array(tail), settings, np.random.default_rng(seed))


def test_a_sequence_gets_what_it_lacks_of_the_tail_with_its_features():
    bank = bank_of([3])
    assert bank.pass_through(sequence(0, 1, 0)).labels[:, 3].sum() == 0  # nothing is stored yet
    bank.pass_through(sequence(0, 3, 3, 1, mark=7.0))
    plain = sequence(0, 1, 0, 1, 0)
    filled = bank.pass_through(plain)
    pasted = filled.labels[:, 3]
    assert pasted.sum() == 2  # both tokens of the class, and no others
    assert (filled.features[pasted, 3] == 1.0).all()
    assert (filled.features[pasted, 4] == 7.0).all()
    assert (filled.labels.sum(axis=1) == 1).all()
    np.testing.assert_array_equal(filled.features[~pasted], plain.features[~pasted])
    assert not plain.labels[:, 3].any()  # what came in stays as it was


def test_it_keeps_a_few_items_of_each_tail_class_and_none_of_others():
    bank = bank_of([2, 3])
    for mark in range(6):
        bank.pass_through(sequence(0, 3, mark=float(mark)))
    assert bank.items == 2
    assert bank.held_bytes == 2 * 2 * (5 * 8 + 4)


def test_an_item_that_is_kept_for_two_classes_takes_memory_once():
    bank = bank_of([2, 3])
    bank.pass_through(sequence(2, 3))
    assert bank.items == 2
    assert bank.held_bytes == 2 * (5 * 8 + 4)


def test_a_picture_gets_the_pixels_of_a_class_and_not_their_box():
    labels = np.zeros((6, 6, 2), dtype=bool)
    labels[..., 0] = True
    ring = labels.copy()
    ring[1:4, 1:4, 1], ring[1:4, 1:4, 0] = True, False
    ring[2, 2] = [True, False]  # a hole
    bank = bank_of([1])
    bank.pass_through(Item(np.full((6, 6, 3), 5.0), ring))
    filled = bank.pass_through(Item(np.zeros((6, 6, 3)), labels))
    assert filled.labels[..., 1].sum() == 8
    assert (filled.features == 5.0).sum() == 8 * 3


def test_what_is_pasted_shrinks_by_the_resizing():
    settings = BankSettings(per_class=1, retrieved=1.0, resized=0.5)
    bank = bank_of([3], settings)
    bank.pass_through(sequence(3, 3, 3, 3))
    assert bank.pass_through(sequence(0, 0, 0, 0)).labels[:, 3].sum() == 2


@pytest.mark.parametrize("seed", range(5))
def test_what_is_longer_than_a_sequence_is_cut_to_it_with_a_token_of_the_class(seed):
    bank = bank_of([3], seed=seed)
    bank.pass_through(sequence(3, 0, 0, 0, 3, 0, 0, 3))
    filled = bank.pass_through(sequence(0, 1, 0))
    assert len(filled.labels) == 3
    assert 1 <= filled.labels[:, 3].sum() <= 2


def test_resizing_never_loses_the_class():
    bank = bank_of([3], BankSettings(per_class=1, retrieved=1.0, resized=0.2))
    bank.pass_through(sequence(3, 0, 0, 0, 3))  # the token in the middle is of another class
    assert bank.pass_through(sequence(0, 0, 0, 0, 0)).labels[:, 3].any()


def test_batches_lack_tail_classes_more_than_five_times_less_often():
    draws = np.random.default_rng(0)
    shares = 1.0 / np.arange(1, 33) ** 1.2
    items = []
    for _ in range(400):
        labels = np.eye(32, dtype=bool)[draws.choice(32, size=16, p=shares / shares.sum())]
        items.append(Item(labels.astype(float), labels))
    tail = tail_classes(sum(item.labels.sum(axis=0) for item in items))
    bank = bank_of(tail, BankSettings(retrieved=0.3))

    def lacked(batches):
        found = [np.any([item.labels.any(axis=0) for item in batch], axis=0) for batch in batches]
        return 1.0 - np.stack(found)[:, tail].mean()

    batches = [items[at : at + 8] for at in range(0, 400, 8)]
    plain = lacked(batches)
    filled = lacked([[bank.pass_through(item) for item in batch] for batch in batches])
    assert plain > 0.2
    assert filled < plain / 5


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"per_class": 0}, "bank_per_class=0 must be 1"),
        ({"retrieved": 0.0}, "bank_retrieved=0.0 must lie"),
        ({"resized": 1.5}, "bank_resized=1.5 must lie"),
    ],
)
def test_settings_without_sense_are_refused(settings, words):
    with pytest.raises(ConfigError, match=words):
        BankSettings(**settings)
