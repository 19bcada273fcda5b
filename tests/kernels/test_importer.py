"""The importer end to end, on a small synthetic database and, where installed, on the real one."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from simulator.kernels import importer
from simulator.kernels.fits import load_fits, parse_fits
from simulator.kernels.importer import import_tables
from simulator.kernels.schema import content_hash
from simulator.kernels.selection import parse_selection

PEAK = 2.039e12
TOKENS = [1, 2, 4, 8, 16, 64, 256, 1024, 4096]


def entry(source, dtypes=("bfloat16",)):
    return {"gpus": ["a100_sxm"], "dtypes": list(dtypes), "source": source, "reason": "test"}


SELECTION = {
    "package": "made-up", "package_version": "1", "licence": "none", "expert_parallel": [1, 2],
    "gemm": [entry("vllm 1")],
    "experts": [entry("vllm 0.24.0"), entry("sglang 1")],
    "decode_attention": [entry("vllm 1")],
    "prefill_attention": [entry("vllm 1")],
    "latent_decode": [entry("vllm 1")],
}  # fmt: skip


def expert_columns(shapes, spread):
    columns = {
        name: []
        for name in ("num_experts", "topk", "hidden_size", "inter_size", "num_tokens", "latency")
    }
    for experts, top_k, hidden, inter in shapes:
        for tokens in TOKENS:
            weights = min(experts, tokens * top_k) / spread * 3 * hidden * inter * 2 / PEAK / 0.8
            flops = 6 * hidden * inter * top_k * tokens / spread / 312e12 / 0.5
            row = (experts, top_k, hidden, inter, tokens, 1e3 * (40e-6 + weights + flops))
            for name, value in zip(columns, row, strict=True):
                columns[name].append(value)
    return columns


@pytest.fixture
def database(tmp_path, source_file, monkeypatch):
    root = tmp_path / "systems"
    data = root / "data" / "a100_sxm"
    m, n = (axis.ravel() for axis in np.meshgrid([1, 2, 4], [64, 128]))
    source_file(
        data / "gemm/vllm/1/gemm_perf.parquet",
        kernel_source="k",
        gemm_dtype="bfloat16",
        m=m,
        n=n,
        k=64,
        latency=0.003 + m * 0.001,
    )
    moe = {
        "kernel_source": "k",
        "moe_dtype": "bfloat16",
        "moe_tp_size": 1,
        "distribution": "balanced",
    }
    own = [(8, 2, 4096, 14336), (64, 8, 4096, 2048), (256, 8, 7168, 2048)]
    source_file(
        data / "moe/vllm/0.24.0/moe_perf.parquet", **moe, moe_ep_size=4, **expert_columns(own, 4)
    )
    table = pq.read_table(data / "moe/vllm/0.24.0/moe_perf.parquet")
    source_file(
        data / "moe/vllm/0.24.0/moe_perf.parquet", **moe, moe_ep_size=1, **expert_columns(own, 1)
    )
    both = pa.concat_tables([table, pq.read_table(data / "moe/vllm/0.24.0/moe_perf.parquet")])
    pq.write_table(both, data / "moe/vllm/0.24.0/moe_perf.parquet")
    source_file(
        data / "moe/sglang/1/moe_perf.parquet", **moe, moe_ep_size=1, **expert_columns(own, 1)
    )
    heads = {"num_heads": 16, "num_key_value_heads": 8, "head_dim": 128, "kernel_source": "k"}
    heads |= {"attn_dtype": "bfloat16", "kv_cache_dtype": "bfloat16"}
    step = np.array([15, 1023, 16383])
    source_file(
        data / "attention/vllm/1/generation_attention_perf.parquet",
        **heads,
        batch_size=8,
        isl=1,
        step=step,
        latency=0.01 + (step + 1) * 8 * 4096 / PEAK / 0.7 * 1e3,
    )
    isl = np.array([16, 1024, 8192])
    source_file(
        data / "attention/vllm/1/context_attention_perf.parquet",
        **heads,
        batch_size=1,
        step=0,
        isl=isl,
        latency=0.01 + isl.astype(float) ** 2 * 2 * 16 * 128 / 312e9 / 0.5,
    )
    step = np.array([1023, 8191, 16383, 32767])
    source_file(
        data / "mla/vllm/1/generation_mla_perf.parquet",
        kernel_source="k",
        mla_dtype="bfloat16",
        kv_cache_dtype="bfloat16",
        num_heads=16,
        batch_size=64,
        step=step,
        latency=0.02 + (step + 1) * 64 * 1152 / PEAK / 0.6 * 1e3,
    )
    monkeypatch.setattr(importer, "load_selection", lambda: parse_selection(SELECTION))
    return root


def test_tables_fits_and_manifest_are_written(database, tmp_path):
    out = tmp_path / "out"
    tables = import_tables(out, database)
    assert [t.operator for t in tables] == [
        "gemm", "experts", "decode_attention", "prefill_attention", "latent_decode",
    ]  # fmt: skip
    manifest = yaml.safe_load((out / "manifest.yaml").read_text())
    assert manifest["package"] == "made-up"
    for table in tables:
        stated = manifest["tables"][f"a100_sxm/vllm/{table.operator}"]
        assert stated["rows"] == table.rows == pq.read_metadata(table.path).num_rows
        assert stated["sha256"] == table.sha256 == content_hash(table.path)
        assert stated["sources"] == list(table.sources)
        assert stated["dropped"] == dict(table.dropped)
    assert manifest["rows"] == sum(table.rows for table in tables)


def test_sources_are_preferred_filled_in_and_counted(database, tmp_path):
    experts = import_tables(tmp_path / "out", database)[1]
    # Four-way expert parallelism is not selected; the first source's DeepSeek shape is half
    # activated, so that it comes from the second, whose other two shapes the first covers.
    assert experts.dropped["half_activated"] == len(TOKENS)
    assert experts.dropped["covered"] == 2 * len(TOKENS) - experts.dropped.get("cache_hot", 0) // 2
    table = pq.read_table(experts.path)
    origin = set(zip(table["hidden"].to_pylist(), table["backend"].to_pylist(), strict=True))
    assert origin == {(4096, "vllm"), (7168, "sglang")}
    assert set(table["expert_parallel"].to_pylist()) == {1}


def test_fits_are_of_the_preferred_source(database, tmp_path):
    import_tables(tmp_path / "out", database)
    fits = parse_fits((tmp_path / "out" / "fits.yaml").read_text())
    (experts,) = fits["experts"]
    assert (experts.backend, experts.shapes) == ("vllm", 2)
    assert experts.eta_bandwidth == pytest.approx(0.8, abs=0.05)
    assert fits["decode_attention"][0].eta_bandwidth == pytest.approx(0.7, abs=0.02)
    assert fits["prefill_attention"][0].eta_compute == pytest.approx(0.5, abs=0.02)
    assert fits["latent_decode"][0].median_error < 0.01


def test_importing_again_reproduces_everything(database, tmp_path):
    first, second = (import_tables(tmp_path / name, database) for name in ("one", "two"))
    assert [t.sha256 for t in first] == [t.sha256 for t in second]
    for name in ("manifest.yaml", "fits.yaml"):
        assert (tmp_path / "one" / name).read_text() == (tmp_path / "two" / name).read_text()


@pytest.mark.slow  # minutes: three million rows are distilled anew
@pytest.mark.skipif(
    find_spec("aiconfigurator_core") is None,
    reason="needs the measured database: pip install 'moesim[kernels]'",
)
def test_the_committed_tables_come_from_the_database(tmp_path):
    committed = Path(str(importer.__file__)).parents[2] / "hardware_specs" / "kernel_tables"
    stated = yaml.safe_load((committed / "manifest.yaml").read_text())["tables"]
    found = {t.key: t.sha256 for t in import_tables(tmp_path)}
    assert found == {name: table["sha256"] for name, table in stated.items()}
    fitted, shipped = parse_fits((tmp_path / "fits.yaml").read_text()), load_fits()
    for operator, fits in shipped.items():
        for ours, theirs in zip(fits, fitted[operator], strict=True):
            assert ours.median_error == pytest.approx(theirs.median_error, rel=0.01), ours
