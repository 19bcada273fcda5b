"""``moesim study prefetch``: what expert prefetchers are worth when the workload changes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.errors import ConfigError, refuse_below

if TYPE_CHECKING:
    from simulator.study.prefetch.question import Question
    from simulator.study.prefetch.study import PrefetchStudy
    from simulator.study.prefetch.task import Task

PURPOSE = """\
Keep experts in host memory, let a predictor look at the draft tokens, and bring
what it expects before the step is verified. Then the workload changes, and cold
experts turn hot. Trains the predictor with cross-entropy, an AUC loss, a memory
bank of tail experts and the usual baselines, on drawn routes or on yours, and
says what each is worth before and after. With model= it also serves in the
event simulator, and finds the batch from which on prefetching is useless. A
minute; some ten with model=."""

EXAMPLES = (
    "study prefetch",
    "study prefetch seeds=10 gamma=5 resident=6 slots=4",
    "study prefetch model=gpt_oss_20b slots=4",
    "study prefetch model=gpt_oss_20b slots=4 trace=mine.parquet",
    "study prefetch canvases=true",
)


BANK = ("bank_per_class", "bank_retrieved", "bank_resized")
"""Settings of the memory bank."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is trained, on what, and where it serves."""

    trace: str | None = field(
        default=None, metadata={"help": "Parquet file of routes to learn from (needs model=)"}
    )
    shifted: str | None = field(
        default=None, metadata={"help": "routes after the change (default: experts swapped)"}
    )
    model: str | None = field(default=None, metadata={"help": "learn for this model, and serve it"})
    hardware: str | None = field(
        default=None, metadata={"help": "GPU that serves it (default: gb200)"}
    )
    link: float | None = field(
        default=None, metadata={"help": "host link, bytes/s (default: the GPU's)"}
    )
    resident: int = field(default=8, metadata={"help": "experts of a layer on the GPU"})
    slots: int = field(default=2, metadata={"help": "experts of a layer prefetched for a step"})
    gamma: int = field(default=3, metadata={"help": "draft tokens"})
    experts: int | None = field(
        default=None, metadata={"help": "experts, without model= (default: 32)"}
    )
    top_k: int | None = field(
        default=None, metadata={"help": "experts of a token, without model= (default: 1)"}
    )
    popularity_sd: float | None = field(
        default=None, metadata={"help": "skew of drawn experts (default: 1.3, assumed)"}
    )
    sequences: int | None = field(
        default=None, metadata={"help": "drawn sequences to learn from (default: 256)"}
    )
    tokens: int | None = field(default=None, metadata={"help": "tokens of each (default: 32)"})
    view_size: int | None = field(
        default=None, metadata={"help": "features that a drafter sees a layer (default: 16)"}
    )
    view_noise: float | None = field(
        default=None, metadata={"help": "noise on each (default: 1.5, assumed)"}
    )
    recipes: tuple[str, ...] = field(
        default=(), metadata={"help": "what is compared, with ce (default: all seven)"}
    )
    auc_weight: float | None = field(
        default=None, metadata={"help": "lambda of the AUC loss (default: 4)"}
    )
    bank_per_class: int | None = field(
        default=None, metadata={"help": "items kept of a tail expert, S_M (default: 5)"}
    )
    bank_retrieved: float | None = field(
        default=None, metadata={"help": "share of the missing pasted, R_S (default: 0.3)"}
    )
    bank_resized: float | None = field(
        default=None, metadata={"help": "size of what is pasted over stored, R_R (default: 1)"}
    )
    steps: int | None = field(
        default=None, metadata={"help": "batches of training (default: 300; 150 with model=)"}
    )
    seeds: int = field(default=5, metadata={"help": "repetitions"})
    first_seed: int = field(default=0, metadata={"help": "seed of the first"})
    hand_over: str | None = field(
        default=None, metadata={"help": "recipe to hand over (default: ce_auc_bank, or ce)"}
    )
    batches: tuple[int, ...] = field(
        default=(), metadata={"help": "users to begin with (default: 1,2,4,8,16)"}
    )
    replications: int | None = field(
        default=None, metadata={"help": "runs of each arm (default: 4)"}
    )
    canvases: bool = field(default=False, metadata={"help": "also the task on digits"})
    workers: int | None = field(
        default=None, metadata={"help": "processes (default: one per core)"}
    )
    picture: bool = field(default=True, metadata={"help": "draw it"})
    json: bool = field(default=False, metadata={"help": "print metrics as JSON, not tables"})

    def __post_init__(self) -> None:
        least = {"seeds": 1, "first_seed": 0, "replications": 1, "workers": 1, "steps": 1}
        refuse_below(self, least)
        if self.trace is not None and self.model is None:
            raise ConfigError(
                f"trace={self.trace} needs model=, whose layers and experts it must have."
            )
        if self.shifted is not None and self.trace is None:
            raise ConfigError(f"shifted={self.shifted} needs trace=, the routes before the change.")
        for key, why in self._without_effect():
            value = getattr(self, key)
            if value not in (None, ()):
                raise ConfigError(f"{key}={value} has no effect {why}; leave it out.")

    def _without_effect(self) -> Iterator[tuple[str, str]]:
        """Yield settings that nothing reads here, and why."""
        if self.model is None:
            served = ("hardware", "link", "hand_over", "batches", "replications")
            yield from ((key, "without model=, which is what is served") for key in served)
        else:
            yield from ((key, f"with model={self.model}") for key in ("experts", "top_k"))
        if self.trace is not None:
            drawn = ("popularity_sd", "sequences", "tokens")
            yield from ((key, "with trace=, whose routes are read") for key in drawn)
        parts = {"auc": ("auc_weight",), "bank": BANK}
        for part, keys in parts.items():
            if self.recipes and not any(part in name for name in self.recipes):
                yield from ((key, f"with recipes={','.join(self.recipes)}") for key in keys)


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
    from simulator.experts.recorded import brings_features  # noqa: PLC0415
    from simulator.study.prefetch.task import Task  # noqa: PLC0415

    question = _question(settings)
    if settings.trace is not None and brings_features(settings.trace):
        for key in ("view_size", "view_noise"):
            if getattr(settings, key) is not None:
                raise ConfigError(
                    f"{key}={getattr(settings, key)} has no effect with trace={settings.trace}, "
                    f"which brings features; leave it out."
                )
    served = {
        "hardware": settings.hardware,
        "batches": settings.batches or None,
        "replications": settings.replications,
    }
    return Task(
        question=question,
        model=settings.model,
        hand_over=settings.hand_over or _handed_over(question.recipes),
        trace=None if settings.trace is None else Path(settings.trace),
        shifted=None if settings.shifted is None else Path(settings.shifted),
        link_bytes_per_s=settings.link,
        canvases=settings.canvases,
        workers=settings.workers or os.cpu_count() or 1,
        **_given(served),
    )


def _question(settings: Settings) -> Question:
    from simulator.models.architecture import experts_of  # noqa: PLC0415
    from simulator.models.catalog import load_architecture  # noqa: PLC0415
    from simulator.study.prefetch.losses import RECIPES  # noqa: PLC0415
    from simulator.study.prefetch.question import LONG_TAIL, Question  # noqa: PLC0415
    from simulator.study.prefetch.replay import Room  # noqa: PLC0415
    from simulator.study.prefetch.training import Effort  # noqa: PLC0415

    archetype = {key: getattr(settings, key) for key in ("experts", "top_k", "popularity_sd")}
    bank = {key.removeprefix("bank_"): getattr(settings, key) for key in BANK}
    keys = ("sequences", "tokens", "auc_weight", "view_size", "view_noise")
    more = {key: getattr(settings, key) for key in keys}
    if settings.model is not None:
        model = load_architecture(settings.model)
        moe = experts_of(model)
        archetype |= {"experts": moe.experts, "top_k": moe.top_k}
        more["layers"] = model.moe_layers
    base = Question()
    return replace(
        base,
        archetype=replace(LONG_TAIL, **_given(archetype)),
        gamma=settings.gamma,
        room=Room(settings.resident, settings.slots),
        recipes=settings.recipes or RECIPES,
        bank=replace(base.bank, **_given(bank)),
        effort=Effort(steps=settings.steps or (300 if settings.model is None else 150)),
        seeds=settings.seeds,
        first_seed=settings.first_seed,
        **_given(more),
    )


def _given(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that were given."""
    return {key: value for key, value in settings.items() if value is not None}


def _handed_over(recipes: tuple[str, ...]) -> str:
    """Return the recipe that is handed over where none is named."""
    return "ce_auc_bank" if "ce_auc_bank" in recipes else "ce"
