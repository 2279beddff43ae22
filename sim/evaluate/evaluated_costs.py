"""What layers of a network cost on a machine and a technology, as the search for widths asks for it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from hw.accelerator.config import AcceleratorConfig
from hw.fabric import FabricConfig
from sim.errors import UserError
from sim.evaluate.energy import figures
from sim.evaluate.evaluate import FabricEvaluator, Machine, TileEvaluator, evaluate, evaluator
from sim.evaluate.widths import Widths
from sim.fabric.flatten import flattened
from sim.mapping.shapes import LayerShape

if TYPE_CHECKING:
    from sim.evaluate.cost import NetworkCost
    from sim.evaluate.energy import Figures
    from sim.evaluate.technology import Technology
    from sim.networks.network import Network

__all__ = ["EvaluatedCosts"]


class EvaluatedCosts:
    """Costs by the evaluator: of layers apart, and of the whole network at once.

    Parameters
    ----------
    network : what runs.
    machine : a fabric with resident weights, or a tile: there a layer's cost depends on its own shape alone.
    technology : what cycles and events cost.
    mode : how dot products are formed.
    batch : inputs that all figures are for.
    residual_bits : of all widths that will be asked for.

    Raises
    ------
    UserError
        If the machine is another one, or cannot run the network in this mode.
    """

    def __init__(
        self,
        network: Network,
        machine: Machine,
        technology: Technology,
        *,
        mode: str = "count",
        batch: int = 1,
        residual_bits: int | None = None,
    ) -> None:
        if isinstance(machine, AcceleratorConfig) or (
            isinstance(machine, FabricConfig) and machine.weights == "streamed"
        ):
            raise UserError(
                f"search needs a config on which the cost of a layer does not depend on the layers before it, such as "
                f"lr; {machine.name} is none"
            )
        self.network, self.machine, self.technology = network, machine, technology
        self.mode, self.batch, self.residual_bits = mode, batch, residual_bits
        self.cycle_s = technology["cycle_time"] * 1e-9
        self._evaluator = evaluator(network, machine, mode=mode, batch=batch, residual_bits=residual_bits)

    def parts(self, widths: Widths) -> Sequence[Hashable]:
        """The shapes of all layers, as the evaluator takes them."""
        shapes = self.network.shapes(widths)
        return flattened(shapes) if isinstance(self._evaluator, FabricEvaluator) else shapes

    def cost(self, part: Hashable) -> tuple[int, float]:
        """Cycles of a layer of some shape, and its energy in pJ."""
        assert isinstance(self._evaluator, FabricEvaluator | TileEvaluator)
        assert isinstance(part, LayerShape)
        layer = self._evaluator.layer(part)
        return layer.total, figures(layer, self.technology, self._machine).total_pj

    def network_cost(self, widths: Widths) -> NetworkCost:
        """The whole network, evaluated as ``bfimna evaluate`` does it."""
        if widths.residual_bits == self.residual_bits:
            return self._evaluator.cost(widths)
        return evaluate(self.network, widths, self.machine, mode=self.mode, batch=self.batch)

    def figures(self, widths: Widths) -> Figures:
        """Figures of the whole network."""
        return figures(self.network_cost(widths), self.technology)

    @cached_property
    def _machine(self) -> NetworkCost:
        """The tiles of the machine, with the costs of some widths."""
        return self._evaluator.cost(Widths(uniform=8, residual_bits=self.residual_bits))
