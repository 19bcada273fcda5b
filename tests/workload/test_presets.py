"""Presets: complete, sourced, and what the trace they are fitted to says."""

import copy
import dataclasses
from importlib.resources import files

import pytest
import yaml

from simulator.errors import TableError
from simulator.quantities import KINDS
from simulator.workload.arrivals import ARRIVALS
from simulator.workload.presets import dump_preset, parse_preset, preset_names, read_preset


def content(name):
    path = files("simulator.workloads.presets").joinpath(f"{name}.yaml")
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def numbers_without_source(node, sourced=False, place=""):
    """Yield the place of each number that no enclosing mapping gives unit, source and kind."""
    if isinstance(node, dict):
        named = all(node.get(key) for key in ("unit", "source", "kind"))
        sourced = sourced or (named and node["kind"] in KINDS)
        for key, child in node.items():
            yield from numbers_without_source(child, sourced, f"{place}.{key}")
    elif isinstance(node, list):
        for i, child in enumerate(node):
            yield from numbers_without_source(child, sourced, f"{place}[{i}]")
    elif isinstance(node, int | float) and not sourced:
        yield place


@pytest.mark.parametrize("name", preset_names())
def test_every_number_has_unit_source_and_kind(name):
    assert list(numbers_without_source(content(name))) == []


def test_the_check_above_finds_a_bare_number():
    data = content("chat")
    del data["prompt_tokens"]["source"]
    data["arrivals"]["rate"] = 5.53
    places = set(numbers_without_source(data))
    assert ".arrivals.rate" in places
    assert ".prompt_tokens.components[0].mu" in places


@pytest.mark.parametrize("name", preset_names())
def test_presets_are_complete_and_name_a_known_law(name):
    preset = read_preset(name)
    assert preset.arrivals in ARRIVALS
    assert preset.rate > 0
    assert 0 < preset.slo.tpot_s < preset.slo.ttft_s
    assert preset.acceptance
    assert preset.assumptions
    assert any(licence in preset.trace for licence in ("CC-BY-4.0", "Apache-2.0", "MIT"))
    assert {q.kind for q in preset.provenance.values()} <= set(KINDS)
    assert preset.provenance["prompt_tokens.max"].value == preset.prompt.max_tokens


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_that_is_written_reads_back_the_same(name):
    preset = read_preset(name)
    assert parse_preset(name, yaml.safe_load(dump_preset(preset))) == preset


def test_every_way_to_state_a_law_is_written_and_read():
    data = content("chat")
    figure = {"value": 2.0, "unit": "-", "kind": "assumed", "source": "a test"}
    data["arrivals"] |= {
        "interarrival_cv": figure,
        "states": [{"rate": figure, "dwell": figure}, {"rate": figure, "dwell": figure}],
    }
    del data["output_tokens"]["components"]
    data["output_tokens"]["quantiles"] = [[0.0, 1], [0.5, 80], [1.0, 900]]
    preset = parse_preset("mine", data)
    assert preset.interarrival_cv == 2.0
    assert preset.output.quantile(0.5) == 80
    assert parse_preset("mine", yaml.safe_load(dump_preset(preset))) == preset


def test_a_number_of_unknown_origin_is_not_written():
    preset = dataclasses.replace(read_preset("chat"), origins={})
    with pytest.raises(TableError, match="'chat' does not say where prompt_tokens came from"):
        dump_preset(preset)


def test_a_preset_may_be_a_file_of_the_users(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(dump_preset(read_preset("code")), encoding="utf-8")
    assert dataclasses.replace(read_preset(str(path)), name="code") == read_preset("code")
    path.write_text("title: half\n", encoding="utf-8")
    with pytest.raises(TableError, match=rf"{path} lacks arrivals"):
        read_preset(str(path))


def test_chat_and_code_are_as_different_as_their_traces():
    chat, code = read_preset("chat"), read_preset("code")
    assert code.output.quantile(0.5) < 0.2 * chat.output.quantile(0.5)
    assert code.modulations[0].variance > 50 * sum(m.variance for m in chat.modulations)


def test_an_unknown_preset_suggests_the_nearest():
    with pytest.raises(TableError, match="Did you mean 'chat'"):
        read_preset("chats")


def broken(change):
    data = copy.deepcopy(content("chat"))
    change(data)
    return data


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("slo"), "lacks slo"),
        (lambda d: d["arrivals"].pop("rate"), "lacks arrivals.rate"),
        (lambda d: d.update(arrivals=3), "lacks arrivals.law"),
        (lambda d: d["arrivals"]["rate"].pop("source"), "lacks source"),
        (lambda d: d["arrivals"]["modulation"][1].pop("variance"), r"modulation\[1\].variance"),
        (lambda d: d["prompt_tokens"].update(source=""), "prompt_tokens.source is empty"),
        (lambda d: d["prompt_tokens"].update(kind="guess"), "unknown kind 'guess'"),
        (lambda d: d["output_tokens"].pop("max"), "lacks output_tokens.max"),
        (lambda d: d["output_tokens"]["components"][0].pop("mu"), "components.mu"),
        (lambda d: d["output_tokens"]["components"].pop(), "sum to 1"),
        (lambda d: d["output_tokens"].update(quantiles=[[0, 1, 2]]), "must be pairs"),
        (lambda d: d["slo"]["share"].update(value=2.0), r"slo: slo\.share=2\.0"),
        (lambda d: d.pop("acceptance"), "lacks acceptance"),
    ],
)
def test_an_incomplete_preset_is_refused_with_file_and_key(change, message):
    with pytest.raises(TableError, match=message) as caught:
        parse_preset("chat", broken(change))
    assert "workloads/presets/chat.yaml" in str(caught.value)


def test_modulations_are_optional():
    preset = parse_preset("chat", broken(lambda d: d["arrivals"].pop("modulation")))
    assert preset.modulations == ()
