"""Solutions of a constraint satisfaction problem by backtracking over bit sets.

A domain is an integer whose bits are the values still possible. Constraints on two unknowns, and
all-different, become one table per pair: the values of the one that each value of the other
leaves. The unknown with the fewest values is assigned next (minimum remaining values), and what an
assignment rules out is struck from its neighbours at once (forward checking). Before the search,
arc consistency strikes values without support.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product

from simulator.study.identify.problem import Assignment, Constraint, Problem, Value

Domains = list[int]
Table = list[int]


class Search:
    """A problem compiled for search.

    Parameters
    ----------
    problem
        What to solve.
    """

    def __init__(self, problem: Problem) -> None:
        self.names = list(problem.domains)
        self.values: list[Sequence[Value]] = [problem.domains[name] for name in self.names]
        self._place = {name: i for i, name in enumerate(self.names)}
        self._start: Domains = [(1 << len(values)) - 1 for values in self.values]
        self._tables: list[dict[int, Table]] = [{} for _ in self.names]
        self._wide: list[list[Constraint]] = [[] for _ in self.names]
        for constraint in problem.constraints:
            self._add(constraint)
        if problem.injective:
            self._add_all_different()
        self._consistent = self._strike_unsupported(self._start)

    def solutions(self, barred: Mapping[str, Value] | None = None) -> Iterator[Assignment]:
        """Yield every solution once.

        Parameters
        ----------
        barred
            Values that unknowns must not take, one per unknown named.
        """
        domains = list(self._start)
        for name, value in (barred or {}).items():
            place = self._place[name]
            domains[place] &= ~(1 << list(self.values[place]).index(value))
        if self._consistent and all(domains) and self._strike_unsupported(domains):
            for chosen in self._extend(domains, list(range(len(self.names)))):
                yield {
                    name: values[bits.bit_length() - 1]
                    for name, values, bits in zip(self.names, self.values, chosen, strict=True)
                }

    def _extend(self, domains: Domains, open_: list[int]) -> Iterator[Domains]:
        """Assign the open unknowns in every possible way."""
        if not open_:
            yield domains
            return
        place = min(open_, key=lambda i: domains[i].bit_count())
        rest = [i for i in open_ if i != place]
        for index in _bits(domains[place]):
            tried = list(domains)
            tried[place] = 1 << index
            if self._strike(tried, place, index, rest):
                yield from self._extend(tried, rest)

    def _strike(self, domains: Domains, place: int, index: int, open_: list[int]) -> bool:
        """Strike what an assignment rules out; return whether every unknown keeps a value."""
        tables = self._tables[place]
        for other in open_:
            if other in tables:
                domains[other] &= tables[other][index]
                if not domains[other]:
                    return False
        return all(self._check(c, domains, open_) for c in self._wide[place])

    def _check(self, constraint: Constraint, domains: Domains, open_: list[int]) -> bool:
        """Apply a constraint on three or more unknowns once at most one of them is open."""
        places = [self._place[name] for name in constraint.scope]
        free = [place for place in places if place in open_]
        if len(free) > 1:
            return True
        target = free[0] if free else places[-1]
        kept = 0
        for choice in product(*(_bits(domains[place]) for place in places)):
            picked = (self.values[p][i] for p, i in zip(places, choice, strict=True))
            if constraint.allows(*picked):
                kept |= 1 << choice[places.index(target)]
        domains[target] = kept
        return bool(kept)

    def _add(self, constraint: Constraint) -> None:
        places = [self._place[name] for name in constraint.scope]
        if len(places) == 1:
            (place,) = places
            for index, value in enumerate(self.values[place]):
                if not constraint.allows(value):
                    self._start[place] &= ~(1 << index)
        elif len(places) == 2:
            one, other = places
            allowed = [
                [constraint.allows(a, b) for b in self.values[other]] for a in self.values[one]
            ]
            self._restrict(one, other, allowed)
        else:
            for place in places:
                self._wide[place].append(constraint)

    def _add_all_different(self) -> None:
        for one in range(len(self.names)):
            for other in range(one):
                different = [[a != b for b in self.values[other]] for a in self.values[one]]
                self._restrict(one, other, different)

    def _restrict(self, one: int, other: int, allowed: list[list[bool]]) -> None:
        """Intersect the tables of a pair, both ways."""
        columns = [list(column) for column in zip(*allowed, strict=True)]
        for here, there, rows in ((one, other, allowed), (other, one, columns)):
            table = self._tables[here].setdefault(there, [-1] * len(rows))
            for index, row in enumerate(rows):
                table[index] &= sum(1 << i for i, allows in enumerate(row) if allows)

    def _strike_unsupported(self, domains: Domains) -> bool:
        """Strike values that some neighbour cannot answer, until none is left (AC-3)."""
        queue = [(here, there) for here, tables in enumerate(self._tables) for there in tables]
        while queue:
            here, there = queue.pop()
            table = self._tables[here][there]
            kept = sum(1 << i for i in _bits(domains[here]) if table[i] & domains[there])
            if kept != domains[here]:
                domains[here] = kept
                queue += [(other, here) for other in self._tables[here] if other != there]
        return all(domains)


def _bits(bits: int) -> Iterator[int]:
    """Yield the places of the ones, lowest first."""
    while bits:
        low = bits & -bits
        yield low.bit_length() - 1
        bits ^= low
