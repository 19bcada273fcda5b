"""What a preset holds: traffic as measured, with where each number came from."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from simulator.errors import ConfigError
from simulator.quantities import Quantity
from simulator.slo import SloConfig
from simulator.workload.counts import EmpiricalLength
from simulator.workload.documents import DocumentLaws
from simulator.workload.lengths import LognormalMixture
from simulator.workload.markov import RateState
from simulator.workload.modulation import Modulation
from simulator.workload.renewal import MAX_CV, MIN_CV
from simulator.workload.times import LognormalTimes

SampledLength = LognormalMixture | EmpiricalLength
"""Laws of lengths that a preset may state."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a law came from, for all of its numbers together."""

    unit: str
    kind: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientLaws:
    """One of the clients whose traffic adds up to a preset's.

    Parameters
    ----------
    share
        Its share of the requests, relative to those of the others.
    interarrival_cv
        Coefficient of variation of the times between its requests.
    prompt, output
        Its lengths.

    Raises
    ------
    ConfigError
        If its share or its gaps make no sense.
    """

    share: float
    interarrival_cv: float
    prompt: SampledLength
    output: SampledLength

    def __post_init__(self) -> None:
        if not (0.0 < self.share < math.inf and MIN_CV <= self.interarrival_cv <= MAX_CV):
            raise ConfigError(
                f"a client has share {self.share:g} and interarrival_cv {self.interarrival_cv:g}; "
                f"give a share above 0 and a coefficient of variation of {MIN_CV:g} to {MAX_CV:g}."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class PresetSessions:
    """Sessions of a preset (`sessions.SessionLaws` explains each)."""

    turns: LognormalMixture
    growth: LognormalMixture | None
    think: LognormalTimes
    shared_tokens: int
    max_tokens: int
    compacted_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """Traffic as measured in one public trace.

    Parameters
    ----------
    name, title, trace
        Key in ``workloads/presets``, one line for reports, and the trace with licence and paper.
    arrivals
        Name of the arrival law; of the beginnings of sessions, where there are any, and of each
        client, where there are several.
    rate
        Mean rate measured, requests/s.
    modulations, interarrival_cv, states
        What the law needs beside the rate (`arrivals.ArrivalParameters`).
    prompt, output
        Length laws: of a session's first prompt, and of the question alone about a document.
    sessions, documents, clients
        Who asks again, what about, and who they are; None or empty: nothing is known of it.
    slo
        What such traffic is usually promised: its SLO class.
    acceptance
        Which such texts are of the tasks that acceptance profiles tell apart.
    assumptions
        What the preset leaves out.
    provenance
        The plain figures above as they stand in the data file, by dotted key.
    origins
        Where the laws came from, by dotted key.
    """

    name: str
    title: str
    trace: str
    arrivals: str
    rate: float
    modulations: tuple[Modulation, ...] = ()
    interarrival_cv: float | None = None
    states: tuple[RateState, ...] = ()
    prompt: SampledLength
    output: SampledLength
    sessions: PresetSessions | None = None
    documents: DocumentLaws | None = None
    clients: tuple[ClientLaws, ...] = ()
    slo: SloConfig
    acceptance: str
    assumptions: tuple[str, ...] = ()
    provenance: dict[str, Quantity] = field(default_factory=dict)
    origins: dict[str, Origin] = field(default_factory=dict)
