"""``moesim plan``: the cheapest deployments that hold the objectives at a target load."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.commands.placement import Placement
from simulator.commands.words import check_group, help_text, own_words, read_words
from simulator.errors import ConfigError, unknown

if TYPE_CHECKING:
    from simulator.hardware.prices import Prices
    from simulator.study.executors import Executor
    from simulator.study.plan.question import Question
    from simulator.study.plan.result import Plan

PURPOSE = """\
Find the cheapest deployment that holds every objective at a load: which GPUs,
how they are split, replicas, draft length, formats. workload.rate= is the load,
slo= or the classes of a mix say the objectives; all groups and settings of
moesim simulate apply. Closed forms rule out most of it, paired simulations
decide. What was simulated is kept: asking again takes seconds. The exit code is
0 with a plan, 1 if nothing holds the objectives (said, with what it takes),
2 if the question makes no sense."""

EXAMPLES = (
    "plan workload.rate=20",
    "plan model=qwen3_235b_a22b workload.rate=20 gpus=h100_sxm,h200_sxm",
    "plan workload=mix workload.rate=8 max_usd_per_hour=100 precisions=fp8",
    "plan workload.rate=5 gammas=0,2,4 policies=fixed,cost_model",
    "plan workload.rate=40 gpus=h200_sxm,b300_sxm prices=our_prices.yaml",
)

NOTHING_HOLDS = 1
"""Exit code where no deployment holds the objectives: a finding, told apart for scripts."""

NO_CACHE = "none"
"""Value of ``cache`` that keeps nothing."""


@dataclass(frozen=True, kw_only=True)
class Settings(Placement):
    """What may be rented, within what, and how hard to look."""

    gpus: tuple[str, ...] = field(
        default=("h100_sxm", "h200_sxm", "b200_sxm"),
        metadata={"help": "kinds that may be rented (moesim list gpus), or files"},
    )
    models: tuple[str, ...] = field(
        default=(), metadata={"help": "models to choose from (default: model=)"}
    )
    precisions: tuple[str, ...] = field(
        default=("native",), metadata={"help": "weight formats: fp8, bfloat16/nvfp4, ..."}
    )
    tensor_parallel: tuple[int, ...] = field(
        default=(1, 2, 4, 8), metadata={"help": "sizes to try"}
    )
    data_parallel: tuple[int, ...] = field(default=(1, 2, 4, 8), metadata={"help": "sizes to try"})
    expert_parallel: bool = field(
        default=True, metadata={"help": "also spread experts whole over GPUs"}
    )
    pipeline_parallel: tuple[int, ...] = field(default=(1,), metadata={"help": "stages to try"})
    gammas: tuple[int, ...] = field(
        default=(0, 1, 3, 5), metadata={"help": "draft lengths to try; 0 is off"}
    )
    policies: tuple[str, ...] = field(
        default=("fixed",), metadata={"help": "who chooses it: batch_schedule, cost_model, ..."}
    )
    max_num_seqs: tuple[int, ...] = field(
        default=(), metadata={"help": "batch limits to try (default: the scheduler's)"}
    )
    disaggregate: bool = field(
        default=False, metadata={"help": "also try prefill and decode on GPUs of their own"}
    )
    max_gpus: int = field(default=512, metadata={"help": "most GPUs of a deployment"})
    max_usd_per_hour: float | None = field(default=None, metadata={"help": "budget"})
    prices: str | None = field(
        default=None, metadata={"help": "list of yours (default: hardware_specs/prices.yaml)"}
    )
    peak_to_mean: float | None = field(
        default=None, metadata={"help": "peak hour over mean rate (default: the workload's)"}
    )
    replications: int = field(default=5, metadata={"help": "most of a deployment and load"})
    requests: int | None = field(
        default=None, metadata={"help": "of each (default: what a steady state takes)"}
    )
    confirmations: int = field(default=5, metadata={"help": "fresh seeds for the first row"})
    cache: str | None = field(
        default=None,
        metadata={"help": "folder of results (default: ~/.cache/moesim/plan); none keeps none"},
    )
    picture: bool = field(default=True, metadata={"help": "draw the Pareto front"})
    json: bool = field(default=False, metadata={"help": "print metrics as JSON, not tables"})


def main(words: list[str]) -> int:
    """Plan, show and save what came out.

    Returns
    -------
    int
        0 with a plan, `NOTHING_HOLDS` where nothing holds the objectives.

    Raises
    ------
    SimulatorError
        If the words make no sense, or a budget cannot be kept for want of a price.
    """
    if {"-h", "--help"} & set(words):
        sys.stdout.write(help_text("plan", PURPOSE, Settings, EXAMPLES))
        return 0
    own, overrides = own_words(words, Settings)
    _check(overrides)
    read = read_words(own, Settings, "plan")
    return _run(read.settings, overrides, read.folder)


def _check(overrides: Sequence[str]) -> None:
    """Refuse words that are neither settings of this command nor of a scenario."""
    for word in overrides:
        if "=" not in word:
            raise ConfigError(f"{word!r} is no key=value. Try: moesim plan --help")
        check_group(word, Settings, "plan")


def _run(settings: Settings, overrides: Sequence[str], folder: Path) -> int:
    # Slow to import, and `--help` does without.
    from simulator.commands.folders import claim_folder  # noqa: PLC0415
    from simulator.hardware.prices import load_prices  # noqa: PLC0415
    from simulator.study.executors import open_executor  # noqa: PLC0415
    from simulator.study.plan.economics import with_costs  # noqa: PLC0415

    claim_folder(folder, "plan.json")
    cache = cache_folder(settings.cache)
    if cache is not None and cache.exists() and not cache.is_dir():
        raise ConfigError(
            f"cache={str(cache)!r} is a file; name a folder, or none to keep nothing."
        )
    prices = load_prices(settings.prices)
    executor = open_executor(settings.executor, settings.address)
    asked = question(settings, overrides, prices)
    plan = with_costs(_search(asked, executor), prices)
    _conclude(plan, folder, picture=settings.picture, as_json=settings.json)
    return 0 if plan.best is not None else NOTHING_HOLDS


def _search(asked: Question, executor: Executor) -> Plan:
    from simulator.report.progress import progress  # noqa: PLC0415
    from simulator.study.plan.search import search  # noqa: PLC0415

    try:
        with executor, progress(None, "planning") as bar:
            return search(asked, executor, bar.advance)
    except KeyboardInterrupt as interrupt:
        kept = asked.effort.cache
        if kept is None:
            raise
        raise KeyboardInterrupt(
            f"what was simulated is kept in {kept}; the same words go on from there."
        ) from interrupt


def question(settings: Settings, overrides: Sequence[str], prices: Prices) -> Question:
    """Return what is asked.

    Raises
    ------
    SimulatorError
        If the scenario cannot be composed, the candidates make no sense, or there is a budget and
        a candidate without a price.
    """
    from simulator.commands.one_point import compose_point  # noqa: PLC0415
    from simulator.study.plan.economics import known_prices  # noqa: PLC0415
    from simulator.study.plan.question import (  # noqa: PLC0415
        Candidates,
        Effort,
        Limits,
        Question,
        check_overrides,
    )

    # What is cheap to check comes before the scenario is composed.
    candidates = Candidates(
        gpus=settings.gpus,
        models=settings.models,
        precisions=settings.precisions,
        tensor_parallel=settings.tensor_parallel,
        data_parallel=settings.data_parallel,
        expert_parallel=settings.expert_parallel,
        pipeline_parallel=settings.pipeline_parallel,
        gammas=settings.gammas,
        policies=settings.policies,
        max_num_seqs=settings.max_num_seqs,
        splits=_splits(settings.disaggregate),
    )
    limits = Limits(max_gpus=settings.max_gpus, max_usd_per_hour=settings.max_usd_per_hour)
    effort = Effort(
        replications=settings.replications,
        requests=settings.requests,
        confirmations=settings.confirmations,
        workers=settings.workers,
        cache=cache_folder(settings.cache),
    )
    known = known_prices(prices, settings.gpus, settings.max_usd_per_hour)
    check_overrides(tuple(overrides))
    _check_models(settings.models, overrides)
    return Question(
        overrides=tuple(overrides),
        config=compose_point(list(overrides), "plan"),
        candidates=candidates,
        limits=limits,
        effort=effort,
        usd_per_gpu_hour=known,
        peak_to_mean=settings.peak_to_mean,
    )


def _check_models(models: Sequence[str], overrides: Sequence[str]) -> None:
    """Refuse models that there are none of, and a choice of one beside a choice among several."""
    from simulator.commands.settings import group_options  # noqa: PLC0415

    shipped = group_options("model")
    for name in models:
        if name not in shipped:
            raise ConfigError(unknown("model", name, shipped, "models="))
    chosen = next((word for word in overrides if word.startswith("model=")), None)
    if models and chosen is not None:
        raise ConfigError(
            f"{chosen} has no effect beside models={','.join(models)}; name all models there."
        )


def _splits(disaggregate: bool) -> tuple[Any, ...]:
    """Return the pools to try: replicas that serve whole requests, and if asked prefill apart."""
    from simulator.study.plan.deployment import Split  # noqa: PLC0415

    apart = (Split(1, 1), Split(1, 2), Split(1, 3), Split(2, 1))
    return (None, *apart) if disaggregate else (None,)


def cache_folder(setting: str | None) -> Path | None:
    """Return where results are kept: the folder that is given, or one in the user's cache.

    Examples
    --------
    >>> cache_folder("here"), cache_folder("none")
    (PosixPath('here'), None)
    """
    if setting is not None:
        return None if setting == NO_CACHE else Path(setting).expanduser()
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(home).expanduser() / "moesim" / "plan"


def _conclude(plan: Plan, folder: Path, *, picture: bool, as_json: bool) -> None:
    """Write the files, print the plan, and say what to do next."""
    from simulator.commands.findings import finish  # noqa: PLC0415
    from simulator.report.plan import print_plan  # noqa: PLC0415
    from simulator.report.plan_evidence import evidence  # noqa: PLC0415
    from simulator.report.plan_plots import plot_pareto  # noqa: PLC0415
    from simulator.report.plan_verdict import verdict  # noqa: PLC0415
    from simulator.study.plan.exports.figures import metrics  # noqa: PLC0415
    from simulator.study.plan.exports.files import write_plan  # noqa: PLC0415
    from simulator.study.plan.exports.served import started  # noqa: PLC0415

    commands, text = started(plan), " ".join(verdict(plan))
    files = write_plan(plan, text, commands, folder)
    best = {} if plan.best is None else commands[plan.best.deployment]

    def show(console: Any) -> None:
        print_plan(plan, best, console)
        console.print(f"A page to pass on: moesim report {folder}", soft_wrap=True, markup=False)

    finish(
        folder,
        {
            "verdict": text,
            "evidence": evidence(plan),
            "metrics": metrics(plan),
            "assumptions": plan.assumptions,
        },
        show,
        {"pareto_front.png": lambda file: plot_pareto(plan, file)} if picture else {},
        files=files,
        as_json=as_json,
    )
