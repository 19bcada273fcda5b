"""From a preset and settings to an open loop, with sessions, documents or clients if it has any."""

from __future__ import annotations

from dataclasses import replace

from simulator.errors import ConfigError, InvariantError
from simulator.workload.arrivals import ARRIVALS, ArrivalLaw, ArrivalParameters
from simulator.workload.config import WorkloadConfig
from simulator.workload.counts import GeometricCount
from simulator.workload.diurnal import Diurnal
from simulator.workload.documents import DocumentLaws, DocumentWorkload
from simulator.workload.lengths import FixedLength, LengthLaw, UniformLength
from simulator.workload.merged import MergedWorkload, Part
from simulator.workload.preset import Preset
from simulator.workload.requests import Workload
from simulator.workload.sessions import SessionLaws, SessionWorkload
from simulator.workload.swing import Swinging
from simulator.workload.synthetic import SyntheticWorkload
from simulator.workload.times import ExponentialTimes

LEAST_TURN_TOKENS = 1024
"""Least part of a longest prompt that is left for what a turn adds (kind: assumed)."""


_TAKEN = {
    "sessions": ("sessions", "prompt_tokens"),
    "documents": ("sessions", "prompt_tokens"),
    "clients": ("sessions", "arrivals", "prompt_tokens", "output_tokens"),
}
"""Settings that mean nothing where a preset brings these, besides those that never do."""


def open_loop(config: WorkloadConfig, preset: Preset, rate: float, requests: int) -> Workload:
    """Build the traffic of a preset.

    Parameters
    ----------
    config
        Settings that take the place of the preset's.
    preset
        The preset.
    rate
        Mean requests/s.
    requests
        How many requests.

    Raises
    ------
    ConfigError
        If a setting means nothing to the preset.
    """
    _check_own(config, preset)
    if preset.clients:
        return _clients(config, preset, rate, requests)
    laws = _session_laws(config, preset)
    if laws is not None:
        return _sessions(config, preset, laws, rate, requests)
    arrivals = _arrivals(config, preset, rate)
    prompt, output = length_laws(config, preset)
    if preset.documents is not None and config.max_prompt_tokens is not None:
        prompt = prompt.capped(max(1, min(preset.prompt.max_tokens, config.max_prompt_tokens // 2)))
    workload = SyntheticWorkload(
        title=_title(preset, rate),
        requests=requests,
        concurrency=None,
        mean_rate=rate,
        assumptions=(arrivals.assumption, *_notes(config, preset, rate)),
        prompt=prompt,
        output=output,
        arrivals=arrivals,
    )
    if preset.documents is None:
        return workload
    return DocumentWorkload(inner=workload, laws=_document_laws(preset.documents, prompt, config))


def length_laws(config: WorkloadConfig, preset: Preset | None) -> tuple[LengthLaw, LengthLaw]:
    """Return the laws of prompt and output: fixed, or the preset's, cut where a cap is set."""
    prompt, output = (preset.prompt, preset.output) if preset else (None, None)
    return _length_law(config, "prompt", prompt), _length_law(config, "output", output)


def prompt_notes(config: WorkloadConfig, *, shares: bool = False) -> list[str]:
    """Say which lengths were set by hand, and what prompts share, unless others say it."""
    notes = []
    if not (config.shared_prefix or config.sessions or shares):
        notes.append("no prefix is shared between requests")
    for what in ("prompt", "output"):
        fixed, cap = getattr(config, f"{what}_tokens"), getattr(config, f"max_{what}_tokens")
        if fixed is not None:
            ratio = config.random_range_ratio
            spread = "" if ratio == 1.0 else f"uniformly {ratio:g} to 1 times "
            notes.append(f"every {what} has {spread}{fixed} tokens")
        elif cap is not None:
            notes.append(f"{what}s longer than {cap} tokens are cut to it")
    return notes


def check_room(config: WorkloadConfig, longest: int) -> None:
    """Refuse conversations whose longest prompt has no room for one turn.

    Raises
    ------
    ConfigError
        If a turn may have more tokens.
    """
    if config.sessions is not None and config.sessions.max_tokens < longest:
        raise ConfigError(
            f"workload.sessions.max_tokens is {config.sessions.max_tokens}, but one turn alone may "
            f"have {longest} tokens; raise it to at least {longest}, or cut turns with "
            "workload.max_prompt_tokens."
        )


def _length_law(config: WorkloadConfig, what: str, fitted: LengthLaw | None) -> LengthLaw:
    fixed, cap = getattr(config, f"{what}_tokens"), getattr(config, f"max_{what}_tokens")
    if fixed is not None:
        shortest = max(1, int(config.random_range_ratio * fixed))
        return FixedLength(fixed) if shortest == fixed else UniformLength(shortest, fixed)
    if fitted is None:
        raise InvariantError("a workload without preset and without fixed lengths was accepted.")
    return fitted if cap is None else fitted.capped(cap)


def _check_own(config: WorkloadConfig, preset: Preset) -> None:
    """Refuse settings whose place is taken by what a preset brings."""
    brings = next(
        (what for what in ("sessions", "documents", "clients") if getattr(preset, what)), None
    )
    closed = config.sessions is not None and config.sessions.think_s is not None
    if closed and brings is None:
        brings = "conversations in a closed loop (workload.sessions.think_s)"
    if brings is None:
        return
    keys = ["traffic_classes", "shared_prefix", *_TAKEN.get(brings, ())]
    given = next((key for key in keys if getattr(config, key)), None)
    if given is not None:
        raise ConfigError(
            f"workload.{given} is set, but preset {preset.name!r} brings {brings} of its own; "
            "leave it out. Classes of traffic come with workload.kind=mix."
        )


def _arrivals(
    config: WorkloadConfig, preset: Preset, rate: float, cv: float | None = None
) -> ArrivalLaw:
    """Build arrivals at a rate, moved by the hours if asked."""
    law = config.arrivals or preset.arrivals
    parameters = ArrivalParameters(
        rate,
        preset.modulations,
        cv or config.interarrival_cv or preset.interarrival_cv,
        config.rate_states or preset.states,
    )
    found: ArrivalLaw = ARRIVALS.get(law, "workload.arrivals")(parameters)
    if config.swing is not None:
        found = Swinging(found, config.swing)
    if config.diurnal is not None:
        found = Diurnal(found, config.diurnal)
    return found


def _document_laws(laws: DocumentLaws, question: LengthLaw, config: WorkloadConfig) -> DocumentLaws:
    """Return documents that leave room for the longest question in the longest prompt."""
    if config.max_prompt_tokens is None:
        return laws
    room = max(1, config.max_prompt_tokens - question.max_tokens)
    return replace(laws, tokens=laws.tokens.capped(room))


def _session_laws(config: WorkloadConfig, preset: Preset) -> SessionLaws | None:
    """Return the laws of sessions in a closed loop, the preset's or the user's."""
    prompt, _ = length_laws(config, preset)
    own, cap = preset.sessions, config.max_prompt_tokens
    if own is not None:
        most = own.max_tokens if cap is None else min(cap, own.max_tokens)
        room = max(1, most - LEAST_TURN_TOKENS)
        return SessionLaws(
            turns=own.turns,
            first=prompt.capped(most),
            growth=own.growth,
            think=own.think,
            shared_tokens=own.shared_tokens,
            max_tokens=most,
            compacted_tokens=min(own.compacted_tokens, room),
        )
    asked = config.sessions
    if asked is None or asked.think_s is None:
        return None
    check_room(config, prompt.max_tokens)
    return SessionLaws(
        turns=GeometricCount(asked.turns),
        first=prompt,
        growth=None,
        think=ExponentialTimes(asked.think_s),
        shared_tokens=0,
        max_tokens=asked.max_tokens,
        compacted_tokens=asked.compacted_tokens,
    )


def _sessions(
    config: WorkloadConfig, preset: Preset, laws: SessionLaws, rate: float, requests: int
) -> SessionWorkload:
    turns = laws.turns.mean()
    starts = _arrivals(config, preset, rate / turns)
    _, output = length_laws(config, preset)
    return SessionWorkload(
        title=_title(preset, rate),
        requests=requests,
        mean_rate=rate,
        assumptions=(
            starts.assumption.replace("arrivals:", "beginnings of sessions:", 1).replace(
                "requests/s", "sessions/s"
            ),
            *laws.assumptions,
            *_notes(config, preset, rate),
        ),
        starts=starts,
        laws=laws,
        output=output,
    )


def _clients(config: WorkloadConfig, preset: Preset, rate: float, requests: int) -> MergedWorkload:
    total = sum(client.share for client in preset.clients)
    parts = []
    for number, client in enumerate(preset.clients):
        own = rate * client.share / total
        prompt, output = client.prompt, client.output
        parts.append(
            Part(
                name=f"client {number}",
                workload=SyntheticWorkload(
                    title=f"client {number}",
                    requests=requests,
                    concurrency=None,
                    mean_rate=own,
                    assumptions=(),
                    prompt=prompt.capped(config.max_prompt_tokens or prompt.max_tokens),
                    output=output.capped(config.max_output_tokens or output.max_tokens),
                    arrivals=_arrivals(config, preset, own, client.interarrival_cv),
                ),
            )
        )
    spread = [client.interarrival_cv for client in preset.clients]
    said = (
        f"arrivals: {len(parts)} clients at {rate:g} requests/s in all, each with independent "
        f"{preset.arrivals.title()} gaps (coefficients of variation {min(spread):g} to "
        f"{max(spread):g}) and lengths of its own; the busiest sends "
        f"{max(client.share for client in preset.clients) / total:.0%}"
    )
    return MergedWorkload(
        title=_title(preset, rate),
        requests=requests,
        mean_rate=rate,
        assumptions=(said, *_notes(config, preset, rate)),
        parts=tuple(parts),
    )


def _title(preset: Preset, rate: float) -> str:
    return f"{preset.title}, {rate:g} requests/s"


def _notes(config: WorkloadConfig, preset: Preset, rate: float) -> list[str]:
    """Say what the preset assumes, and what was set by hand."""
    shares = preset.sessions is not None or preset.documents is not None
    notes = [*preset.assumptions, *prompt_notes(config, shares=shares)]
    if rate != preset.rate:
        notes.append(
            f"the rate is scaled from the {preset.rate:g} requests/s measured; lengths stay"
        )
    return notes
