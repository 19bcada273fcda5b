"""Pooled routes: what they keep of their archetype, and what closed forms make of them."""

import numpy as np
import pytest
from scipy.stats import beta

from simulator.errors import ConfigError
from simulator.experts.config import RoutingConfig
from simulator.experts.heterogeneity import layer_archetypes
from simulator.experts.laws import ROUTING_LAWS, distinct_experts, tokens_touching
from simulator.experts.loads import count_experts
from simulator.experts.routes import DRAWN_LAYERS, Routes, archetype_of, routes_of, sample_pool
from simulator.experts.sampling import Archetype, lag_overlap, measured_archetype
from simulator.experts.unions import PoolUnions
from simulator.models.catalog import load_architecture
from simulator.streams import Streams

MIXTRAL, DENSE = load_architecture("mixtral_8x7b"), load_architecture("llama_3_1_8b")
SHARING = Archetype(experts=32, top_k=4, popularity_sd=0.7, request_sd=1.5, token_sd=1.0)
GROUPED = Archetype(experts=32, top_k=4, request_sd=1.0, n_group=8, topk_group=2)
LAYERS = DRAWN_LAYERS + 3


@pytest.fixture(scope="module")
def routes():
    """Routes of few sequences, in more layers than are drawn."""
    sizes = ((96, 24), (24, 64))
    return Routes(*(sample_pool((SHARING,), LAYERS, *size, seed=3) for size in sizes))


def by_sequence(pool):
    return pool.chosen.reshape(pool.layers, len(pool.lengths), -1, pool.top_k)


def test_layers_that_are_not_drawn_share_as_much_as_those_that_are(routes):
    overlaps = [lag_overlap(layer) for layer in by_sequence(routes.decode)]
    assert overlaps[DRAWN_LAYERS:] == pytest.approx(overlaps[: LAYERS - DRAWN_LAYERS])


def test_but_their_experts_and_the_requests_that_meet_are_others(routes):
    counts = count_experts(routes.decode.chosen.reshape(LAYERS, -1), 32)
    assert counts[0].tolist() != counts[DRAWN_LAYERS].tolist()
    assert sorted(counts[0]) == sorted(counts[DRAWN_LAYERS])
    first, other = by_sequence(routes.decode)[[0, DRAWN_LAYERS]]
    assert not (first[:, 0] == other[:, 0]).all(axis=-1).any()


def test_group_limited_routes_use_few_groups_in_every_layer():
    pool = sample_pool((GROUPED,), LAYERS, 12, 8, seed=1)
    used = [[len(set(token // 4)) for token in layer] for layer in pool.chosen]
    assert np.max(used) == 2
    assert len(np.unique(pool.chosen)) == 32


@pytest.mark.parametrize("step", [(1, 1, 0), (3, 4, 0), (20, 2, 0), (0, 1, 50), (4, 3, 90)])
def test_unions_are_those_of_walks(routes, step):
    walk = routes.walk(Streams(seed=8))
    steps = [count_experts(walk.step(*step), 32) for _ in range(150)]
    walked = np.mean([(counts > 0).sum(axis=1).mean() for counts in steps])
    assert PoolUnions(routes).distinct(*step) == pytest.approx(walked, rel=0.015)


def test_unions_of_uniform_routes_are_those_of_the_closed_form():
    uniform = Archetype(experts=32, top_k=4)
    pool = sample_pool((uniform,), DRAWN_LAYERS, 128, 32, seed=1)
    unions = PoolUnions(Routes(pool, pool))
    for requests, tokens in ((1, 4), (6, 1), (2.5, 3)):
        expected = distinct_experts(32, 4, requests * tokens)
        assert unions.distinct(requests, tokens, 0) == pytest.approx(expected, rel=0.01)


def test_fractions_lie_between_and_more_tokens_never_touch_less(routes):
    unions = PoolUnions(routes)
    prompts = [unions.distinct(2, 3, prompt) for prompt in (0, 0.5, 1, 1.5, 2, 31, 32, 63, 64, 511)]
    assert prompts == sorted(prompts)
    few, between, more = (unions.distinct(4, tokens, 0) for tokens in (2, 2.5, 3))
    assert few < between < more
    longer = [unions.distinct(0, 1, prompt) for prompt in (512, 513, 1024, 8000)]
    assert longer == sorted(longer)


@pytest.fixture(scope="module")
def mixtral():
    """The law of Mixtral's archetype."""
    return ROUTING_LAWS.get("sampled")(RoutingConfig(law="sampled"), MIXTRAL, 0)


def test_the_law_tells_tokens_that_touch_as_many_experts(mixtral):
    tokens = mixtral.independent_tokens(2, 3, 0)
    active = mixtral.unions.distinct(2, 3, 0)
    assert tokens == pytest.approx(tokens_touching(8, 2, active))
    assert 2 <= tokens < 6


def test_the_law_never_counts_more_tokens_than_there_are(mixtral):
    for step in ((1, 1, 0), (200, 4, 0), (0, 1, 1), (64, 1, 3000)):
        assert mixtral.independent_tokens(*step) <= step[0] * step[1] + step[2]


def test_the_default_law_routes_like_the_archetype_of_a_model_that_has_one(mixtral):
    measured = routes_of(RoutingConfig(), MIXTRAL, 0)
    assert measured is routes_of(RoutingConfig(law="sampled"), MIXTRAL, 0)


def test_settings_change_the_archetype():
    config = RoutingConfig(law="sampled", archetype="glm_5", popularity_sd=2.0, overlap=0.5)
    archetype, overlap, layer_sd = archetype_of(config, load_architecture("deepseek_v3"))
    known = measured_archetype("glm_5").archetype
    assert (archetype.popularity_sd, overlap, layer_sd) == (2.0, 0.5, 0.0)
    assert archetype.request_sd == known.request_sd
    assert (archetype.n_group, archetype.topk_group) == (8, 4)


def test_layers_overlap_like_quantiles_of_the_beta_law_of_that_deviation():
    drifting = Archetype(experts=32, top_k=4, request_sd=1.5, token_sd=1.5, persistence=0.6)
    archetypes = layer_archetypes(drifting, 0.4, 0.1, 5)
    pools = [sample_pool((one,), 1, 250, 8, seed=2) for one in archetypes]
    overlaps = [lag_overlap(by_sequence(pool)[0]) for pool in pools]
    quantiles = beta(0.4 * 23, 0.6 * 23).ppf([0.1, 0.3, 0.5, 0.7, 0.9])  # a + b + 1 = .4 * .6 / .01
    assert overlaps == pytest.approx(quantiles.tolist(), abs=0.015)
    assert len(layer_archetypes(drifting, 0.4, 0.0, 5)) == 1


@pytest.mark.parametrize(
    ("config", "model", "message"),
    [
        (
            RoutingConfig(law="sampled"),
            "deepseek_v3",
            "routing.archetype=null: unknown routing arc",
        ),
        (RoutingConfig(law="sampled", archetype="glm_4"), "glm_5", "Did you mean 'glm_5'"),
        (RoutingConfig(within_request=0.5), "mixtral_8x7b", "choose routing=sampled"),
        (RoutingConfig(law="sampled"), "llama_3_1_8b", "is dense: it has no experts"),
        (
            RoutingConfig(law="sampled", layer_sd=0.6),
            "mixtral_8x7b",
            "routing.layer_sd=0.6 is more",
        ),
        (RoutingConfig(law="sampled", overlap=0.99), "mixtral_8x7b", "Set routing.overlap within"),
        (RoutingConfig(law="elsewhere"), "mixtral_8x7b", "unknown routes 'elsewhere'"),
    ],
)
def test_routes_that_cannot_be_had_are_refused(config, model, message):
    with pytest.raises(ConfigError, match=message):
        routes_of(config, load_architecture(model), 0)
