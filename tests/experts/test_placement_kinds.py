"""Placements by name or file, and settings that are refused before anything runs."""

import numpy as np
import pytest

from simulator.errors import ConfigError, DataError
from simulator.experts.config import ExpertsConfig, RoutingConfig
from simulator.experts.load_aware import load_aware
from simulator.experts.placement import contiguous
from simulator.experts.placement_file import write_placement
from simulator.experts.placement_kinds import check_placement, place_experts, seen_loads
from simulator.experts.routes import Routes, sample_pool
from simulator.experts.sampling import Archetype
from simulator.models.architecture import Moe

MOE = Moe(experts=8, top_k=2, inter=1)


def sampled(**settings):
    return ExpertsConfig(fidelity="sampled", **settings)


@pytest.fixture(scope="module")
def routes():
    """Skewed routes through two layers."""
    pool = sample_pool((Archetype(experts=8, top_k=2, popularity_sd=1.0),), 2, 16, 32, seed=1)
    return Routes(pool, pool)


@pytest.mark.parametrize(("placement", "first"), [("contiguous", [0, 1]), ("round_robin", [0, 4])])
def test_names_choose_placements(routes, placement, first):
    placed = place_experts(sampled(placement=placement), MOE, 4, routes)
    assert placed.slots[0, 0].tolist() == first


def test_load_aware_balances_what_the_routes_bring_layer_by_layer(routes):
    placed = place_experts(sampled(placement="load_aware", redundant=4), MOE, 4, routes)
    assert placed.layers == 2
    assert placed.slots.tolist() == load_aware(seen_loads(routes), 4, 4).slots.tolist()


def test_with_a_period_nothing_was_seen_at_first(routes):
    config = sampled(placement="load_aware", rebalance_period_s=1.0)
    placed = place_experts(config, MOE, 4, routes)
    assert placed.layers == 1
    assert (placed.replicas == 1).all()


def test_a_file_places_experts(routes, tmp_path):
    write_placement(contiguous(8, 2), tmp_path / "p.yaml")
    placed = place_experts(sampled(placement=str(tmp_path / "p.yaml")), MOE, 2, routes)
    assert placed.slots.tolist() == contiguous(8, 2).slots.tolist()


@pytest.mark.parametrize(
    ("text", "redundant", "message"),
    [
        ("[[0, 1, 2], [3, 4, 5, 6, 7]]", 0, "rank 1 holds more than the 4 experts"),
        ("[[0, 1, 2, 3, 4], [3, 4, 5, 6, 7]]", 0, "2 replicas, but experts.redundant=0"),
        ("[[0, 1, 2, 3], [4, 5, 6, 7]]", 2, "0 replicas, but experts.redundant=2"),
    ],
)
def test_a_file_must_fit_the_memory_set_aside(tmp_path, text, redundant, message):
    (tmp_path / "p.yaml").write_text(f"experts: 8\nlayers: [{text}]\n")
    config = sampled(placement=str(tmp_path / "p.yaml"), redundant=redundant)
    with pytest.raises(ConfigError, match=message):
        check_placement(config, MOE, 2)


def test_a_file_must_have_the_layers_of_the_model(tmp_path):
    (tmp_path / "p.yaml").write_text(f"experts: 8\nlayers: {[[[0, 1, 2, 3], [4, 5, 6, 7]]] * 3}\n")
    config = sampled(placement=str(tmp_path / "p.yaml"))
    check_placement(config, MOE, 2, layers=3)
    with pytest.raises(ConfigError, match="places 3 layers, but the model has 4 with experts"):
        check_placement(config, MOE, 2, layers=4)


@pytest.mark.parametrize(
    ("config", "ranks", "error", "message"),
    [
        (sampled(placement="round_robbin"), 4, ConfigError, "Did you mean 'round_robin'"),
        (sampled(placement="round_robin"), 1, ConfigError, "set hardware.expert_parallel"),
        (sampled(placement="load_aware", redundant=9), 2, ConfigError, "at most 8 are of use"),
        (sampled(placement="none.yaml"), 2, DataError, "experts.placement=none.yaml: No such file"),
    ],
)
def test_placements_that_cannot_be_had_are_refused(config, ranks, error, message):
    with pytest.raises(error, match=message):
        check_placement(config, MOE, ranks)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"placement": "round_robin"}, "has no effect with experts.fidelity=expected"),
        ({"fidelity": "sampled", "redundant": 2}, "choose experts.placement=load_aware"),
        ({"fidelity": "event", "rebalance_period_s": 2.0}, "choose experts.placement=load_aware"),
        ({"rebalance_period_s": 0.0}, "must be positive, or null"),
        ({"rebalance_period_s": float("nan")}, "must be positive, or null"),
    ],
)
def test_settings_of_placement_without_effect_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        ExpertsConfig(**settings)


def test_closed_forms_count_replicas_without_a_placement():
    assert ExpertsConfig(redundant=32).redundant == 32


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"law": "sampled", "prompt": 0.5}, "choose routing.law=overlap"),
        ({"archetype": "glm_5"}, "choose routing.law=sampled"),
        ({"law": "uniform", "popularity_sd": 1.0}, "choose routing.law=sampled"),
        ({"law": "sampled", "path": "x.parquet"}, "choose routing.law=recorded"),
        ({"law": "recorded"}, "name it with routing.path=FILE"),
        ({"law": "sampled", "overlap": 1.0}, r"routing.overlap=1.0 must lie in \(0, 1\)"),
        ({"law": "sampled", "persistence": 1.0}, r"must lie in \[0, 1\)"),
        ({"law": "sampled", "request_sd": np.inf}, r"must lie in \[0, 100\]"),
    ],
)
def test_settings_of_routing_that_are_wrong_or_not_read_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        RoutingConfig(**settings)


def test_a_law_of_a_plug_in_may_read_everything():
    assert RoutingConfig(law="mine", path="x", overlap=0.5).path == "x"
