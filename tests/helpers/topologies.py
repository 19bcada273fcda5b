"""Topologies of the tests' own."""

import tempfile
from functools import cache
from pathlib import Path

import yaml

from simulator.hardware.topology import load_topology


def figure(value, unit="x"):
    """A number as data files hold it."""
    return {"value": value, "unit": unit, "source": "a test", "kind": "assumed"}


def kind(bandwidth, latency_s=0.0, duplex="full"):
    """A kind of link."""
    return {"bandwidth": figure(bandwidth), "latency": figure(latency_s), "duplex": duplex}


def description(gpus, links, wiring, island=None):
    """A data file, as a mapping."""
    return {
        "title": "test rig",
        "gpus": figure(gpus),
        "island_gpus": figure(island or gpus),
        "links": links,
        "wiring_source": "a test",
        "wiring": wiring,
    }


def loaded(data):
    """A topology from such a mapping, by way of a file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rig.yaml"
        path.write_text(yaml.safe_dump(data))
        return load_topology(str(path))


@cache
def slow_node(gpus=4, bandwidth=40.0, latency_s=0.5, duplex="full"):
    """GPUs at a hub, half of the latency on each of two links."""
    links = {"wire": kind(bandwidth, latency_s / 2, duplex)}
    return loaded(description(gpus, links, [{"link": "wire", "each": "gpu", "to": "hub"}]))
