from simulator.commands.settings import (
    group_options,
    groups,
    nearest_setting,
    option_named,
    options_with,
    setting_names,
)
from simulator.quantities import read_data


def keys(node, prefix=""):
    """Dotted names of the leaves of a mapping."""
    for key, value in node.items():
        if isinstance(value, dict):
            yield from keys(value, f"{prefix}{key}.")
        else:
            yield prefix + key


def test_settings_cover_the_shipped_groups():
    names = set(setting_names())
    for group in set(groups()) - {"scenario"}:
        for option in group_options(group):
            found = set(keys(read_data(f"simulator.conf.{group}", option, group), f"{group}."))
            assert found <= names, (group, option)


def test_settings_reach_every_depth():
    assert {"title", "run.seed", "workload.rate", "model.moe.top_k"} <= set(setting_names())


def test_groups_are_those_of_the_root_config():
    root = read_data("simulator.conf", "config", "config")
    chosen = {key for entry in root["defaults"] if isinstance(entry, dict) for key in entry}
    assert set(groups()) == {key for key in chosen if not key.startswith("override ")}


def test_drafter_is_a_setting_and_not_a_group():
    assert "drafter" not in groups()
    assert nearest_setting("drafter") == "speculation.drafter"


def test_last_part_counts_more_than_likeness():
    assert nearest_setting("hardware.rate") == "workload.rate"
    assert nearest_setting("gammma") == "speculation.gamma"
    assert nearest_setting("xyzzy") is None


def test_an_option_leads_to_its_group():
    assert option_named("h100_sxm") == "hardware"
    assert option_named("nothing") is None


def test_a_setting_that_all_options_have_belongs_to_none():
    assert options_with("speculation.gamma") == []
    assert options_with("experts.offload.policy") == ["offloaded"]
    assert options_with("nothing.at_all") == []
