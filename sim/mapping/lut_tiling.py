"""How windows are cut into tap tiles in mode ``lut``, where everything lies, and what a pass costs.

A *unit* is S outputs that share a resident operand (its own bits in every row) and a broadcast one (the same for all S
outputs of a tap): S pixels of a channel, or S channels of a pixel.  Its window is cut into *tap tiles* of ``words``
taps, one in each row block of a *segment* of 2**levels row blocks; a pass works on one unit in each segment.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from golden.laws import body_cycles
from hw.config import TileConfig
from hw.isa import Instruction, Opcode, ReduceKind, reduce_levels
from sim.mapping.builder import piece_steps, row_pieces
from sim.mapping.shapes import ConvShape, signed_bits

__all__ = ["Pass", "Tiling", "Unit"]

Unit = tuple[int, int]
"""A resident operand and a broadcast item."""

Pass = tuple[Unit, ...]
"""The unit of each segment."""

_CARRY = 0  # the column of carries, and of tags that move


@dataclass(frozen=True)
class Tiling:
    """How the taps of a window are laid out on row blocks, and the columns of everything that a pass needs.

    Columns, from 0: a carry, the broadcast operand, the product, the sums, slots for resident tap tiles; at the top the
    accumulators of a batch.  With a single tap tile the product lies where the sum lies.

    Parameters
    ----------
    shape, config : the layer and the tile.
    on_pixels : windows of S pixels are resident and weights are broadcast; else weights of S channels are resident.
    words : taps of a tap tile, at most the tile's.
    """

    shape: ConvShape
    config: TileConfig
    on_pixels: bool
    words: int

    @property
    def tiles(self) -> int:
        """Tap tiles of a window."""
        return -(-self.shape.reduction // self.words)

    @property
    def levels(self) -> int:
        """Levels of the REDUCE."""
        return reduce_levels(self.words)

    @property
    def stride(self) -> int:
        """Row blocks of a segment."""
        return 1 << self.levels

    @property
    def segments(self) -> int:
        """Segments of the tile; the last one may be cut short where it still holds all words."""
        return (self.config.taps - self.words) // self.stride + 1

    @property
    def groups(self) -> int:
        """Runs of S pixels, or of S channels."""
        height, width, channels = self.shape.output_size
        return -(-(height * width if self.on_pixels else channels) // self.config.outputs)

    @property
    def residents(self) -> int:
        """Resident operands of the layer; those of a depthwise convolution see one input channel each."""
        return self.groups * (self.shape.input_size[2] if self.shape.depthwise else 1)

    @property
    def items(self) -> int:
        """Broadcast items that every resident operand meets."""
        if not self.on_pixels:
            return self.shape.output_size[0] * self.shape.output_size[1]
        return self.shape.depth_multiplier if self.shape.depthwise else self.shape.output_size[2]

    @property
    def resident_bits(self) -> int:
        """Planes of a resident tap tile."""
        return self.shape.activation_bits[0] if self.on_pixels else self.shape.kernel_bits

    @property
    def broadcast_bits(self) -> int:
        """Planes of a broadcast tap tile."""
        return self.shape.kernel_bits if self.on_pixels else self.shape.activation_bits[0]

    @property
    def product_bits(self) -> int:
        """Width of a product."""
        return self.shape.activation_bits[0] + self.shape.kernel_bits

    @cached_property
    def widths(self) -> tuple[int, ...]:
        """Width of the sum of the first 1, 2 .. products of a row; bits above the accumulator's are not kept."""
        lowest = -((1 << self.shape.activation_bits[0]) - 1) << (self.shape.kernel_bits - 1)
        most = max(self.product_bits, self.shape.requantize.accumulator_bits)
        return tuple(
            max(self.product_bits, min(most, signed_bits(lowest * count))) for count in range(1, self.tiles + 1)
        )

    @property
    def reduced_bits(self) -> int:
        """Width of the sums after the REDUCE."""
        return self.widths[-1] + self.levels

    @property
    def kind(self) -> ReduceKind:
        """How the sums are reduced; a SHIFT needs products of 0 beyond the words of a segment."""
        return ReduceKind.SEGMENTS if self.config.vertical else ReduceKind.SHIFT

    @property
    def moved_bits(self) -> int:
        """Bits of a unit's sum that go to its accumulator."""
        return min(self.reduced_bits, self.shape.requantize.accumulator_bits)

    @property
    def carry(self) -> int:
        """Scratch column."""
        return _CARRY

    @property
    def broadcast(self) -> int:
        """First column of the broadcast operand; of the biases when all sums are done."""
        return _CARRY + 1

    @property
    def product(self) -> int:
        """First column of the second and later products."""
        return self.broadcast + self.broadcast_bits

    @property
    def sums(self) -> int:
        """First column of the sums, and of the first product."""
        return self.product + (self.product_bits if self.tiles > 1 else 0)

    @property
    def first_slot(self) -> int:
        """First column of the resident tap tiles."""
        return self.sums + self.reduced_bits

    @property
    def accumulator(self) -> int:
        """First column of the batch's sums."""
        return self.config.columns - self.shape.requantize.accumulator_bits

    @property
    def slots(self) -> int:
        """Resident tap tiles that have columns, 0 where not even one fits."""
        return max(0, min(self.tiles, (self.accumulator - self.first_slot) // self.resident_bits))

    @property
    def needed_columns(self) -> int:
        """Columns without which no sum can be formed."""
        accumulator = self.shape.requantize.accumulator_bits
        return accumulator + max(self.first_slot + self.resident_bits, self.broadcast + accumulator)

    @cached_property
    def resident_cycles(self) -> int:
        """About how many cycles it takes to load a resident tap tile."""
        used = (self.segments - 1) * self.stride + self.words
        pieces = row_pieces(self.resident_bits, used, self.config)
        return sum(1 + piece_steps(planes, kind, self.config) for _, planes, kind, _ in pieces)

    @cached_property
    def pass_cycles(self) -> int:
        """About how many cycles a pass takes, but for loading residents and moving its sums."""
        activation, weight, product = self.shape.activation_bits[0], self.shape.kernel_bits, self.product_bits
        load = 2 + self.broadcast_bits * self.config.beats(self.config.taps)
        fill = self._time(Opcode.FILL, d_width=product)
        multiply = self._time(Opcode.MUL, a_width=activation, b_width=weight, b_signed=True, d_width=product)
        total = self.tiles * (load + fill + multiply)
        for before, width in itertools.pairwise(self.widths):
            total += (width - before) * self._time(Opcode.COPY, a_width=1, d_width=1)
            total += self._time(Opcode.ADD, a_width=product, a_signed=True, b_width=width, d_width=1)
        if self.levels:
            total += self._time(
                Opcode.REDUCE, kind=self.kind, a_width=self.widths[-1], a_signed=True, d_width=self.reduced_bits,
                constant=self.words,
            )  # fmt: skip
        return total

    @property
    def move_cycles(self) -> int:
        """About how many cycles it takes to bring the sum of a unit to its accumulator."""
        return 3 + self.moved_bits + self.shape.requantize.accumulator_bits

    def _time(self, opcode: Opcode, **fields: Any) -> int:
        return 1 + body_cycles(Instruction(opcode, **fields), self.config)
