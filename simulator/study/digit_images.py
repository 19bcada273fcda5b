"""The handwritten digits that come with scikit-learn: real pictures for small real models.

1797 pictures of 8 x 8 pixels (UCI "Optical Recognition of Handwritten Digits", Alpaydin and Kaynak,
1998). They are a file inside the library: nothing is downloaded. The file is read where it lies,
since importing the library to do the same takes ten times as long.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.errors import ConfigError

Floats = NDArray[np.float64]

DARKEST = 16.0
"""Pixels are counts from 0 to 16."""

FILE = Path("datasets", "data", "digits.csv.gz")
"""Where the library keeps them: 64 pixels and the digit, a line a picture."""


class DigitImages(NamedTuple):
    """Pictures and what they show.

    Parameters
    ----------
    pixels
        From 0 to 1, shape (n, 64), row by row of a picture.
    labels
        Digits, shape (n,).
    """

    pixels: Floats
    labels: NDArray[np.int64]


def load_digit_images() -> DigitImages:
    """Return all pictures, in the order of the library.

    Raises
    ------
    ConfigError
        If scikit-learn is missing.
    """
    library = find_spec("sklearn")
    folders = (library.submodule_search_locations if library else None) or []
    path = next((Path(folder) / FILE for folder in folders if (Path(folder) / FILE).exists()), None)
    if path is None:
        raise ConfigError(
            "the handwritten digits that come with scikit-learn are needed, and it is not "
            "installed. Install it: pip install 'moesim[study]'"
        )
    table = np.loadtxt(path, delimiter=",")
    return DigitImages(table[:, :-1] / DARKEST, table[:, -1].astype(np.int64))


def split(
    images: DigitImages, held_out: float, generator: np.random.Generator
) -> tuple[DigitImages, DigitImages]:
    """Split pictures at random into those to train on and those held out.

    Parameters
    ----------
    images
        What to split.
    held_out
        Share that is held out, in (0, 1).
    generator
        What the split is drawn from.
    """
    order = generator.permutation(len(images.labels))
    count = round(held_out * len(order))
    kept, held = np.sort(order[count:]), np.sort(order[:count])
    return (
        DigitImages(images.pixels[kept], images.labels[kept]),
        DigitImages(images.pixels[held], images.labels[held]),
    )
