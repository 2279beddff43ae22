"""Lines of the latched array: few wires from which every row knows what to write, and where to.

They are a module of their own, as a flow that maps each module for itself then shares them: otherwise it takes parts of
them into the logic of every row.
"""

from amaranth.hdl import Module, Mux
from amaranth.lib.wiring import In, Out

from hw.component import Component
from hw.config import TileConfig
from hw.layouts import micro_operation

__all__ = ["LatchLines"]


class LatchLines(Component):
    """What an operation asks of the latches and of the write port of array ``3r1w``, as lines for all rows.

    **Latency**: none.

    Members
    -------
    operation, port_write : as the array has them.
    from_latch, from_other : where the column that is made begins: as y, the plane port's, latch c or latch f.
    every_row, some_rows : which rows of it change: none, tagged ones, all, or (both) those of the port.
    key : what these take, where it is not what the port brings.
    write, address : it goes to the memory, and to which column; not told for the port's.
    write_f : it goes to latch f.
    write_c, all_c, key_c : the key goes to latch c, in all rows or in tagged ones.
    """

    block = "lines"
    reset_less = True

    def __init__(self, config: TileConfig):
        layout = micro_operation(config)
        lines = (
            "from_latch", "from_other", "every_row", "some_rows", "key", "write", "write_f", "write_c", "all_c", "key_c"
        )  # fmt: skip
        super().__init__(
            {
                "operation": In(layout),
                "port_write": In(1),
                **{name: Out(1) for name in lines},
                "address": Out(layout["x"].shape),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        operation, port_write = self.operation, self.port_write
        written = operation.write_mask
        writes_f, spills = operation.write & written.f, operation.spill_c | operation.spill_f
        whole = operation.fetch_f | spills
        m.d.comb += [
            self.from_latch.eq(writes_f | spills),
            self.from_other.eq(writes_f | operation.spill_f | port_write | operation.fetch_f),
            self.every_row.eq(port_write | (operation.all_rows & ~whole)),
            self.some_rows.eq(port_write | ~(operation.all_rows | whole)),
            self.key.eq(Mux(written.f, operation.write_key.f, operation.write_key.y)),
            self.write.eq(port_write | spills | (operation.write & written.y)),
            self.write_f.eq(writes_f | operation.fetch_f),
            self.write_c.eq((operation.write & written.c) | operation.clear_c),
            self.all_c.eq(operation.all_rows | operation.clear_c),
            self.key_c.eq(operation.write_key.c & ~operation.clear_c),
            self.address.eq(Mux(operation.spill_c, operation.c, Mux(operation.spill_f, operation.f, operation.y))),
        ]
        return m
