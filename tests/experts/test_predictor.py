"""Predictors: what they expect, their file, what they refuse, and the store that asks them."""

from dataclasses import replace

import numpy as np
import pytest

from simulator.errors import DataError
from simulator.experts.config import LEARNED, LRU, OffloadConfig
from simulator.experts.drafts import DraftView, memberships
from simulator.experts.offload import ExpertStore, most_used
from simulator.experts.pool import RoutePool
from simulator.experts.predictor import ExpertPredictor, check_predictor, load_predictor
from simulator.experts.prefetch import Learned
from simulator.models.catalog import load_architecture

EXPERTS = 6


def telling(**limits):
    """A predictor whose features are the logits themselves."""
    one, none = np.eye(EXPERTS)[None], np.zeros((1, EXPERTS))
    view = DraftView(EXPERTS, 0.0, 0)
    return ExpertPredictor((10.0 * one, none, one, none), 1, EXPERTS, 1, view, **limits)


def prefetcher(path, predictor):
    predictor.save(path)
    offload = OffloadConfig(
        resident_experts=2, prefetch=LEARNED, prefetch_experts=2, predictor=str(path)
    )
    return Learned(EXPERTS, offload)


def test_a_step_needs_what_any_of_its_tokens_picks():
    needed = telling().needed(np.eye(EXPERTS)[[1, 4]])
    np.testing.assert_allclose(needed[0].round(2), [0, 1, 0, 0, 1, 0], atol=0.01)


def test_a_file_brings_back_what_was_saved(tmp_path):
    seed = 2**53 + 1  # no float holds it
    saved = replace(telling(most_distinct=2.5), view=DraftView(EXPERTS, 0.0, seed))
    found = load_predictor(saved.save(tmp_path / "predictor.npz"))
    assert (found.view, found.most_distinct) == (saved.view, 2.5)
    np.testing.assert_array_equal(found.parameters[0], saved.parameters[0])
    assert [path.name for path in tmp_path.iterdir()] == ["predictor.npz"]


def test_the_store_brings_what_draft_tokens_will_pick(tmp_path):
    asked = prefetcher(tmp_path / "predictor.npz", telling())
    resident = most_used(np.arange(EXPERTS, 0, -1)[None], 2)
    store = ExpertStore(resident, LRU, prefetcher=asked, prefetch_slots=2)
    step = store.step(np.array([[4, 5, 0]]), np.eye(EXPERTS)[[4, 5, 0]])
    assert (step.missing.tolist(), step.prefetched.tolist()) == ([0], [2])


def test_a_step_asks_the_predictor_once_for_all_tokens_and_layers(tmp_path, monkeypatch):
    layers, tokens = 6, 32
    stacked = tuple(np.repeat(one, layers, axis=0) for one in telling().parameters)
    asked = prefetcher(tmp_path / "predictor.npz", replace(telling(), parameters=stacked, layers=6))
    seen = []
    whole = ExpertPredictor.needed
    monkeypatch.setattr(
        ExpertPredictor,
        "needed",
        lambda self, drafts: seen.append(drafts.shape) or whole(self, drafts),
    )
    resident = most_used(np.tile(np.arange(EXPERTS), (layers, 1)), 2)
    store = ExpertStore(resident, LRU, prefetcher=asked, prefetch_slots=2)
    draws = np.random.default_rng(0)
    for _ in range(3):
        chosen = draws.integers(EXPERTS, size=(layers, tokens))
        store.step(chosen, draws.random((tokens, layers * EXPERTS)))
    assert seen == 3 * [(tokens, layers * EXPERTS)]


def test_where_many_experts_are_expected_it_is_off_and_its_slots_keep_the_last_used(tmp_path):
    asked = prefetcher(tmp_path / "predictor.npz", telling(most_distinct=2.5))
    resident = most_used(np.arange(EXPERTS, 0, -1)[None], 2)
    store = ExpertStore(resident, LRU, prefetcher=asked, prefetch_slots=2)
    plain = ExpertStore(most_used(np.arange(EXPERTS, 0, -1)[None], 2), LRU)
    for picked in ([2, 3, 4], [5, 2, 3], [4, 5, 2]):
        found = store.step(np.array([picked]), np.eye(EXPERTS)[picked])
        assert found.prefetched.tolist() == [0]
        plain.step(np.array([picked]))
    assert store.resident.sum() == 4
    assert plain.resident.sum() == 2
    for _ in range(2):  # a step with few changes no mind at once
        assert store.step(np.array([[0, 1]]), np.eye(EXPERTS)[[0, 1]]).prefetched.tolist() == [0]
    store.step(np.array([[2, 3]]), np.eye(EXPERTS)[[2, 3]])
    few = store.step(np.array([[0, 1]]), np.eye(EXPERTS)[[0, 1]])  # on again: room for two stays
    assert (few.prefetched.tolist(), few.missing.tolist()) == ([2], [0])
    assert store.resident.sum() == 2


def test_without_draft_tokens_nothing_is_brought(tmp_path):
    asked = prefetcher(tmp_path / "predictor.npz", telling())
    assert not asked.scores(np.empty((1, 0), int), np.empty((0, EXPERTS))).any()


def test_a_token_picks_top_k_experts_by_its_chances():
    draws = np.random.default_rng(0)
    chances = replace(telling(), top_k=2).chances(draws.random((5, EXPERTS)))
    assert chances.shape == (5, 1, EXPERTS)
    assert chances.max() <= 1.0
    assert (chances.sum(axis=-1) <= 2.0 + 1e-12).all()


def test_noise_of_training_does_not_come_back_with_other_routes():
    view, draws = DraftView(4, 1.0, 0), np.random.default_rng(0)
    pools = [
        RoutePool(8, draws.integers(8, size=(1, 64, 1), dtype=np.uint8), np.array([64]))
        for _ in range(2)
    ]
    noises = [view.features(pool) - replace(view, noise_sd=0.0).features(pool) for pool in pools]
    assert not np.allclose(*noises)
    np.testing.assert_array_equal(view.features(pools[0]), view.features(pools[0]))


def test_a_drafter_sees_codes_of_experts_through_noise():
    draws = np.random.default_rng(0)
    pool = RoutePool(8, draws.integers(8, size=(2, 500, 1), dtype=np.uint8), np.array([500]))
    clear, noisy = (DraftView(32, sd, 1).features(pool) for sd in (0.0, 2.0))
    assert clear.var() == pytest.approx(1.0, rel=0.3)
    assert (noisy - clear).std() == pytest.approx(2.0, rel=0.02)
    same = (pool.chosen[:, :, 0] == pool.chosen[:, :1, 0]).all(axis=0)
    assert clear.shape == (500, 2 * 32)
    np.testing.assert_allclose(clear[same], np.broadcast_to(clear[0], clear[same].shape))
    assert (memberships(pool).sum(axis=2) == 1).all()


def test_recorded_features_are_taken_where_it_was_trained_on_them():
    recorded = replace(telling(), recorded=True)
    pool = RoutePool(EXPERTS, np.zeros((1, 3, 1), np.uint8), np.array([3]))
    with pytest.raises(DataError, match="these routes bring none"):
        recorded.features_of(pool)
    seen = replace(pool, features=np.ones((3, EXPERTS)))
    assert recorded.features_of(seen) is seen.features


def test_files_that_are_no_predictors_are_refused(tmp_path):
    path = tmp_path / "predictor.npz"
    with pytest.raises(DataError, match="is no predictor"):
        load_predictor(path)
    path.write_text("no")
    with pytest.raises(DataError, match="is no predictor"):
        load_predictor(path)
    path.write_bytes(b"")
    with pytest.raises(DataError, match="is no predictor"):
        load_predictor(path)
    with path.open("wb") as file:
        np.save(file, np.eye(2))
    with pytest.raises(DataError, match="is no predictor"):
        load_predictor(path)
    np.savez(path, p0=np.eye(2), p1=np.zeros(2))
    with pytest.raises(DataError, match="lacks layers, experts"):
        load_predictor(path)
    replace(telling(), layers=2).save(path)
    with pytest.raises(DataError, match="do not lead from 6 features to 6 experts in 2 layers"):
        load_predictor(path)
    with pytest.raises(DataError, match=r"is for 1 MoE layers of 6 experts, top 1, but Mixtral"):
        check_predictor(telling(), load_architecture("mixtral_8x7b"), "predictor.npz")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"most_distinct": np.nan}, "most_distinct=nan must be"),
        ({"noise_sd": -1.0}, "noise_sd=-1.0 must be a number of 0.0"),
        ({"seed": -1}, "seed=-1 must be"),
        ({"size": np.array([6, 6])}, r"size=\[6 6\] must be"),
        ({"layers": "one"}, "layers=one must be"),
        ({"p1": np.full((1, EXPERTS), np.nan)}, "must be finite numbers"),
        ({"p1": np.full((1, EXPERTS), "a")}, "must be finite numbers"),
    ],
)
def test_what_a_predictor_cannot_be_is_refused(tmp_path, change, words):
    path = telling().save(tmp_path / "predictor.npz")
    with np.load(path) as saved:
        np.savez(path, **{**saved, **change})
    with pytest.raises(DataError, match=words):
        load_predictor(path)
