"""Writes presets as their files hold them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from simulator.errors import TableError
from simulator.workload.lengths import LognormalMixture
from simulator.workload.preset import Preset, PresetSessions, SampledLength
from simulator.workload.times import LognormalTimes


def dump_preset(preset: Preset) -> str:
    """Write a preset as YAML that `parse_preset` reads back to an equal one.

    Raises
    ------
    TableError
        If ``provenance`` or ``origins`` do not say where a number came from.
    """
    writer = _Writer(preset)
    content: dict[str, Any] = {
        "title": preset.title,
        "trace": preset.trace,
        "arrivals": writer.arrivals(),
        "prompt_tokens": writer.law("prompt_tokens", preset.prompt),
        "output_tokens": writer.law("output_tokens", preset.output),
    }
    if preset.sessions is not None:
        content["sessions"] = writer.sessions(preset.sessions)
    if preset.documents is not None:
        documents = preset.documents
        content["documents"] = writer.numbers("documents", count=documents.count)
        content["documents"] |= writer.numbers("documents", zipf=documents.zipf)
        content["documents"]["tokens"] = writer.law("documents.tokens", documents.tokens)
    if preset.clients:
        content["clients"] = writer.clients()
    slo = preset.slo
    bounds = {"ttft": slo.ttft_s, "tpot": slo.tpot_s, "e2e": slo.e2e_s, "share": slo.share}
    content["slo"] = writer.numbers("slo", **bounds)
    content["acceptance"] = preset.acceptance
    content["assumptions"] = list(preset.assumptions)
    text: str = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)
    return text


@dataclass(frozen=True, slots=True)
class _Writer:
    """Gives the numbers of a preset their unit, kind and source."""

    preset: Preset

    def number(self, where: str, value: float) -> dict[str, Any]:
        known = self.preset.provenance.get(where)
        if known is None:
            raise TableError(f"preset {self.preset.name!r} does not say where {where} came from.")
        return {"value": value, "unit": known.unit, "kind": known.kind, "source": known.source}

    def numbers(self, place: str, **values: float | None) -> dict[str, Any]:
        """Return the numbers that are there."""
        return {
            key: self.number(f"{place}.{key}", value)
            for key, value in values.items()
            if value is not None
        }

    def origin(self, where: str) -> dict[str, Any]:
        known = self.preset.origins.get(where)
        if known is None:
            raise TableError(f"preset {self.preset.name!r} does not say where {where} came from.")
        return {"unit": known.unit, "kind": known.kind, "source": known.source}

    def arrivals(self) -> dict[str, Any]:
        preset = self.preset
        found: dict[str, Any] = {"law": preset.arrivals}
        found |= self.numbers("arrivals", rate=preset.rate, interarrival_cv=preset.interarrival_cv)
        if preset.modulations:
            found["modulation"] = [
                self.numbers(
                    f"arrivals.modulation[{i}]",
                    variance=one.variance,
                    time_constant=one.time_constant_s,
                )
                for i, one in enumerate(preset.modulations)
            ]
        if preset.states:
            found["states"] = [
                self.numbers(f"arrivals.states[{i}]", rate=one.rate, dwell=one.dwell_s)
                for i, one in enumerate(preset.states)
            ]
        return found

    def law(self, where: str, law: Any) -> dict[str, Any]:
        found = self.origin(where) | _shape(law)
        if isinstance(law, LognormalMixture):
            found |= self.numbers(where, min=law.min_tokens, max=law.max_tokens)
        return found

    def sessions(self, sessions: PresetSessions) -> dict[str, Any]:
        think = self.origin("sessions.think") | {"components": _components(sessions.think)}
        think |= self.numbers("sessions.think", max=sessions.think.max_s)
        found = {"turns": self.law("sessions.turns", sessions.turns), "think": think}
        if sessions.growth is not None:
            found["growth_tokens"] = self.law("sessions.growth_tokens", sessions.growth)
        return found | self.numbers(
            "sessions",
            shared_tokens=sessions.shared_tokens,
            max_tokens=sessions.max_tokens,
            compacted_tokens=sessions.compacted_tokens,
        )

    def clients(self) -> dict[str, Any]:
        entries = [
            {
                "share": one.share,
                "interarrival_cv": one.interarrival_cv,
                "prompt_tokens": _plain(one.prompt),
                "output_tokens": _plain(one.output),
            }
            for one in self.preset.clients
        ]
        return self.origin("clients") | {"entries": entries}


def _components(law: LognormalMixture | LognormalTimes) -> list[dict[str, float]]:
    parts = zip(law.weights, law.mu, law.sigma, strict=True)
    return [{"weight": w, "mu": mu, "sigma": sigma} for w, mu, sigma in parts]


def _shape(law: SampledLength) -> dict[str, Any]:
    if isinstance(law, LognormalMixture):
        return {"components": _components(law)}
    pairs: Sequence[tuple[float, int]] = list(zip(law.probabilities, law.tokens, strict=True))
    return {"quantiles": [list(pair) for pair in pairs]}


def _plain(law: SampledLength) -> dict[str, Any]:
    """Write a law whose bounds are bare numbers."""
    if isinstance(law, LognormalMixture):
        return _shape(law) | {"min": law.min_tokens, "max": law.max_tokens}
    return _shape(law)
