"""Which measurement stands for which kernel: the declarative choice the importer follows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from simulator.errors import TableError, unknown
from simulator.kernels.schema import OPERATORS, PACKAGE
from simulator.quantities import read_data

_HEAD = ("package", "package_version", "licence", "expert_parallel")


@dataclass(frozen=True, slots=True)
class Choice:
    """One source for one operator on one GPU.

    Parameters
    ----------
    gpu, operator, dtype
        What is measured.
    backend, version
        Framework and version whose rows are taken.
    kernels
        Texts of which the kernel source must contain one; empty takes all.
    reason
        Why this source.
    """

    gpu: str
    operator: str
    dtype: str
    backend: str
    version: str
    kernels: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Selection:
    """All choices, most preferred first, and where they are taken from."""

    package: str
    package_version: str
    licence: str
    expert_parallel: tuple[int, ...]
    choices: tuple[Choice, ...]

    def of(self, gpu: str, operator: str) -> list[Choice]:
        """Return the choices for one table, most preferred first."""
        return [c for c in self.choices if c.gpu == gpu and c.operator == operator]

    @property
    def gpus(self) -> list[str]:
        """GPUs that any choice names."""
        return sorted({choice.gpu for choice in self.choices})


def load_selection() -> Selection:
    """Read ``hardware_specs/kernel_tables/selection.yaml``.

    Raises
    ------
    TableError
        If an entry names an unknown operator or lacks a field.

    Examples
    --------
    >>> [c.backend for c in load_selection().of("a100_sxm", "experts")]
    ['sglang', 'sglang']
    """
    return parse_selection(read_data(PACKAGE, "selection", "selection"))


def parse_selection(data: dict[str, Any]) -> Selection:
    """Turn the content of a selection file into a `Selection`."""
    choices: list[Choice] = []
    for operator, entries in data.items():
        if operator in _HEAD:
            continue
        if operator not in OPERATORS:
            raise TableError(unknown("operator", operator, OPERATORS, "selection.yaml"))
        for entry in entries:
            missing = [k for k in ("gpus", "dtypes", "source", "reason") if not entry.get(k)]
            if missing:
                raise TableError(
                    f"selection.yaml: an entry of {operator} lacks {', '.join(missing)}."
                )
            backend, version = entry["source"].split()
            kernels = tuple(entry.get("kernels", ()))
            choices += [
                Choice(gpu, operator, dtype, backend, version, kernels, entry["reason"])
                for gpu in entry["gpus"]
                for dtype in entry["dtypes"]
            ]
    return Selection(
        data["package"],
        str(data["package_version"]),
        data["licence"],
        tuple(data["expert_parallel"]),
        tuple(choices),
    )
