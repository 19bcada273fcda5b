"""Which measurement stands for which kernel: the declarative choice the importer follows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from simulator.errors import TableError, unknown
from simulator.kernels.schema import ENGINES, OPERATORS, PACKAGE
from simulator.quantities import read_data

_HEAD = ("package", "package_version", "licence", "expert_parallel")


@dataclass(frozen=True, slots=True)
class Choice:
    """One source for one operator of one engine on one GPU.

    Parameters
    ----------
    gpu, engine, operator, dtype
        What is measured, and for which serving engine it stands.
    backend, version
        Framework and version whose rows are taken; not always the engine itself.
    kernels
        Texts of which the kernel source must contain one; empty takes all.
    reason
        Why this source.
    """

    gpu: str
    engine: str
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

    def of(self, gpu: str, engine: str, operator: str) -> list[Choice]:
        """Return the choices for one table, most preferred first."""
        key = (gpu, engine, operator)
        return [c for c in self.choices if (c.gpu, c.engine, c.operator) == key]

    @property
    def sets(self) -> list[tuple[str, str]]:
        """GPU and engine of every set of tables, engines in the order of `schema.ENGINES`."""
        found = {(choice.gpu, choice.engine) for choice in self.choices}
        return sorted(found, key=lambda pair: (pair[0], ENGINES.index(pair[1])))


def load_selection() -> Selection:
    """Read ``hardware_specs/kernel_tables/selection.yaml``.

    Raises
    ------
    TableError
        If an entry names an unknown operator or engine, or lacks a field.

    Examples
    --------
    >>> [c.backend for c in load_selection().of("a100_sxm", "vllm", "experts")]
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
            choices += _choices(operator, entry)
    return Selection(
        data["package"],
        str(data["package_version"]),
        data["licence"],
        tuple(data["expert_parallel"]),
        tuple(choices),
    )


def _choices(operator: str, entry: dict[str, Any]) -> list[Choice]:
    """Return one choice per GPU, engine and dtype of an entry."""
    engines = entry.get("engines", ENGINES[:1])
    for engine in engines:
        if engine not in ENGINES:
            raise TableError(unknown("engine", engine, ENGINES, f"selection.yaml, {operator}"))
    backend, version = entry["source"].split()
    kernels = tuple(entry.get("kernels", ()))
    return [
        Choice(gpu, engine, operator, dtype, backend, version, kernels, entry["reason"])
        for gpu in entry["gpus"]
        for engine in engines
        for dtype in entry["dtypes"]
    ]
