"""Derived constraint satisfaction problems (DCSP): unknowns, values, and what measurements allow.

After He and Li, "A learnability analysis on neuro-symbolic learning" (arXiv 2503.16797). Each
unknown is a variable with a finite domain, each measurement a constraint on the unknowns that it
feels. What the measurements cannot tell apart are the solutions.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import networkx as nx

from simulator.errors import ConfigError

Value = Hashable
Assignment = dict[str, Value]


@dataclass(frozen=True, slots=True)
class Constraint:
    """What one measurement allows.

    Parameters
    ----------
    scope
        Unknowns that the measurement feels, each once.
    allows
        Whether values of the scope, in its order, agree with the measurement.
    label
        The measurement, for people.
    """

    scope: tuple[str, ...]
    allows: Callable[..., bool]
    label: str


@dataclass(frozen=True, slots=True)
class Problem:
    """A derived constraint satisfaction problem.

    Parameters
    ----------
    domains
        Possible values by unknown.
    constraints
        One per measurement.
    injective
        Whether no two unknowns share a value. True is the clustering property of the paper's
        function class F*; calibration unknowns are not so.

    Raises
    ------
    ConfigError
        If an unknown has no possible value, or a constraint feels an unknown that there is not.
    """

    domains: Mapping[str, Sequence[Value]]
    constraints: Sequence[Constraint]
    injective: bool = False

    def __post_init__(self) -> None:
        for name, values in self.domains.items():
            if not values:
                raise ConfigError(f"unknown {name!r} has no possible value; list at least one.")
        for constraint in self.constraints:
            for name in constraint.scope:
                if name not in self.domains:
                    raise ConfigError(
                        f"measurement {constraint.label!r} feels {name!r}, which is not among the "
                        f"unknowns {', '.join(self.domains)}."
                    )

    def graph(self) -> nx.Graph[str | int]:
        """Return the bipartite graph of unknowns (``side`` 0) and measurements (``side`` 1)."""
        graph: nx.Graph[str | int] = nx.Graph()
        graph.add_nodes_from(self.domains, side=0)
        for index, constraint in enumerate(self.constraints):
            graph.add_node(index, side=1, label=constraint.label)
            graph.add_edges_from((index, name) for name in constraint.scope)
        return graph

    def components(self) -> list[Problem]:
        """Split into problems that no measurement connects; injective ones stay whole.

        The solutions of the whole are the products of those of the components.
        """
        graph = self.graph()
        if self.injective:  # every two unknowns are tied
            graph.add_edges_from(combinations(self.domains, 2))
        parts = []
        for nodes in nx.connected_components(graph):
            domains = {name: values for name, values in self.domains.items() if name in nodes}
            constraints = [c for i, c in enumerate(self.constraints) if i in nodes]
            parts.append(Problem(domains, constraints, self.injective))
        return parts


def aggregate(problems: Sequence[Problem]) -> Problem:
    """Put plans for the same unknowns together: their solutions are intersected (Cor. 3.8).

    Parameters
    ----------
    problems
        At least one, over the same unknowns. Values possible in all of them stay possible.

    Raises
    ------
    ConfigError
        If the unknowns differ or an unknown is left without a value.
    """
    names = list(problems[0].domains)
    for problem in problems[1:]:
        if set(problem.domains) != set(names):
            odd = sorted(set(problem.domains) ^ set(names))
            raise ConfigError(
                f"plans about different unknowns cannot be put together; not in all: "
                f"{', '.join(odd)}."
            )
    domains = {
        name: [v for v in problems[0].domains[name] if all(v in p.domains[name] for p in problems)]
        for name in names
    }
    constraints = [constraint for problem in problems for constraint in problem.constraints]
    return Problem(domains, constraints, any(problem.injective for problem in problems))
