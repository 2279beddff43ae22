"""A network as the evaluator sees it: layers that widths can be given to, and shapes for chosen widths."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sim.evaluate.widths import Widths
    from sim.mapping.shapes import LayerShape

__all__ = ["Network", "WeightLayer"]


@dataclass(frozen=True)
class WeightLayer:
    """A layer with weights: what widths can be given to.

    Parameters
    ----------
    name : unique in the network.
    op : "conv2d", "depthwise_conv2d" or "fully_connected".
    gemm : (i, j, u), the layer as a product of matrices: output channels, products in a sum, output pixels.
    weights : numbers in the kernels.
    parameters : weights and what else is learnt: biases, or scales and shifts of a batch normalisation.
    """

    name: str
    op: str
    gemm: tuple[int, int, int]
    weights: int
    parameters: int

    @property
    def macs(self) -> int:
        """Multiply-accumulate operations for one input, those with padding included."""
        channels, products, pixels = self.gemm
        return channels * products * pixels


class Network(ABC):
    """What all networks have, with weights or without.

    Attributes
    ----------
    name : of the network, or of its file.
    """

    name: str

    @cached_property
    def weight_layers(self) -> tuple[WeightLayer, ...]:
        """The layers that have weights, in the order in which they are computed."""
        return tuple(self._weight_layers())

    @abstractmethod
    def _weight_layers(self) -> Iterable[WeightLayer]:
        """The layers that have weights, in order."""

    @property
    def other_layers(self) -> tuple[str, ...]:
        """Names of layers without weights whose activations may be given a width; the rest follow by a rule."""
        return ()

    @property
    def has_own_widths(self) -> bool:
        """Whether it can be evaluated at widths that come with it."""
        return False

    @property
    def has_fixed_widths(self) -> bool:
        """Whether it can be evaluated at its own widths only."""
        return False

    @property
    def has_residual_stream(self) -> bool:
        """Whether :attr:`~sim.evaluate.widths.Widths.residual_bits` can be chosen."""
        return False

    @property
    def assumptions(self) -> tuple[str, ...]:
        """Sentences on what the shapes rest on that is neither in a file nor published."""
        return ()

    @property
    def macs(self) -> int:
        """Multiply-accumulate operations for one input."""
        return sum(layer.macs for layer in self.weight_layers)

    @property
    def weights(self) -> int:
        """Numbers in the kernels of all layers."""
        return sum(layer.weights for layer in self.weight_layers)

    @property
    def parameters(self) -> int:
        """All that is learnt: weights, biases, scales and shifts of batch normalisations."""
        return sum(layer.parameters for layer in self.weight_layers)

    @abstractmethod
    def shapes(self, widths: Widths) -> tuple[LayerShape, ...]:
        """The shapes of all layers at the given widths, in the order in which they are computed.

        Raises
        ------
        UserError
            If the widths are not for this network, as :meth:`~sim.evaluate.widths.Widths.check` says.
        """
