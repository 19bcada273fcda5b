"""The base rooms: registries, random streams, errors, mappings."""

from importlib.metadata import EntryPoint

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator import registry
from simulator.errors import ConfigError, nearest, unknown
from simulator.registry import Registry
from simulator.streams import Streams


def make():
    shapes = Registry("shape")
    shapes.register("circle")(lambda: "o")
    return shapes


def test_a_registered_kind_is_found_and_listed():
    shapes = make()
    assert shapes.get("circle")() == "o"
    assert list(shapes) == ["circle"]


def test_an_unknown_kind_names_the_nearest_and_its_origin():
    with pytest.raises(
        ConfigError, match=r"unknown shape 'circel' in a\.b\. Did you mean 'circle'"
    ):
        make().get("circel", "a.b")


def test_packages_register_kinds_through_entry_points(monkeypatch):
    point = EntryPoint("square", "builtins:list", "moesim.shape")
    monkeypatch.setattr(
        registry, "entry_points", lambda group: [point] if group == "moesim.shape" else []
    )
    shapes = make()
    assert shapes.get("square") is list
    assert list(shapes) == ["circle", "square"]


def test_the_group_of_entry_points_is_a_name_that_packaging_allows(monkeypatch):
    asked = []
    monkeypatch.setattr(registry, "entry_points", lambda group: asked.append(group) or [])
    list(Registry("draft policy"))
    assert asked == ["moesim.draft_policy"]


def test_our_own_kinds_win_over_a_plugin_of_the_same_name(monkeypatch):
    point = EntryPoint("circle", "builtins:list", "moesim.shape")
    monkeypatch.setattr(registry, "entry_points", lambda group: [point])
    assert make().get("circle")() == "o"


keys = st.tuples(
    st.integers(0, 2**63 - 1), st.integers(0, 9999), st.text(max_size=8), st.integers(0, 2**31)
)


def draw(key):
    seed, replication, stream, block = key
    return Streams(seed, replication).block(stream, block).random(4).tolist()


@given(keys)
def test_a_block_is_the_same_whenever_it_is_drawn(key):
    assert draw(key) == draw(key)


@given(st.sets(keys, min_size=2, max_size=4))
def test_different_blocks_differ(chosen):
    draws = {tuple(draw(key)) for key in chosen}
    assert len(draws) == len(chosen)


def test_streams_are_uncorrelated():
    streams = Streams(1)
    one, other = (streams.block(name, 0).random(100_000) for name in ("arrivals", "acceptance"))
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.02


def test_nearest_gives_up_on_strangers():
    assert nearest("zzz", ["alpha", "beta"]) is None
    assert "Did you mean" not in unknown("thing", "zzz", ["alpha", "beta"])
