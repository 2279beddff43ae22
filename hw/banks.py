"""Banks: the cells of an array as modules that a flow may replace, a CAM of cells or a memory addressed by column.

A bank holds an equal share of the tile's row blocks and all of its columns. Everything else of the array, from
instructions to tags, is outside and is the same whatever the banks are made of.

What is written in a cycle is there in the next one. Reads and matches are combinational and show what was there before.
Cells have no reset.
"""

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from hw.component import Component, all_ones, spread
from hw.config import ConfigError, TileConfig

__all__ = ["CamBank", "ColumnBank", "bank_count"]


def bank_count(config: TileConfig, platform: object) -> int:
    """Banks of a tile on a platform, see :class:`hw.hierarchy.Hierarchy`.

    Raises
    ------
    ConfigError
        If they would not hold equal numbers of row blocks.
    """
    count: int = getattr(platform, "banks", 1)
    if count < 1 or config.taps % count:
        raise ConfigError(f"banks must be a divisor of the taps ({config.taps}), not {count}")
    return count


class CamBank(Component):
    """Content-addressable memory: a compare on any columns of all rows, a write to any columns of chosen rows.

    Parameters
    ----------
    config : the tile.
    count : banks of its array.

    Members
    -------
    mask, key : columns that are compared, and with what.
    match : rows in which all compared columns hold the key; all rows if none is compared.
    write_mask, write_key : columns that are written at the end of this cycle, and what; 0 in ``write_key`` where
        ``write_mask`` is 0.
    write_rows : rows that are written.
    port_column : the column of the plane port.
    port_data : its cells.
    port_write, port_blocks, port_planes : the plane port writes these row blocks of its column at the end of this
        cycle; never together with ``write_mask``.
    partner_column, partner_data : (2D tiles) another column that is read, for the vertical lines.
    """

    shared = True
    reset_less = True

    def __init__(self, config: TileConfig, count: int):
        self.config = config
        self.taps, self.rows = config.taps // count, config.rows // count
        self.block = f"cam_bank_{self.rows}x{config.columns}"
        columns, number = config.columns, bits_for(config.columns - 1)
        super().__init__(
            {
                "mask": In(columns),
                "key": In(columns),
                "match": Out(self.rows),
                "write_mask": In(columns),
                "write_key": In(columns),
                "write_rows": In(self.rows),
                "port_column": In(number),
                "port_data": Out(self.rows),
                "port_write": In(1),
                "port_blocks": In(self.taps),
                "port_planes": In(self.rows),
            }
            | ({"partner_column": In(number), "partner_data": Out(self.rows)} if config.vertical else {})
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cells = [Signal(self.rows, name=f"column_{index}", reset_less=True) for index in range(self.config.columns)]

        # Compare: masked columns match in every row.
        match: Value = all_ones(self.rows)
        for index, column in enumerate(cells):
            match &= Mux(self.mask[index], Mux(self.key[index], column, ~column), all_ones(self.rows))
        m.d.comb += self.match.eq(match)

        # Write: the key into chosen rows, or planes into chosen row blocks. One form serves both, so that a cell is no
        # more than a flip-flop with an enable and a function of itself and three lines.
        rows, planes = Signal(self.rows, name="rows_to_write"), Signal(self.rows, name="planes_to_write")
        others = Signal(self.rows, name="rows_to_keep")
        m.d.comb += [rows.eq(self.write_rows), others.eq(~rows)]
        with m.If(self.port_write):
            m.d.comb += [rows.eq(spread(self.port_blocks, self.rows // self.taps)), planes.eq(self.port_planes & rows)]
        for index, column in enumerate(cells):
            with m.If(self.write_mask[index] | (self.port_write & (self.port_column == index))):
                m.d.sync += column.eq(Mux(self.write_key[index], column | rows, (column & others) | planes))

        self._read(m, cells, self.port_column, self.port_data)
        if self.config.vertical:
            self._read(m, cells, self.partner_column, self.partner_data)
        return m

    def _read(self, m: Module, cells: list[Signal], column: Value, plane: Value) -> None:
        with m.Switch(column):
            for index, held in enumerate(cells):
                with m.Case(index):
                    m.d.comb += plane.eq(held)


class ColumnBank(Component):
    """Memory of one word for each column, one bit for each row, with asynchronous reads.

    Parameters
    ----------
    rows, columns : sizes.
    reads, writes : names of its read and write ports.

    Members
    -------
    NAME_address, NAME_data : of each read port, the column and its cells; of each write port, what is written at the
        end of this cycle.
    NAME_enable : of each write port. Two ports never write the same column in the same cycle.
    """

    shared = True
    reset_less = True

    def __init__(self, rows: int, columns: int, reads: tuple[str, ...], writes: tuple[str, ...]):
        self.rows, self.columns, self.reads, self.writes = rows, columns, reads, writes
        self.block = f"column_bank_{rows}x{columns}_{len(reads)}r{len(writes)}w"
        number = bits_for(columns - 1)
        super().__init__(
            {
                **{f"{name}_address": In(number) for name in (*reads, *writes)},
                **{f"{name}_data": Out(rows) for name in reads},
                **{f"{name}_data": In(rows) for name in writes},
                **{f"{name}_enable": In(1) for name in writes},
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.store = store = memory.Memory(shape=self.rows, depth=self.columns, init=[])
        for name in self.reads:
            port = store.read_port(domain="comb")
            m.d.comb += [port.addr.eq(getattr(self, f"{name}_address")), getattr(self, f"{name}_data").eq(port.data)]
        for name in self.writes:
            port = store.write_port()
            m.d.comb += [
                port.addr.eq(getattr(self, f"{name}_address")),
                port.data.eq(getattr(self, f"{name}_data")),
                port.en.eq(getattr(self, f"{name}_enable")),
            ]
        return m
