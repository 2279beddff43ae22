"""The array: R x C cells that compare a key on up to four columns of all rows at once and write tagged rows.

Three back-ends behind one interface, chosen by ``config.array``; every program leaves the same cells and tags in all:

- ``cells``: a CAM of cells. Key and mask span all columns, as in the paper; what an ASIC flow replaces by a macro.
- ``4r2w``: a memory addressed by column with four asynchronous read ports and two write ports; fast in simulation.
- ``3r1w``: three read ports, one write port and two latched columns (carry and multiplier bit), which an FPGA infers as
  LUTRAM. The latches are fetched from and spilled to the memory in cycles of their own.

The cells themselves are in banks of rows (:mod:`hw.banks`), modules of their own, which a flow replaces by what its
technology has. How many there are changes neither programs nor cycles.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from amaranth.hdl import Cat, Const, EnableInserter, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.banks import CamBank, ColumnBank, bank_count
from hw.component import RUN, Component, all_ones, spread
from hw.config import TileConfig
from hw.latch_lines import LatchLines
from hw.layouts import micro_operation
from hw.vertical import VerticalLines

__all__ = ["ArraySignature", "CellArray", "ColumnArray", "LatchedArray", "create_array"]


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
        super().__init__({"bus": In(ArraySignature(config)), "run": RUN})

    def select_rows(self, m: Module) -> None:
        """Rows that a write of this cycle goes to."""
        m.d.comb += self.rows.eq(Mux(self.bus.operation.all_rows, all_ones(self.config.rows), self.bus.tag))

    def matches(self, column: Value, mask: Value, key: Value) -> Value:
        """Rows whose cell of a column agrees with the key; all rows where the column is masked off."""
        ones, zeros = all_ones(self.config.rows), Const(0, self.config.rows)
        return (column ^ Mux(key, zeros, ones)) | Mux(mask, zeros, ones)

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

    def merged(self, m: Module, column: Value) -> Value:
        """A column after the plane port wrote its row blocks."""
        rows = Signal(self.config.rows, name="port_rows")
        m.d.comb += rows.eq(spread(self.bus.port_blocks, self.config.outputs))
        return (column & ~rows) | (self.bus.port_planes & rows)


class CellArray(_Array):
    """A CAM of cells: key and mask registers span all columns.

    **Latency** of compare and write: none; cells and tags change at the end of the cycle.
    """

    block = "array"

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, bus = self.config, self.bus
        operation = bus.operation
        self.select_rows(m)
        # On a 2D tile slot x goes over the vertical lines, and may name the column of slot y in another row.
        compared = ("y", "c", "f") if config.vertical else ("x", "y", "c", "f")
        written = ("y", "c", "f")

        # Slots name columns; a CAM wants one key and one mask bit for each column. A cycle has a compare or a write, so
        # that one set of lines serves both.
        columns = config.columns
        chosen, values = Signal(columns, name="named_columns"), Signal(columns, name="named_ones")
        mask, write_mask = Signal(columns, name="mask"), Signal(columns, name="write_mask")
        lines: list[list[Value]] = [[] for _ in range(config.columns)]
        ones: list[list[Value]] = [[] for _ in range(config.columns)]
        for slot in compared:
            used, one = Signal(name=f"uses_{slot}"), Signal(name=f"value_{slot}")
            m.d.comb += [used.eq(operation.mask[slot]), one.eq(operation.key[slot])]
            if slot in written:
                with m.If(operation.write):
                    m.d.comb += [used.eq(operation.write_mask[slot]), one.eq(operation.write_key[slot])]
            for index, hit in enumerate(_decoded(m, operation[slot], slot, config.columns)):
                lines[index].append(hit & used)
                ones[index].append(hit & used & one)
        none = Const(0, config.columns)
        m.d.comb += [
            *(chosen[index].eq(Cat(hits).any()) for index, hits in enumerate(lines)),
            *(values[index].eq(Cat(hits).any()) for index, hits in enumerate(ones)),
            mask.eq(Mux(operation.write, none, chosen)),
            write_mask.eq(Mux(operation.write & self.run, chosen, none)),
        ]

        count = bank_count(config, platform)
        banks = [CamBank(config, count) for _ in range(count)]
        for number, bank in enumerate(banks):
            m.submodules[f"bank_{number}"] = bank
            m.d.comb += [
                bank.mask.eq(mask),
                bank.key.eq(mask & values),
                bank.write_mask.eq(write_mask),
                bank.write_key.eq(write_mask & values),
                bank.write_rows.eq(_share(self.rows, number, count)),
                bank.port_column.eq(bus.port_column),
                bank.port_write.eq(bus.port_write & self.run),
                bank.port_blocks.eq(_share(bus.port_blocks, number, count)),
                bank.port_planes.eq(_share(bus.port_planes, number, count)),
            ]
        match = _joined(banks, "match")
        if config.vertical:
            m.d.comb += [bank.partner_column.eq(operation.x) for bank in banks]
            match &= self.matched(m, {"x": _joined(banks, "partner_data")})
        m.d.comb += [bus.match.eq(match), bus.port_data.eq(_joined(banks, "port_data"))]
        return m


class ColumnArray(_Array):
    """A memory addressed by column with four read ports and two write ports; the same cycles as :class:`CellArray`."""

    block = "array"

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bus, operation = self.bus, self.bus.operation
        self.select_rows(m)
        store = _Store(m, self.config, platform, ("x", "y", "c", "f"), ("low", "high"))
        reads = store.data

        # DOT, the only operation beside the plane port, leaves slots c and f to it.
        m.d.comb += [store.address[slot].eq(operation[slot]) for slot in ("x", "y", "c")]
        m.d.comb += store.address["f"].eq(Mux(bus.port_read, bus.port_column, operation.f))
        m.d.comb += bus.port_data.eq(reads["f"])

        # Most compares, those of DOT among them, are of slots x and y: a simulator then leaves out the others.
        match = self.matched(m, {"x": reads["x"], "y": reads["y"]})
        m.d.comb += bus.match.eq(match)
        with m.If(operation.mask.c | operation.mask.f):
            for slot in ("c", "f"):
                match &= self.matches(reads[slot], operation.mask[slot], operation.key[slot])
            m.d.comb += bus.match.eq(match)

        # A pass writes y and c, or f alone: two ports are enough.
        written = operation.write_mask
        low, high = store.writes["low"], store.writes["high"]
        with m.If(written.f):
            m.d.comb += [
                low.address.eq(operation.f),
                low.data.eq(self.written(reads["f"], operation.write_key.f)),
            ]
        with m.Else():
            m.d.comb += [
                low.address.eq(operation.y),
                low.data.eq(self.written(reads["y"], operation.write_key.y)),
            ]
        m.d.comb += low.enable.eq(self.run & operation.write & (written.f | written.y))

        with m.If(bus.port_write):
            m.d.comb += [high.address.eq(bus.port_column), high.data.eq(self.merged(m, reads["f"]))]
        with m.Else():
            m.d.comb += [
                high.address.eq(operation.c),
                high.data.eq(self.written(reads["c"], operation.write_key.c)),
            ]
        m.d.comb += high.enable.eq(self.run & ((operation.write & written.c) | bus.port_write))
        return m


class LatchedArray(_Array):
    """A memory with three read ports and one write port, and two latched columns for the slots c and f."""

    block = "array"

    def elaborate(self, platform: object) -> Any:
        m = Module()
        config, bus, operation = self.config, self.bus, self.bus.operation
        store = _Store(m, config, platform, ("x", "y", "port"), ("write",))
        first, second, third = (store.data[name] for name in ("x", "y", "port"))
        write = store.writes["write"]
        carry = Signal(config.rows, reset_less=True)
        flag = Signal(config.rows, reset_less=True)

        # The third read port serves fetches and the plane port, which never meet.
        m.d.comb += [
            store.address["x"].eq(operation.x),
            store.address["y"].eq(operation.y),
            store.address["port"].eq(Mux(operation.fetch_f, operation.f, bus.port_column)),
            bus.port_data.eq(third),
        ]

        columns = {"x": first, "y": second, "c": carry, "f": flag}
        m.d.comb += bus.match.eq(self.matched(m, columns))

        m.submodules.lines = lines = LatchLines(config)
        m.d.comb += [lines.operation.eq(operation), lines.port_write.eq(bus.port_write)]

        # One column is made in a cycle: another, of which some rows take the key, or what the plane port brings.
        source, values = Signal(config.rows, name="written_source"), Signal(config.rows, name="written_values")
        with m.If(lines.from_latch):
            m.d.comb += source.eq(carry)
            with m.If(lines.from_other):
                m.d.comb += source.eq(flag)
        with m.Else():
            m.d.comb += source.eq(second)
            with m.If(lines.from_other):
                m.d.comb += source.eq(third)
        with m.If(lines.every_row):
            m.d.comb += self.rows.eq(all_ones(config.rows))
            with m.If(lines.some_rows):
                m.d.comb += self.rows.eq(spread(bus.port_blocks, config.outputs))
        with m.Elif(lines.some_rows):
            m.d.comb += self.rows.eq(bus.tag)
        with m.If(bus.port_write):
            m.d.comb += values.eq(bus.port_planes)
        with m.Else():
            m.d.comb += values.eq(lines.key.replicate(config.rows))
        m.d.comb += write.data.eq((source & ~self.rows) | (values & self.rows))

        # It goes to the memory or to latch f; the carry has a way of its own, as it may be written with either.
        with m.If(lines.write_f):
            m.d.sync += flag.eq(write.data)
        with m.If(lines.write_c):
            rows = bus.tag | lines.all_c.replicate(config.rows)
            m.d.sync += carry.eq(Mux(lines.key_c, carry | rows, carry & ~rows))

        m.d.comb += [write.address.eq(lines.address), write.enable.eq(self.run & lines.write)]
        with m.If(bus.port_write):
            m.d.comb += write.address.eq(bus.port_column)
        return EnableInserter(self.run)(m)


def _decoded(m: Module, number: Value, name: str, count: int) -> list[Value]:
    """One line for each of ``count`` numbers, joined from lines for the low and the high bits."""
    half = len(number) // 2 + len(number) % 2
    low = Signal(1 << half, name=f"{name}_low_lines")
    high = Signal(1 << len(number) - half, name=f"{name}_high_lines")
    m.d.comb += [low.eq(1 << number[:half]), high.eq(1 << number[half:])]
    return [low[index % (1 << half)] & high[index >> half] for index in range(count)]


class _Store:
    """All rows of a memory in banks: addresses, columns that are read, and writes, by the names of the ports."""

    def __init__(
        self, m: Module, config: TileConfig, platform: object, reads: Sequence[str], writes: Sequence[str]
    ) -> None:
        count = bank_count(config, platform)
        banks = [ColumnBank(config.rows // count, config.columns, tuple(reads), tuple(writes)) for _ in range(count)]
        self.address = {name: Signal(range(config.columns), name=f"{name}_address") for name in reads}
        self.data = {name: Signal(config.rows, name=f"{name}_data") for name in reads}
        self.writes = {name: _Write(config, name) for name in writes}
        for number, bank in enumerate(banks):
            m.submodules[f"bank_{number}"] = bank
            m.d.comb += [getattr(bank, f"{name}_address").eq(address) for name, address in self.address.items()]
            for name, write in self.writes.items():
                m.d.comb += [
                    getattr(bank, f"{name}_address").eq(write.address),
                    getattr(bank, f"{name}_data").eq(_share(write.data, number, count)),
                    getattr(bank, f"{name}_enable").eq(write.enable),
                ]
        m.d.comb += [data.eq(_joined(banks, f"{name}_data")) for name, data in self.data.items()]


class _Write:
    """A write port of all banks."""

    def __init__(self, config: TileConfig, name: str) -> None:
        self.address = Signal(range(config.columns), name=f"{name}_address")
        self.data = Signal(config.rows, name=f"{name}_data")
        self.enable = Signal(name=f"{name}_enable")


def _share(rows: Value, number: int, count: int) -> Value:
    """What of a signal of all rows, or of all row blocks, goes to one of the banks."""
    size = len(rows) // count
    return rows[number * size : (number + 1) * size]


def _joined(banks: Sequence[Component], port: str) -> Value:
    """A port of all rows from those of the banks."""
    return Cat(getattr(bank, port) for bank in banks)
