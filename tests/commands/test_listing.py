import re

import pytest

from simulator.commands.inventory import PARTS, TOPICS
from simulator.costs.engine import engine_names, load_engine
from simulator.hardware.gpu import gpu_names
from simulator.kernels.schema import OPERATORS
from simulator.models.catalog import drafter_names, load_architecture, model_names
from simulator.registry import Registry
from simulator.workload.presets import preset_names


def rows(out, name):
    """The cells of the rows of a name, one per table."""
    lines = [line for line in out.splitlines() if re.match(rf" {name} {{2,}}", line)]
    return [re.split(r" {2,}", line.strip()) for line in lines]


def row(out, name):
    """The cells of a table's row."""
    (cells,) = rows(out, name)
    return cells


def test_all_topics_in_short(moesim):
    code, out, err = moesim("list")
    assert (code, err) == (0, "")
    for topic, names in TOPICS.items():
        assert re.search(rf"^{topic} ", out, re.MULTILINE)
        for name in names.names():
            assert name in out
    assert len(out.splitlines()) < 40


@pytest.mark.parametrize(
    "topic", [pytest.param(t, marks=[pytest.mark.slow] if t == "tables" else []) for t in TOPICS]
)
def test_every_topic_fits_80_columns_beside_its_sources(moesim, topic):
    code, out, err = moesim("list", topic)
    assert (code, err) == (0, "")
    tables = re.sub(r"^Sources$.*?(^$|\Z)", "", out, flags=re.MULTILINE | re.DOTALL)
    assert max(map(len, tables.splitlines())) <= 80
    assert "…" not in out


@pytest.mark.parametrize("topic", ["models", "gpus", "drafters", "workloads", "engines", "tables"])
def test_figures_have_sources(moesim, topic):
    _, out, _ = moesim("list", topic)
    assert "Sources" in out
    for sheet in TOPICS[topic].sheets():
        assert all(sheet.sources.values())
        for source in sheet.sources.values():
            assert source in out


def test_models(moesim):
    _, out, _ = moesim("list", "models")
    size, kept = rows(out, "qwen2_57b_a14b")
    assert size == ["qwen2_57b_a14b", "57.4", "14.2", "8 of 64", "32,768", "114.8"]
    assert kept == ["qwen2_57b_a14b", "gqa", "bfloat16", "57,344", "-"]
    assert rows(out, "opt_30b")[0][3] == "dense"
    assert rows(out, "glm_5")[1][1:] == ["mla, sparse 2048", "fp8_block", "100,152", "-"]
    hybrid = rows(out, "qwen3_5_397b_a17b")[1]
    assert hybrid[1:] == ["gqa, 45 linear", "bfloat16", "30,720", "192.1"]
    assert rows(out, "kimi_k2_5")[1][1:3] == ["mla", "bfloat16,"]  # wrapped: int4_wo below
    for name in model_names():
        assert load_architecture(name).source in out


def test_gpus(moesim):
    _, out, _ = moesim("list", "gpus")
    figures, costs = rows(out, "h100_sxm")
    assert figures[:4] == ["h100_sxm", "80", "3.35", "8"]
    assert costs == ["h100_sxm", "700", "6.16"]
    assert rows(out, "h800_sxm")[1] == ["h800_sxm", "700", "-"]
    assert "bfloat16 989" in out
    for name in gpu_names():
        assert len(rows(out, name)) == 2


def test_drafters_say_which_models_use_them(moesim):
    _, out, _ = moesim("list", "drafters")
    assert row(out, "opt_350m") == ["opt_350m", "OPT-350M", "model", "0.33", "opt_30b"]
    for name in drafter_names():
        assert row(out, name)


def test_workloads(moesim):
    _, out, _ = moesim("list", "workloads")
    assert "fixed_batch" in out
    for name in preset_names():
        assert name in out
    assert "5.53" in out
    assert "CC-BY-4.0" in out


def test_every_option_of_the_workload_group_says_what_it_is():
    options, *_ = TOPICS["workloads"].sheets()
    for _, what in options.rows:
        assert what.endswith(".")
        assert ":" not in what.split()[0]


def test_a_source_that_topologies_share_is_told_once(moesim):
    out = moesim("list", "topologies")[1]
    assert out.count("NVIDIA ConnectX-7 datasheet") == 1
    assert "18 nodes of 8 H800: otherwise as above" in out


def test_engines(moesim):
    _, out, _ = moesim("list", "engines")
    assert re.search(r"plain_step\s+0\.00052 s\s+fitted", out)
    for name in engine_names():
        assert load_engine(name).title in out


@pytest.mark.slow
def test_tables_name_backend_and_version_of_every_gpu(moesim):
    _, out, _ = moesim("list", "tables")
    for name in gpu_names():
        assert f"({name})" in out.replace("\n", " ")
    for operator in OPERATORS:
        assert operator in out
    assert "aiconfigurator-core 0.12.0 (Apache-2.0)" in out


def test_parts_are_the_registries(moesim):
    _, out, _ = moesim("list", "parts")
    for setting, registry in PARTS.items():
        for kind in registry:
            assert f"{setting}={kind}" in out


def test_parts_include_plug_ins(moesim, monkeypatch):
    def random_router():
        """Any replica."""

    registry = Registry("router")
    registry.register("random")(random_router)
    monkeypatch.setitem(PARTS, "scheduler.router", registry)
    _, out, _ = moesim("list", "parts")
    assert row(out, "scheduler.router=random") == ["scheduler.router=random", "Any replica."]
