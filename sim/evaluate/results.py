"""A network's cost together with what a technology makes of it: what all reports are made from."""

from __future__ import annotations

from dataclasses import dataclass

from sim.evaluate.cost import NetworkCost
from sim.evaluate.energy import Figures, figures
from sim.evaluate.technology import Technology

__all__ = ["Results", "results"]


@dataclass(frozen=True)
class Results:
    """A cost and its figures.

    Parameters
    ----------
    cost : of the network.
    technology : what the figures are for.
    layers : figures of the layers of *cost*, in their order.
    total : figures of the network as a whole.
    """

    cost: NetworkCost
    technology: Technology
    layers: tuple[Figures, ...]
    total: Figures

    @property
    def supply_v(self) -> float:
        """The supply that the figures are for, in volts."""
        return self.technology["supply"] if self.technology.supply_v is None else self.technology.supply_v

    @property
    def inputs_per_s(self) -> float | None:
        """Inputs in a second, batch after batch; None when no time passes."""
        return self.cost.batch / self.total.latency_s if self.total.latency_s else None

    @property
    def weight_bits(self) -> float:
        """Mean width of weights over the MACs; 0 without any."""
        weighted = [(layer.macs, layer.weight_bits) for layer in self.cost.layers if layer.weight_bits]
        macs = sum(macs for macs, _ in weighted)
        return sum(macs * bits for macs, bits in weighted) / macs if macs else 0.0

    @property
    def uniform(self) -> bool:
        """Whether all layers with weights have the same widths."""
        return len({(one.activation_bits, one.weight_bits) for one in self.cost.layers if one.weight_bits}) <= 1

    @property
    def machine(self) -> str:
        """The tiles, in words."""
        cost = self.cost
        return ", ".join(
            f"{count:,} {kind.upper()}{'s' * (count != 1)} of {cost.rows[kind]:,} rows x {cost.columns[kind]} columns"
            for kind, count in cost.tiles.items()
            if count
        )

    @property
    def assumptions(self) -> tuple[str, ...]:
        """Sentences on what the figures rest on that nobody has measured or published."""
        return (*self.cost.assumptions, *self.technology.assumptions)

    @property
    def brief_assumptions(self) -> tuple[str, ...]:
        """The same with one sentence for all constants, which leaves out the reasons."""
        technology = self.technology
        told = {
            sentence: name
            for sentence in technology.assumptions
            for name in technology.constants
            if sentence.startswith(f"{name} = ")
        }
        values = [(name, technology.constants[name]) for name in told.values()]
        assumed = [f"{name} {one.value:.4g}{'' if one.unit == '1' else f' {one.unit}'}" for name, one in values]
        constants = (f"{technology.name} has no source for {', '.join(assumed)}.",) if assumed else ()
        others = (sentence for sentence in technology.assumptions if sentence not in told)
        return (*self.cost.assumptions, *constants, *others)


def results(cost: NetworkCost, technology: Technology) -> Results:
    """Return the figures of *cost* and of each of its layers on *technology*."""
    return Results(
        cost=cost,
        technology=technology,
        layers=tuple(figures(layer, technology, cost) for layer in cost.layers),
        total=figures(cost, technology),
    )
