"""The counters of speculative decoding on a vLLM metrics page (Prometheus text format)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from simulator.errors import DataError
from simulator.quantities import missing_file

_PREFIX = "vllm:spec_decode_"
_COUNTERS = ("num_drafts", "num_draft_tokens", "num_accepted_tokens")
_BY_POSITION = "num_accepted_tokens_per_pos"

HOW_TO_GET = "curl http://HOST:8000/metrics > metrics.txt"


class Server(NamedTuple):
    """One engine of one model, as the labels of a page tell them apart."""

    model: str
    engine: str


@dataclass(slots=True)
class Counters:
    """What one server counted.

    Parameters
    ----------
    scalars
        Drafts (rounds), drafted tokens and accepted tokens, by the name of the counter.
    by_position
        Accepted tokens by position in the draft, from 0.
    lines
        Line of each of them on the page; positions by their number.
    """

    scalars: dict[str, float] = field(default_factory=dict)
    by_position: dict[int, float] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)


def read_page(path: Path | str) -> dict[Server, Counters]:
    """Read the counters of every server on a page.

    Parameters
    ----------
    path
        What ``GET /metrics`` of a vLLM server returned, saved.

    Returns
    -------
    dict
        By server, in order of the page; every server has all counters.

    Raises
    ------
    DataError
        If the file cannot be read, is no metrics page, is one without speculative decoding, or
        holds a value that no counter can have.
    """
    text = _read(path)
    found: dict[Server, Counters] = {}
    names = set()
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            samples = [s for f in text_string_to_metric_families(line + "\n") for s in f.samples]
        except (ValueError, IndexError) as error:
            raise DataError(
                f"{path}, line {number}: {_short(line)} is no line of a Prometheus metrics page "
                f"({error}). Save the page itself: {HOW_TO_GET}"
            ) from error
        for sample in samples:
            names.add(sample.name)
            _take(found, sample.name, sample.labels, sample.value, f"{path}, line {number}", number)
    _check_kind(path, names, found)
    for server, counters in found.items():
        _check_whole(path, server, counters)
    return found


def _read(path: Path | str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DataError(
            f"{missing_file('metrics page', Path(path))} Save one: {HOW_TO_GET}"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"metrics page {str(path)!r} cannot be read: {error}.") from error


def _short(line: str) -> str:
    return repr(line if len(line) <= 60 else line[:57] + "...")


def _take(
    found: dict[Server, Counters],
    name: str,
    labels: dict[str, str],
    value: float,
    place: str,
    number: int,
) -> None:
    """Keep a sample if it is one of our counters."""
    counter = name.removeprefix(_PREFIX).removesuffix("_total")
    if not name.startswith(_PREFIX) or counter not in (*_COUNTERS, _BY_POSITION):
        return
    if not 0 <= value < float("inf"):
        raise DataError(f"{place}: {name} is {value!r}; a counter is a number from 0 on.")
    server = Server(labels.get("model_name", ""), labels.get("engine", ""))
    mine = found.setdefault(server, Counters())
    key = counter
    if counter == _BY_POSITION:
        position = labels.get("position", "")
        if not position.isdecimal():
            raise DataError(f"{place}: {name} has position={position!r}, no whole number.")
        key = f"position {position}"
        mine.by_position[int(position)] = value
    else:
        mine.scalars[counter] = value
    if key in mine.lines:
        raise DataError(
            f"{place}: {name} of model {server.model!r}, engine {server.engine!r} stands on line "
            f"{mine.lines[key]} already; give one page of one moment."
        )
    mine.lines[key] = number


def _check_kind(path: Path | str, names: set[str], found: dict[Server, Counters]) -> None:
    if found:
        return
    if any(name.startswith("vllm:") for name in names):
        raise DataError(
            f"{path} has no {_PREFIX}* counters: speculative decoding was off. Start vLLM with "
            '--speculative-config \'{"method": ..., "num_speculative_tokens": 3}\', serve some '
            "requests, and save the page again."
        )
    what = f"its {len(names)} metrics are not vLLM's" if names else "it holds no metrics"
    raise DataError(f"{path} is no vLLM metrics page: {what}. Save one: {HOW_TO_GET}")


def _check_whole(path: Path | str, server: Server, counters: Counters) -> None:
    """Refuse a server that lacks a counter, or a position between others."""
    missing = [name for name in _COUNTERS if name not in counters.scalars]
    if not counters.by_position:
        missing.append(_BY_POSITION)
    if missing:
        raise DataError(
            f"{path}: model {server.model!r}, engine {server.engine!r} lacks "
            f"{', '.join(_PREFIX + name for name in missing)}; vLLM 0.9 and later export all four."
        )
    positions = sorted(counters.by_position)
    if positions != list(range(len(positions))):
        raise DataError(
            f"{path}: {_PREFIX}{_BY_POSITION} of model {server.model!r} has the positions "
            f"{', '.join(map(str, positions))}; they must run from 0 without a gap."
        )
