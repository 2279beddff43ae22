"""The plan of a layer: its jobs on a tile, from its shape alone, and the way to feed them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from golden.graph import AveragePool, Conv, Elementwise, Layer, MaxPool, Reorder
from golden.laws import run_law
from hw.config import TileConfig
from hw.isa import Opcode
from sim.mapping.bits import PLAIN, Alphabet, Symbols, to_bits
from sim.mapping.builder import JobPlan
from sim.mapping.convolution import ConvFeeder, conv_jobs, conv_layout
from sim.mapping.elementwise import ElementwiseFeeder, elementwise_jobs
from sim.mapping.feeder import Feeder
from sim.mapping.pooling import AverageFeeder, AverageLayout, MaxFeeder, average_jobs, max_jobs
from sim.mapping.shapes import AveragePoolShape, ConvShape, ElementwiseShape, LayerShape, MaxPoolShape, ReorderShape

__all__ = ["LayerPlan", "feeder", "plan_layer", "reorder"]

MODE = "count"
"""How dot products are formed."""


@dataclass(frozen=True)
class LayerPlan:
    """The jobs of one layer, in order.

    Parameters
    ----------
    shape : what the jobs were made from.
    config : the tile.
    jobs : empty for a layer that the host does by moving bits.
    """

    shape: LayerShape
    config: TileConfig
    jobs: tuple[JobPlan, ...]

    @cached_property
    def law(self) -> dict[str, int]:
        """Counters of all jobs by the laws; ``identity`` counters are those of the tile, not sums."""
        total: dict[str, int] = {}
        for job in self.jobs:
            for name, value in run_law(job.program, self.config).items():
                total[name] = value if name.startswith("identity.") else total.get(name, 0) + value
        return total

    @property
    def fills(self) -> int:
        """DOTs of all jobs."""
        return sum(job.dots for job in self.jobs)

    @property
    def dot_cycles(self) -> int:
        """Compare cycles of all DOTs: the product of the operands' widths for each."""
        dots = (op for job in self.jobs for op in job.instructions if op.opcode == Opcode.DOT)
        return sum(op.a_width * op.b_width for op in dots)

    @property
    def utilisation(self) -> float | None:
        """MACs of the layer by those that its DOTs could do, 0..1; None without DOTs or MACs."""
        possible = self.config.rows * self.fills
        return self.shape.macs / possible if possible and self.shape.macs else None

    @property
    def mode(self) -> str | None:
        """How dot products are formed; None for a layer without any."""
        return MODE if self.fills else None


def plan_layer(shape: LayerShape, config: TileConfig, layer: Layer | None = None) -> LayerPlan:
    """Map a layer to jobs.

    What the jobs do and how long they take depends on ``shape`` and ``config`` only; ``layer`` gives the immediate
    constants, which are 0 without it.

    Raises
    ------
    MappingError
        If the layer does not fit the tile; the text says what would do.
    """
    if isinstance(shape, ConvShape):
        conv = layer if isinstance(layer, Conv) else None
        return LayerPlan(shape, config, conv_jobs(conv_layout(shape, config), conv))
    if isinstance(shape, AveragePoolShape):
        pool = layer if isinstance(layer, AveragePool) else None
        return LayerPlan(shape, config, average_jobs(AverageLayout(shape, config), pool))
    if isinstance(shape, MaxPoolShape):
        return LayerPlan(shape, config, max_jobs(shape, config))
    if isinstance(shape, ElementwiseShape):
        elements = layer if isinstance(layer, Elementwise) else None
        return LayerPlan(shape, config, elementwise_jobs(shape, config, elements))
    if isinstance(shape, ReorderShape):
        return LayerPlan(shape, config, ())
    raise TypeError(f"layer {shape.name!r} must have a shape of sim.mapping.shapes, not {type(shape).__name__}")


def feeder(plan: LayerPlan, layer: Layer, alphabet: Alphabet = PLAIN) -> Feeder:
    """What feeds the jobs of a plan with the planes of a layer.

    Raises ``TypeError`` when the layer is not of the plan's kind, or has no jobs.
    """
    shape, config = plan.shape, plan.config
    if isinstance(shape, ConvShape) and isinstance(layer, Conv):
        return ConvFeeder(conv_layout(shape, config), layer, alphabet)
    if isinstance(shape, AveragePoolShape) and isinstance(layer, AveragePool):
        return AverageFeeder(AverageLayout(shape, config), layer, alphabet)
    if isinstance(shape, MaxPoolShape) and isinstance(layer, MaxPool):
        return MaxFeeder(shape, config, layer, alphabet)
    if isinstance(shape, ElementwiseShape) and isinstance(layer, Elementwise):
        return ElementwiseFeeder(config, alphabet)
    raise TypeError(f"layer {layer.name!r} must be of kind {shape.kind!r}, as its plan, not {type(layer).__name__}")


def reorder(layer: Reorder, shape: LayerShape, operands: Sequence[Symbols], alphabet: Alphabet = PLAIN) -> Symbols:
    """Choose channels of maps (height, width, channels, bits), pad with a constant, reshape to the output's size."""
    stored = operands[0]
    if layer.channels:
        stored = np.concatenate(operands, axis=2)[:, :, list(layer.channels)]
    bits = stored.shape[-1]
    size = tuple(sum(sides) + length for sides, length in zip(layer.padding, stored.shape, strict=False))
    constant = alphabet.encode(to_bits(np.array(layer.pad_value, np.int64), bits))
    padded = np.empty((*size, bits), stored.dtype)
    padded[:] = constant
    first = [sides[0] for sides in layer.padding]
    inside = tuple(slice(low, low + length) for low, length in zip(first, stored.shape, strict=False))
    padded[inside] = stored
    return padded.reshape(*shape.output_size, bits)
