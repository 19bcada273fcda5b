"""Every number in the data folders has a unit, a source and a kind."""

from importlib.resources import files

import pytest
import yaml

from simulator.errors import TableError
from simulator.quantities import KINDS, Quantity

FOLDERS = [
    "hardware_specs",
    "hardware_specs.gpus",
    "hardware_specs.engines",
    "hardware_specs.machines",
    "hardware_specs.moesd",
    "hardware_specs.wide_ep",
    "workloads.acceptance",
    "workloads.control",
    "workloads.presets",
    "workloads.routing",
    "workloads.tasks",
]

DATA = [
    (folder, entry.name)
    for folder in FOLDERS
    for entry in sorted(files(f"simulator.{folder}").iterdir(), key=lambda entry: entry.name)
    if entry.name.endswith(".yaml")
]


def numbers_without_source(node, path=""):
    """Yield where a number stands outside a mapping that carries source and kind."""
    if isinstance(node, dict):
        if {"source", "kind"} <= set(node):
            assert node["source"], path
            assert node["kind"] in KINDS, path
            return
        for key, value in node.items():
            yield from numbers_without_source(value, f"{path}.{key}")
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from numbers_without_source(value, f"{path}[{index}]")
    elif isinstance(node, int | float) and not isinstance(node, bool):
        yield path


@pytest.mark.parametrize(("folder", "name"), DATA)
def test_every_number_has_its_source(folder, name):
    content = yaml.safe_load(files(f"simulator.{folder}").joinpath(name).read_text("utf-8"))
    assert list(numbers_without_source(content)) == []


def test_the_data_folders_are_not_empty():
    assert {folder for folder, _ in DATA} == set(FOLDERS)


@pytest.mark.parametrize("missing", ["value", "unit", "source", "kind"])
def test_a_quantity_without_one_of_the_four_is_refused(missing):
    entry = {"value": 1, "unit": "s", "source": "here", "kind": "spec"}
    with pytest.raises(TableError, match=f"x.yaml: speed lacks {missing}"):
        Quantity.read(entry | {missing: ""}, "x.yaml: speed")


def test_a_bare_number_is_refused():
    with pytest.raises(TableError, match=r"write \{value, unit, source, kind\}"):
        Quantity.read(3.0, "x.yaml: speed")


def test_an_unknown_kind_names_the_nearest():
    with pytest.raises(TableError, match="Did you mean 'measured'"):
        Quantity.read(
            {"value": 1, "unit": "s", "source": "here", "kind": "mesured"}, "x.yaml: speed"
        )
