"""``moesim validate``: how far off the tables and models are, measured."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from simulator.commands.arguments import Parser
from simulator.errors import ConfigError, unknown


def main(arguments: list[str]) -> int:
    """Validate one subject, print what was found and save it.

    Returns
    -------
    int
        0: finding large errors is a result, not a failure.

    Raises
    ------
    SimulatorError
        If the subject or a GPU is unknown, or a file cannot be written.
    """
    options = _parser().parse_args(arguments)
    if options.subject not in SUBJECTS:
        raise ConfigError(unknown("subject", options.subject, SUBJECTS))
    SUBJECTS[options.subject](options)
    return 0


def _parser() -> Parser:
    parser = Parser(
        prog="moesim validate",
        usage="moesim validate {kernels,silicon} [options]",
        description="kernels: leave each measured shape out of the kernel tables in turn, predict\n"
        "  it from the rest, and say how far off that is. Needs nothing but moesim.\n"
        "silicon: simulate thousands of served deployments whose TTFT and TPOT were\n"
        "  published, and compare; NVIDIA's aiconfigurator predicts the same rows.\n"
        "  Needs: pip install 'moesim[kernels]'. Takes some ten minutes.",
        epilog="examples:\n  moesim validate kernels\n"
        "  moesim validate kernels --gpu h100_sxm l40s --picture\n"
        "  moesim validate silicon --rows 200 --picture",
    )
    add = parser.add_argument
    add("subject", help="what to validate: kernels, silicon")
    add("--gpu", nargs="+", action="extend", default=[], metavar="NAME", help="default: all")
    add("--rows", type=int, metavar="N", help="silicon: take N rows, evenly spread (default: all)")
    add("--no-peer", action="store_true", help="silicon: do not run aiconfigurator")
    add("--workers", type=int, metavar="N", help="silicon: processes (default: one per core)")
    add("--out", type=Path, metavar="DIR", help="folder of the files (default: runs/DATE/TIME-...)")
    add("--picture", action="store_true", help="draw predicted over measured times")
    add("--json", action="store_true", help="print the metrics as JSON instead of tables")
    return parser


def _kernels(options: Namespace) -> None:
    # Slow to import, and `--help` does without.
    from simulator.report.progress import progress  # noqa: PLC0415
    from simulator.report.validation import plot_predictions, print_validation  # noqa: PLC0415
    from simulator.study.validate_kernels import (  # noqa: PLC0415
        measured_gpus,
        steps,
        summary,
        validate_kernels,
    )

    _refuse_foreign(options, "kernels", ("rows", "no_peer", "workers"))
    gpus = measured_gpus(options.gpu)
    with progress(steps(gpus), "leaving out and predicting") as bar:
        validation = validate_kernels(gpus, bar.advance)
    _finish(options, validation, summary(validation), print_validation, plot_predictions)


def _silicon(options: Namespace) -> None:
    # Slow to import, and `--help` does without.
    from simulator.report.progress import progress  # noqa: PLC0415
    from simulator.report.silicon import plot_silicon, print_silicon  # noqa: PLC0415
    from simulator.study.silicon import read_sample  # noqa: PLC0415
    from simulator.study.validate_silicon import (  # noqa: PLC0415
        plan,
        select,
        summary,
        validate_silicon,
        worker_count,
    )

    sample = select(read_sample(), options.gpu, options.rows)
    planned = plan(sample)
    passes = 1 if options.no_peer else 2
    with progress(passes * len(planned.rows), "simulating served deployments") as bar:
        validation = validate_silicon(
            planned,
            workers=worker_count(options.workers),
            peer=not options.no_peer,
            advance=bar.advance,
        )
    _finish(options, validation, summary(validation), print_silicon, plot_silicon)


SUBJECTS: dict[str, Callable[[Namespace], None]] = {"kernels": _kernels, "silicon": _silicon}


def _refuse_foreign(options: Namespace, subject: str, names: tuple[str, ...]) -> None:
    for name in names:
        if getattr(options, name):
            option = "--" + name.replace("_", "-")
            raise ConfigError(f"{option} means nothing to moesim validate {subject}; leave it out.")


def _finish(
    options: Namespace,
    validation: Any,
    found: dict[str, Any],
    show: Callable[..., None],
    draw: Callable[..., Path],
) -> None:
    """Save what was found, print it, and name the files."""
    from simulator.commands.screen import screen  # noqa: PLC0415
    from simulator.trace.json_file import json_safe, write_json  # noqa: PLC0415

    folder = options.out or Path(f"runs/{datetime.now():%Y-%m-%d/%H-%M-%S-%f}-validate")
    files = {"summary": write_json(folder / "summary.json", found)}
    if options.picture:
        files["picture"] = draw(validation, folder / "predictions.png")
    console = screen()
    if options.json:
        text = json.dumps(json_safe(found["metrics"]), indent=2)
        console.print(text, soft_wrap=True, markup=False)
        return
    show(validation, console)
    for name, path in files.items():  # never wrapped: people copy them
        console.print(f"{name}: {path}", soft_wrap=True, markup=False)
