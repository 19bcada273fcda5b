"""Problems refuse nonsense, split into components and are put together."""

import pytest

from simulator.errors import ConfigError
from simulator.study.identify.problem import Constraint, Problem, aggregate

EQUAL = Constraint(("a", "b"), lambda x, y: x == y, "a equals b")


def test_an_unknown_without_values_is_refused():
    with pytest.raises(ConfigError, match="unknown 'a' has no possible value; list at least one"):
        Problem({"a": []}, [])


def test_a_measurement_of_something_else_is_refused():
    with pytest.raises(ConfigError, match="'a equals b' feels 'b', which is not among"):
        Problem({"a": [1]}, [EQUAL])


def test_unknowns_that_no_measurement_connects_are_split():
    domains = {name: [0, 1] for name in "abcd"}
    parts = Problem(domains, [EQUAL, Constraint(("d",), bool, "d is on")]).components()
    assert [list(part.domains) for part in parts] == [["a", "b"], ["c"], ["d"]]
    assert [len(part.constraints) for part in parts] == [1, 0, 1]


def test_all_different_ties_all_unknowns():
    (whole,) = Problem({name: [0, 1, 2] for name in "abc"}, [EQUAL], injective=True).components()
    assert list(whole.domains) == ["a", "b", "c"]
    assert whole.injective


def test_the_graph_has_unknowns_on_one_side_and_measurements_on_the_other():
    graph = Problem({"a": [0], "b": [0]}, [EQUAL]).graph()
    assert dict(graph.nodes(data="side")) == {"a": 0, "b": 0, 0: 1}
    assert set(graph.edges) == {("a", 0), ("b", 0)}


def test_plans_put_together_keep_common_values_and_all_measurements():
    one = Problem({"a": [0, 1, 2], "b": [0, 1]}, [EQUAL])
    other = Problem({"b": [1, 0], "a": [1, 2]}, [Constraint(("a",), bool, "a is on")], True)
    both = aggregate([one, other])
    assert both.domains == {"a": [1, 2], "b": [0, 1]}
    assert [c.label for c in both.constraints] == ["a equals b", "a is on"]
    assert both.injective


def test_plans_about_different_unknowns_are_not_put_together():
    with pytest.raises(ConfigError, match="not in all: b, c"):
        aggregate([Problem({"a": [0], "b": [0]}, []), Problem({"a": [0], "c": [0]}, [])])


def test_plans_without_a_common_value_are_not_put_together():
    with pytest.raises(ConfigError, match="unknown 'a' has no possible value"):
        aggregate([Problem({"a": [0]}, []), Problem({"a": [1]}, [])])
