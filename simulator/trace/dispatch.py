"""What the dispatch of experts did to the steps of a run: imbalance, overlap, contention."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simulator.trace.json_file import json_safe
from simulator.trace.load import ratio
from simulator.trace.read import chunks, open_trace
from simulator.trace.schema import ARMS

Figures = dict[str, dict[str, float | str | None]]
"""By arm, by name."""

Floats = NDArray[np.float64]


def summarise_dispatch(files: Mapping[str, Path]) -> Figures:
    """Summarise the tables of a run whose loads of experts are drawn, by arm.

    Parameters
    ----------
    files
        Tables by name: ``expert_loads``, ``step_times``, and ``links`` where transfers are events.

    Returns
    -------
    dict
        By arm ``imbalance``, ``skew``, ``rest`` and ``contention`` (`trace.definitions`), and
        with links ``busiest_link`` and its ``busiest_link_utilisation``: that of the interval in
        which a link was used most.

    Raises
    ------
    DataError
        If a file is not a complete trace of its table.
    """
    found: Figures = {arm: {} for arm in ARMS}
    imbalance, times = _imbalance(files["expert_loads"]), _times(files["step_times"])
    for arm, figures in found.items():
        expected_s, drawn_s, duration_s, held_up_s = times.get(arm, np.zeros(4)).tolist()
        figures["imbalance"] = imbalance.get(arm)
        figures["skew"] = ratio(drawn_s - expected_s, expected_s)
        figures["rest"] = ratio(duration_s - held_up_s - drawn_s, drawn_s)
        figures["contention"] = ratio(held_up_s, duration_s)
    if "links" in files:
        for arm, (link, utilisation) in _busiest_links(files["links"]).items():
            found[arm] |= {"busiest_link": link, "busiest_link_utilisation": utilisation}
    return dict(json_safe(found))


def layer_imbalance(tokens: Floats, rank: NDArray[np.int64]) -> Floats:
    """Return the load of the slowest rank over the mean, of layers that follow one another.

    Parameters
    ----------
    tokens, rank
        Of rows in order: all ranks of a layer, from 0 on, then those of the next.

    Examples
    --------
    >>> layer_imbalance(np.array([3.0, 1.0, 2.0, 2.0]), np.array([0, 1, 0, 1])).tolist()
    [1.5, 1.0]
    """
    starts = np.flatnonzero(rank == 0)
    counts = np.diff([*starts, len(rank)])
    mean = np.add.reduceat(tokens, starts) / counts
    most = np.maximum.reduceat(tokens, starts)
    return np.divide(most, mean, out=np.ones_like(mean), where=mean > 0)


def _imbalance(path: Path) -> dict[str, float]:
    """Return the mean imbalance by arm."""
    sums: dict[str, Floats] = defaultdict(lambda: np.zeros(2))
    rest: dict[str, tuple[Floats, NDArray[np.int64]]] = {}
    for run, columns in chunks(path, "expert_loads", ["rank", "tokens"]):
        tokens, rank = columns["tokens"].astype(float), columns["rank"].astype(np.int64)
        if run.arm in rest:
            before = rest[run.arm]
            tokens, rank = np.concatenate([before[0], tokens]), np.concatenate([before[1], rank])
        cut = int(np.flatnonzero(rank == 0)[-1])  # the last layer may go on in the next chunk
        rest[run.arm] = tokens[cut:], rank[cut:]
        if cut:
            found = layer_imbalance(tokens[:cut], rank[:cut])
            sums[run.arm] += found.sum(), len(found)
    for arm, (tokens, rank) in rest.items():
        sums[arm] += layer_imbalance(tokens, rank).sum(), 1
    return {arm: float(total / count) for arm, (total, count) in sums.items()}


def _times(path: Path) -> dict[str, Floats]:
    """Return the sums of the four times of steps by arm, s."""
    names = ("expected_s", "drawn_s", "duration_s", "held_up_s")
    sums: dict[str, Floats] = defaultdict(lambda: np.zeros(len(names)))
    for run, columns in chunks(path, "step_times", names):
        sums[run.arm] += [columns[name].sum() for name in names]
    return dict(sums)


def _busiest_links(path: Path) -> dict[str, tuple[str, float]]:
    """Return the link that was used most in an interval, and how much, by arm."""
    found: dict[str, tuple[str, float]] = {}
    with open_trace(path, "links") as file:
        for index in range(file.num_row_groups):
            rows = file.read_row_group(index, columns=["arm", "link", "utilisation"])
            used = rows["utilisation"].to_numpy()
            row = int(used.argmax())
            arm, link = (str(rows[name][row].as_py()) for name in ("arm", "link"))
            found[arm] = max(found.get(arm, ("", 0.0)), (link, float(used[row])), key=_used)
    return found


def _used(one: tuple[str, float]) -> float:
    return one[1]
