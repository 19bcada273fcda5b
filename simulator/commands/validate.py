"""``moesim validate``: how far off the tables and models are, measured."""

from __future__ import annotations

import json
from argparse import Namespace
from datetime import datetime
from pathlib import Path

from simulator.commands.arguments import Parser
from simulator.errors import ConfigError, unknown

SUBJECTS = ("kernels",)


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
    _kernels(options)
    return 0


def _parser() -> Parser:
    parser = Parser(
        prog="moesim validate",
        usage="moesim validate kernels [--gpu NAME ...] [--out DIR] [--picture] [--json]",
        description="kernels: leave each measured shape out of the kernel tables in turn, predict\n"
        "it from the rest, and say how far off that is. Needs nothing but moesim.",
        epilog="examples:\n  moesim validate kernels\n"
        "  moesim validate kernels --gpu h100_sxm l40s --picture",
    )
    add = parser.add_argument
    add("subject", help="what to validate: kernels")
    add("--gpu", nargs="+", action="extend", default=[], metavar="NAME", help="default: all")
    add("--out", type=Path, metavar="DIR", help="folder of the files (default: runs/DATE/TIME-...)")
    add("--picture", action="store_true", help="draw predicted over measured times")
    add("--json", action="store_true", help="print the metrics as JSON instead of tables")
    return parser


def _kernels(options: Namespace) -> None:
    # Slow to import, and `--help` does without.
    from simulator.commands.screen import screen  # noqa: PLC0415
    from simulator.report.progress import progress  # noqa: PLC0415
    from simulator.report.validation import plot_predictions, print_validation  # noqa: PLC0415
    from simulator.study.validate_kernels import (  # noqa: PLC0415
        measured_gpus,
        steps,
        summary,
        validate_kernels,
    )
    from simulator.trace.json_file import json_safe, write_json  # noqa: PLC0415

    gpus = measured_gpus(options.gpu)
    with progress(steps(gpus), "leaving out and predicting") as bar:
        validation = validate_kernels(gpus, bar.advance)
    found = summary(validation)
    folder = options.out or Path(f"runs/{datetime.now():%Y-%m-%d/%H-%M-%S-%f}-validate")
    files = {"summary": write_json(folder / "summary.json", found)}
    if options.picture:
        files["picture"] = plot_predictions(validation, folder / "predictions.png")
    console = screen()
    if options.json:
        text = json.dumps(json_safe(found["metrics"]), indent=2)
        console.print(text, soft_wrap=True, markup=False)
        return
    print_validation(validation, console)
    for name, path in files.items():  # never wrapped: people copy them
        console.print(f"{name}: {path}", soft_wrap=True, markup=False)
