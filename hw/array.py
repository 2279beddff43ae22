"""The array: R x C cells that compare a key on up to four columns of all rows at once and write tagged rows.

Three back-ends behind one interface, chosen by ``config.array``; every program leaves the same cells and tags in all:

- ``cells``: a CAM of cells. Key and mask span all columns, as in the paper; what an ASIC flow replaces by a macro.
- ``4r2w``: a memory addressed by column with four asynchronous read ports and two write ports; fast in simulation.
- ``3r1w``: three read ports, one write port and two latched columns (carry and multiplier bit), which an FPGA infers as
  LUTRAM. The latches are fetched from and spilled to the memory in cycles of their own.
"""

from collections.abc import Mapping

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from hw.component import Component, all_ones
from hw.config import TileConfig
from hw.layouts import micro_operation
from hw.vertical import VerticalLines

__all__ = ["ArraySignature", "CellArray", "ColumnArray", "create_array"]


class ArraySignature(wiring.Signature):
    """Interface of an array, seen from whoever uses it.

    Members
    -------
    operation : ``Out(micro_operation)``, the sequencer's compare or write of this cycle.
    tag : ``Out(R)``, rows that a write goes to.
    match : ``In(R)``, rows that match the compare of this cycle; on a 2D tile, only those that take part in it.
    port_column : ``Out(column)``, the column that the plane port reads or writes.
    port_read : ``Out(1)``, the plane port uses the array in this cycle, which then has no pass.
    port_write : ``Out(1)``, write ``port_planes`` to the row blocks in ``port_blocks`` of that column.
    port_blocks : ``Out(G)``
    port_planes : ``Out(R)``
    port_data : ``In(R)``, the column as it is, when ``port_read``.
    """

    def __init__(self, config: TileConfig):
        layout = micro_operation(config)
        super().__init__(
            {
                "operation": Out(layout),
                "tag": Out(config.rows),
                "match": In(config.rows),
                "port_column": Out(layout["x"].shape),
                "port_read": Out(1),
                "port_write": Out(1),
                "port_blocks": Out(config.taps),
                "port_planes": Out(config.rows),
                "port_data": In(config.rows),
            }
        )


def create_array(config: TileConfig) -> "CellArray | ColumnArray | LatchedArray":
    """The back-end that ``config.array`` names."""
    return {"cells": CellArray, "4r2w": ColumnArray, "3r1w": LatchedArray}[config.array](config)


class _Array(Component):
    """What the back-ends share: the interface and the few gates of a row."""

    def __init__(self, config: TileConfig):
        self.config = config
        self.rows = Signal(config.rows, name="written_rows")
        super().__init__({"bus": In(ArraySignature(config))})

    def select_rows(self, m: Module) -> None:
        """Rows that a write of this cycle goes to."""
        m.d.comb += self.rows.eq(Mux(self.bus.operation.all_rows, all_ones(self.config.rows), self.bus.tag))

    def matches(self, column: Value, mask: Value, key: Value) -> Value:
        """Rows whose cell of a column agrees with the key; all rows where the column is masked off."""
        ones = all_ones(self.config.rows)
        return Mux(mask, Mux(key, column, ~column), ones)

    def written(self, column: Value, key: Value) -> Value:
        """A column after the key went into the rows that are written."""
        return Mux(key, column | self.rows, column & ~self.rows)

    def matched(self, m: Module, columns: Mapping[str, Value]) -> Value:
        """Rows whose slots agree with the compare of this cycle; on a 2D tile slot x may be another row block's."""
        operation = self.bus.operation
        match: Value = all_ones(self.config.rows)
        if self.config.vertical:
            m.submodules.vertical = lines = VerticalLines(self.config)
            m.d.comb += [lines.control.eq(operation.vertical), lines.column.eq(columns["x"])]
            columns = {**columns, "x": lines.partner}
            match = lines.active
        for slot, column in columns.items():
            match &= self.matches(column, operation.mask[slot], operation.key[slot])
        return match

    def merged(self, column: Value) -> Value:
        """A column after the plane port wrote its row blocks."""
        size = self.config.outputs
        return Cat(
            Mux(
                self.bus.port_blocks[tap],
                self.bus.port_planes[tap * size : (tap + 1) * size],
                column[tap * size : (tap + 1) * size],
            )
            for tap in range(self.config.taps)
        )


class CellArray(_Array):
    """A CAM of cells: key and mask registers span all columns.

    **Latency** of compare and write: none; cells and tags change at the end of the cycle.
    """

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, bus = self.config, self.bus
        operation = bus.operation
        self.select_rows(m)
        key, mask = Signal(config.columns), Signal(config.columns)
        write_key, write_mask = Signal(config.columns), Signal(config.columns)
        columns = [Signal(config.rows, name=f"column_{index}", reset_less=True) for index in range(config.columns)]
        match: Value = all_ones(config.rows)
        # On a 2D tile slot x goes over the vertical lines, and may name the column of slot y in another row.
        slots = ("y", "c", "f") if config.vertical else ("x", "y", "c", "f")

        for index, column in enumerate(columns):
            # Slots name columns; a CAM wants one key and one mask bit for each column.
            compared = [operation.mask[slot] & (operation[slot] == index) for slot in slots]
            keys = [operation.key[slot] for slot in slots]
            driven = [operation.write_mask[slot] & (operation[slot] == index) for slot in ("y", "c", "f")]
            values = [operation.write_key[slot] for slot in ("y", "c", "f")]
            m.d.comb += [
                mask[index].eq(Cat(compared).any()),
                key[index].eq(Cat(hit & bit for hit, bit in zip(compared, keys, strict=True)).any()),
                write_mask[index].eq(operation.write & Cat(driven).any()),
                write_key[index].eq(Cat(hit & bit for hit, bit in zip(driven, values, strict=True)).any()),
            ]
            match &= self.matches(column, mask[index], key[index])

            # The sequencer and the plane port never write in the same cycle.
            with m.If(write_mask[index]):
                m.d.sync += column.eq(self.written(column, write_key[index]))
            with m.Elif(bus.port_write & (bus.port_column == index)):
                m.d.sync += column.eq(self.merged(column))

        if config.vertical:
            partner = Signal(config.rows)
            self._read(m, columns, operation.x, partner)
            match &= self.matched(m, {"x": partner})
        m.d.comb += bus.match.eq(match)
        self._read(m, columns, bus.port_column, bus.port_data)
        return m

    def _read(self, m: Module, columns: list[Signal], column: Value, plane: Signal) -> None:
        with m.Switch(column):
            for index, cells in enumerate(columns):
                with m.Case(index):
                    m.d.comb += plane.eq(cells)


def _store(m: Module, config: TileConfig) -> memory.Memory:
    """The cells as a memory of C columns, R bits each; without reset, like any cell array."""
    m.submodules.store = store = memory.Memory(shape=config.rows, depth=config.columns, init=[])
    return store


class ColumnArray(_Array):
    """A memory addressed by column with four read ports and two write ports; the same cycles as :class:`CellArray`."""

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bus, operation = self.bus, self.bus.operation
        self.select_rows(m)
        store = _store(m, self.config)
        reads = {slot: store.read_port(domain="comb") for slot in ("x", "y", "c", "f")}
        low, high = store.write_port(), store.write_port()

        # DOT, the only operation beside the plane port, leaves slots c and f to it.
        m.d.comb += [reads[slot].addr.eq(operation[slot]) for slot in ("x", "y", "c")]
        m.d.comb += reads["f"].addr.eq(Mux(bus.port_read, bus.port_column, operation.f))
        m.d.comb += bus.port_data.eq(reads["f"].data)

        m.d.comb += bus.match.eq(self.matched(m, {slot: port.data for slot, port in reads.items()}))

        # A pass writes y and c, or f alone: two ports are enough.
        written = operation.write_mask
        with m.If(written.f):
            m.d.comb += [
                low.addr.eq(operation.f),
                low.data.eq(self.written(reads["f"].data, operation.write_key.f)),
            ]
        with m.Else():
            m.d.comb += [
                low.addr.eq(operation.y),
                low.data.eq(self.written(reads["y"].data, operation.write_key.y)),
            ]
        m.d.comb += low.en.eq(operation.write & (written.f | written.y))

        with m.If(bus.port_write):
            m.d.comb += [high.addr.eq(bus.port_column), high.data.eq(self.merged(reads["f"].data))]
        with m.Else():
            m.d.comb += [
                high.addr.eq(operation.c),
                high.data.eq(self.written(reads["c"].data, operation.write_key.c)),
            ]
        m.d.comb += high.en.eq((operation.write & written.c) | bus.port_write)
        return m


class LatchedArray(_Array):
    """A memory with three read ports and one write port, and two latched columns for the slots c and f."""

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, bus, operation = self.config, self.bus, self.bus.operation
        self.select_rows(m)
        store = _store(m, config)
        first, second, third = (store.read_port(domain="comb") for _ in range(3))
        write = store.write_port()
        carry, flag = Signal(config.rows, reset_less=True), Signal(config.rows, reset_less=True)

        # The third read port serves fetches and the plane port, which never meet.
        m.d.comb += [first.addr.eq(operation.x), second.addr.eq(operation.y), third.addr.eq(bus.port_column)]
        with m.If(operation.fetch_f):
            m.d.comb += third.addr.eq(operation.f)
        m.d.comb += bus.port_data.eq(third.data)

        columns = {"x": first.data, "y": second.data, "c": carry, "f": flag}
        m.d.comb += bus.match.eq(self.matched(m, columns))

        # Writes to c and f stay in the latches until they are spilled.
        with m.If(operation.clear_c):
            m.d.sync += carry.eq(0)
        with m.Elif(operation.write & operation.write_mask.c):
            m.d.sync += carry.eq(self.written(carry, operation.write_key.c))
        with m.If(operation.fetch_f):
            m.d.sync += flag.eq(third.data)
        with m.Elif(operation.write & operation.write_mask.f):
            m.d.sync += flag.eq(self.written(flag, operation.write_key.f))

        with m.If(bus.port_write):
            m.d.comb += [write.addr.eq(bus.port_column), write.data.eq(self.merged(third.data)), write.en.eq(1)]
        with m.Elif(operation.spill_c):
            m.d.comb += [write.addr.eq(operation.c), write.data.eq(carry), write.en.eq(1)]
        with m.Elif(operation.spill_f):
            m.d.comb += [write.addr.eq(operation.f), write.data.eq(flag), write.en.eq(1)]
        with m.Else():
            m.d.comb += [
                write.addr.eq(operation.y),
                write.data.eq(self.written(second.data, operation.write_key.y)),
                write.en.eq(operation.write & operation.write_mask.y),
            ]
        return m
