"""Recorded routes: what is read is what was written, and other models' are refused."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from simulator.errors import DataError
from simulator.experts.config import RoutingConfig
from simulator.experts.pool import RoutePool
from simulator.experts.recorded import SHORTEST_TOKENS, read_routes, write_routes
from simulator.experts.routes import routes_of, sample_pool
from simulator.experts.sampling import Archetype
from simulator.models.catalog import load_architecture

ARCH = replace(load_architecture("mixtral_8x7b"), layers=3)


@pytest.fixture(scope="module")
def pool():
    """Routes of five sequences through three layers."""
    return sample_pool((Archetype(experts=8, top_k=2),), 3, 5, SHORTEST_TOKENS, seed=1)


@pytest.fixture
def path(pool, tmp_path):
    """A file of them."""
    write_routes(pool, "mixtral_8x7b", tmp_path / "routes.parquet")
    return tmp_path / "routes.parquet"


def test_routes_survive_their_file_in_any_order_of_rows(pool, path):
    table = pq.read_table(path)
    shuffled = table.take(np.random.default_rng(1).permutation(len(table)))
    pq.write_table(shuffled, path)
    found = read_routes(path, ARCH)
    assert found.chosen.dtype == np.uint8
    assert found.chosen.tolist() == np.sort(pool.chosen, axis=-1).tolist()
    assert found.lengths.tolist() == pool.lengths.tolist()


def test_the_law_recorded_walks_along_a_file(path):
    routes = routes_of(RoutingConfig(law="recorded", path=str(path)), ARCH, 0)
    assert routes.prompts is routes.decode
    assert len(routes.decode.lengths) == 5


def changed(path, **columns):
    """Write the file with other columns."""
    table = pq.read_table(path)
    for name, value in columns.items():
        table = table.set_column(table.column_names.index(name), name, value(table[name]))
    pq.write_table(table, path)


def picked(row, experts):
    def change(column):
        values = column.to_pylist()
        values[row] = experts
        return pa.array(values, pa.list_(pa.int64()))

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"experts": picked(7, [3, 3])}, r"row 7 picks \[3, 3\], no K different experts"),
        ({"experts": picked(7, [-1, 3])}, r"row 7 picks \[-1, 3\]"),
        ({"experts": picked(7, [3])}, "tokens pick 1 to 2 experts, not K"),
        ({"experts": picked(7, [3, 8])}, "but model=mixtral_8x7b has 8 experts"),
        ({"experts": picked(7, [None, 3])}, "1 values are missing in the column experts"),
        ({"experts": lambda column: pa.array([[]] * len(column), pa.list_(pa.int8()))}, "0 to 0"),
        ({"experts": lambda column: pa.nulls(len(column), pa.int64())}, "must hold lists of int"),
        (
            {"layer": lambda column: pa.nulls(len(column), pa.int64())},
            "missing in the column layer",
        ),
        ({"sequence": lambda column: column.cast(pa.string())}, "sequence holds string; it must"),
        ({"token": lambda column: pa.array([*column.to_pylist()[:-1], 99])}, "needs one row in"),
        ({"sequence": lambda column: pa.array(range(len(column)))}, "needs one row in each of the"),
        (
            {"token": lambda column: pa.array([t * 2 for t in column.to_pylist()])},
            "goes on with token 2 where 1 should be",
        ),
    ],
)
def test_files_with_wrong_rows_are_refused(path, change, message):
    changed(path, **change)
    with pytest.raises(DataError, match=message):
        read_routes(path, ARCH)


def test_a_file_that_misstates_its_experts_is_refused(path):
    table = pq.read_table(path).replace_schema_metadata({"model": b"\xff", "experts": "many"})
    pq.write_table(table, path)
    with pytest.raises(DataError, match="its metadata say experts='many', which is no number"):
        read_routes(path, ARCH)


@pytest.mark.parametrize(
    "arch",
    [
        replace(ARCH, layers=4),
        replace(ARCH, name="other"),
        load_architecture("qwen1_5_moe_a2_7b"),
    ],
)
def test_routes_of_another_model_are_refused_with_the_remedy(path, arch):
    with pytest.raises(
        DataError,
        match=rf"recorded on mixtral_8x7b with 8 experts, top 2, 3 MoE layers, but "
        rf"model={arch.name} .* choose the model of the file, or routing=sampled",
    ):
        read_routes(path, arch)


def test_sequences_too_short_for_a_verify_step_are_refused(tmp_path):
    short = sample_pool((Archetype(experts=8, top_k=2),), 3, 2, 5, seed=1)
    write_routes(short, "mixtral_8x7b", tmp_path / "short.parquet")
    with pytest.raises(DataError, match="sequence 0 has 5 tokens; leave out those below 32"):
        read_routes(tmp_path / "short.parquet", ARCH)


def test_what_is_no_file_of_routes_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"nothing.parquet' not found"):
        read_routes(tmp_path / "nothing.parquet", ARCH)
    (tmp_path / "text.parquet").write_text("no Parquet")
    with pytest.raises(DataError, match="is no Parquet file of routes"):
        read_routes(tmp_path / "text.parquet", ARCH)
    pq.write_table(pa.table({"token": [1]}), tmp_path / "other.parquet")
    with pytest.raises(DataError, match="lacks the columns sequence, layer, experts"):
        read_routes(tmp_path / "other.parquet", ARCH)


def test_what_a_drafter_saw_comes_back_and_bad_columns_are_refused(tmp_path):
    arch = load_architecture("mixtral_8x7b")
    draws = np.random.default_rng(0)
    chosen = draws.random((arch.moe_layers, 64, 8)).argsort(axis=2)[..., :2].astype(np.uint8)
    seen = draws.random((64, 3))
    pool, path = RoutePool(8, chosen, np.array([32, 32]), seen), tmp_path / "routes.parquet"
    write_routes(pool, arch.name, path)
    np.testing.assert_array_equal(read_routes(path, arch).features, seen)
    np.testing.assert_array_equal(pool.of(np.array([1])).features, seen[32:])
    table = pq.read_table(path)
    place = table.column_names.index("features")
    for column, words in [
        (pa.array([1.0] * len(table)), "must hold lists of numbers"),
        (pa.array([[1.0], [1.0, 2.0]] * (len(table) // 2)), "1 to 2 features"),
        (pa.array([[float("nan")]] * len(table)), "no finite numbers"),
    ]:
        pq.write_table(table.set_column(place, "features", column), path)
        with pytest.raises(DataError, match=words):
            read_routes(path, arch)
