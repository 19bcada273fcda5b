"""``moesim calibrate fit``: MoESD's ten parameters from measured speedups and step times."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

PURPOSE = """\
Fit the ten parameters of MoESD's performance model (arXiv 2505.19645, Alg. 1)
to measured speedups, step times or both.

data is a CSV file with a header and one operating point a row. Columns:
  batch           requests in the step
  gamma           draft length; empty in a row of plain, draft or reject times
  top_k, experts  of the target (1 and 1 if dense); model= saves them
  sigma | alpha   tokens per round over gamma + 1, or acceptance rate;
                  for rows with a speedup
and of these what was measured, empty cells elsewhere:
  speedup         time per token without speculation over that with it
  ar_step_s       plain step of the target        (_ms, _us: other units)
  verify_step_s   verify step of the target
  draft_step_s    one step of the drafter
  reject_s        rejection sampling of a round
Speedups alone leave the scale of seconds free; the result is then in plain
steps. With hardware= and model= the parameters are bounded by the weights'
bytes over peak bandwidth (App. C.2)."""

EXAMPLES = (
    "calibrate fit data=my.csv",
    "calibrate fit data=my.csv model=qwen2_57b_a14b hardware=a800_sxm",
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What was measured, on what, and how to fit it."""

    data: str = field(metadata={"help": "CSV file of measurements"})
    model: str | None = field(default=None, metadata={"help": "target (moesim list models)"})
    drafter: str | None = field(default=None, metadata={"help": "default: the model's usual one"})
    hardware: str | None = field(default=None, metadata={"help": "GPU (moesim list hardware)"})
    gpus: int | None = field(
        default=None, metadata={"help": "GPUs that share the target (default: the fewest)"}
    )
    ridge: float | None = field(
        default=None, metadata={"help": "ridge point, FLOP/byte, without hardware="}
    )
    speedup_error: float = field(
        default=0.02, metadata={"help": "error of a measured speedup; weighs it against times"}
    )
    time_error: float = field(default=0.02, metadata={"help": "relative error of a measured time"})
    longest_step_s: float = field(
        default=3.0, metadata={"help": "longer step times are refused as a mistake in units"}
    )
    starts: int = field(default=12, metadata={"help": "starts of the search"})
    seed: int = field(default=0, metadata={"help": "of the starts"})
    json: bool = field(default=False, metadata={"help": "print metrics as JSON, not tables"})


def run(settings: Settings, folder: Path) -> None:
    """Read, refuse what cannot be, fit, and show."""
    # Slow to import, and `--help` does without.
    from simulator.commands.findings import finish  # noqa: PLC0415
    from simulator.report.calibration import (  # noqa: PLC0415
        plot_calibration,
        print_calibration,
    )
    from simulator.study.calibration.job import Setup, calibrate, summary  # noqa: PLC0415
    from simulator.study.calibration.solve import Noise  # noqa: PLC0415

    setup = Setup(
        model=settings.model,
        drafter=settings.drafter,
        hardware=settings.hardware,
        gpus=settings.gpus,
        ridge_flop_per_byte=settings.ridge,
        longest_step_s=settings.longest_step_s,
    )
    noise = Noise(settings.speedup_error, settings.time_error)
    found = calibrate(Path(settings.data), setup, noise, starts=settings.starts, seed=settings.seed)
    finish(
        folder,
        summary(found),
        lambda console: print_calibration(found, console),
        {"residuals.png": lambda file: plot_calibration(found.fit, file)},
        as_json=settings.json,
    )
