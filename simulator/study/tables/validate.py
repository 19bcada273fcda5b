"""How far the kernel tables can be trusted: everything left out once, predicted from the rest.

What the simulator says about a shape that nobody measured is a prediction, and this is its test:
one measured shape at a time is taken out of the shipped tables, whatever is fitted is fitted again
without it, and its rows are predicted. Nothing else is needed than what moesim ships.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from simulator.hardware.gpu import load_gpu
from simulator.kernels.schema import ENGINES, PACKAGE
from simulator.quantities import read_data
from simulator.study.tables.experts import (
    ExpertsLeftOut,
    LinearInExperts,
    leave_experts_out,
    linear_in_experts,
)
from simulator.study.tables.left_out import Array, LeftOut, median, quantile
from simulator.study.tables.operators import CHECKS

REJECTED = (
    "not_positive",
    "half_activated",
    "cache_hot",
    "off_plateau",
    "faster_than_peak",
    "isolated_spike",
)
"""Rules that say a row is wrong. The others merge repeats and prefer one source over another."""


@dataclass(frozen=True, slots=True)
class Cleaning:
    """What the cleaning rules took from the tables of one operator on one GPU.

    Parameters
    ----------
    gpu, operator
        Which table.
    kept
        Rows in the shipped table.
    dropped
        Rows dropped, by rule.
    """

    gpu: str
    operator: str
    kept: int
    dropped: dict[str, int]

    @property
    def seen(self) -> int:
        """Rows that were looked at."""
        return self.kept + sum(self.dropped.values())

    @property
    def rejected(self) -> int:
        """Rows that a rule found wrong."""
        return sum(count for rule, count in self.dropped.items() if rule in REJECTED)


class Validation(NamedTuple):
    """All checks of the kernel tables, over the GPUs asked for.

    Parameters
    ----------
    gpus
        Names of the measured GPUs.
    experts
        Routed experts with one model's shape left out, by GPU and dtype.
    linear
        Whether expert times under uniform routing are linear in the active experts.
    operators
        Every other operator with one of its shapes left out.
    cleaning
        What the cleaning rules dropped.
    """

    gpus: list[str]
    experts: list[ExpertsLeftOut]
    linear: list[LinearInExperts]
    operators: list[LeftOut]
    cleaning: list[Cleaning]

    def rejected_share(self, gpu: str, operator: str | None = None) -> float:
        """Return the share of a GPU's rows that a rule found wrong; of all operators, or one."""
        tables = [c for c in self.cleaning if c.gpu == gpu and operator in (None, c.operator)]
        return sum(c.rejected for c in tables) / sum(c.seen for c in tables)


def measured_gpus(names: Iterable[str] = ()) -> list[str]:
    """Return the measured GPUs that stand for the GPUs named, each once; all without a name.

    Raises
    ------
    TableError
        If there is no such GPU; the message names the nearest.

    Examples
    --------
    >>> measured_gpus(["l40s", "h100_sxm", "l40s"])
    ['l40s', 'h100_sxm']
    """
    wanted = [load_gpu(name).tables for name in names]
    return list(dict.fromkeys(wanted)) or sorted({table.gpu for table in cleaning()})


def steps(gpus: list[str]) -> int:
    """Return how often `validate_kernels` reports progress."""
    return len(gpus) * (len(CHECKS) + 1)


def validate_kernels(
    gpus: list[str], advance: Callable[[], None], engine: str = ENGINES[0]
) -> Validation:
    """Leave out and predict every shape of every table of some GPUs under one engine.

    Parameters
    ----------
    gpus
        Measured GPUs, as `measured_gpus` gives them.
    advance
        Called once per operator and GPU, `steps` times in all.
    engine
        Serving engine whose own tables are looked at, one of `schema.ENGINES`.
    """
    experts: list[ExpertsLeftOut] = []
    linear: list[LinearInExperts] = []
    operators: list[LeftOut] = []
    for name in gpus:
        gpu = load_gpu(name)
        experts += leave_experts_out(gpu, engine)
        linear += linear_in_experts(gpu, engine)
        advance()
        for check in CHECKS:
            operators += check(gpu, engine)
            advance()
    return Validation(gpus, experts, linear, operators, cleaning(gpus, engine))


def cleaning(gpus: Iterable[str] = (), engine: str = ENGINES[0]) -> list[Cleaning]:
    """Read what the import dropped for an engine, of some GPUs or all, from the manifest."""
    chosen = set(gpus)
    tables = read_data(PACKAGE, "manifest", "manifest")["tables"]
    parts = [(*key.split("/"), entry) for key, entry in tables.items()]
    return [
        Cleaning(gpu, operator, int(entry["rows"]), dict(entry["dropped"]))
        for gpu, owner, operator, entry in parts
        if owner == engine and (not chosen or gpu in chosen)
    ]


def pooled(parts: Iterable[Array]) -> Array:
    """Return the errors of several tables as one sample."""
    return np.concatenate([np.empty(0), *parts])


def metrics(validation: Validation) -> dict[str, float]:
    """Return the headline figures by flat name, all of them fractions.

    Names end in the GPU, and for experts also come per GPU and dtype. Errors are relative errors
    over the rows left out; those of a GPU pool its dtypes. NaN where nothing could be left out.
    """
    found: dict[str, float] = {}
    for name in validation.gpus:
        tables = [table for table in validation.experts if table.rows.gpu == name]
        errors = pooled(table.rows.relative_errors for table in tables)
        found |= {
            f"experts_lomo_median_ape_{name}": median(errors),
            f"experts_lomo_mape_{name}": float(errors.mean()) if len(errors) else float("nan"),
            f"experts_lomo_spread_median_ape_{name}": median(
                pooled(table.spread.relative_errors for table in tables)
            ),
            f"ratio_median_ape_{name}": median(pooled(table.ratio_errors for table in tables)),
        }
        for table in tables:
            key = f"{name}_{table.rows.dtype}"
            found[f"experts_lomo_median_ape_{key}"] = table.rows.median
            found[f"ratio_median_ape_{key}"] = table.ratio_median
            found[f"bandwidth_fraction_{key}"] = bandwidth_fraction(validation, table)
        for operator in dict.fromkeys(table.operator for table in validation.operators):
            parts = [t for t in validation.operators if (t.gpu, t.operator) == (name, operator)]
            found[f"{operator}_left_out_median_ape_{name}"] = median(
                pooled(table.relative_errors for table in parts)
            )
        found[f"rejected_share_{name}"] = validation.rejected_share(name)
        found[f"experts_rejected_share_{name}"] = validation.rejected_share(name, "experts")
    return found


def bandwidth_fraction(validation: Validation, table: ExpertsLeftOut) -> float:
    """Return the median fraction of peak bandwidth over the straight lines of a table's shapes."""
    key = (table.rows.gpu, table.rows.dtype)
    lines = [line for line in validation.linear if (line.gpu, line.dtype) == key]
    return median(np.array([line.bandwidth_fraction for line in lines]))


def summary(validation: Validation) -> dict[str, Any]:
    """Return everything that was found, for a file: metrics, and every group left out."""
    return {
        "metrics": metrics(validation),
        "experts": [
            _figures(table.rows)
            | {
                "measured_shapes": table.shapes,
                "eta_bandwidth": table.eta_bandwidth,
                "ratio_median_ape": table.ratio_median,
                "ratio_p90_ape": quantile(table.ratio_errors, 0.9),
                "spread_rows": len(table.spread.group),
                "spread_median_ape": table.spread.median,
            }
            for table in validation.experts
        ],
        "linear_in_active_experts": [
            {name: getattr(line, name) for name in line.__slots__} for line in validation.linear
        ],
        "operators": [_figures(table) for table in validation.operators],
        "cleaning": [
            {
                "gpu": table.gpu,
                "operator": table.operator,
                "kept": table.kept,
                "dropped": table.dropped,
                "rejected_share": table.rejected / table.seen,
            }
            for table in validation.cleaning
        ],
    }


def _figures(table: LeftOut) -> dict[str, Any]:
    return {
        "gpu": table.gpu,
        "operator": table.operator,
        "dtype": table.dtype,
        "rows": len(table.group),
        "median_ape": table.median,
        "mape": table.mean,
        "p90_ape": quantile(table.relative_errors, 0.9),
        "left_out": [
            {"name": name, "median_ape": middle, "mape": mean}
            for name, (middle, mean) in table.by_group().items()
        ],
    }
