"""The operating point of one row of measurements, checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from simulator.speculation.theory import sigma
from simulator.study.csv_rows import Line

_LONGEST_DRAFT = 64
"""A draft length above this is a mistake with every engine there is."""

TOLD_BY_DRAFTS = ("speedup", "verify_step_s")
"""Quantities that belong to a draft length."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row as it was read.

    Parameters
    ----------
    line
        Its line of the file, which refuses what is wrong with it.
    cells
        Numbers by column, empty cells left out; times in seconds.
    """

    line: Line
    cells: Mapping[str, float]

    def get(self, column: str) -> float:
        """Return a cell, NaN if it is empty."""
        return self.cells.get(column, math.nan)

    def whole(self, column: str, needed: str, most: float = math.inf) -> float:
        """Return a whole number from 1 on; refuse another with what is needed."""
        value = self.get(column)
        if not (1 <= value <= most and value.is_integer()):
            raise self.line.refuse(f"{column}={value:g}. {needed}")
        return value


def operating_point(row: Row, experts: int | None, top_k: int | None) -> tuple[float, ...]:
    """Return batch, gamma, top_k, experts and sigma of a row.

    Gamma and sigma are 1 where the row has nothing that depends on them.

    Parameters
    ----------
    row
        The row.
    experts, top_k
        Of the model, for rows without.

    Raises
    ------
    DataError
        If one is missing, no whole number, or impossible.
    """
    if "batch" not in row.cells:
        raise row.line.refuse("batch is empty; give the requests of the step.")
    batch = row.whole("batch", "A batch is a whole number of requests from 1 on.")
    active, total = _experts(row, "top_k", top_k), _experts(row, "experts", experts)
    if active > total:
        raise row.line.refuse(f"top_k={active:g} exceeds experts={total:g}.")
    if "gamma" in row.cells:
        gamma = row.whole(
            "gamma",
            f"A draft length is a whole number from 1 to {_LONGEST_DRAFT}. The time of a plain "
            "step (gamma 0) goes into ar_step_s; leave gamma empty in a row of it alone.",
            _LONGEST_DRAFT,
        )
    elif set(TOLD_BY_DRAFTS) & set(row.cells):
        raise row.line.refuse("gamma is empty; speedup and verify_step_s belong to a draft length.")
    else:
        gamma = 1.0
    return batch, gamma, active, total, _sigma(row, gamma)


def _experts(row: Row, column: str, default: int | None) -> float:
    if column in row.cells:
        return row.whole(column, "Experts are whole numbers from 1 on; a dense model has 1 of 1.")
    if default is None:
        raise row.line.refuse(
            f"{column} is missing; add the column (1 for a dense model), or name model=."
        )
    return float(default)


def _sigma(row: Row, gamma: float) -> float:
    if "speedup" not in row.cells:
        return 1.0
    if "alpha" in row.cells:
        alpha = row.get("alpha")
        if not 0 <= alpha <= 1:
            raise row.line.refuse(f"alpha={alpha:g}. An acceptance rate is a share from 0 to 1.")
        return float(sigma(alpha, gamma))
    share = row.get("sigma")
    if math.isnan(share):
        raise row.line.refuse(
            "a speedup needs sigma, the tokens per round over gamma + 1, or alpha, the acceptance "
            "rate; engines report both (vLLM: mean acceptance length over gamma + 1)."
        )
    if not 1 / (gamma + 1) - 1e-3 <= share <= 1:
        raise row.line.refuse(
            f"sigma={share:g}. A round with gamma={gamma:g} yields 1 to {gamma + 1:g} tokens, so "
            f"sigma lies between {1 / (gamma + 1):.3f} and 1."
        )
    return share
