"""The task on canvases of digits: what is drawn, and that rare digits are learned at all."""

import numpy as np
import pytest

from simulator.study.digit_images import load_digit_images
from simulator.study.prefetch.canvases import BACKGROUND, CLASSES, SIDE, draw_canvas, label_pixels
from simulator.study.prefetch.training import Effort
from tests.helpers.prefetch import here

pytest.importorskip("sklearn", reason="the digits come with scikit-learn")


def test_canvases_have_one_class_a_pixel_and_rare_digits_are_rare():
    images, draws = load_digit_images(), np.random.default_rng(0)
    items = [draw_canvas(images, draws) for _ in range(60)]
    assert all((item.labels.sum(axis=2) == 1).all() for item in items)
    pixels = np.sum([item.labels.sum(axis=(0, 1)) for item in items], axis=0)
    assert pixels.argmax() == BACKGROUND
    assert pixels[:2].sum() > 3 * pixels[8:10].sum()
    centre = items[0].features[..., items[0].features.shape[2] // 2]
    ink = ~items[0].labels[..., BACKGROUND]
    assert centre.shape == (SIDE, SIDE)
    assert centre[ink].min() > 0.3
    assert items[0].labels.shape[2] == CLASSES


@pytest.mark.slow
def test_the_bank_fills_batches_and_rare_digits_are_said_more_often():
    names = ("ce", "ce_auc_bank")
    effort = Effort(steps=150, batch=4, learning_rate=1e-2)
    plain, banked = label_pixels(names, [0], here(), canvases=60, effort=effort)
    assert banked.missing_tail < plain.missing_tail / 5
    assert banked.tail_iou > plain.tail_iou > 0.0
    assert plain.mean_iou > 1.5 / CLASSES  # who says background alone has .91 / 11
