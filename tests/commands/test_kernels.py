from pathlib import Path

import pytest

from simulator.errors import TableError
from simulator.kernels import importer
from simulator.kernels.importer import ImportedTable


@pytest.fixture
def calls(monkeypatch):
    """Replace the import by one that only notes where it would have gone."""
    made = []

    def import_tables(destination, source):
        made.append((destination, source))
        destination.mkdir(parents=True, exist_ok=True)
        (destination / "gemm.parquet").write_bytes(b"x" * 1_500_000)
        return [
            ImportedTable(
                gpu="toy_gpu",
                engine="trtllm",
                operator="gemm",
                path=destination / "gemm.parquet",
                rows=12345,
                dropped={"duplicate": 1000, "isolated_spike": 7},
                sources=("gemm_perf.parquet",),
                sha256="0",
            )
        ]

    monkeypatch.setattr(importer, "import_tables", import_tables)
    return made


def test_import_prints_what_came_of_each_table(moesim, calls):
    code, out, err = moesim("kernels", "import", "--to", "tables", "--from", "systems")
    assert (code, err) == (0, "")
    assert calls == [(Path("tables"), Path("systems"))]
    (line,) = [line for line in out.splitlines() if "toy_gpu/trtllm/gemm" in line]
    assert [word for word in line.split() if word not in "│┃"] == [
        *("toy_gpu/trtllm/gemm", "12,345", "1,007", "1.50")
    ]


def test_a_missing_database_is_refused(moesim, monkeypatch):
    def import_tables(destination, source):
        raise TableError("no database; pip install 'moesim[kernels]'.")

    monkeypatch.setattr(importer, "import_tables", import_tables)
    code, _, err = moesim("kernels", "import", "--to", "tables")
    assert (code, err) == (2, "moesim: no database; pip install 'moesim[kernels]'.\n")
