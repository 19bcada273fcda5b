"""``moesim study prefetch``: what expert prefetchers are worth when the workload changes."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from simulator.errors import ConfigError

if TYPE_CHECKING:
    from simulator.study.prefetch.study import PrefetchStudy, Task

PURPOSE = """\
Keep experts in host memory, let a predictor look at the draft tokens, and bring
what it expects before the step is verified. Then the workload changes, and cold
experts turn hot. Trains the predictor with cross-entropy, an AUC loss, a memory
bank of tail experts and the usual baselines, on drawn routes or on yours, and
says what each is worth before and after. With model= it also serves in the
event simulator, and finds the batch beyond which prefetching is useless. A
minute; some ten with model=."""

EXAMPLES = (
    "study prefetch",
    "study prefetch seeds=10 gamma=5 resident=6 slots=4",
    "study prefetch model=gpt_oss_20b slots=4 hardware=l40",
    "study prefetch canvases=true",
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is trained, on what, and where it serves."""

    trace: str | None = field(
        default=None, metadata={"help": "Parquet file of routes to learn from (needs model=)"}
    )
    shifted: str | None = field(
        default=None, metadata={"help": "routes after the change (default: experts swapped)"}
    )
    model: str | None = field(default=None, metadata={"help": "also serve this model"})
    hardware: str = field(default="gb200", metadata={"help": "GPU that serves it"})
    link: float | None = field(
        default=None, metadata={"help": "host link, bytes/s (default: the GPU's)"}
    )
    resident: int = field(default=8, metadata={"help": "experts of a layer on the GPU"})
    slots: int = field(default=2, metadata={"help": "experts of a layer prefetched for a step"})
    gamma: int = field(default=3, metadata={"help": "draft tokens"})
    experts: int = field(default=32, metadata={"help": "experts of the small instance"})
    top_k: int = field(default=1, metadata={"help": "experts of a token there"})
    popularity_sd: float = field(default=1.3, metadata={"help": "skew of the experts (assumed)"})
    sequences: int = field(default=256, metadata={"help": "sequences to learn from"})
    tokens: int = field(default=32, metadata={"help": "tokens of each"})
    view_size: int = field(default=16, metadata={"help": "features that a drafter sees a layer"})
    view_noise: float = field(default=0.7, metadata={"help": "noise on each (assumed)"})
    recipes: tuple[str, ...] = field(
        default=(), metadata={"help": "what is compared, with ce (default: all six)"}
    )
    auc_weight: float = field(default=4.0, metadata={"help": "lambda of the AUC loss"})
    bank_per_class: int = field(default=5, metadata={"help": "items kept of a tail expert (S_M)"})
    bank_retrieved: float = field(default=0.3, metadata={"help": "share of the missing pasted"})
    steps: int = field(default=300, metadata={"help": "batches of training, small instance"})
    seeds: int = field(default=5, metadata={"help": "repetitions"})
    first_seed: int = field(default=0, metadata={"help": "seed of the first"})
    batches: tuple[int, ...] = field(
        default=(1, 2, 4, 8, 16), metadata={"help": "users, with model="}
    )
    replications: int = field(default=2, metadata={"help": "runs of each arm, with model="})
    canvases: bool = field(default=False, metadata={"help": "also the task on digits"})
    workers: int | None = field(
        default=None, metadata={"help": "processes (default: one per core)"}
    )
    picture: bool = field(default=True, metadata={"help": "draw it"})
    json: bool = field(default=False, metadata={"help": "print metrics as JSON, not tables"})

    def __post_init__(self) -> None:
        least = {"seeds": 1, "first_seed": 0, "replications": 1, "workers": 1, "steps": 1}
        for key, bound in least.items():
            value = getattr(self, key)
            if value is not None and value < bound:
                raise ConfigError(f"{key}={value} must be {bound} or more.")
        if self.trace is not None and self.model is None:
            raise ConfigError(
                f"trace={self.trace} needs model=, whose layers and experts it must have."
            )
        if self.shifted is not None and self.trace is None:
            raise ConfigError(f"shifted={self.shifted} needs trace=, the routes before the change.")


def run(settings: Settings, folder: Path) -> None:
    """Train, replay, serve, compare."""
    # Slow to import, and `--help` does without.
    from simulator.commands.findings import finish  # noqa: PLC0415
    from simulator.report.prefetch import print_prefetch  # noqa: PLC0415
    from simulator.report.prefetch_plots import plot_prefetch  # noqa: PLC0415
    from simulator.report.progress import progress  # noqa: PLC0415
    from simulator.study.prefetch.findings import summary, write_records  # noqa: PLC0415
    from simulator.study.prefetch.study import run_count, study  # noqa: PLC0415

    task = _task(settings)
    with progress(run_count(task), "training and serving") as bar:
        found: PrefetchStudy = study(task, folder, advance=bar.advance)
    finish(
        folder,
        summary(found),
        lambda console: print_prefetch(found, console),
        {"prefetch.png": lambda file: plot_prefetch(found, file)} if settings.picture else {},
        files=write_records(found, folder),
        as_json=settings.json,
    )


def _task(settings: Settings) -> Task:
    """Put the settings where they belong, which checks them."""
    from dataclasses import replace  # noqa: PLC0415

    from simulator.study.prefetch.bank import BankSettings  # noqa: PLC0415
    from simulator.study.prefetch.losses import RECIPES  # noqa: PLC0415
    from simulator.study.prefetch.replay import Room  # noqa: PLC0415
    from simulator.study.prefetch.shift import LONG_TAIL, Question  # noqa: PLC0415
    from simulator.study.prefetch.study import Task  # noqa: PLC0415
    from simulator.study.prefetch.training import Effort  # noqa: PLC0415

    question = Question(
        archetype=replace(
            LONG_TAIL,
            experts=settings.experts,
            top_k=settings.top_k,
            popularity_sd=settings.popularity_sd,
        ),
        sequences=settings.sequences,
        tokens=settings.tokens,
        view_size=settings.view_size,
        view_noise=settings.view_noise,
        gamma=settings.gamma,
        room=Room(settings.resident, settings.slots),
        recipes=settings.recipes or RECIPES,
        auc_weight=settings.auc_weight,
        bank=BankSettings(settings.bank_per_class, settings.bank_retrieved),
        effort=Effort(steps=settings.steps),
        seeds=settings.seeds,
        first_seed=settings.first_seed,
    )
    return Task(
        question=question,
        model=settings.model,
        trace=None if settings.trace is None else Path(settings.trace),
        shifted=None if settings.shifted is None else Path(settings.shifted),
        hardware=settings.hardware,
        link_bytes_per_s=settings.link,
        view_size=settings.view_size,
        batches=settings.batches,
        replications=settings.replications,
        canvases=settings.canvases,
        workers=settings.workers or os.cpu_count() or 1,
    )
