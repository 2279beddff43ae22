"""Chooses one of several options for each of many places, so that one quantity is least and others keep their limits.

Every quantity is a sum of terms, and a term depends on the options of a few places. This is an integer program: a 0/1
variable for each option of a place, and for a term of several places a variable for each combination of their options,
which the places' own variables determine. A product of two quantities, such as energy times delay, is not linear. It is
kept between linear bounds that touch it at the ends of a range of its first factor (McCormick's envelope); where a
solution does not meet the product itself, the range is divided there and both halves are solved again. Each solution is
tried with exact numbers, and the ranges that are left cannot hold a better one, so the result is the optimum, as if all
combinations had been tried.
"""

from __future__ import annotations

import heapq
import itertools
import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["InfeasibleError", "Problem", "Product", "Term", "brute_force", "solve"]

TOLERANCE = 1e-9
"""Relative: what two sums of the same numbers in different order may differ by."""

OBJECTIVE = 1e4
"""What the objective is scaled to, so that the solver's absolute gap of 1e-6 is far below any difference."""


class InfeasibleError(Exception):
    """No combination of options keeps all limits."""


@dataclass(frozen=True)
class Term:
    """A part of all quantities that depends on the options of a few places.

    Parameters
    ----------
    places : their numbers, each once.
    values : for each combination of options, in the order of *places*, the value of each quantity by its name; what is
        left out is 0.
    """

    places: tuple[int, ...]
    values: Mapping[tuple[int, ...], Mapping[str, float]]


@dataclass(frozen=True)
class Product:
    """A quantity that is the product of two others, neither of them negative.

    The first has whole numbers as values: it is what ranges are divided by.
    """

    first: str
    second: str


@dataclass(frozen=True)
class Problem:
    """What can be chosen, and what it leads to.

    Parameters
    ----------
    options : how many options each place has, 1 or more.
    terms : their sum is the value of each quantity.
    products : quantities that are products of sums, by name.
    """

    options: tuple[int, ...]
    terms: tuple[Term, ...]
    products: Mapping[str, Product]

    def value(self, quantity: str, chosen: Sequence[int]) -> float:
        """The value of a quantity where *chosen* is the option of each place."""
        if quantity in self.products:
            product = self.products[quantity]
            return self.value(product.first, chosen) * self.value(product.second, chosen)
        parts = [term.values[tuple(chosen[place] for place in term.places)].get(quantity, 0) for term in self.terms]
        return sum(parts) if all(isinstance(part, int) for part in parts) else math.fsum(parts)


def keeps(problem: Problem, chosen: Sequence[int], limits: Mapping[str, float]) -> bool:
    """Whether no quantity is above its limit, but for the last digits of a sum."""
    return all(problem.value(name, chosen) <= limit + TOLERANCE * abs(limit) for name, limit in limits.items())


def brute_force(problem: Problem, minimise: str, limits: Mapping[str, float]) -> tuple[int, ...]:
    """What :func:`solve` gives, by trying all combinations: for small problems.

    Raises
    ------
    InfeasibleError
        If none keeps all limits.
    """
    every = itertools.product(*(range(count) for count in problem.options))
    kept = [chosen for chosen in every if keeps(problem, chosen, limits)]
    if not kept:
        raise InfeasibleError
    return min(kept, key=lambda chosen: problem.value(minimise, chosen))


def solve(problem: Problem, minimise: str, limits: Mapping[str, float]) -> tuple[int, ...]:
    """The option of each place for which *minimise* is least while no quantity of *limits* is above its limit.

    Parameters
    ----------
    minimise : a quantity of the terms, or a product.
    limits : by quantity, products included.

    Raises
    ------
    InfeasibleError
        If no combination keeps all limits.
    """
    program = _Program(problem, minimise, limits)
    products = [name for name in (minimise, *limits) if name in problem.products]
    ranges = {problem.products[name].first: program.bounds(problem.products[name].first) for name in products}
    best: tuple[int, ...] | None = None
    lowest = math.inf
    order = itertools.count()
    waiting: list[tuple[float, int, _Node]] = [(-math.inf, next(order), _Node(ranges, ()))]
    while waiting:
        bound, _, node = heapq.heappop(waiting)
        if bound >= lowest - TOLERANCE * abs(lowest):
            break
        found = program.solve(node)
        if found is None:
            continue
        bound, chosen = found
        value = problem.value(minimise, chosen)
        if keeps(problem, chosen, limits):
            if value < lowest:
                best, lowest = chosen, value
            if minimise not in problem.products or bound >= value - TOLERANCE * abs(value):
                continue
        for part in _parts(problem, node, chosen, products):
            heapq.heappush(waiting, (bound, next(order), part))
    if best is None:
        raise InfeasibleError
    return best


@dataclass(frozen=True)
class _Node:
    """A part of what can be chosen.

    Parameters
    ----------
    ranges : smallest and largest value of first factors of products.
    excluded : combinations that were tried and are not to come again.
    """

    ranges: Mapping[str, tuple[float, float]]
    excluded: tuple[tuple[int, ...], ...]


def _parts(problem: Problem, node: _Node, chosen: tuple[int, ...], products: Sequence[str]) -> list[_Node]:
    """The node without *chosen*: both sides of its first factor where bounds of a product were not exact there."""
    for name in products:
        first = problem.products[name].first
        low, high = node.ranges[first]
        place = problem.value(first, chosen)
        if low < place:
            below, above = ({**node.ranges, first: side} for side in ((low, place - 1), (place, high)))
            return [_Node(below, node.excluded), _Node(above, node.excluded)]
    return [_Node(node.ranges, (*node.excluded, chosen))]


_Row = dict[int, float]
"""A linear function of the columns: its coefficients that are not 0."""


class _Program:
    """The integer program of a problem, for SciPy's solver.

    Columns are the options of all places, then the combinations of terms of several places, then a column for each
    product that counts. Sums are scaled to 1, the objective to :data:`OBJECTIVE`.
    """

    def __init__(self, problem: Problem, minimise: str, limits: Mapping[str, float]) -> None:
        self.problem, self.minimise, self.limits = problem, minimise, limits
        self._starts = [0, *itertools.accumulate(problem.options)]
        columns = self._starts[-1]
        self._joint: dict[tuple[int, ...], int] = {}
        for term in problem.terms:
            if len(term.places) > 1 and term.places not in self._joint:
                self._joint[term.places] = columns
                columns += math.prod(problem.options[place] for place in term.places)
        named = dict.fromkeys((minimise, *limits))
        self._products = {name: column for column, name in enumerate(filter(problem.products.get, named), columns)}
        self._columns = columns + len(self._products)
        factors = [problem.products[name] for name in self._products]
        sums = [name for name in named if name not in self._products]
        sums += [name for product in factors for name in (product.first, product.second)]
        self._scales = {name: self.bounds(name)[1] or 1.0 for name in sums}
        self._rows = {name: self._sum(name) for name in sums}
        for name, column in self._products.items():
            product = problem.products[name]
            self._scales[name] = self._scales[product.first] * self._scales[product.second]
            self._rows[name] = {column: 1.0}
        self._structure = self._choices() + self._combinations()

    def bounds(self, quantity: str) -> tuple[float, float]:
        """Numbers that a sum is never below and never above."""
        found = [[value.get(quantity, 0) for value in term.values.values()] for term in self.problem.terms]
        return sum(map(min, found)), sum(map(max, found))

    def solve(self, node: _Node) -> tuple[float, tuple[int, ...]] | None:
        """A lower bound of what is least in a node, and what was chosen for it; None where the node is empty."""
        import scipy.optimize
        from scipy.sparse import csr_array

        optimize: Any = scipy.optimize  # SciPy has no types of its own
        rows, low, high = zip(*self._structure, *self._conditions(node), strict=True)
        entries = [(number, column, value) for number, row in enumerate(rows) for column, value in row.items()]
        numbers, columns, values = zip(*entries, strict=True)
        matrix = csr_array((values, (numbers, columns)), shape=(len(rows), self._columns))
        objective = np.zeros(self._columns)
        for column, value in self._rows[self.minimise].items():
            objective[column] = OBJECTIVE * value
        upper = np.ones(self._columns)
        upper[list(self._products.values())] = np.inf
        with _silence():
            found = optimize.milp(
                objective,
                integrality=np.arange(self._columns) < self._starts[-1],
                bounds=optimize.Bounds(0, upper),
                constraints=optimize.LinearConstraint(matrix, np.array(low), np.array(high)),
                options={"mip_rel_gap": 0},
            )
        if found.status == INFEASIBLE:
            return None
        if found.status != SOLVED:
            raise RuntimeError(f"the integer program was not solved: {found.message}")
        chosen = tuple(int(np.argmax(found.x[start:end])) for start, end in itertools.pairwise(self._starts))
        return float(found.fun) / OBJECTIVE * self._scales[self.minimise], chosen

    def _sum(self, quantity: str) -> _Row:
        """A sum of the terms, scaled."""
        row: _Row = {}
        for term in self.problem.terms:
            for combination, values in term.values.items():
                column = self._column(term.places, combination)
                row[column] = row.get(column, 0.0) + values.get(quantity, 0) / self._scales[quantity]
        return {column: value for column, value in row.items() if value}

    def _column(self, places: tuple[int, ...], combination: tuple[int, ...]) -> int:
        """Where the variable of a combination is."""
        if len(places) == 1:
            return self._starts[places[0]] + combination[0]
        sizes = tuple(self.problem.options[place] for place in places)
        return self._joint[places] + int(np.ravel_multi_index(combination, sizes))

    def _choices(self) -> list[tuple[_Row, float, float]]:
        """Each place has one option."""
        return [(dict.fromkeys(range(start, end), 1.0), 1, 1) for start, end in itertools.pairwise(self._starts)]

    def _combinations(self) -> list[tuple[_Row, float, float]]:
        """The combinations of a term that have an option of a place are chosen as often as the option."""
        rows: list[tuple[_Row, float, float]] = []
        for places in self._joint:
            options = [range(self.problem.options[place]) for place in places]
            sums = {
                (place, option): {self._column((place,), (option,)): -1.0}
                for place, some in zip(places, options, strict=True)
                for option in some
            }
            for combination in itertools.product(*options):
                for pair in zip(places, combination, strict=True):
                    sums[pair][self._column(places, combination)] = 1.0
            rows += [(row, 0, 0) for row in sums.values()]
        return rows

    def _conditions(self, node: _Node) -> list[tuple[_Row, float, float]]:
        """Limits, what products are at least, and what belongs to the node."""
        rows = [(self._rows[name], -math.inf, limit / self._scales[name]) for name, limit in self.limits.items()]
        for name in self._products:
            rows += [(row, least, math.inf) for row, least in self._envelope(name, node)]
        for name, (least, most) in node.ranges.items():
            rows.append((self._rows[name], least / self._scales[name], most / self._scales[name]))
        for chosen in node.excluded:
            columns = [self._column((place,), (option,)) for place, option in enumerate(chosen)]
            rows.append((dict.fromkeys(columns, 1.0), -math.inf, len(chosen) - 1))
        return rows

    def _envelope(self, name: str, node: _Node) -> list[tuple[_Row, float]]:
        """What a product is at least, as rows: exact where its first factor is at an end of its range."""
        product = self.problem.products[name]
        ends = [end / self._scales[product.first] for end in node.ranges[product.first]]
        limits = [end / self._scales[product.second] for end in self.bounds(product.second)]
        found: list[tuple[_Row, float]] = []
        for end, limit in zip(ends, limits, strict=True):
            row = dict(self._rows[name])
            for factor, weight in ((product.second, end), (product.first, limit)):
                for column, value in self._rows[factor].items():
                    row[column] = row.get(column, 0.0) - weight * value
            found.append((row, -end * limit))
        return found


@contextmanager
def _silence() -> Iterator[None]:
    """Nothing is written to standard output meanwhile: the solver has lines that no option turns off."""
    sys.stdout.flush()
    kept = os.dup(STDOUT)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), STDOUT)
        yield
    finally:
        os.dup2(kept, STDOUT)
        os.close(kept)


STDOUT = 1
"""The descriptor of standard output."""

SOLVED, INFEASIBLE = 0, 2
"""What SciPy's solver says in ``status``."""
