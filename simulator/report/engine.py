"""A calibrated engine profile on the terminal: what was fitted, how well, what is missing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from simulator.report.figures import ABSENT, fine_percent, number, seconds, signed_percent
from simulator.report.tables import frame
from simulator.study.engines.calibration import Calibration, Predicted, mean_size
from simulator.study.engines.fit import EngineFit
from simulator.study.engines.replay import FIGURES
from simulator.study.engines.search import Estimate
from simulator.study.engines.unknowns import OVERHEAD
from simulator.study.engines.validate import EngineValidation, metrics
from simulator.trace.json_file import Json

_LATENCIES = {"ttft_s": "TTFT", "tpot_s": "TPOT", "e2e_s": "E2E"}


def print_calibration(calibration: Calibration, console: Console) -> None:
    """Print what was fitted with intervals, the error of every row, and what to measure next."""
    fit = calibration.fit
    console.print(_parameters(fit))
    for line in (*_refused(fit), *_undetermined(fit)):
        console.print(Text(line))
    print_steps(calibration.predicted, console)
    console.print(Text(_errors(calibration)))


def _parameters(fit: EngineFit) -> Table:
    table = frame("figure", "value>", "95 % interval>", title="Fitted figures of the profile")
    for one in fit.estimates:
        table.add_row(one.unknown.key, _value(one, one.value), _interval(one))
    return table


def _value(one: Estimate, value: float) -> str:
    return seconds(value) if one.unknown.kind == OVERHEAD else number(value)


def _interval(one: Estimate) -> str:
    if one.at_bound:
        return "at its bound"
    if one.half_width is None:
        return ABSENT
    low, high = one.value - one.half_width, one.value + one.half_width
    return f"{_value(one, low)} to {_value(one, high)}"


def _refused(fit: EngineFit) -> Iterable[str]:
    """Say what negative overheads mean."""
    for one in fit.refused:
        found = f"{one.unknown.key} came out at {seconds(one.value)}"
        if one.significant:
            yield (
                f"FAILED: {found}, below zero beyond its interval. An overhead cannot be: the "
                f"routing law touches too many experts, or the bandwidth is too low. Measure "
                f"active_experts, or check model and hardware. It is held at 0."
            )
        else:
            yield f"{found}, zero within its interval; it is held at 0."


def _undetermined(fit: EngineFit) -> Iterable[str]:
    """Say which figures the rows tell little or nothing of, and what would."""
    for one in fit.estimates:
        if one.weak:
            yield (
                f"Weak: the interval of {one.unknown.key} spans zero. To narrow it, measure "
                f"{one.unknown.measure}."
            )
    for unknown in fit.undetermined:
        yield f"Not determined: {unknown.key} stays as it was. Measure {unknown.measure}."


def print_steps(predicted: Sequence[Predicted], console: Console) -> None:
    """Print measured and predicted steps, row by row."""
    several = len({one.row.model for one in predicted}) > 1
    name = ("model",) if several else ()
    table = frame(
        *("line>", *name, "gamma>", "batch>", "role"),
        *("measured>", "predicted>", "error>", "with N>"),
        title="Whole steps; N: with the measured active experts as input",
    )
    for one in predicted:
        row = one.row
        table.add_row(
            str(row.line),
            *((row.model,) if several else ()),
            str(row.gamma),
            str(row.batch),
            row.role,
            seconds(row.step_s),
            seconds(one.times.step_s),
            signed_percent(one.error),
            signed_percent(one.given_s / row.step_s - 1) if row.active_experts else ABSENT,
        )
    console.print(table)


def _errors(calibration: Calibration) -> str:
    """Sum up the errors of steps in one paragraph."""
    fitted = fine_percent(calibration.mape("calibrate"))
    said = [f"Mean error of a step: {fitted} on the rows fitted"]
    if calibration.left_out:
        left_out = fine_percent(mean_size(calibration.left_out))
        said.append(f"{left_out} each left out of the fit once")
    checked = calibration.mape("check")
    if checked is not None:
        share = fine_percent(checked)
        said.append(f"{share} on the rows of role check, which nothing was fitted to")
    return ", ".join(said) + "."


def print_validation(validation: EngineValidation, console: Console) -> None:
    """Print the calibration, the speedups, and the replays beside what was measured."""
    if validation.calibration is not None:
        print_calibration(validation.calibration, console)
    else:
        print_steps(validation.predicted, console)
    if validation.speedups:
        console.print(_speedups(validation))
    console.print(_replays(validation))
    for line in verdicts(validation):
        console.print(Text(line))


def _speedups(validation: EngineValidation) -> Table:
    table = frame(
        *("model", "gamma>", "batch>", "role", "measured>", "predicted>", "error>"),
        title="Speedup: tokens per round over round time, against plain steps",
    )
    for one in validation.speedups:
        table.add_row(
            one.row.model,
            str(one.row.gamma),
            str(one.row.batch),
            one.row.role,
            f"{one.measured:.2f}x",
            f"{one.predicted:.2f}x",
            signed_percent(one.error),
        )
    return table


def _replays(validation: EngineValidation) -> Table:
    table = frame(
        "run", "figure", "measured>", "simulated>", "error>", title="Medians of runs, replayed"
    )
    for one in validation.replays:
        for place, figure in enumerate(FIGURES):
            table.add_row(
                one.run.name if not place else "",
                _LATENCIES[figure],
                seconds(one.run.latencies.median_s(figure)),
                seconds(one.simulated.median_s(figure)),
                signed_percent(one.median_error(figure)),
            )
    return table


def verdicts(validation: EngineValidation) -> list[str]:
    """Sum up the errors, and say what they do not cover."""
    found = metrics(validation)
    unseen = "rows of role check" if validation.calibration is not None else "all rows"
    lines = [
        f"Predicted steps ({unseen}): {fine_percent(found['step_mape'])} off in the mean, speedups "
        f"{fine_percent(found['speedup_mape'])}."
    ]
    if not validation.drafts_replayed:
        lines.append(
            "No run has gamma > 0: the replay of speculation is unvalidated here. Record a run "
            "with drafts under load to validate it."
        )
    if found["step_mape"] is None:
        lines.append("No row has the role check, so nothing was predicted; mark some.")
    return lines


def next_commands(profile: str, gpu: str) -> str:
    """Return what to run next with the profile, hardware as it was named."""
    hardware = f"hardware.gpu={gpu}" if gpu.endswith(".yaml") else f"hardware={gpu}"
    return f"Next: moesim simulate {hardware} hardware.engine={profile}"


def metrics_of(calibration: Calibration) -> Json:
    """Return the errors of a calibration by flat names."""
    return {
        "fitted_step_mape": calibration.mape("calibrate"),
        "left_out_step_mape": mean_size(calibration.left_out),
        "step_mape": calibration.mape("check"),
        "step_mape_given_experts": calibration.mape("check", given_experts=True),
    }
