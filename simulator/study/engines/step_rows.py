"""Measured step times: what an engine profile is fitted to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from simulator.errors import DataError
from simulator.speculation.config import MAX_DRAFT_TOKENS
from simulator.study.csv_rows import SECONDS, Line, read_lines, require

ROLES = ("calibrate", "check")
"""What a row is for: to be fitted, or to be predicted."""

LEAST_ROWS = 3
"""Fewest rows that a fit is tried on."""

NOISE = 0.03
"""Standard error of a row's time that is taken where nothing says more (kind: assumed)."""

TOLERATED = 0.25
"""By how much the parts of a step may exceed it: they are medians of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRow:
    """A measured step of a full decode batch. Times in seconds, None where not measured.

    Parameters
    ----------
    line
        Line of the file.
    model
        Model it was measured on; empty where there is only one.
    gamma, batch
        Draft length (0: a plain step) and requests.
    context_tokens
        Mean cache length.
    step_s
        The whole engine step: a plain step, or a draft-and-verify round.
    target_s, draft_s, sample_s
        The target's forward pass, all draft passes, and sampling with rejection.
    active_experts
        Distinct experts of a layer in the target's pass.
    spread
        Largest over smallest time between runs; 1 where only one was made.
    role
        One of `ROLES`.
    """

    line: int
    model: str
    gamma: int
    batch: int
    context_tokens: float | None
    step_s: float
    target_s: float | None = None
    draft_s: float | None = None
    sample_s: float | None = None
    active_experts: float | None = None
    spread: float = 1.0
    role: str = "calibrate"

    @property
    def noise(self) -> float:
        """Relative standard error: half the spread between runs on top of `NOISE`."""
        return math.hypot(NOISE, math.log(self.spread) / 2)

    @property
    def what(self) -> str:
        """Name the row for people."""
        kind = f"gamma {self.gamma}" if self.gamma else "plain"
        return f"{self.model + ', ' if self.model else ''}{kind}, batch {self.batch}"


def read_steps(path: Path) -> list[StepRow]:
    """Read measured steps.

    Columns: ``batch``; ``gamma`` or ``query_tokens`` (gamma + 1); ``step_s`` (or ``_ms``, ``_us``:
    the unit is in the name; ``seconds`` too). Where known ``model``, ``target_ms``, ``draft_ms``,
    ``sample_ms``, ``context_tokens``, ``active_experts``, ``spread`` and ``role``.

    Raises
    ------
    DataError
        If the file or a row makes no sense; the message names file and line.
    """
    lines = read_lines(path, what="step times")
    if not lines:
        raise DataError(f"{path}: no rows. {WHAT_TO_MEASURE}")
    times = [f"step{suffix}" for suffix in SECONDS]
    require(lines[0], [("batch",), ("gamma", "query_tokens"), (*times, "seconds")])
    rows = [_row(line) for line in lines]
    _refuse_identical(path, rows)
    _refuse_short_rounds(path, rows)
    return rows


WHAT_TO_MEASURE = (
    "Measure plain steps (gamma 0) at batch 1, 4, 16 and 64, and rounds with the draft length you "
    "use at batch 1, 8 and 32, each the median over some tens of steps."
)


def _row(line: Line) -> StepRow:
    batch, gamma = line.count("batch", 1), _gamma(line)
    if batch is None:
        raise line.refuse("batch is missing.")
    step_s = line.seconds("step")
    if step_s is None:
        step_s = line.number_of("seconds")
    if step_s is None or step_s <= 0:
        raise line.refuse("the step time is missing, zero or negative.")
    spread, role = line.number_of("spread") or 1.0, line.text("role") or ROLES[0]
    if spread < 1:
        raise line.refuse(f"spread is {spread:g}; largest over smallest time is at least 1.")
    if role not in ROLES:
        raise line.refuse(f"role is {role!r}; it is one of {', '.join(ROLES)}.")
    context = line.number_of("context_tokens")
    if context is not None and context < 0:
        raise line.refuse(f"context_tokens is {context:g}; it is not negative.")
    row = StepRow(
        line=line.number,
        model=line.text("model"),
        gamma=gamma,
        batch=batch,
        context_tokens=context,
        step_s=step_s,
        target_s=line.seconds("target") or None,
        draft_s=line.seconds("draft") or None,
        sample_s=line.seconds("sample") or None,
        active_experts=line.number_of("active_experts") or None,
        spread=spread,
        role=role,
    )
    _check_parts(line, row)
    return row


def _gamma(line: Line) -> int:
    gamma, queries = line.count("gamma", 0), line.count("query_tokens", 1)
    if gamma is None and queries is None:
        raise line.refuse("gamma (or query_tokens) is missing.")
    if gamma is not None and queries is not None and queries != gamma + 1:
        raise line.refuse(
            f"gamma is {gamma} but query_tokens is {queries}; a round verifies gamma + 1 tokens."
        )
    found = gamma if gamma is not None else (queries or 1) - 1
    if found > MAX_DRAFT_TOKENS:
        raise line.refuse(f"gamma is {found}; at most {MAX_DRAFT_TOKENS} can be simulated.")
    return found


def _check_parts(line: Line, row: StepRow) -> None:
    """Refuse parts that do not fit their step or its draft length."""
    parts = {"target": row.target_s, "draft": row.draft_s, "sample": row.sample_s}
    total = sum(part for part in parts.values() if part)
    if total > (1 + TOLERATED) * row.step_s:
        raise line.refuse(
            f"{' + '.join(name for name, part in parts.items() if part)} take {total:g} s, more "
            f"than the whole step of {row.step_s:g} s; are the columns in the units they name?"
        )
    if row.draft_s and not row.gamma:
        raise line.refuse(
            f"drafting took {row.draft_s:g} s at gamma 0; state the draft length of the step."
        )


def _refuse_identical(path: Path, rows: Sequence[StepRow]) -> None:
    """Refuse a measurement that stands twice: it would count as two."""
    seen: dict[tuple[object, ...], int] = {}
    for row in rows:
        key = (row.model, row.gamma, row.batch, row.context_tokens, row.step_s, row.target_s)
        if key in seen:
            raise DataError(
                f"{path}, line {row.line}: identical to line {seen[key]} ({row.what}); remove it, "
                f"or measure another batch instead."
            )
        seen[key] = row.line


def _refuse_short_rounds(path: Path, rows: Sequence[StepRow]) -> None:
    """Refuse a round that takes less than a plain step of the same batch: gamma must be wrong."""
    plain: dict[tuple[str, int], StepRow] = {}
    for row in rows:
        if not row.gamma:
            plain[row.model, row.batch] = row
    for row in rows:
        other = plain.get((row.model, row.batch))
        if row.gamma and other and row.step_s * (1 + 3 * row.noise) < other.step_s:
            raise DataError(
                f"{path}, line {row.line}: a round of gamma {row.gamma} takes {row.step_s:g} s, "
                f"less than the plain step of line {other.line} ({other.step_s:g} s) at batch "
                f"{row.batch}; gamma is wrong, or the rows are of different machines."
            )
