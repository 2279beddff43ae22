"""The bank: the cells of a macro as a module that a flow may replace, a memory of rows with two word lines.

What is written in a cycle is there in the next one. Reads are combinational and show what was there before. Cells have
no reset.
"""

from amaranth.hdl import Module
from amaranth.lib import memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from hw.component import Component

__all__ = ["RowBank"]


class RowBank(Component):
    """Memory of rows: two are read at once, and columns of the second one are written at the end of the cycle.

    Parameters
    ----------
    rows, columns : sizes.

    Members
    -------
    row_a, row_b : the rows that are read.
    data_a, data_b : their cells.
    write : columns of row b that are written; the others stay as they are.
    value : what is written.
    """

    shared = True
    reset_less = True

    def __init__(self, rows: int, columns: int):
        self.rows, self.columns = rows, columns
        self.block = f"row_bank_{rows}x{columns}"
        super().__init__(
            {
                "row_a": In(bits_for(rows - 1)),
                "row_b": In(bits_for(rows - 1)),
                "data_a": Out(columns),
                "data_b": Out(columns),
                "write": In(columns),
                "value": In(columns),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.store = store = memory.Memory(shape=self.columns, depth=self.rows, init=[])
        read_a, read_b, write = store.read_port(domain="comb"), store.read_port(domain="comb"), store.write_port()
        m.d.comb += [
            read_a.addr.eq(self.row_a),
            read_b.addr.eq(self.row_b),
            self.data_a.eq(read_a.data),
            self.data_b.eq(read_b.data),
            write.addr.eq(self.row_b),
            write.en.eq(self.write.any()),
            write.data.eq((self.data_b & ~self.write) | (self.value & self.write)),
        ]
        return m
