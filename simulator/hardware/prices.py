"""What an hour of a GPU costs, as data: list prices shipped, or a file of the user's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from simulator.errors import TableError, unknown
from simulator.hardware.gpu import gpu_names
from simulator.quantities import (
    Quantity,
    names_a_file,
    read_data,
    read_data_file,
    read_quantities,
)

UNIT = "USD/GPU-hour"
"""The unit of every price."""

_PACKAGE, _SHIPPED = "simulator.hardware_specs", "prices"


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices by GPU.

    Parameters
    ----------
    by_gpu
        Price of one GPU, USD an hour on demand, by its name in ``hardware_specs/gpus`` or the
        absolute path of its specification. What is not here has no known price.
    origin
        The file that they come from.
    """

    by_gpu: Mapping[str, Quantity]
    origin: str

    def of(self, gpu: str) -> Quantity | None:
        """Return the price of one GPU, USD an hour, with its source; None if it is not known."""
        return self.by_gpu.get(_key(gpu))


def load_prices(path: str | None = None) -> Prices:
    """Load list prices.

    Parameters
    ----------
    path
        A YAML file ``GPU: {value, unit: USD/GPU-hour, kind, source}``; None takes the shipped one.
        A key is a name in ``hardware_specs/gpus``, or the path of a specification.

    Raises
    ------
    TableError
        If there is no such file, or a price lacks its source, is not positive, has another unit, or
        is of no known GPU.

    Examples
    --------
    >>> load_prices().of("l40").value
    1.25
    >>> load_prices().of("h800_sxm") is None
    True
    """
    if path is None:
        data, origin = read_data(_PACKAGE, _SHIPPED, "price list"), "hardware_specs/prices.yaml"
    else:
        data, origin = read_data_file(path, "price list"), str(path)
    prices = read_quantities(data, origin)
    for gpu, price in prices.items():
        if not names_a_file(gpu) and gpu not in gpu_names():
            raise TableError(unknown("GPU", gpu, gpu_names(), origin))
        if price.unit != UNIT:
            raise TableError(f"{origin}: {gpu} is in {price.unit!r}; prices are in {UNIT}.")
        if not 0 < price.value < float("inf"):
            raise TableError(f"{origin}: {gpu} costs {price.value!r}; a price must be positive.")
    return Prices({_key(gpu): price for gpu, price in prices.items()}, origin)


def _key(gpu: str) -> str:
    """Return a GPU's name, or its specification's absolute path, which is the name it loads by."""
    return str(Path(gpu).expanduser().absolute()) if names_a_file(gpu) else gpu
