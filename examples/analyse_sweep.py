# ruff: noqa: T201 - a notebook prints
"""Questions to the Parquet dataset of a sweep, in DuckDB or polars, whichever is installed.

    moesim sweep speculation.gamma=1,3 workload.rate=2,8 hydra.run.dir=my_sweep
    python examples/analyse_sweep.py my_sweep

Cells (# %%) run one by one in editors that know notebooks. `DESCRIBE` of the dataset lists the
columns: those of `summary.json`, dotted, and one an axis.
"""

# %% Where the points are, and what reads them
import importlib.util
import json
import sys
from pathlib import Path

FOLDER = Path(sys.argv[1] if len(sys.argv) > 1 else "my_sweep")
POINTS = f"{FOLDER}/points/**/*.parquet"
AXES = list(json.loads((FOLDER / "sweep.json").read_text())["axes"])
SPEEDUP, LOW, HIGH = (f'round("speedup.tpot_p50.{key}", 3)' for key in ("value", "low", "high"))

if importlib.util.find_spec("duckdb"):
    import duckdb

    duckdb.sql(f"CREATE VIEW points AS FROM read_parquet('{POINTS}', hive_partitioning = true)")
    ask = duckdb.sql
elif importlib.util.find_spec("polars"):
    import polars

    context = polars.SQLContext(points=polars.scan_parquet(POINTS, hive_partitioning=True))

    def ask(query: str) -> polars.DataFrame:
        """Run SQL, as duckdb.sql does."""
        return context.execute(query, eager=True)

else:
    sys.exit("this needs DuckDB or polars: pip install duckdb")

axes = ", ".join(f'"{axis}"' for axis in AXES)

# %% Which points failed, and why
print("Failed, and why")
print(ask(f"SELECT {axes}, reason FROM points WHERE status = 'failed'"))

# %% The speedup of the median time per output token, best first
print("Speedup of the median time per output token, with 95 % intervals")
print(
    ask(
        f"SELECT {axes}, {SPEEDUP} AS speedup, {LOW} AS low, {HIGH} AS high "
        f"FROM points WHERE status = 'done' ORDER BY speedup DESC"
    )
)

# %% Where speculation costs: the whole interval lies below 1
print("Where speculation costs")
print(ask(f"SELECT {axes}, {SPEEDUP} AS speedup FROM points WHERE {HIGH} < 1 ORDER BY speedup"))

# %% What the first token pays for it (below 1: it comes later), and what drafts yield
print("Speedup of the median time to first token, and tokens a round")
print(
    ask(
        f'SELECT {axes}, round("speedup.ttft_p50.value", 3) AS ttft, '
        f'round("mean_acceptance_length", 2) AS accepted FROM points ORDER BY ttft'
    )
)
