"""Chooses widths of a network's layers: the least sensitivity within budgets, or the least cost of a sensitivity.

The choice is an integer program (:mod:`sim.evaluate.integer_program`). What a layer costs depends on its own width and
on those of the layers that share its maps: a map is as wide as the widest of its readers asks, additions follow the
maps they add. So for each layer of the network it is found out which chosen widths it depends on, by changing them one
by one, from the narrowest everywhere and from the widest everywhere; its cost is tabled for all their combinations. The
network's cost is exactly the sum of these entries, and :meth:`WidthSearch.predicted` is to be compared with an
evaluation of the whole network.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from sim.errors import UserError
from sim.evaluate.budget import quantity_text
from sim.evaluate.integer_program import InfeasibleError, Problem, Product, Term, solve
from sim.evaluate.sensitivity import Bits, Sensitivities
from sim.evaluate.widths import Widths

__all__ = ["LayerCosts", "WidthSearch", "prepare_search"]

JOULES = 1e-12
"""Of a picojoule."""

PRODUCTS = {"edp": Product("latency", "energy")}
"""Energy times delay."""


class LayerCosts(Protocol):
    """What layers of a network cost.

    Attributes
    ----------
    cycle_s : seconds of a cycle.
    """

    cycle_s: float

    def parts(self, widths: Widths) -> Sequence[Hashable]:
        """For each layer of the network, in order, all that its cost depends on."""
        ...

    def cost(self, part: Hashable) -> tuple[int, float]:
        """Latency of a layer in cycles, and its energy in pJ."""
        ...


@dataclass(frozen=True)
class WidthSearch:
    """Widths of a network to choose from, and what they cost. Made by :func:`prepare_search`.

    Parameters
    ----------
    layers : names of the layers with weights: the places of the problem.
    options : widths of each, in ascending order.
    residual_bits : as :class:`~sim.evaluate.widths.Widths` has them, for all choices.
    problem : sensitivities, and costs in cycles and pJ.
    units : what 1 of the problem's quantities is in s, J and Js.
    """

    layers: tuple[str, ...]
    options: tuple[tuple[Bits, ...], ...]
    residual_bits: int | None
    problem: Problem
    units: Mapping[str, float]

    def solve(self, minimise: str, limits: Mapping[str, float]) -> Widths:
        """The widths for which a quantity is least while no other is above its limit.

        Parameters
        ----------
        minimise : one of :data:`~sim.evaluate.budget.QUANTITIES`.
        limits : by quantity, in s, J and Js.

        Raises
        ------
        UserError
            If there are none; the text says what the smallest possible is.
        """
        scaled = {quantity: limit / self.units[quantity] for quantity, limit in limits.items()}
        try:
            chosen = solve(self.problem, minimise, scaled)
        except InfeasibleError:
            raise UserError(self._infeasible(limits)) from None
        return _widths(self.layers, self.options, self.residual_bits, chosen)

    def predicted(self, widths: Widths) -> dict[str, float]:
        """Each quantity in s, J and Js, as the problem has it."""
        chosen = [options.index(widths.of(layer)) for layer, options in zip(self.layers, self.options, strict=True)]
        return {name: self.problem.value(name, chosen) * unit for name, unit in self.units.items()}

    def _infeasible(self, limits: Mapping[str, float]) -> str:
        """Which limit cannot be kept, or that they cannot be kept together."""
        for quantity, limit in limits.items():
            least = self.predicted(self.solve(quantity, {}))[quantity]
            if least > limit:
                given, possible = (quantity_text(quantity, value) for value in (limit, least))
                return f"budget of {quantity} must be at least {possible}, the smallest with these widths, not {given}"
        return f"no widths keep the budgets of {' and '.join(limits)} together, though each of them alone"


def prepare_search(
    costs: LayerCosts,
    table: Sensitivities,
    residual_bits: int | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> WidthSearch:
    """Find out what all layers cost at the widths of a table.

    Parameters
    ----------
    table : sensitivities of all layers with weights, in the order of the network.
    progress : called before each step of the work, with how far it is.
    """
    layers = tuple(table)
    options = tuple(tuple(sorted(values)) for values in table.values())

    def parts(chosen: Sequence[int]) -> Sequence[Hashable]:
        return costs.parts(_widths(layers, options, residual_bits, chosen))

    terms = [
        Term((place,), {(option,): {"sensitivity": table[layer][bits]} for option, bits in enumerate(options[place])})
        for place, layer in enumerate(layers)
    ]
    groups: dict[tuple[int, ...], list[int]] = {}
    for index, places in enumerate(_dependences(parts, options)):
        groups.setdefault(places, []).append(index)
    narrowest = [0] * len(layers)
    known: dict[Hashable, tuple[int, float]] = {}
    for number, (places, indices) in enumerate(groups.items()):
        progress(f"{number + 1} of {len(groups)}")
        values: dict[tuple[int, ...], Mapping[str, float]] = {}
        for combination in itertools.product(*(range(len(options[place])) for place in places)):
            found = parts(_changed(narrowest, dict(zip(places, combination, strict=True))))
            for index in indices:
                if found[index] not in known:
                    known[found[index]] = costs.cost(found[index])
            each = [known[found[index]] for index in indices]
            values[combination] = {
                "latency": sum(cycles for cycles, _ in each),
                "energy": sum(energy for _, energy in each),
            }
        terms.append(Term(places, values))
    units = {"sensitivity": 1.0, "latency": costs.cycle_s, "energy": JOULES, "edp": costs.cycle_s * JOULES}
    problem = Problem(tuple(map(len, options)), tuple(terms), PRODUCTS)
    return WidthSearch(layers, options, residual_bits, problem, units)


def _dependences(
    parts: Callable[[Sequence[int]], Sequence[Hashable]], options: Sequence[Sequence[Bits]]
) -> list[tuple[int, ...]]:
    """For each layer of the network the places that it depends on, one at least."""
    found: list[set[int]] = []
    for base in ([0] * len(options), [len(some) - 1 for some in options]):
        before = parts(base)
        found = found or [set() for _ in before]
        for place, some in enumerate(options):
            for option in range(len(some)):
                after = parts(_changed(base, {place: option}))
                for index, (one, other) in enumerate(zip(before, after, strict=True)):
                    if one != other:
                        found[index].add(place)
    return [tuple(sorted(places or {0})) for places in found]


def _changed(base: Sequence[int], changes: Mapping[int, int]) -> list[int]:
    return [changes.get(place, option) for place, option in enumerate(base)]


def _widths(
    layers: Sequence[str], options: Sequence[Sequence[Bits]], residual_bits: int | None, chosen: Sequence[int]
) -> Widths:
    bits = {layer: some[option] for layer, some, option in zip(layers, options, chosen, strict=True)}
    return Widths(layers=bits, residual_bits=residual_bits, label="searched")
