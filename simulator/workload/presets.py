"""Presets: workloads fitted to public traces, read from ``workloads/presets/*.yaml``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simulator.errors import ConfigError, TableError, unknown
from simulator.quantities import KINDS, Quantity, data_names, read_data
from simulator.workload.lengths import LognormalMixture
from simulator.workload.modulation import Modulation

_PACKAGE = "simulator.workloads.presets"


@dataclass(frozen=True, slots=True)
class Preset:
    """Traffic as measured in one public trace.

    Parameters
    ----------
    name, title, trace
        Key in ``workloads/presets``, one line for reports, and the trace with licence and paper.
    arrivals
        Name of the arrival law.
    rate
        Mean rate measured, requests/s.
    modulations
        Fluctuations of the rate.
    prompt, output
        Length laws.
    ttft_p99_s, tpot_p99_s
        Default service-level objectives, s.
    assumptions
        What the preset leaves out.
    provenance
        The plain figures above as they stand in the data file, by dotted key.
    """

    name: str
    title: str
    trace: str
    arrivals: str
    rate: float
    modulations: tuple[Modulation, ...]
    prompt: LognormalMixture
    output: LognormalMixture
    ttft_p99_s: float
    tpot_p99_s: float
    assumptions: tuple[str, ...]
    provenance: dict[str, Quantity]


def preset_names() -> list[str]:
    """List the presets in ``workloads/presets``.

    Examples
    --------
    >>> preset_names()
    ['chat', 'code', 'reasoning']
    """
    return data_names(_PACKAGE)


def read_preset(name: str) -> Preset:
    """Read a preset by name.

    Raises
    ------
    TableError
        If there is none of that name, or its file is incomplete.

    Examples
    --------
    >>> preset = read_preset("chat")
    >>> preset.rate, preset.output.max_tokens, preset.provenance["arrivals.rate"].kind
    (5.53, 1000, 'measured')
    """
    return parse_preset(name, read_data(_PACKAGE, name, "preset"))


def parse_preset(name: str, data: Mapping[str, Any]) -> Preset:
    """Make a preset of the content of its file.

    Raises
    ------
    TableError
        If a field is missing, or a number lacks its unit, source or kind.
    """
    reader = _Reader(f"workloads/presets/{name}.yaml", {})
    arrivals, slo = reader.field(data, "arrivals"), reader.field(data, "slo")
    law = str(reader.field(arrivals, "law", "arrivals"))
    modulations = tuple(
        Modulation(
            reader.number(entry, "variance", f"arrivals.modulation[{i}]"),
            reader.number(entry, "time_constant", f"arrivals.modulation[{i}]"),
        )
        for i, entry in enumerate(arrivals.get("modulation", ()))
    )
    return Preset(
        name=name,
        title=str(reader.field(data, "title")),
        trace=str(reader.field(data, "trace")),
        arrivals=law,
        rate=reader.number(arrivals, "rate", "arrivals"),
        modulations=modulations,
        prompt=reader.mixture(data, "prompt_tokens"),
        output=reader.mixture(data, "output_tokens"),
        ttft_p99_s=reader.number(slo, "ttft_p99", "slo"),
        tpot_p99_s=reader.number(slo, "tpot_p99", "slo"),
        assumptions=tuple(str(line) for line in data.get("assumptions", ())),
        provenance=reader.provenance,
    )


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads fields of one preset file and keeps where each number came from."""

    file: str
    provenance: dict[str, Quantity]

    def field(self, data: Any, key: str, place: str = "") -> Any:
        if not isinstance(data, Mapping) or key not in data:
            raise TableError(f"{self.file} lacks {_join(place, key)}.")
        return data[key]

    def number(self, data: Any, key: str, place: str) -> float:
        where = _join(place, key)
        quantity = Quantity.read(self.field(data, key, place), f"{self.file}: {where}")
        self.provenance[where] = quantity
        return quantity.value

    def mixture(self, data: Any, key: str) -> LognormalMixture:
        """Read a mixture: unit, kind and source stand once, for all its components."""
        entry = self.field(data, key)
        for what in ("unit", "kind", "source"):
            if not self.field(entry, what, key):
                raise TableError(f"{self.file}: {key}.{what} is empty; state it.")
        if entry["kind"] not in KINDS:
            raise TableError(unknown("kind", str(entry["kind"]), KINDS, f"{self.file}: {key}"))
        components: Sequence[Any] = self.field(entry, "components", key)
        weights, mu, sigma = (
            tuple(float(self.field(c, part, f"{key}.components")) for c in components)
            for part in ("weight", "mu", "sigma")
        )
        low, high = (int(self.number(entry, bound, key)) for bound in ("min", "max"))
        try:
            return LognormalMixture(weights, mu, sigma, low, high)
        except ConfigError as error:
            raise TableError(f"{self.file}: {key}: {error}") from error


def _join(place: str, key: str) -> str:
    return f"{place}.{key}" if place else key
