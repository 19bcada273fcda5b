from dataclasses import dataclass, field

import pytest

from simulator.errors import ConfigError, TableError
from simulator.mapping import from_mapping
from simulator.models.architecture import Architecture, Moe
from simulator.models.catalog import (
    FALLBACK_DRAFTER,
    default_drafter,
    drafter_names,
    load_architecture,
    load_drafter,
    model_names,
)

SMALL = {
    "name": "small",
    "title": "Small",
    "source": "none",
    "layers": 2,
    "hidden": 64,
    "vocab": 100,
    "max_context_tokens": 128,
    "attention": {"heads": 4, "kv_heads": 2, "head_dim": 16},
    "mlp_inter": 256,
}


def test_the_catalogue_holds_the_models_and_drafters_of_the_literature() -> None:
    assert len(model_names()) >= 12
    assert {"eagle3", "deepseek_mtp", "ngram", "opt_350m", "qwen2_0_5b"} <= set(drafter_names())


@pytest.mark.parametrize("name", model_names())
def test_models_are_named_as_their_files_and_say_where_they_come_from(name: str) -> None:
    arch = load_architecture(name)
    assert arch.name == name
    assert arch.title
    assert arch.source.startswith("https://")


@pytest.mark.parametrize("name", drafter_names())
def test_drafters_are_named_as_their_files_and_list_models_that_exist(name: str) -> None:
    drafter = load_drafter(name)
    assert drafter.name == name
    assert drafter.title
    assert "arXiv" in drafter.source or "https://" in drafter.source
    assert set(drafter.usual_for) <= set(model_names())


def test_each_model_has_one_usual_drafter() -> None:
    listed = [model for name in drafter_names() for model in load_drafter(name).usual_for]
    assert len(listed) == len(set(listed))
    assert default_drafter("opt_30b") == "opt_350m"
    assert default_drafter("deepseek_v3") == "deepseek_mtp"
    assert default_drafter("a_model_of_the_user") == FALLBACK_DRAFTER
    assert FALLBACK_DRAFTER in drafter_names()


def test_unknown_names_suggest_the_nearest() -> None:
    with pytest.raises(TableError, match=r"unknown model 'mixtral'. Did you mean 'mixtral_8x7b'"):
        load_architecture("mixtral")
    with pytest.raises(TableError, match=r"unknown drafter 'eagle'. Did you mean 'eagle3'"):
        load_drafter("eagle")


def test_a_mapping_becomes_an_architecture() -> None:
    arch = from_mapping(Architecture, SMALL, "model")
    assert (arch.attention.kv_heads, arch.moe, arch.gated) == (2, None, True)
    assert from_mapping(Architecture, SMALL | {"moe": None}, "model") == arch
    experts = {"experts": 4, "top_k": 2, "inter": 32}
    assert from_mapping(Architecture, SMALL | {"moe": experts}, "model").moe == Moe(**experts)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layer": 3}, "unknown setting 'layer' in model. Did you mean 'layers'?"),
        ({"layers": "two"}, "model.layers='two' must be an integer."),
        ({"layers": 2.5}, "model.layers=2.5 must be an integer."),
        ({"layers": True}, "model.layers=True must be an integer."),
        ({"layers": None}, "model.layers=None must be an integer."),
        ({"gated": 1}, "model.gated=1 must be true or false."),
        ({"title": 7}, "model.title=7 must be a text."),
        ({"attention": 32}, "model.attention=32 must be a mapping of settings."),
        ({"attention": {"head_dim": 1}}, "model.attention.heads is missing and has no default"),
        ({"moe": {"expert": 8}}, "unknown setting 'expert' in model.moe. Did you mean 'experts'?"),
    ],
)
def test_malformed_mappings_name_the_setting(change: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_mapping(Architecture, SMALL | change, "model")
    assert str(caught.value).startswith(message)


@dataclass(frozen=True)
class Curve:
    scale: float
    rates: list[float] = field(default_factory=list)
    names: tuple[str, ...] = ()


def test_numbers_and_lists_are_read_as_declared() -> None:
    curve = from_mapping(Curve, {"scale": 2, "rates": [1, 0.5], "names": ["a"]}, "curve")
    assert curve == Curve(2.0, [1.0, 0.5], ("a",))
    assert isinstance(curve.scale, float)
    assert from_mapping(Curve, {"scale": 1}, "curve").rates == []
    with pytest.raises(ConfigError, match=r"curve.rates=0.5 must be a list"):
        from_mapping(Curve, {"scale": 1, "rates": 0.5}, "curve")
    with pytest.raises(ConfigError, match=r"curve.rates\[1\]='x' must be a number"):
        from_mapping(Curve, {"scale": 1, "rates": [1, "x"]}, "curve")
