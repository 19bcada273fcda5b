"""``moesim explain``: where the time of a step goes, and what that makes of speculation."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.commands.arguments import Parser

if TYPE_CHECKING:
    from simulator.study.explain import Explanation, Step

_EPILOG = """\
Overrides are those of moesim simulate (its --help lists them), one value each.

examples:
  moesim explain
  moesim explain model=mixtral_8x7b speculation.gamma=2 --batch 64
  moesim explain model=deepseek_v3 hardware=h200_sxm --picture steps.png"""


def main(arguments: list[str]) -> int:
    """Take the steps of a scenario apart, print and, if asked, draw and save them.

    Returns
    -------
    int
        0.

    Raises
    ------
    SimulatorError
        If the scenario, or the operating point, cannot run.
    """
    options = _parser().parse_intermixed_args(arguments)
    _explain(options)
    return 0


def _parser() -> Parser:
    parser = Parser(
        prog="moesim explain",
        usage="moesim explain [--batch N] [--context TOKENS] [--picture FILE]\n"
        "                      [--json FILE] [group=option ...] [key=value ...]",
        description="Take a plain step, a verify step and a draft step apart: time by part and how"
        "\nit is known, arithmetic intensity, active experts, and which term holds the\n"
        "speedup back.",
        epilog=_EPILOG,
    )
    add = parser.add_argument
    add("--batch", type=int, default=16, metavar="N", help="requests that decode (default: 16)")
    add(
        "--context",
        type=int,
        default=1000,
        metavar="TOKENS",
        help="cached tokens of each (default: 1000)",
    )
    add("--picture", type=Path, metavar="FILE", help="draw the steps: .png, .svg or .pdf")
    add("--json", type=Path, metavar="FILE", help="save all figures, times in seconds")
    add("overrides", nargs="*", help="choices and settings, as for moesim simulate")
    return parser


def _explain(options: Namespace) -> None:
    # Slow to import, and `--help` does without.
    from simulator.commands.one_point import compose_point  # noqa: PLC0415
    from simulator.commands.screen import screen  # noqa: PLC0415
    from simulator.report.explain import print_explanation  # noqa: PLC0415
    from simulator.report.step_chart import plot_steps  # noqa: PLC0415
    from simulator.scenario import build  # noqa: PLC0415
    from simulator.study.explain import explain  # noqa: PLC0415
    from simulator.trace.json_file import write_json  # noqa: PLC0415

    explanation = explain(
        build(compose_point(options.overrides, "explain")), options.batch, options.context
    )
    files = {}
    if options.picture is not None:
        files["picture"] = plot_steps(explanation, options.picture)
    if options.json is not None:
        files["figures"] = write_json(options.json, figures(explanation))
    console = screen()
    print_explanation(explanation, console)
    for name, path in files.items():  # never wrapped: people copy them
        console.print(f"{name}: {path}", soft_wrap=True, markup=False)


def figures(explanation: Explanation) -> dict[str, Any]:
    """Return all figures of an explanation by name, times in seconds."""
    terms, best = explanation.decomposition, explanation.best
    return {
        "scenario": explanation.scenario,
        "steps": {name: _step_figures(step) for name, step in explanation.steps.items()},
        "rejection_s": explanation.rejection_s,
        "decomposition": asdict(terms) | {"best_gamma": best.gamma, "best_speedup": best.speedup},
        "levers": [lever._asdict() for lever in explanation.levers],
        "draft_lengths": asdict(explanation.lengths) | {"best": explanation.lengths.best},
    }


def _step_figures(step: Step) -> dict[str, Any]:
    parts: dict[str, dict[str, Any]] = {}
    for part, time in step.parts.items():
        parts[part] = {"seconds": time.seconds, "share": step.share(part), **time._asdict()}
        if part in step.work:
            done = step.work[part]
            parts[part] |= {
                "flops": done.flops,
                "moved_bytes": done.moved_bytes,
                "flop_per_byte": done.intensity,
                "ridge_flop_per_byte": done.ridge,
                "bound": done.bound,
            }
    return {
        "total_s": step.total_s,
        "experts": step.experts,
        "active_experts": step.active_experts,
        "tokens_per_expert": step.tokens_per_expert,
        "missing_experts": step.missing_experts,
        "parts": parts,
    }
