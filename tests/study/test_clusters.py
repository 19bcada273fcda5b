"""Clusters from settings to results: pools, failures and scaling of built scenarios."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from helpers.scenarios import make_config
from helpers.serving_bench import Bench

from simulator.clusters import check_astride, check_router
from simulator.compose import compose
from simulator.config import HardwareConfig, RunConfig
from simulator.errors import CapacityError, ConfigError
from simulator.experts.config import ExpertsConfig
from simulator.hardware.topology import load_topology
from simulator.mapping import from_mapping
from simulator.models.catalog import load_architecture
from simulator.models.parameters import kv_bytes_per_token
from simulator.scenario import build
from simulator.serving.cluster_config import ClusterConfig
from simulator.serving.config import SchedulerConfig
from simulator.serving.router import MOST_SESSIONS
from simulator.speculation.config import SpeculationConfig
from simulator.study.assumptions import assumptions
from simulator.study.cluster_assumptions import cluster_assumptions
from simulator.study.paired import simulate
from simulator.study.result import conclude
from simulator.workload.config import WorkloadConfig
from simulator.workload.traits_config import SessionsConfig

SHORT = WorkloadConfig(preset="chat", rate=6.0, max_output_tokens=60)
APART = {"pools": [{"name": "p", "role": "prefill"}, {"name": "d", "role": "decode"}]}

DECODE8 = {"name": "d", "role": "decode", "tensor_parallel": 4, "data_parallel": 2}
DIP = {"link": "gpu0-nvswitch0", "at_s": 1.0, "for_s": 1.0, "factor": 0.5}


def config(cluster, *, requests=60, **groups):
    defaults = {
        "model": "qwen3_30b_a3b",
        "hardware": HardwareConfig(gpu="h100_sxm"),
        "workload": SHORT,
        "run": RunConfig(requests=requests, replications=2, workers=1),
    }
    return make_config(
        cluster=from_mapping(ClusterConfig, cluster, "cluster"), **(defaults | groups)
    )


def run(folder, settings):
    """Simulate; return the scenario, its summary and its tables."""
    scenario = build(settings)
    names = ["requests", "iterations", *(["events"] if settings.cluster.changes else [])]
    files = {name: folder / f"{name}.parquet" for name in names}
    simulate(scenario, *(files[name] for name in names[:2]), lambda _: None, files.get("events"))
    tables = {name: pq.read_table(path) for name, path in files.items()}
    files["summary"] = folder / "summary.json"
    return scenario, conclude(scenario, files), tables


def test_pools_share_the_workload_and_have_hardware_of_their_own(tmp_path):
    pools = [{"name": "old", "gpu": "a100_sxm", "replicas": 2}, {"name": "new"}]
    scenario, summary, tables = run(tmp_path, config({"pools": pools}))
    old, new = scenario.cluster(3).pools
    assert (old.replicas, new.replicas) == (2, 1)
    assert old.costs[-1].decode_s(8, 8000) > new.costs[-1].decode_s(8, 8000)
    assert "old: 2 x NVIDIA A100" in summary["scenario"]["hardware"]
    assert "new: 1 x NVIDIA H100" in summary["scenario"]["hardware"]
    assert set(tables["requests"]["replica"].to_pylist()) == {0, 1, 2}
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "iterations.parquet",
        "requests.parquet",
        "summary.json",
    ]


def test_a_pool_that_does_not_fit_is_refused():
    with pytest.raises(CapacityError, match="leaves 0 tokens"):
        build(
            config({"pools": [{"name": "a"}, {"name": "b", "gpu": "l40s", "tensor_parallel": 1}]})
        )
    with pytest.raises(ConfigError, match=r"pool b: hardware\.tensor_parallel=0"):
        build(config({"pools": [{"name": "b", "tensor_parallel": 0}]}))
    with pytest.raises(ConfigError, match="Did you mean 'h100_sxm'"):
        build(config({"pools": [{"name": "b", "gpu": "h100_sxn"}]}))


def test_one_pool_is_the_plain_cluster_to_the_bit(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    hardware = HardwareConfig(gpu="h100_sxm", replicas=2)
    _, _, plain = run(tmp_path / "a", config({}, hardware=hardware))
    _, _, pooled = run(tmp_path / "b", config({"pools": [{"name": "only", "replicas": 2}]}))
    for name in ("requests", "iterations"):
        assert pooled[name].equals(plain[name])


def test_prefill_and_decode_apart(tmp_path):
    scenario, summary, tables = run(tmp_path, config(APART))
    requests = tables["requests"].to_pydict()
    apart = np.array(requests["output_tokens"]) > 1
    assert set(np.array(requests["replica"])[apart]) == {1}
    assert set(requests["prefill_replica"]) == {0}
    # What is sent: 2 (keys, values) x 48 layers x 4 heads x 128 x 2 bytes, without the drafter.
    sender = scenario.cluster(0).pools[0]
    assert sender.kv_bytes_per_token == kv_bytes_per_token(load_architecture("qwen3_30b_a3b"))
    assert sender.kv_bytes_per_token == 98_304
    assert scenario.cluster(3).pools[0].kv_bytes_per_token > 98_304
    assert any("sends" in line and "50 GB/s" in line for line in summary["assumptions"])


def test_failures_leave_events_and_their_cost(tmp_path):
    failing = {"failures": {"losses": [{"at_s": 4.0, "replica": 0, "repair_s": 2.0}]}}
    hardware = HardwareConfig(gpu="h100_sxm", replicas=2)
    _, summary, tables = run(tmp_path, config(failing, hardware=hardware))
    events = tables["events"].to_pydict()
    assert events["event"].count("lost") == 4  # two arms, two replications
    assert sum(tables["requests"]["retries"].to_pylist()) == sum(events["requests"]) > 0
    for arm in ("baseline", "speculative"):
        use = summary["cluster"][arm]
        assert (use["losses"], use["starts"], use["most_replicas"]) == (1, 0, 2)
        # Two replicas all the time, but for two seconds of one.
        assert use["replica_s"] == pytest.approx(2 * use["duration_s"] - 2.0)
        assert use["gpu_hours"] == pytest.approx(use["replica_s"] / 3600)
    assert json.loads((tmp_path / "summary.json").read_text())["cluster"] == summary["cluster"]


def test_scaling_saves_gpu_hours(tmp_path):
    scaling = {
        "autoscaling": {
            "max_replicas": 3,
            "target": 2,
            "interval_s": 1,
            "startup_s": 1,
            "stabilisation_s": 2,
        }
    }
    _, summary, _ = run(tmp_path, config(scaling))
    use = summary["cluster"]["baseline"]
    assert use["starts"] > 0
    assert 1 < use["mean_replicas"] < use["most_replicas"] <= 3
    assert 0 < use["saved"] < 1
    assert any("Kubernetes" in line for line in summary["assumptions"])
    assert summary["scenario"]["hardware"].startswith("1 to 3 replicas of 1 x NVIDIA H100")


def test_a_drafter_on_gpus_of_its_own_is_paid_for_where_it_drafts():
    speculation = SpeculationConfig(
        gamma=2, alpha=0.7, drafter="qwen2_0_5b", drafter_gpus="own", link_s=1e-5
    )
    scenario = build(
        config(
            {},
            model="qwen2_57b_a14b",
            speculation=speculation,
            hardware=HardwareConfig(gpu="h200_sxm"),
        )
    )
    off, on = (scenario.cluster(gamma).pools[0].gpus for gamma in (0, 2))
    assert on == off + scenario.drafter_gpus > off


@pytest.mark.slow
def test_a_changing_cluster_gives_the_same_columns_in_one_process_or_several(tmp_path):
    """INV-6 where replicas fail at random and the router draws."""
    tables = []
    for workers in (1, 2):
        folder = tmp_path / str(workers)
        folder.mkdir()
        settings = config(
            {"failures": {"mtbf_s": 5.0, "mttr_s": 1.0}},
            hardware=HardwareConfig(gpu="h100_sxm", replicas=3),
            run=RunConfig(requests=60, replications=2, workers=workers),
        )
        tables.append(run(folder, settings)[2])
    for name in ("requests", "iterations", "events"):
        assert tables[0][name].equals(tables[1][name])


@pytest.mark.parametrize("option", ["static", "autoscaled", "failing", "disaggregated"])
def test_shipped_options_compose_and_build(option):
    scenario = build(compose([f"cluster={option}"]))
    assert scenario.config.cluster.changes == (option in ("autoscaled", "failing"))
    assert scenario.cluster(3).pools
    held = [told for told in assumptions(scenario, None) if "nobody times out" in told]
    assert len(held) == (option == "failing")


def test_the_shipped_default_changes_nothing():
    assert compose([]).cluster == ClusterConfig()


def test_thresholds_of_another_router_are_refused():
    own = {"prefix_affinity": {"min_share": 0.3}}
    with pytest.raises(ConfigError, match=r"router=least_outstanding does not look at it"):
        build(config(own))


def test_the_pool_at_fault_is_named_and_so_is_the_one_shown(tmp_path):
    with pytest.raises(ConfigError, match=r"^pool b: hardware\.gpu=h100_sxn"):
        build(config({"pools": [{"name": "b", "gpu": "h100_sxn"}]}))
    pools = [{"name": "old", "gpu": "a100_sxm"}, {"name": "new"}]
    _, summary, _ = run(tmp_path, config({"pools": pools}))
    assert "is assumed (pool old, of which the closed form is" in " ".join(summary["assumptions"])
    assert summary["scenario"]["replicas_setting"] == "cluster.pools"


@pytest.mark.parametrize("router", ["sticky", "prefix_affinity"])
def test_routers_that_go_by_what_no_request_has_are_refused(router):
    with pytest.raises(ConfigError, match=f"scheduler.router={router}"):
        build(config({}, scheduler=SchedulerConfig(router=router)))


def test_more_conversations_than_a_sticky_router_remembers_are_refused():
    sessions = SessionsConfig(live=MOST_SESSIONS + 1, turns=5, max_tokens=131_072)
    workload = WorkloadConfig(preset="chat", rate=6.0, sessions=sessions)
    with pytest.raises(ConfigError, match=r"sessions.live=65,537"):
        check_router(config({}, workload=workload, scheduler=SchedulerConfig(router="sticky")))


@pytest.mark.parametrize("router", ["sticky", "prefix_affinity"])
def test_conversations_find_their_prefix_where_the_router_remembers_them(router):
    """With 4 replicas and turns in turn, three of four turns meet a cache that lacks them."""
    workload = WorkloadConfig(
        preset="chat",
        rate=6.0,
        max_output_tokens=60,
        sessions=SessionsConfig(live=30, turns=5, max_tokens=16384),
    )
    hardware = HardwareConfig(gpu="h100_sxm", replicas=4)
    found = {}
    for kind in (router, "round_robin"):
        built = build(
            config(
                {},
                requests=300,
                workload=workload,
                hardware=hardware,
                scheduler=SchedulerConfig(router=kind),
            )
        )
        done = Bench().run_scenario(built, 0).requests
        found[kind] = done.column("cached_tokens").sum() / done.column("prompt_tokens").sum()
    assert found[router] > 1.3 * found["round_robin"] > 0


def test_a_topology_carries_keys_and_values(tmp_path):
    """On one NVSwitch node, transfers are faster than over network cards; else nothing differs."""
    _, cards, _ = run(tmp_path / "cards", config(APART))
    scenario, node, _ = run(tmp_path / "node", config(APART | {"topology": "nvswitch_h100"}))
    ttft = [summary["baseline"]["ttft_s"]["p50"] for summary in (cards, node)]
    assert ttft[0] == ttft[1]
    (sentence,) = (text for text in cluster_assumptions(scenario) if "keys and values" in text)
    assert "NVSwitch node, 8 H100 SXM" in sentence
    assert "max-min" in sentence


def test_a_slow_topology_is_felt_after_the_first_token(tmp_path):
    """A dip of the receiver's link to a millionth holds requests back until it ends."""
    dip = {"link": "gpu1-nvswitch0", "at_s": 0.0, "for_s": 4.0, "factor": 1e-6}
    settings = APART | {"topology": "nvswitch_h100", "degraded_links": [dip]}
    _, _, tables = run(tmp_path, config(settings))
    rows = tables["requests"].to_pydict()
    held = [
        (token, done)
        for token, done, emitted in zip(
            rows["first_token_s"], rows["finish_s"], rows["emitted_tokens"], strict=True
        )
        if emitted > 1 and token < 4.0
    ]
    assert held
    assert all(done > 4.0 for _, done in held)
    assert tables["events"].num_rows > 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"topology": "nvl27"}, r"cluster\.topology=nvl27: .*Did you mean 'nvl72'"),
        ({"topology": "none.yaml"}, "not found"),
        (
            {"topology": "nvswitch_h100", "pools": [*APART["pools"][:1], DECODE8]},
            r"has 8 GPUs, but the pools take 9 \(p 1 x 1, d 1 x 8\)",
        ),
        (
            {"topology": "nvl72", "degraded_links": [DIP | {"link": "gpu72-nvswitch0"}]},
            "unknown link 'gpu72-nvswitch0'",
        ),
        (
            {"topology": "nvl72", "degraded_links": [DIP, DIP | {"link": "nvswitch0-gpu0"}]},
            "of gpu0-nvswitch0: the time from 1 s starts before",
        ),
    ],
)
def test_a_topology_that_does_not_fit_is_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        build(config(APART | settings))


def test_replicas_astride_nodes_are_refused_where_their_links_are_followed():
    """Of nodes of eight: two and eight GPUs in a row, the other way round, and a drafter's own."""
    topology = load_topology("rails_infiniband_h100")
    cluster = {**APART, "topology": topology.name}
    followed = config(cluster, experts=ExpertsConfig(fidelity="event"))
    with pytest.raises(ConfigError, match=r"pool d: .* GPUs 2 to 9 of .* nodes of 8"):
        check_astride(followed, topology, [2, 8], [0, 0])
    check_astride(followed, topology, [8, 2], [0, 0])
    check_astride(followed, topology, [9, 2], [1, 0])
    check_astride(config(cluster), topology, [2, 8], [0, 0])
