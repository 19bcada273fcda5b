"""ServeGen's client folders: rates, arrival laws and length distributions of each client."""

from __future__ import annotations

import csv
import json
import math
import re
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import DataError
from simulator.workload.readers.fields import shown
from simulator.workload.requests import MAX_TOKENS

Floats = NDArray[np.float64]

LAWS = ("Gamma", "Weibull")
"""Laws of inter-arrival times that the files name."""

MEMBER_BYTES = 64 << 20
"""Longest file read (kind: assumed); the longest published have 4 MB."""

MAX_CLIENTS = 10_000
"""Most clients (kind: assumed); the largest published population has 1,036."""

_NAME = re.compile(r"(?P<client>[\w.-]+)-(?P<what>trace\.csv|dataset\.json)")
"""Names of the two files of a client."""


@dataclass(frozen=True, slots=True)
class Lengths:
    """An empirical distribution of lengths.

    Parameters
    ----------
    tokens
        The lengths, ascending, int64[n].
    cumulative
        Probability of each or less, float64[n], the last 1.
    """

    tokens: NDArray[np.int64]
    cumulative: Floats

    def at(self, uniforms: Floats) -> NDArray[np.int64]:
        """Return the lengths at quantiles, tokens."""
        found = np.searchsorted(self.cumulative, uniforms, side="right")
        return self.tokens[np.minimum(found, self.tokens.size - 1)]


@dataclass(frozen=True, slots=True)
class Client:
    """One client of a ServeGen workload.

    Parameters
    ----------
    name
        As its files are called.
    starts_s
        When its windows begin, s, ascending.
    rates
        Requests/s in each window.
    weibull
        Whether the law of inter-arrival times is Weibull, in each window, else Gamma.
    shapes
        Shape of that law; its mean is that of the rate.
    datasets
        From when on, s, which distributions of prompts and of outputs hold; ascending.
    """

    name: str
    starts_s: Floats
    rates: Floats
    weibull: NDArray[np.bool_]
    shapes: Floats
    datasets: tuple[tuple[float, Lengths, Lengths], ...]

    def lengths_at(self, time_s: float) -> tuple[Lengths, Lengths]:
        """Return the distributions that hold at a time; before the first, that."""
        known = [one for one in self.datasets if one[0] <= time_s]
        _, prompts, outputs = known[-1] if known else self.datasets[0]
        return prompts, outputs


def read_clients(path: Path) -> list[Client]:
    """Read the clients of a folder, or of a tar archive of one, that ever send a request.

    Raises
    ------
    DataError
        If there are none, or a file is malformed; the message names it.
    """
    traces, datasets = {}, {}
    for name, data in _files(path):
        match = _NAME.fullmatch(name)
        if match and match["what"] == "trace.csv":
            traces[match["client"]] = _windows(f"{path}: {name}", data)
        elif match:
            datasets[match["client"]] = _datasets(f"{path}: {name}", data)
        if len(traces) > MAX_CLIENTS:
            raise DataError(f"{path}: more than {MAX_CLIENTS:,} clients; take some of them.")
    found = []
    for client, windows in sorted(traces.items()):
        starts_s, rates, weibull, shapes = windows
        if not rates.any():
            continue
        if not datasets.get(client):
            raise DataError(
                f"{path}: {client}-trace.csv has requests, but no lengths in "
                f"{client}-dataset.json; add the file or leave the client out."
            )
        found.append(Client(client, starts_s, rates, weibull, shapes, datasets[client]))
    if not found:
        raise DataError(
            f"{path}: no client with requests; give a folder or a tar.gz with files such as "
            "chunk-0-trace.csv and chunk-0-dataset.json."
        )
    if any(not np.array_equal(one.starts_s, found[0].starts_s) for one in found):
        raise DataError(f"{path}: the windows of the clients are not the same.")
    return found


def _files(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes of the files of a folder or a tar archive."""
    if path.is_dir():
        for file in sorted(path.iterdir()):
            if _NAME.fullmatch(file.name) and file.is_file():
                with file.open("rb") as stream:
                    yield file.name, _limited(path, file.name, stream.read(MEMBER_BYTES + 1))
        return
    try:
        with tarfile.open(path, "r|*") as archive:
            for member in archive:
                name = Path(member.name).name
                content = archive.extractfile(member) if _NAME.fullmatch(name) else None
                if content is not None:
                    yield name, _limited(path, name, content.read(MEMBER_BYTES + 1))
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: not a readable tar archive: {error}.") from error


def _limited(path: Path, name: str, data: bytes) -> bytes:
    if len(data) > MEMBER_BYTES:
        raise DataError(f"{path}: {name} is longer than {MEMBER_BYTES >> 20} MiB.")
    return data


def _windows(where: str, data: bytes) -> tuple[Floats, Floats, NDArray[np.bool_], Floats]:
    """Return starts, rates, laws and shapes of the windows of a client."""
    rows: list[tuple[float, float, bool, float]] = []
    lines = data.decode("utf-8", "surrogateescape").splitlines()
    try:
        for number, row in enumerate(csv.reader(lines, strict=True), 1):
            rows.append(_window(f"{where}, line {number}", row, rows[-1][0] if rows else -1.0))
    except csv.Error as error:
        raise DataError(f"{where}: not CSV: {error}.") from error
    if not rows:
        raise DataError(f"{where}: empty; expected lines of start, rate, CV, law, shape, scale.")
    starts_s, rates, weibull, shapes = zip(*rows, strict=True)
    return np.array(starts_s), np.array(rates), np.array(weibull, dtype=bool), np.array(shapes)


def _window(where: str, row: list[str], before_s: float) -> tuple[float, float, bool, float]:
    if len(row) != 6:
        raise DataError(
            f"{where}: {len(row)} fields instead of 6: start, rate, CV, law, shape, scale."
        )
    start_s, rate = (
        _number(where, name, text) for name, text in zip(("start", "rate"), row, strict=False)
    )
    if start_s <= before_s:
        raise DataError(f"{where}: windows run backwards, {start_s:g} after {before_s:g} s.")
    law = row[3]
    if rate == 0 or not law:
        return start_s, rate, False, 1.0
    shape = _number(where, "shape", row[4])
    if law not in LAWS or not 1e-3 <= shape <= 1e4:
        raise DataError(
            f"{where}: law {shown(law)} of shape {shape:g}; known are {' and '.join(LAWS)}, shapes "
            "from 0.001 to 10,000."
        )
    return start_s, rate, law == "Weibull", shape


def _number(where: str, name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < 1e9:
        raise DataError(f"{where}: {name} is {shown(text)}; expected a number from 0 on.")
    return number


def _datasets(where: str, data: bytes) -> tuple[tuple[float, Lengths, Lengths], ...]:
    """Return the distributions of a client, those without any request left out."""
    try:
        found = json.loads(data)
        if not isinstance(found, dict):
            raise DataError(f"{where}: no JSON object of datasets by their start.")
        read = [
            (_number(where, "start of a dataset", start), *_both(f"{where}, dataset {start}", one))
            for start, one in found.items()
        ]
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not JSON: {error}.") from error
    complete = [
        (start, prompts, outputs) for start, prompts, outputs in read if prompts and outputs
    ]
    return tuple(sorted(complete, key=lambda one: one[0]))


def _both(where: str, dataset: Any) -> tuple[Lengths | None, Lengths | None]:
    if not isinstance(dataset, Mapping):
        raise DataError(f"{where}: no JSON object with input_tokens and output_tokens.")
    prompts, outputs = (
        _lengths(f"{where}, {name}", dataset.get(name))
        for name in ("input_tokens", "output_tokens")
    )
    return prompts, outputs


def _lengths(where: str, text: object) -> Lengths | None:
    """Return the distribution written ``{4: 0.25, 5: 0.75}``, None of an empty one."""
    if not isinstance(text, str) or not (text.startswith("{") and text.endswith("}")):
        raise DataError(
            f"{where} is {shown(text)}; expected a text such as '{{4: 0.25, 5: 0.75}}'."
        )
    if not text[1:-1].strip():
        return None
    try:
        numbers = np.array(text[1:-1].replace(":", ",").split(","), dtype=np.float64)
        tokens, weights = numbers.reshape(-1, 2).T
    except ValueError as error:
        raise DataError(f"{where}: not pairs of numbers: {error}.") from error
    served = (tokens >= 1) & (weights > 0)
    if not np.all(np.isfinite(numbers) & (numbers >= 0)) or tokens.max() > MAX_TOKENS:
        raise DataError(f"{where}: lengths are from 0 to {MAX_TOKENS:,}, probabilities from 0 on.")
    if not served.any():
        return None
    tokens, weights = tokens[served], weights[served]
    order = np.argsort(tokens, kind="stable")
    cumulative = np.cumsum(weights[order])
    return Lengths(tokens[order].astype(np.int64), cumulative / cumulative[-1])
