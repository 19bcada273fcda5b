"""Ray: the bookkeeping on a Ray that runs here, and the real one on two nodes."""

import socket
import sys
from importlib.util import find_spec
from types import ModuleType, SimpleNamespace

import pytest

from simulator.errors import CapacityError, ConfigError
from simulator.study.executors import on_ray, open_executor
from simulator.study.executors.on_ray import Home, _at_home
from simulator.study.fingerprint import fingerprint


class GoneError(Exception):
    """What Ray raises where a worker was lost."""


class RayHere(ModuleType):
    """The part of Ray's interface that we use; tasks run when they are waited for."""

    def __init__(self):
        super().__init__("ray")
        self.exceptions = SimpleNamespace(RayTaskError=ZeroDivisionError, RayError=GoneError)
        self.waiting, self.cancelled, self.events, self.most = [], [], [], 0

    def is_initialized(self):
        return False

    def init(self, address, **options):
        self.events.append(("init", address, options.get("num_cpus")))

    def cluster_resources(self):
        return {"CPU": 3.0}

    def remote(self, **options):
        assert options == {"num_cpus": 1}
        return lambda function: SimpleNamespace(
            remote=lambda *arguments: self._begin(function, arguments)
        )

    def _begin(self, function, arguments):
        task = (len(self.events), function, arguments)
        self.events.append("task")
        self.waiting.append(task)
        self.most = max(self.most, len(self.waiting))
        return task

    def wait(self, tasks, num_returns):
        assert set(tasks) == set(self.waiting)
        return [self.waiting.pop()], list(self.waiting)  # the last begun ends first

    def get(self, task):
        _, function, arguments = task
        return function(*arguments)

    def cancel(self, task):
        self.waiting.remove(task)
        self.cancelled.append(task)

    def shutdown(self):
        self.events.append("shutdown")


@pytest.fixture
def ray(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    here = RayHere()
    monkeypatch.setitem(sys.modules, "ray", here)
    monkeypatch.setattr(on_ray, "find_spec", lambda name: here)
    return here


@pytest.fixture
def listening():
    """An address where something listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize(("workers", "most"), [(2, 2), (None, 3)])
def test_as_many_tasks_at_a_time_as_there_are_workers(ray, listening, workers, most):
    with open_executor("ray", listening) as executor:
        assert sorted(executor.run(abs, range(-9, 0), workers)) == [(n, 9 - n) for n in range(9)]
        assert list(executor.run(abs, [-1], workers)) == [(0, 1)]
    assert ray.most == most
    assert ray.events[0] == ("init", listening, None)
    assert [event for event in ray.events if event != "task"][1:] == ["shutdown"]
    assert ray.cancelled == []


def test_an_interrupt_cancels_what_runs(ray):
    def first():
        with open_executor("ray") as executor:
            for _ in executor.run(abs, range(9), 3):
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        first()
    assert ray.events[0] == ("init", None, 3)
    assert len(ray.cancelled) == 2
    assert ray.events[-1] == "shutdown"


def test_what_was_left_early_does_not_answer_later(ray):
    with open_executor("ray") as executor:
        early = executor.run(abs, range(9), 3)
        next(early)
        early.close()
        assert sorted(executor.run(abs, [-5, -6], 3)) == [(0, 5), (1, 6)]


def test_an_address_where_nothing_listens_is_told_at_once(ray):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    message = f"address={address}: no Ray cluster answers"
    with open_executor("ray", address) as executor, pytest.raises(ConfigError, match=message):
        list(executor.run(abs, [1]))
    assert ray.events == []


def test_a_lost_worker_is_told(ray):
    def lost(_):
        raise GoneError

    message = r"a worker of the Ray cluster was lost \(GoneError\)"
    with open_executor("ray") as executor, pytest.raises(CapacityError, match=message):
        list(executor.run(lost, [1], 1))


def test_a_node_with_another_moesim_or_without_the_folder_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    here = str(tmp_path)
    assert _at_home(Home(fingerprint(), here), abs, -1) == 1
    with pytest.raises(ConfigError, match="has another moesim"):
        _at_home(Home("other", here), abs, -1)
    with pytest.raises(ConfigError, match=r"has no folder '.*gone'"):
        _at_home(Home(fingerprint(), here + "/gone"), abs, -1)


def test_without_ray_its_extra_is_named(monkeypatch):
    monkeypatch.setattr(on_ray, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'moesim\[ray\]'"):
        open_executor("ray")


@pytest.fixture(scope="module")
def cluster():
    """A Ray cluster of two nodes on this machine, a CPU each."""
    if find_spec("ray") is None:
        pytest.skip("Ray is not installed (pip install 'moesim[ray]')")
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "include_dashboard": False},
    )
    cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    yield cluster
    cluster.shutdown()


@pytest.mark.slow
def test_two_nodes_leave_the_bytes_of_the_process_pool(cluster, tmp_path, monkeypatch, capsys):
    from simulator.cli import main

    def node(_):  # nested, so that it is sent by value: nodes know no tests
        import time

        import ray

        time.sleep(0.5)
        return ray.get_runtime_context().get_node_id()

    monkeypatch.chdir(tmp_path)
    with open_executor("ray", cluster.address) as executor:
        assert len({where for _, where in executor.run(node, range(6))}) == 2
    words = [
        "sweep",
        "speculation.gamma=0,2,-1",
        "hardware.tensor_parallel=1,3",
        "run.requests=30",
        "run.replications=2",
    ]
    places = {
        "ray": ["executor=ray", f"address={cluster.address}"],
        "processes": ["workers=2"],
        "here": ["workers=1"],
    }
    found = {}
    for name, where in places.items():
        assert main([*words, *where, f"hydra.run.dir={name}"]) == 0
        files = [path for path in (tmp_path / name).rglob("*") if path.is_file()]
        found[name] = {path.relative_to(tmp_path / name): path.read_bytes() for path in files}
    assert found["ray"] == found["processes"] == found["here"]
    assert sum(path.suffix == ".parquet" for path in found["ray"]) == 6
    capsys.readouterr()
