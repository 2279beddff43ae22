"""What is below the bit lines: a full adder for each column, carries, and what columns remember between rows.

::

    data_a, data_b --> AND, NOR --> XOR = ~AND & ~NOR --> sum ----------------------> write back into row b
                                        |                  ^
                    carry between neighbouring columns ----+---- carry that a start column kept from the row before

The adders of a row are written as one wide addition: at the top column of each operand the carry is taken out, and the
next operand begins without one. The same addition, of a run of ones and one more at its low end, brings a bit from a
column up to the top of its operand. What goes from the top down to the start column has lines of its own.
"""

from typing import Any

from amaranth.hdl import EnableInserter, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from hw.component import RUN, Component, all_ones
from hw.flexspim.config import MacroConfig
from hw.flexspim.layouts import row_operation

__all__ = ["Columns"]


class Columns(Component):
    """The column peripherals of a macro; combinational but for three bits that each start column keeps.

    In every row operation a column has one of four modes. *Standby*: it neither computes nor is written. *Start*: the
    first column of an operand; its carry is the one kept from the row before. *Middle*: its carry is that of its left
    neighbour. *Emulated*: a column without a cell of the weight; it takes the weight's sign. In rows beyond the weight
    all columns take the sign, and start and middle only tell where carries come from.

    Members
    -------
    run : what columns keep changes in this cycle.
    start, full, last, weight : control planes: first columns of operands; columns that have a bit of the potential in
        every row but the last one; in the last row; columns that have a bit of the weight in its last row.
    operation : what this cycle does, see :func:`hw.flexspim.layouts.row_operation`.
    data_a, data_b : the rows that are read.
    write, value : columns of row b to be written, and what.
    malformed : the planes are no operands, or one has more columns than the config allows.
    spikes : at the start columns of operands, whether they spike; in the last row of a compare.
    any_spike, any_overflow : in the last row, whether one does, or a sum that is written left its range.
    """

    def __init__(self, config: MacroConfig):
        self.config = config
        columns = config.columns
        super().__init__(
            {
                "run": RUN,
                "start": In(columns),
                "full": In(columns),
                "last": In(columns),
                "weight": In(columns),
                "operation": In(row_operation()),
                "data_a": In(columns),
                "data_b": In(columns),
                "write": Out(columns),
                "value": Out(columns),
                "malformed": Out(1),
                "spikes": Out(columns),
                "any_spike": Out(1),
                "any_overflow": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Any:
        m = Module()
        op, columns = self.operation, self.config.columns

        def plane(name: str, value: Value) -> Signal:
            signal = Signal(columns, name=name)
            m.d.comb += signal.eq(value)
            return signal

        # Modes of the columns in this row.
        active = plane("active", Mux(op.last_row, self.last, self.full))
        held = plane("held", Mux(op.beyond, 0, Mux(op.weight_row, self.weight, all_ones(columns)) & active))
        emulated = plane("emulated", active & ~held)
        inner = plane("inner", active & ~self.start)
        top = plane("top", active & ~(inner >> 1))
        weight_top = plane("weight_top", held & ~((held & ~self.start) >> 1))

        # What a start column keeps.
        carry, sign, spiked = (Signal(columns, name=name, reset_less=True) for name in ("carry", "sign", "spiked"))

        # One bit for a run of columns, from its low end to the top of the operand.
        chosen = op.masked | op.clip
        run = plane("run_of_columns", Mux(chosen, active, emulated))
        from_weight = ((self.data_a & weight_top) << 1)[:columns] & emulated
        kept = Mux(op.masked, spiked, Mux(op.clip, carry, sign))
        seed = plane("seed", Mux(op.weight_row & ~chosen, from_weight, kept) & run)
        filled = plane("filled", self._filled(run, top, seed))

        # The full adders.
        a = plane("a", Mux(op.zero, 0, Mux(op.masked, self.data_a & active, (self.data_a & held) | filled)))
        x = plane("x", Mux(op.clip, active, a))
        y = plane("y", Mux(op.clip, 0, self.data_b & active))
        both, neither = plane("and_line", x & y), plane("nor_line", ~(x | y))
        differs = plane("xor_line", ~both & ~neither)
        carry_in = Mux(op.clip, sign, Mux(op.first_row, Mux(op.subtract, self.start, 0), carry))
        partial = plane("partial", (x & ~top) + (y & ~top) + carry_in)
        total = plane("total", partial ^ (differs & top))
        carry_out = plane("carry_out", top & (both | (differs & partial)))
        # The sign that the sum would have with one bit more.
        true_sign = plane("true_sign", top & (differs ^ carry_out))
        written = plane("written_columns", Mux(chosen, filled, active))
        overflow = plane("overflow", top & (total ^ true_sign) & written)

        # What is clipped becomes the largest number where the sum came out negative, else the smallest one.
        came_out = (x & ~top & ~partial) | (top & partial)
        clipped = came_out ^ Mux(op.last_row, top, 0)
        m.d.comb += [
            self.write.eq(Mux(op.valid & ~op.compare, written, 0)),
            self.value.eq(Mux(op.clip, clipped, Mux(op.zero, 0, total))),
        ]

        # From the top of an operand down to its start column.
        found = Mux(op.compare, top & ~true_sign, overflow)
        returned = plane("returned", self._down(Mux(op.last_row, found, carry_out), inner) & self.start)
        returned_sign = plane("returned_sign", self._down(Mux(op.last_row, total & top, a & top), inner) & self.start)
        m.d.comb += [
            self.spikes.eq(returned),
            self.any_spike.eq((top & ~true_sign).any()),
            self.any_overflow.eq(overflow.any()),
        ]
        with m.If(op.valid & ~op.clip):
            m.d.sync += carry.eq(returned)
            with m.If(op.last_row | ~op.beyond):
                m.d.sync += sign.eq(returned_sign)
            with m.If(op.compare & op.last_row):
                m.d.sync += spiked.eq(returned)

        m.d.comb += self.malformed.eq(self._malformed())
        return EnableInserter(self.run)(m)

    def _filled(self, run: Value, top: Value, seed: Value) -> Value:
        """Columns of a run, up to the top of its operand, for which there is a seed at its low end."""
        below = run & ~top
        carried = (below + seed)[: self.config.columns]
        return run & ((below & ~carried) | (top & carried))

    def _down(self, found: Value, inner: Value) -> Value:
        """For all columns below a top column what was found there."""
        reach, lines, step = inner >> 1, found, 1
        while step < self.config.operand_columns:
            lines = lines | ((lines >> step) & reach)
            reach = reach & (reach >> step)
            step *= 2
        return lines

    def _malformed(self) -> Value:
        """Whether operands are cut, have no first column, or are too wide."""
        columns = self.config.columns
        reach, step = self.full & ~self.start, 1
        while step < self.config.operand_columns:
            reach = reach & (reach >> step)
            step *= 2
        loose = [
            plane & ~self.start & ~(plane << 1)[:columns] for plane in (self.full, self.last, self.weight)
        ]  # fmt: skip
        return (
            ~self.start.any()
            | (self.start & ~(self.last & self.weight)).any()
            | ((self.last | self.weight) & ~self.full).any()
            | (loose[0] | loose[1] | loose[2]).any()
            | reach.any()
        )
