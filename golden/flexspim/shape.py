"""Where operands are in an array: which cell has which bit of a weight or a potential.

An operand has ``columns`` neighbouring columns. Its bits lie in them from left to right, the lowest one first, and go
on in the row below; the last row may have fewer. Potential and weight of an operand begin in the same column, each in
rows of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from golden.flexspim.engine import Rows
from hw.flexspim.config import MAXIMUM_OPERAND_ROWS, MacroConfig
from hw.flexspim.isa import MacroInstruction, MacroOpcode, instruction

__all__ = ["OperandShape", "ShapeError", "from_bits", "limited", "to_bits"]

Numbers = NDArray[np.int64]


class ShapeError(ValueError):
    """A shape that a macro cannot have; the text is one line."""


def to_bits(numbers: Numbers, bits: int) -> Rows:
    """Numbers in two's complement as (numbers, bits), lowest bit first; upper bits are dropped.

    Parameters
    ----------
    numbers : shape (numbers,).
    bits : 1..64.
    """
    return ((numbers[:, None] >> np.arange(bits, dtype=np.int64)) & 1).astype(np.uint8)


def from_bits(bits: Rows) -> Numbers:
    """Numbers of (numbers, bits) in two's complement, lowest bit first, 1..64 bits."""
    count = bits.shape[1]
    weights = np.left_shift(np.int64(1), np.arange(count, dtype=np.int64))
    if count < 64:  # the highest of 64 bits is negative by itself
        weights[-1] = -weights[-1]
    return bits.astype(np.int64) @ weights


def limited(number: int, bits: int, *, saturate: bool) -> int:
    """A number brought into *bits* bits: the nearest one with ``saturate``, else without its upper bits."""
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    return min(max(number, low), high) if saturate else (number - low) % (1 << bits) + low


@dataclass(frozen=True, kw_only=True)
class OperandShape:
    """Operands of one shape, side by side from the first column on.

    Parameters
    ----------
    weight_bits, potential_bits : widths, 1..64 each; of a weight that is wider than the potential only the low bits of
        the potential's width count.
    columns : N_C, columns of an operand.
    operands : how many are side by side, at least 1.
    saturate : sums are clipped to their range; otherwise they wrap.

    Raises
    ------
    ShapeError
        If a width or a number is out of its range.
    """

    weight_bits: int
    potential_bits: int
    columns: int
    operands: int
    saturate: bool = False

    def __post_init__(self) -> None:
        for name in ("weight_bits", "potential_bits"):
            if not 1 <= getattr(self, name) <= MAXIMUM_OPERAND_ROWS:
                raise ShapeError(f"{name} must be from 1 to {MAXIMUM_OPERAND_ROWS}, not {getattr(self, name)}")
        if not 1 <= self.columns <= self.potential_bits:
            raise ShapeError(f"columns must be from 1 to potential_bits ({self.potential_bits}), not {self.columns}")
        if self.operands < 1:
            raise ShapeError(f"operands must be at least 1, not {self.operands}")

    @classmethod
    def widest(
        cls, weight_bits: int, potential_bits: int, columns: int, config: MacroConfig, *, saturate: bool = False
    ) -> OperandShape:
        """As many operands as the array has columns for."""
        operands = config.parallel(columns)
        return cls(
            weight_bits=weight_bits, potential_bits=potential_bits, columns=columns, operands=operands,
            saturate=saturate,
        )  # fmt: skip

    @property
    def rows(self) -> int:
        """N_R, rows of a potential."""
        return -(-self.potential_bits // self.columns)

    @property
    def held_bits(self) -> int:
        """Bits of a weight that count."""
        return min(self.weight_bits, self.potential_bits)

    @property
    def weight_rows(self) -> int:
        """Rows of a weight."""
        return -(-self.held_bits // self.columns)

    def check(self, config: MacroConfig) -> None:
        """Refuse what does not fit a macro.

        Raises
        ------
        ShapeError
            If the columns of an operand, or of all of them, are too many, or the macro cannot saturate.
        """
        if self.columns > config.operand_columns:
            raise ShapeError(f"columns must be at most operand_columns ({config.operand_columns}), not {self.columns}")
        if self.operands * self.columns > config.columns:
            raise ShapeError(
                f"{self.operands} operands of {self.columns} columns must fit {config.columns} columns of the array"
            )
        if self.saturate and not config.saturation:
            raise ShapeError(f"sums must wrap on config {config.name}, which has no saturation")

    def instruction(self) -> MacroInstruction:
        """The SHAPE that sets it; :meth:`planes` go with it."""
        return instruction(
            MacroOpcode.SHAPE, weight_rows=self.weight_rows, potential_rows=self.rows, saturate=int(self.saturate)
        )

    def planes(self, config: MacroConfig) -> Rows:
        """Control planes for ``rows_in``, shape (4, columns): start, full, last, weight.

        Raises
        ------
        ShapeError
            As :meth:`check`.
        """
        self.check(config)
        place = np.arange(config.columns) % self.columns
        used = np.arange(config.columns) < self.operands * self.columns
        last = self.potential_bits - (self.rows - 1) * self.columns
        weight = self.held_bits - (self.weight_rows - 1) * self.columns
        full = self.columns if self.rows > 1 else last
        return np.array([used & (place < width) for width in (1, full, last, weight)], np.uint8)

    def potentials(self, numbers: Numbers, config: MacroConfig) -> Rows:
        """Rows that hold potentials, or operands of their shape: (slices * N_R, columns).

        Parameters
        ----------
        numbers : shape (slices, operands).
        """
        return self._packed(numbers, self.potential_bits, self.rows, config)

    def weights(self, numbers: Numbers, config: MacroConfig) -> Rows:
        """Rows that hold weights: (slices * rows of a weight, columns); parameters as :meth:`potentials`."""
        return self._packed(numbers, self.held_bits, self.weight_rows, config)

    def numbers(self, rows: Rows) -> Numbers:
        """Potentials in rows: shape (slices, operands)."""
        width = self.operands * self.columns
        cells = np.reshape(rows[:, :width], (len(rows) // self.rows, self.rows, self.operands, self.columns))
        bits = np.reshape(np.transpose(cells, (0, 2, 1, 3)), (-1, self.rows * self.columns))
        return np.reshape(from_bits(bits[:, : self.potential_bits]), (-1, self.operands))

    def spikes(self, words: Rows) -> NDArray[np.bool_]:
        """Which operands spiked, from words of ``spikes``: shape (slices, operands)."""
        return words[:, : self.operands * self.columns : self.columns].astype(np.bool_)

    def _packed(self, numbers: Numbers, width: int, rows: int, config: MacroConfig) -> Rows:
        slices = len(numbers)
        bits = np.zeros((slices * self.operands, rows * self.columns), np.uint8)
        bits[:, :width] = to_bits(np.reshape(np.asarray(numbers, np.int64), (-1,)), width)
        cells = np.transpose(np.reshape(bits, (slices, self.operands, rows, self.columns)), (0, 2, 1, 3))
        packed = np.zeros((slices * rows, config.columns), np.uint8)
        packed[:, : self.operands * self.columns] = np.reshape(cells, (slices * rows, self.operands * self.columns))
        return packed
