"""The plan of a layer: its jobs on a tile, from its shape alone, and the way to feed them.

Dot products of convolutions are formed in one of three *modes*: :mod:`~sim.mapping.convolution` (``count``),
:mod:`~sim.mapping.lut` and :mod:`~sim.mapping.constant`, whose programs depend on the weights.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from golden.graph import AveragePool, Conv, Elementwise, Layer, MaxPool, Reorder
from hw.config import TileConfig
from hw.counter_map import total_cycles
from hw.isa import Opcode, Owner
from sim.mapping.bits import PLAIN, Alphabet, Symbols, to_bits
from sim.mapping.builder import JobPlan, Routine
from sim.mapping.constant import ConstantFeeder, check_constant, constant_plan
from sim.mapping.constant_bound import least_constant_cycles
from sim.mapping.convolution import ConvFeeder, conv_jobs, conv_layout
from sim.mapping.elementwise import ElementwiseFeeder, elementwise_jobs
from sim.mapping.errors import MappingError
from sim.mapping.feeder import Feeder
from sim.mapping.lut import LutFeeder, lut_jobs, lut_layout
from sim.mapping.pooling import AverageFeeder, AverageLayout, MaxFeeder, average_jobs, max_jobs
from sim.mapping.shapes import AveragePoolShape, ConvShape, ElementwiseShape, LayerShape, MaxPoolShape, ReorderShape

__all__ = ["AUTO", "MODES", "LayerPlan", "check_fit", "feeder", "plan_layer", "reorder"]

MODES = ("count", "lut", "constant")
"""How dot products can be formed; where two take the same time, ``auto`` takes the earlier."""

AUTO = "auto"
"""For each layer the mode that takes the fewest cycles by the laws."""


@dataclass(frozen=True)
class LayerPlan:
    """The jobs of one layer, in order.

    Parameters
    ----------
    shape : what the jobs were made from.
    config : the tile.
    jobs : empty for a layer that the host does by moving bits.
    mode : how dot products are formed, one of :data:`MODES`; None for a layer without any.
    """

    shape: LayerShape
    config: TileConfig
    jobs: tuple[JobPlan, ...]
    mode: str | None = None

    @cached_property
    def routines(self) -> tuple[tuple[Routine, int], ...]:
        """The routines of the jobs, and how many jobs have each."""
        counts = Counter(id(job.routine) for job in self.jobs)
        routines = {id(job.routine): job.routine for job in self.jobs}
        return tuple((routines[key], count) for key, count in counts.items())

    @cached_property
    def law(self) -> dict[str, int]:
        """Counters of all jobs by the laws; ``identity`` counters are those of the tile, not sums."""
        total: dict[str, int] = {}
        for routine, count in self.routines:
            for name, value in routine.law.items():
                total[name] = value if name.startswith("identity.") else total.get(name, 0) + count * value
        return total

    @property
    def law_cycles(self) -> int:
        """Cycles of all jobs by the laws."""
        return total_cycles(self.law)

    @property
    def fills(self) -> int:
        """DOTs of all jobs."""
        return sum(count * routine.dots for routine, count in self.routines)

    @property
    def multiplications(self) -> int:
        """MULs of all jobs that make products of activations and weights; requantisations are not among them."""
        instructions = ((op, count) for routine, count in self.routines for op in routine.instructions)
        return sum(count for op, count in instructions if op.opcode == Opcode.MUL and op.owner == Owner.COMPUTE)

    @property
    def dot_cycles(self) -> int:
        """Compare cycles of all DOTs: the product of the operands' widths for each."""
        instructions = ((op, count) for routine, count in self.routines for op in routine.instructions)
        return sum(count * op.a_width * op.b_width for op, count in instructions if op.opcode == Opcode.DOT)

    @property
    def utilisation(self) -> float | None:
        """MACs of the layer by those that its rows could do in the same time, 0..1; None without dot products or MACs.

        A DOT (``count``) or a MUL (``lut``) could do one in every row.  In mode ``constant`` a weight is multiplied in
        all rows at once, and weights of 0 take no time and count as done: it is the share of rows that hold an output.
        """
        if not self.shape.macs or self.mode is None:
            return None
        if self.mode == "constant":
            pixels, rows = self.shape.output_size[0] * self.shape.output_size[1], self.config.rows
            return pixels / (-(-pixels // rows) * rows)
        return self.shape.macs / (self.config.rows * (self.fills if self.mode == "count" else self.multiplications))


def plan_layer(shape: LayerShape, config: TileConfig, layer: Layer | None = None, mode: str = MODES[0]) -> LayerPlan:
    """Map a layer to jobs.

    What the jobs do and how long they take depends on ``shape``, ``config`` and ``mode`` only; ``layer`` gives the
    immediate constants, which are 0 without it.  Mode ``constant`` alone also depends on the weights of ``layer``:
    without it, ``auto`` does not consider this mode.

    Raises
    ------
    MappingError
        If the layer does not fit the tile, or ``constant`` is asked for without weights; the text says what would do.
    """
    if isinstance(shape, ConvShape):
        conv = layer if isinstance(layer, Conv) else None
        return _plan_conv(shape, config, conv, mode)
    if isinstance(shape, AveragePoolShape):
        pool = layer if isinstance(layer, AveragePool) else None
        return LayerPlan(shape, config, average_jobs(AverageLayout(shape, config), pool), "count")
    if isinstance(shape, MaxPoolShape):
        return LayerPlan(shape, config, max_jobs(shape, config))
    if isinstance(shape, ElementwiseShape):
        elements = layer if isinstance(layer, Elementwise) else None
        return LayerPlan(shape, config, elementwise_jobs(shape, config, elements))
    if isinstance(shape, ReorderShape):
        return LayerPlan(shape, config, ())
    raise TypeError(f"layer {shape.name!r} must have a shape of sim.mapping.shapes, not {type(shape).__name__}")


def _plan_conv(shape: ConvShape, config: TileConfig, layer: Conv | None, mode: str) -> LayerPlan:
    """The plan in the mode that takes the fewest cycles, out of the possible ones that fit the tile."""
    plans: list[LayerPlan] = []
    refusals: list[MappingError] = []
    for one in _possible(mode, layer):
        if one == "constant" and layer is not None and plans:
            least = least_constant_cycles(shape, config, layer)
            if least >= min(plan.law_cycles for plan in plans):
                continue  # its programs may be long: they are made only where they may be the fastest
        try:
            if one == "count":
                jobs = conv_jobs(conv_layout(shape, config), layer)
            elif one == "lut":
                jobs = lut_jobs(lut_layout(shape, config), layer)
            else:
                jobs = constant_plan(shape, config, _weights(shape, layer))
        except MappingError as error:
            refusals.append(error)
        else:
            plans.append(LayerPlan(shape, config, jobs, one))
    if not plans:
        raise refusals[0]
    return plans[0] if len(plans) == 1 else min(plans, key=lambda plan: plan.law_cycles)


def _possible(mode: str, layer: Conv | None) -> tuple[str, ...]:
    """The modes that a layer may have, in order of preference."""
    if mode == AUTO:
        return MODES if layer is not None else tuple(one for one in MODES if one != "constant")
    if mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join((*MODES, AUTO))}, not {mode!r}")
    return (mode,)


def _weights(shape: ConvShape, layer: Conv | None) -> Conv:
    """The layer, which mode ``constant`` needs."""
    if layer is None:
        raise MappingError(
            f"layer {shape.name!r} needs its weights in mode constant, whose programs are made of them; modes count "
            "and lut do with shapes"
        )
    return layer


def check_fit(shape: LayerShape, config: TileConfig, layer: Layer | None = None, mode: str = MODES[0]) -> None:
    """Refuse a layer that does not fit a tile, without making jobs where that takes long.

    Raises
    ------
    MappingError
        As :func:`plan_layer`.
    """
    if not isinstance(shape, ConvShape):
        plan_layer(shape, config, layer)
        return
    conv = layer if isinstance(layer, Conv) else None
    refusals: list[MappingError] = []
    for one in _possible(mode, conv):
        try:
            if one == "count":
                conv_layout(shape, config)
            elif one == "lut":
                lut_layout(shape, config)
            else:
                check_constant(shape, config, _weights(shape, conv))
        except MappingError as error:
            refusals.append(error)
        else:
            return
    raise refusals[0]


def feeder(plan: LayerPlan, layer: Layer, alphabet: Alphabet = PLAIN) -> Feeder:
    """What feeds the jobs of a plan with the planes of a layer.

    Raises ``TypeError`` when the layer is not of the plan's kind, or has no jobs.
    """
    shape, config = plan.shape, plan.config
    if isinstance(shape, ConvShape) and isinstance(layer, Conv):
        if plan.mode == "lut":
            return LutFeeder(lut_layout(shape, config), layer, alphabet)
        if plan.mode == "constant":
            return ConstantFeeder(shape, config, layer, alphabet)
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
