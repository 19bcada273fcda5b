"""Pictures of digits: what they are, how they split, and what is said where the library lacks."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.errors import ConfigError
from simulator.study import digit_images
from simulator.study.digit_images import load_digit_images, split


def test_pictures_have_64_pixels_from_0_to_1_and_show_ten_digits() -> None:
    images = load_digit_images()
    assert images.pixels.shape == (1797, 64)
    assert (images.pixels.min(), images.pixels.max()) == (0.0, 1.0)
    assert set(images.labels.tolist()) == set(range(10))


def test_a_split_keeps_every_picture_once() -> None:
    images = load_digit_images()
    kept, held = split(images, 0.2, np.random.default_rng(5))
    assert (len(kept.labels), len(held.labels)) == (1438, 359)
    together = np.concatenate([kept.pixels, held.pixels])
    assert sorted(map(tuple, together)) == sorted(map(tuple, images.pixels))


def test_without_the_library_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(digit_images, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'moesim\[study\]'"):
        load_digit_images()
