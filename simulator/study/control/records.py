"""The Parquet files of a control study: every interval, curves of regret, what was believed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa

from simulator.study.control.study import ControlStudy
from simulator.study.control.tables import served_table
from simulator.trace.json_file import write_json
from simulator.trace.parquet import ParquetStream

_NAME = pa.dictionary(pa.int8(), pa.string())

INTERVALS = pa.schema(
    [
        pa.field("learner", _NAME, metadata={"unit": "name"}),
        pa.field("seed", pa.int32(), metadata={"unit": "seed"}),
        pa.field("interval", pa.int32(), metadata={"unit": "interval, from 0"}),
        pa.field("episode", pa.int16(), metadata={"unit": "episode, from 0"}),
        pa.field("gamma", pa.int8(), metadata={"unit": "token"}),
        pa.field("observation", pa.int8(), metadata={"unit": "index into O"}),
        pa.field("reward", pa.float32(), metadata={"unit": "SLO score"}),
    ]
)
"""Columns of ``intervals.parquet``."""

REGRET = pa.schema(
    [
        pa.field("who", pa.string(), metadata={"unit": "name"}),
        pa.field("intervals", pa.int64(), metadata={"unit": "interval"}),
        pa.field("regret", pa.float64(), metadata={"unit": "SLO score x interval"}),
        pa.field("low", pa.float64(), metadata={"unit": "as regret"}),
        pa.field("high", pa.float64(), metadata={"unit": "as regret"}),
    ]
)
"""Columns of ``regret.parquet``; rules have no band, their regret is exact."""

MOST_ROWS = 20_000_000
"""Most rows of ``intervals.parquet``, about a byte each; beyond, every k-th interval is kept."""


def write_records(found: ControlStudy, folder: Path) -> dict[str, Path]:
    """Write tables of figures and of drafts; return them by what they hold."""
    surrogate, seed = found.found, found.runs["mixed"].seeds[0]
    served = {
        "table": served_table(surrogate, found.learned, learner="mixed", seed=str(seed)),
        "oracle_table": served_table(surrogate, found.oracle, learner="oracle, knows the model"),
    }
    files = {
        "intervals": folder / "intervals.parquet",
        "regret": folder / "regret.parquet",
        "estimates": folder / "estimates.parquet",
    }
    metadata = {
        "moesim.instance": found.found.instance.name,
        "moesim.overrides": json.dumps(list(found.found.instance.words)),
        "moesim.every": str(_every(found)),
    }
    _stream(files["intervals"], INTERVALS, metadata, _intervals(found), rising=("interval", "seed"))
    _stream(files["regret"], REGRET, metadata, [_regret(found)])
    rows = pa.Table.from_pylist([asdict(row) for row in found.estimates])
    _stream(files["estimates"], rows.schema, metadata, [rows])
    for name, table in served.items():
        files[name] = write_json(folder / f"{name}.json", table.as_json())
    return files


def _stream(
    path: Path,
    schema: pa.Schema,
    metadata: dict[str, str],
    tables: Iterable[pa.Table],
    rising: Sequence[str] = (),
) -> None:
    stream = ParquetStream(path, schema.with_metadata(metadata), rising)
    for table in tables:
        stream.write(table.cast(schema))
    stream.finish()


def _every(found: ControlStudy) -> int:
    rows = sum(run.actions.size for run in found.runs.values())
    return -(-rows // MOST_ROWS)


def _intervals(found: ControlStudy) -> Iterator[pa.Table]:
    """Yield the intervals of each learner and seed."""
    gammas, every = np.array(found.found.instance.gammas, np.int8), _every(found)
    rewards = found.found.pomdp.rewards.astype(np.float32)
    for name, run in found.runs.items():
        kept = np.arange(0, run.actions.shape[1], every)
        for row, seed in enumerate(run.seeds):
            begins = [episode.first_interval for episode in run.episodes[row]]
            shown = run.observations[row, kept]
            yield pa.table(
                {
                    "learner": pa.array([name], _NAME).take(pa.array(np.zeros(kept.size, np.int8))),
                    "seed": np.full(kept.size, seed, np.int32),
                    "interval": kept.astype(np.int32),
                    "episode": np.searchsorted(begins, kept, side="right").astype(np.int16) - 1,
                    "gamma": gammas[run.actions[row, kept]],
                    "observation": shown.astype(np.int8),
                    "reward": rewards[shown],
                }
            )


def _regret(found: ControlStudy) -> pa.Table:
    """Return the curves: learners with bands, rules without."""
    at = np.array(found.checkpoints)
    parts = [
        {"who": name, "regret": band.mean, "low": band.low, "high": band.high}
        for name, band in found.bands.items()
    ]
    for rule in found.rules:
        line = (found.gain - rule.gain) * at
        parts.append({"who": rule.name, "regret": line, "low": line, "high": line})
    return pa.concat_tables(
        [pa.table(part | {"who": [part["who"]] * at.size, "intervals": at}) for part in parts]
    ).select(REGRET.names)
