"""Jobs run once, in any order, or come from the cache; what is half written counts not."""

from types import SimpleNamespace

import pytest

from simulator.study.plan import runs as module
from simulator.study.plan.runs import Runs, together
from simulator.study.plan.store import Store


class Backwards:
    """An executor that finishes the last job first."""

    def run(self, function, items, workers=None):
        jobs = list(enumerate(items))
        for index, item in reversed(jobs):
            yield index, function(item)


def job(name, replication=0):
    return SimpleNamespace(key=f"ab{name}", name=name, replication=replication)


@pytest.fixture
def ran(monkeypatch):
    """Names of the jobs that ran, in their order; each returns its name."""
    names = []

    def run(item):
        names.append(item.name)
        return {"name": item.name}

    monkeypatch.setattr(module, "run_job", run)
    return names


def runs(folder=None):
    return Runs(Backwards(), None, Store(folder), lambda _: None)


def test_results_come_in_the_order_of_the_jobs_and_each_job_runs_once(ran):
    found = runs().results([job("a"), job("b"), job("a")])
    assert [one["name"] for one in found] == ["a", "b", "a"]
    assert ran == ["b", "a"]


def test_what_ran_before_comes_from_the_cache(ran, tmp_path):
    runs(tmp_path).results([job("a"), job("b", replication=None)])
    again = runs(tmp_path)
    again.results([job("a"), job("b", replication=None), job("c")])
    assert ran == ["b", "a", "c"]
    assert (again.simulated, again.cached) == (1, 1)  # screenings are not counted


def test_a_result_that_is_cut_off_is_run_again(ran, tmp_path):
    runs(tmp_path).results([job("a")])
    (path,) = tmp_path.rglob("*.json")
    path.write_text(path.read_text()[:5])
    assert runs(tmp_path).results([job("a")]) == [{"name": "a"}]
    assert ran == ["a", "a"]


def test_results_are_kept_as_they_come(monkeypatch, tmp_path):
    """Whoever interrupts a plan loses what runs, and nothing that is done."""

    def run(item):
        if item.name == "a":
            raise KeyboardInterrupt
        return {"name": item.name}

    monkeypatch.setattr(module, "run_job", run)
    with pytest.raises(KeyboardInterrupt):
        runs(tmp_path).results([job("a"), job("b")])
    assert [path.stem for path in tmp_path.rglob("*.json")] == ["abb"]


def test_searches_side_by_side_share_a_lot(ran):
    def search(*names):
        seen = []
        for name in names:
            (result,) = yield [job(name)]
            seen.append(result["name"])
        return seen

    lots = []
    shared = runs()
    results = shared.results
    shared.results = lambda jobs: (lots.append([one.name for one in jobs]), results(jobs))[1]
    assert together([search("a", "b"), search("a"), search()], shared) == [["a", "b"], ["a"], []]
    assert lots == [["a", "a"], ["b"]]
    assert ran == ["a", "b"]
