"""Measured runs replayed request by request through the ordinary serving core."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.costs.engine import Engine
from simulator.errors import DataError, unknown
from simulator.serving.cluster import serve
from simulator.streams import Streams
from simulator.study.engines.bench import scenario_of
from simulator.study.engines.models import Measured
from simulator.study.engines.requests import Latencies, MeasuredRun
from simulator.trace.in_memory import DroppedRows, KeptRows
from simulator.trace.schema import REQUESTS
from simulator.workload.recorded import RecordedWorkload

FIGURES = ("ttft_s", "tpot_s", "e2e_s")
"""What is compared."""


@dataclass(frozen=True, slots=True)
class Replay:
    """A measured run and its replay; the requests of both in order of arrival.

    Parameters
    ----------
    run
        As measured.
    simulated
        Latencies of the same requests in the simulator.
    """

    run: MeasuredRun
    simulated: Latencies

    def median_error(self, figure: str) -> float:
        """Return the relative error of the median of one of `FIGURES`, signed."""
        measured_s = self.run.latencies.median_s(figure)
        return self.simulated.median_s(figure) / measured_s - 1


def replay(run: MeasuredRun, measured: Measured, gpu: str, engine: Engine) -> Replay:
    """Serve the requests of a run as they came: same arrivals, prompts and outputs.

    Parameters
    ----------
    run
        The run.
    measured
        What it served.
    gpu, engine
        The machine and the calibrated profile.

    Raises
    ------
    SimulatorError
        If the model is unknown, has no drafter for a run with drafts, or does not fit.
    """
    if run.model not in measured.models:
        raise DataError(f"run {run.name!r}: {unknown('model', run.model, measured.models)}")
    if run.gamma and measured.drafter is None:
        raise DataError(f"run {run.name!r} has gamma {run.gamma}, but models.yaml no drafter.")
    workload = RecordedWorkload(run.name, run.rows)
    scenario = scenario_of(
        measured, run.model, gpu, engine, gamma=run.gamma, alpha=run.alpha, workload=workload
    )
    requests = KeptRows(REQUESTS)
    serve(
        scenario.deployment(run.gamma),
        scenario.router(),
        workload,
        scenario.acceptance,
        Streams(scenario.config.run.seed),
        requests_trace=requests,
        iterations_trace=DroppedRows(),
    )
    columns = requests.columns()
    order = np.argsort(columns["request_id"])
    arrival_s, first_s, finish_s, outputs = (
        columns[name][order] for name in ("arrival_s", "first_token_s", "finish_s", "output_tokens")
    )
    return Replay(run, Latencies.of(arrival_s, first_s, finish_s, outputs.astype(np.int64)))
