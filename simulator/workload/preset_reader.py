"""Reads presets: every number has its unit, source and kind, or is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from simulator.errors import ConfigError, TableError, unknown
from simulator.quantities import KINDS, Quantity
from simulator.slo import SloConfig
from simulator.workload.counts import EmpiricalLength
from simulator.workload.documents import DocumentLaws
from simulator.workload.lengths import LognormalMixture
from simulator.workload.markov import RateState
from simulator.workload.modulation import Modulation
from simulator.workload.preset import ClientLaws, Origin, Preset, PresetSessions, SampledLength
from simulator.workload.times import LognormalTimes

T = TypeVar("T")


def parse_preset(name: str, data: Mapping[str, Any], file: str = "") -> Preset:
    """Make a preset of the content of its file.

    Parameters
    ----------
    name
        Its name.
    data
        The content.
    file
        Where that stands, for messages; empty for the shipped preset of that name.

    Raises
    ------
    TableError
        If a field is missing, or a number lacks its unit, source or kind.
    """
    reader = _Reader(file or f"workloads/presets/{name}.yaml", {}, {})
    arrivals = reader.field(data, "arrivals")
    return Preset(
        name=name,
        title=str(reader.field(data, "title")),
        trace=str(reader.field(data, "trace")),
        arrivals=str(reader.field(arrivals, "law", "arrivals")),
        rate=reader.number(arrivals, "rate", "arrivals"),
        modulations=reader.pairs(arrivals, "modulation", Modulation, "variance", "time_constant"),
        interarrival_cv=reader.optional(arrivals, "interarrival_cv", "arrivals"),
        states=reader.pairs(
            arrivals, "states", lambda r, d: RateState(rate=r, dwell_s=d), "rate", "dwell"
        ),
        prompt=reader.law(data, "prompt_tokens"),
        output=reader.law(data, "output_tokens"),
        sessions=reader.sessions(data["sessions"]) if data.get("sessions") else None,
        documents=reader.documents(data["documents"]) if data.get("documents") else None,
        clients=reader.clients(data["clients"]) if data.get("clients") else (),
        slo=reader.slo(reader.field(data, "slo")),
        acceptance=str(reader.field(data, "acceptance")),
        assumptions=tuple(str(line) for line in data.get("assumptions", ())),
        provenance=reader.provenance,
        origins=reader.origins,
    )


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads fields of one preset file and keeps where each number came from."""

    file: str
    provenance: dict[str, Quantity]
    origins: dict[str, Origin]

    def field(self, data: Any, key: str, place: str = "") -> Any:
        if not isinstance(data, Mapping) or key not in data:
            raise TableError(f"{self.file} lacks {_join(place, key)}.")
        return data[key]

    def number(self, data: Any, key: str, place: str) -> float:
        where = _join(place, key)
        quantity = Quantity.read(self.field(data, key, place), f"{self.file}: {where}")
        self.provenance[where] = quantity
        return quantity.value

    def optional(self, data: Any, key: str, place: str) -> float | None:
        return self.number(data, key, place) if key in data else None

    def pairs(
        self, data: Any, key: str, make: Callable[[float, float], T], first: str, second: str
    ) -> tuple[T, ...]:
        """Read a list of pairs of numbers under ``arrivals``."""
        return tuple(
            self.made(
                f"arrivals.{key}[{i}]",
                make,
                self.number(entry, first, f"arrivals.{key}[{i}]"),
                self.number(entry, second, f"arrivals.{key}[{i}]"),
            )
            for i, entry in enumerate(data.get(key, ()))
        )

    def origin(self, entry: Any, where: str) -> None:
        """Keep unit, kind and source that stand once for all numbers of a law."""
        for what in ("unit", "kind", "source"):
            if not self.field(entry, what, where):
                raise TableError(f"{self.file}: {where}.{what} is empty; state it.")
        if entry["kind"] not in KINDS:
            raise TableError(unknown("kind", str(entry["kind"]), KINDS, f"{self.file}: {where}"))
        self.origins[where] = Origin(str(entry["unit"]), entry["kind"], str(entry["source"]))

    def law(self, data: Any, key: str, place: str = "") -> SampledLength:
        """Read a law of lengths: components of a lognormal mixture, or quantiles."""
        where = _join(place, key)
        entry = self.field(data, key, place)
        self.origin(entry, where)
        if "quantiles" in entry:
            return self.quantiles(entry, where)
        return self.mixture(entry, where)

    def quantiles(self, entry: Any, where: str) -> EmpiricalLength:
        pairs: Sequence[Any] = entry["quantiles"]
        if not all(isinstance(pair, Sequence) and len(pair) == 2 for pair in pairs):
            raise TableError(f"{self.file}: {where}.quantiles must be pairs [probability, tokens].")
        probabilities = tuple(float(pair[0]) for pair in pairs)
        return self.made(where, EmpiricalLength, probabilities, tuple(int(p[1]) for p in pairs))

    def mixture(self, entry: Any, where: str) -> LognormalMixture:
        low, high = (int(self.number(entry, bound, where)) for bound in ("min", "max"))
        return self.made(where, LognormalMixture, *self.components(entry, where), low, high)

    def components(self, entry: Any, where: str) -> list[tuple[float, ...]]:
        """Return weights, mu and sigma."""
        found: Sequence[Any] = self.field(entry, "components", where)
        return [
            tuple(float(self.field(each, part, f"{where}.components")) for each in found)
            for part in ("weight", "mu", "sigma")
        ]

    def sessions(self, entry: Any) -> PresetSessions:
        turns, think = (self.field(entry, key, "sessions") for key in ("turns", "think"))
        self.origin(turns, "sessions.turns")
        self.origin(think, "sessions.think")
        growth = None
        if entry.get("growth_tokens"):
            self.origin(entry["growth_tokens"], "sessions.growth_tokens")
            growth = self.mixture(entry["growth_tokens"], "sessions.growth_tokens")
        longest_s = self.number(think, "max", "sessions.think")
        weights, mu, sigma = self.components(think, "sessions.think")
        counts = ("shared_tokens", "max_tokens", "compacted_tokens")
        return PresetSessions(
            turns=self.mixture(turns, "sessions.turns"),
            growth=growth,
            think=self.made("sessions.think", LognormalTimes, weights, mu, sigma, longest_s),
            **{key: int(self.number(entry, key, "sessions")) for key in counts},
        )

    def documents(self, entry: Any) -> DocumentLaws:
        count, zipf = (self.number(entry, key, "documents") for key in ("count", "zipf"))
        tokens = self.law(entry, "tokens", "documents")
        return self.made(
            "documents", lambda: DocumentLaws(count=int(count), zipf=zipf, tokens=tokens)
        )

    def clients(self, entry: Any) -> tuple[ClientLaws, ...]:
        """Read clients; unit, kind and source stand once, for all their numbers."""
        self.origin(entry, "clients")
        entries = self.field(entry, "entries", "clients")
        return tuple(self.client(each, f"clients.entries[{i}]") for i, each in enumerate(entries))

    def client(self, entry: Any, where: str) -> ClientLaws:
        share, cv = (float(self.field(entry, k, where)) for k in ("share", "interarrival_cv"))
        prompt = self.plain(self.field(entry, "prompt_tokens", where), f"{where}.prompt_tokens")
        output = self.plain(self.field(entry, "output_tokens", where), f"{where}.output_tokens")
        return self.made(
            where,
            lambda: ClientLaws(share=share, interarrival_cv=cv, prompt=prompt, output=output),
        )

    def plain(self, entry: Any, where: str) -> SampledLength:
        """Read a law of lengths whose bounds are bare numbers."""
        if "quantiles" in entry:
            return self.quantiles(entry, where)
        low, high = (int(self.field(entry, bound, where)) for bound in ("min", "max"))
        return self.made(where, LognormalMixture, *self.components(entry, where), low, high)

    def slo(self, entry: Any) -> SloConfig:
        found = {f"{key}_s": self.optional(entry, key, "slo") for key in ("ttft", "tpot", "e2e")}
        return self.made(
            "slo", lambda: SloConfig(**found, share=self.number(entry, "share", "slo"))
        )

    def made(self, where: str, make: Callable[..., T], *values: Any) -> T:
        """Make something of values, or say where they stand."""
        try:
            return make(*values)
        except ConfigError as error:
            raise TableError(f"{self.file}: {where}: {error}") from error


def _join(place: str, key: str) -> str:
    return f"{place}.{key}" if place else key
