"""What moesim is made of, in one digest."""

import shutil
from importlib.machinery import ModuleSpec
from importlib.metadata import EntryPoint, EntryPoints

import pytest

from simulator.study import fingerprint as room


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A small moesim in a folder; `of` digests it."""
    for package in (
        "simulator",
        "simulator.conf",
        "simulator.hardware_specs",
        "simulator.workloads",
    ):
        folder = tmp_path / package
        folder.mkdir()
        (folder / "a.yaml").write_text("a: 1")
    monkeypatch.setattr(room, "files", lambda package: tmp_path / package)
    return tmp_path


def of():
    return room.fingerprint.__wrapped__()


@pytest.mark.parametrize("package", ["simulator", "simulator.conf", "simulator.workloads"])
def test_a_changed_byte_and_a_new_file_change_it(copy, package):
    before = of()
    (copy / package / "a.yaml").write_text("a: 2")
    changed = of()
    (copy / package / "b.yaml").write_text("")
    assert len({before, changed, of()}) == 3


def test_what_python_caches_and_where_data_lie_do_not(copy):
    before = of()
    (copy / "simulator" / "__pycache__").mkdir()
    (copy / "simulator" / "__pycache__" / "a.pyc").write_bytes(b"x")
    shutil.copytree(copy / "simulator.conf", copy / "simulator" / "conf")  # as in a wheel
    assert of() == before


def test_a_plug_in_changes_it(copy, monkeypatch):
    before = of()
    source = copy / "mine.py"
    source.write_text("a = 1")
    points = EntryPoints([EntryPoint("mine", "mine:Router", "moesim.router")])
    monkeypatch.setattr(
        room, "entry_points", lambda **chosen: points.select(**chosen) if chosen else points
    )
    spec = ModuleSpec("mine", None, origin=str(source))
    monkeypatch.setattr(room.PathFinder, "find_spec", lambda name: spec)
    with_it = of()
    source.write_text("a = 2")
    assert len({before, with_it, of()}) == 3
