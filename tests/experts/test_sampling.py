"""Sampled routing: what it must keep, and the overlaps and unions that were measured."""

import numpy as np
import pytest
from scipy import integrate
from scipy.special import expit
from scipy.stats import norm

from simulator.errors import ConfigError, TableError
from simulator.experts.sampling import (
    Archetype,
    archetype_names,
    calibrated,
    copies_by_expert,
    copies_by_rank,
    lag_overlap,
    measured_archetype,
    sample_routing,
)
from simulator.streams import Streams

PLAIN = Archetype(experts=60, top_k=4)
SHARING = Archetype(
    experts=60, top_k=4, popularity_sd=0.3, request_sd=1.0, token_sd=2.0, persistence=0.5
)


def layers_of(archetype, requests=96, tokens=9, layers=12):
    streams = Streams(seed=11)
    return [sample_routing(archetype, requests, tokens, streams, layer) for layer in range(layers)]


def union(chosen, experts):
    """Mean distinct experts that the tokens of a request pick together."""
    return (copies_by_expert(chosen, experts) > 0).sum(axis=-1).mean()


@pytest.fixture(scope="module", params=["qwen3_30b_a3b", "qwen1_5_moe_a2_7b", "glm_5"])
def sampled(request):
    """A model's name, its shape and sampled layers of its calibrated archetype."""
    found = measured_archetype(request.param)
    archetype = calibrated(found.archetype, found.overlap, Streams(seed=3))
    return request.param, archetype, layers_of(archetype)


def test_every_token_picks_distinct_experts_of_the_layer():
    chosen = sample_routing(SHARING, 20, 5, Streams(seed=1))
    assert chosen.shape == (20, 5, 4)
    assert copies_by_expert(chosen[..., None, :], 60).max() == 1
    assert chosen.min() >= 0
    assert chosen.max() < 60


def test_routing_is_keyed_by_seed_replication_and_layer():
    def drawn(seed, replication, layer):
        return sample_routing(SHARING, 4, 3, Streams(seed, replication), layer).tolist()

    assert drawn(1, 0, 0) == drawn(1, 0, 0)
    others = [drawn(1, 0, 0), drawn(2, 0, 0), drawn(1, 1, 0), drawn(1, 0, 1)]
    assert all(one != other for k, one in enumerate(others) for other in others[:k])


def test_further_requests_leave_the_first_alone():
    few, many = (sample_routing(SHARING, count, 3, Streams(seed=1)) for count in (4, 9))
    assert few.tolist() == many[:4].tolist()


def test_one_expert_per_token_follows_the_softmax_of_the_scores():
    # Gumbel-max: the first of two experts is picked with chance sigmoid(g), the gap g ~ N(0, 2 s^2)
    # drawn once a layer. The mean square of its frequency over n requests is then an integral.
    archetype, requests, layers = Archetype(experts=2, top_k=1, popularity_sd=1.0), 50, 3000
    first = [chosen.mean() for chosen in layers_of(archetype, requests, 1, layers)]

    def mean_square(gap):
        share = expit(gap)
        return (share**2 + share * (1 - share) / requests) * norm.pdf(gap, scale=2**0.5)

    expected, _ = integrate.quad(mean_square, -np.inf, np.inf)
    assert np.mean(np.square(first)) == pytest.approx(expected, rel=0.04)  # two standard errors


def test_without_preferences_tokens_overlap_by_chance():
    overlaps = [lag_overlap(chosen) for chosen in layers_of(PLAIN, requests=1000)]
    assert np.mean(overlaps) == pytest.approx(4 / 60, rel=0.03)


def test_a_drift_fades_with_the_distance_and_a_preference_does_not():
    drift = Archetype(experts=60, top_k=4, token_sd=4.0, persistence=0.5)
    steady = Archetype(experts=60, top_k=4, request_sd=4.0)
    near, far = (np.mean([lag_overlap(x, lag) for x in layers_of(drift)]) for lag in (1, 8))
    assert near > 0.2
    assert far == pytest.approx(4 / 60, rel=0.1)
    near, far = (np.mean([lag_overlap(x, lag) for x in layers_of(steady)]) for lag in (1, 8))
    assert near > 0.4
    assert far == pytest.approx(near, rel=0.02)


def test_tokens_that_pick_every_expert_do():
    chosen = sample_routing(Archetype(experts=4, top_k=4), 2, 3, Streams(seed=1))
    assert np.sort(chosen).tolist() == [[[0, 1, 2, 3]] * 3] * 2


def test_calibration_meets_the_measured_overlap_on_other_draws(sampled):
    model, _, layers = sampled
    overlap = np.mean([lag_overlap(chosen) for chosen in layers])
    assert overlap == pytest.approx(measured_archetype(model).overlap, abs=0.01)


FURTHER = {
    "qwen3_30b_a3b": {2: 0.372, 3: 0.351, 4: 0.338, 5: 0.328},
    "qwen1_5_moe_a2_7b": {2: 0.08, 3: 0.08, 4: 0.08, 5: 0.08},
    "glm_5": {2: 0.286},
}
"""Measured overlaps two and more tokens apart; only that of neighbours is calibrated to."""


def test_further_overlaps_are_the_measured_ones(sampled):
    model, _, layers = sampled
    for lag, measured in FURTHER[model].items():
        found = np.mean([lag_overlap(chosen, lag) for chosen in layers])
        assert found == pytest.approx(measured, abs=0.02), lag


UNIONS = {"qwen3_30b_a3b": {4: 18.93}, "qwen1_5_moe_a2_7b": {2: 7.5, 4: 13.7, 8: 23.9}}
"""Measured distinct experts of consecutive tokens: MoE-SD's logs, which no parameter was fitted to,
and vLLM-MoE-Logger's."""


def test_unions_of_consecutive_tokens_are_the_measured_ones(sampled):
    model, archetype, layers = sampled
    for tokens, measured in UNIONS.get(model, {}).items():
        found = np.mean([union(chosen[:, :tokens], archetype.experts) for chosen in layers])
        assert found == pytest.approx(measured, rel=0.02), tokens


def test_copies_are_counted_by_expert_and_by_rank():
    chosen = sample_routing(SHARING, 6, 7, Streams(seed=2))
    copies = copies_by_expert(chosen, 60)
    for request, counted in zip(chosen, copies, strict=True):
        assert counted.tolist() == np.bincount(request.ravel(), minlength=60).tolist()
    for ranks in (1, 7, 60, 64):
        blocks = np.array_split(copies, ranks, axis=-1)
        expected = np.stack([block.sum(axis=-1) for block in blocks], axis=-1)
        assert copies_by_rank(copies, ranks).tolist() == expected.tolist()


@pytest.mark.parametrize("overlap", [0.01, 0.99])
def test_an_overlap_out_of_reach_is_refused(overlap):
    with pytest.raises(ConfigError, match=r"to an overlap of .*; it reaches 0\.0\d+ to 0\.\d+"):
        calibrated(SHARING, overlap, Streams(seed=1))


@pytest.mark.parametrize(
    "wrong", [{"top_k": 61}, {"top_k": 0}, {"request_sd": -1.0}, {"persistence": 1.0}]
)
def test_impossible_archetypes_are_refused(wrong):
    with pytest.raises(ConfigError, match="archetype needs"):
        Archetype(**{"experts": 60, "top_k": 4} | wrong)


def test_an_unknown_archetype_names_the_nearest():
    with pytest.raises(TableError, match="Did you mean 'qwen3_30b_a3b'"):
        measured_archetype("qwen3_30b")


def test_every_archetype_reads():
    for model in archetype_names():
        assert 0 < measured_archetype(model).overlap < 1
