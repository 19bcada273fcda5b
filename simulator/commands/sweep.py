"""``moesim sweep``: a grid of scenarios in worker processes or on Ray, resumable."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.commands.placement import Placement
from simulator.commands.words import RUN_FOLDER, check_group, help_text, own_words, read_words
from simulator.errors import CapacityError, ConfigError, InvariantError, SimulatorError

if TYPE_CHECKING:
    from simulator.study.sweep.folder import Sweep
    from simulator.study.sweep.run import Started

PURPOSE = """\
Run every point of a grid, with and without speculative decoding, paired. Takes
all groups and settings of moesim simulate; a swept one has several values:
a=1,2,3, a=range(1,9), model=choice(x,y), model=glob(*). Points that cannot run
are recorded with the reason. What was interrupted goes on with the same words.
The points are one Parquet dataset in FOLDER/points, for DuckDB, polars, pandas."""

EXAMPLES = (
    "sweep speculation.gamma=0,1,2,4 workload.rate=1,2,4,8",
    "sweep model=qwen3_30b_a3b,mixtral_8x7b hardware=glob(h*) workers=8",
    "sweep speculation.gamma=range(1,9) executor=ray address=auto",
)

_WITHOUT_EFFECT = {
    "run.workers": "points run side by side, each in one process; set workers=N",
    "run.picture": "a sweep draws no pictures",
}


@dataclass(frozen=True, kw_only=True)
class Settings(Placement):
    """Where the points run, and what is printed."""

    json: bool = field(default=False, metadata={"help": "print metrics as JSON, not tables"})


def main(words: list[str]) -> int:
    """Run what is missing of a sweep and show what came out.

    Returns
    -------
    int
        0 when some point ran.

    Raises
    ------
    SimulatorError
        If the words make no sense, or no point could run.
    KeyboardInterrupt
        With how to go on.
    """
    if {"-h", "--help"} & set(words):
        folder = "runs/sweeps/ID, by the question"
        sys.stdout.write(help_text("sweep", PURPOSE, Settings, EXAMPLES, folder))
        return 0
    own, overrides = own_words(words, Settings)
    _check(overrides)
    found = read_words(own, Settings, "sweep")
    given = any(word.startswith(f"{RUN_FOLDER}=") for word in own)
    _run(found.settings, overrides, found.folder if given else None, shlex.join(words))
    return 0


def _check(overrides: Sequence[str]) -> None:
    """Refuse words that would do nothing, and near misses of the command's own."""
    for word in overrides:
        key = word.partition("=")[0].lstrip("+~")
        if word.startswith("-"):
            raise ConfigError(f"{word}: a sweep has no such flag. Try: moesim sweep --help")
        if key in _WITHOUT_EFFECT:
            raise ConfigError(f"{word} has no effect: {_WITHOUT_EFFECT[key]}.")
        if key.partition("/")[0].partition(".")[0] == "hydra" and key != "hydra.searchpath":
            raise ConfigError(
                f"{word} has no effect: moesim sweep runs without Hydra's launchers and logs. With "
                "them: moesim simulate -m."
            )
        check_group(word, Settings, "sweep", "run")


def _run(settings: Settings, overrides: list[str], folder: Path | None, words: str) -> None:
    # Slow to import, and `--help` does without.
    from simulator.commands.folders import claim_folder  # noqa: PLC0415
    from simulator.report.progress import progress  # noqa: PLC0415
    from simulator.study.executors import open_executor  # noqa: PLC0415
    from simulator.study.sweep.reading import SWEEP  # noqa: PLC0415
    from simulator.study.sweep.run import at_work, run_missing  # noqa: PLC0415

    if folder is not None:
        claim_folder(folder, SWEEP)
    executor = open_executor(settings.executor, settings.address)
    sweep = _composed(overrides)
    folder = folder or sweep.default_folder
    with at_work(sweep, folder) as started:
        there = started.there
        bar = progress(len(sweep.entries), "sweeping")
        with _saying_how_to_go_on(started, words), executor, bar as shown:
            shown.advance(there)
            run_missing(started, executor, settings.workers, shown.advance)
        _conclude(started, there, as_json=settings.json)


@contextmanager
def _saying_how_to_go_on(started: Started, words: str) -> Iterator[None]:
    """Add to what stops a sweep how much there is, and how to go on."""

    def go_on() -> str:
        so_far = f"{started.there} of {len(started.sweep.entries)} points are in {started.folder}."
        return f"{so_far} To go on: moesim sweep {words}"

    try:
        yield
    except KeyboardInterrupt as interrupt:
        raise KeyboardInterrupt(go_on()) from interrupt
    except SimulatorError as error:
        if not started.there:
            raise
        raise type(error)(f"{error} {go_on()}") from error
    except MemoryError as error:
        reason = "this machine ran out of memory; lower workers or run.requests."
        raise CapacityError(f"{reason} {go_on()}") from error


def _composed(overrides: list[str]) -> Sweep:
    """Compose all points before one runs, whatever Hydra raises turned into one message."""
    from simulator.commands.messages import explain  # noqa: PLC0415
    from simulator.report.progress import progress  # noqa: PLC0415
    from simulator.study.sweep.composing import compose_points  # noqa: PLC0415
    from simulator.study.sweep.folder import plan_sweep  # noqa: PLC0415
    from simulator.study.sweep.grid import read_grid  # noqa: PLC0415

    try:
        grid = read_grid(overrides)
        points = []
        with progress(grid.size, "composing") as bar:
            for point in compose_points(grid):
                points.append(point)
                bar.advance(1)
        return plan_sweep(grid, points)
    except SimulatorError:
        raise
    except Exception as error:
        raise ConfigError(explain(error, overrides)) from error


def _conclude(started: Started, there: int, *, as_json: bool) -> None:
    """Show and save what came out; end with an error if no point ran, or one met a bug."""
    from simulator.commands.findings import finish  # noqa: PLC0415
    from simulator.report.sweep import FIGURES, print_sweep  # noqa: PLC0415
    from simulator.report.tables import say  # noqa: PLC0415
    from simulator.study.sweep.layout import POINTS  # noqa: PLC0415
    from simulator.study.sweep.reading import SWEEP, read_points  # noqa: PLC0415

    folder, axes = started.folder, started.sweep.grid.axes
    rows: list[dict[str, Any]] = read_points(folder, FIGURES).to_pylist()

    def show(console: Any) -> None:
        print_sweep(rows, list(axes), console)
        if there:
            say(console, f"{there} of {len(rows)} points had been run before.")
        if started.removed:
            say(
                console,
                f"{started.removed} points were outdated, and ran anew.",
            )
        console.print(f"A page to pass on: moesim report {folder}", soft_wrap=True, markup=False)

    files = {"points": folder / POINTS, "sweep": folder / SWEEP}
    found = {"axes": axes, "metrics": _metrics(rows)}
    finish(folder, found, show, {}, files=files, as_json=as_json)
    _complain(rows)


def _metrics(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    from simulator.report.sweep import best_of, ranked_by  # noqa: PLC0415
    from simulator.study.sweep.reading import DONE  # noqa: PLC0415

    done, best = [row for row in rows if row["status"] == DONE], best_of(rows)
    rank = ranked_by(done)
    return {
        "points": len(rows),
        "done": len(done),
        "failed": len(rows) - len(done),
        f"best_speedup_{rank}": None if best is None else best.get(f"speedup.{rank}.value"),
    }


def _complain(rows: Sequence[dict[str, Any]]) -> None:
    from simulator.study.sweep.run import BUG  # noqa: PLC0415

    bugs = [row["reason"] for row in rows if (row["reason"] or "").startswith(BUG)]
    if bugs:
        raise InvariantError(f"{len(bugs)} of {len(rows)} points met a bug: {bugs[0]}")
    if all(row["reason"] is not None for row in rows):
        raise ConfigError(f"none of the {len(rows)} points could run: {rows[0]['reason']}")
