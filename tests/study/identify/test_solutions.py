"""Search, counts and backbones against listing everything."""

from itertools import pairwise, permutations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import ConfigError
from simulator.study.identify.problem import Constraint, Problem
from simulator.study.identify.search import Search
from simulator.study.identify.solutions import (
    all_solutions,
    backbone,
    count_solutions,
    error_bound,
    sample_bound,
)

NAMES = "abcde"


def listed(problem):
    """Try every assignment."""
    names = list(problem.domains)
    found = []
    for values in product(*problem.domains.values()):
        chosen = dict(zip(names, values, strict=True))
        different = len(set(values)) == len(values) or not problem.injective
        if different and all(c.allows(*(chosen[n] for n in c.scope)) for c in problem.constraints):
            found.append(chosen)
    return found


@st.composite
def problems(draw):
    count = draw(st.integers(1, 5))
    names = NAMES[:count]
    domains = {n: draw(st.lists(st.integers(0, 5), min_size=1, max_size=4, unique=True))
               for n in names}  # fmt: skip
    constraints = []
    for _ in range(draw(st.integers(0, 4))):
        scope = draw(
            st.sampled_from(list(permutations(names, draw(st.integers(1, min(count, 4))))))
        )
        modulus, rest = draw(st.integers(2, 4)), draw(st.integers(0, 1))
        constraints.append(
            Constraint(scope, lambda *v, m=modulus, r=rest: sum(v) % m == r, f"{scope}")
        )
    return Problem(domains, constraints, draw(st.booleans()))


@given(problems())
def test_search_finds_each_solution_once(problem):
    found = [tuple(sorted(s.items())) for s in all_solutions(problem)]
    assert sorted(found) == sorted(tuple(sorted(s.items())) for s in listed(problem))
    assert count_solutions(problem) == len(found)
    assert count_solutions(problem, cap=3) == min(3, len(found))


@given(problems())
def test_the_backbone_is_where_all_solutions_agree(problem):
    every = listed(problem)
    if not every:
        with pytest.raises(ConfigError, match="widen the tolerance or the domains"):
            backbone(problem)
        return
    found = backbone(problem)
    values = {name: {solution[name] for solution in every} for name in problem.domains}
    agreed = {n: next(iter(seen)) for n, seen in values.items() if len(seen) == 1}
    assert found.pinned == agreed
    assert sorted(found.free) == sorted(set(problem.domains) - set(agreed))
    assert found.solves <= len(problem.domains) + len(problem.components())


def test_a_barred_value_is_not_taken():
    search = Search(Problem({"a": [1, 2], "b": [1, 2]}, [], injective=True))
    assert list(search.solutions(barred={"a": 1})) == [{"a": 2, "b": 1}]
    assert list(search.solutions(barred={"a": 1, "b": 1})) == []


def test_components_multiply_without_being_listed_together():
    # 40 free bits: 2^40 solutions, which nothing could list; each component has two.
    problem = Problem({f"x{i}": [0, 1] for i in range(40)}, [])
    assert count_solutions(problem, cap=10**15) == 2**40
    assert backbone(problem).disagreement == 40


def test_a_backbone_of_more_solutions_than_could_be_listed():
    # A chain of equalities under one reading: 30 pinned; 30 more unknowns only differ pairwise.
    chain = [f"x{i}" for i in range(30)]
    domains = {name: range(3) for name in [*chain, *(f"y{i}" for i in range(30))]}
    constraints = [Constraint(("x0",), lambda x: x == 1, "reading")]
    for one, other in pairwise(chain):
        constraints.append(Constraint((one, other), lambda x, y: x == y, "equal"))
    constraints += [
        Constraint((f"y{i}", f"y{i + 1}"), lambda x, y: x != y, "differ") for i in range(0, 30, 2)
    ]
    found = backbone(Problem(domains, constraints))
    assert found.pinned == dict.fromkeys(chain, 1)
    assert found.disagreement == 30


@pytest.mark.parametrize(
    ("free", "weights", "bound"),
    [((), None, 0), (("a",), None, 0.25), (("a", "b"), {"a": 5, "b": 1, "c": 3, "d": 1}, 0.6)],
)
def test_the_bound_is_the_weight_of_what_is_free(free, weights, bound):
    assert error_bound(("a", "b", "c", "d"), free, weights) == bound


@given(st.floats(0.001, 1), st.integers(1, 1000), st.floats(0.001, 0.9))
def test_the_sample_bound_is_the_least_number_above_the_theorem(kappa, sequences, epsilon):
    import math

    samples = sample_bound(kappa, sequences, epsilon)
    threshold = math.log(sequences / epsilon) / kappa
    assert samples - 1 <= threshold < samples
    assert sequences * math.exp(-kappa * samples) < epsilon * (1 + 1e-9)
