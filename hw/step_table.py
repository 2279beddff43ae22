"""The read-only memory of the step tables: from a table and the place in it to one compare or write."""

from collections.abc import Mapping
from typing import Any

from amaranth.hdl import Cat, Elaboratable, Module, Signal
from amaranth.lib import data

from hw.config import TileConfig
from hw.layouts import SLOT_MASK, WRITE_MASK
from hw.passes import LONGEST, Step, tables

__all__ = ["StepTable"]


class StepTable(Elaboratable):
    """Combinational: ``table`` and ``index`` in, one step out.

    Members
    -------
    table, index : which step.
    compare, mask, key, add, remove : a compare, and how its matches join the tags.
    write, write_mask, write_key, all_rows : a write.
    result : slot y is the result's column in this step.
    second : the tag register. last : the last step of the table.
    """

    def __init__(self, config: TileConfig) -> None:
        self.tables = tables(config.passes)
        self.number = {name: index for index, name in enumerate(self.tables)}
        self.table, self.index = Signal(range(len(self.tables))), Signal(range(LONGEST))
        self.mask, self.key = Signal(SLOT_MASK), Signal(SLOT_MASK)
        self.write_mask, self.write_key = Signal(WRITE_MASK), Signal(WRITE_MASK)
        self.compare, self.add, self.remove = Signal(), Signal(), Signal()
        self.write, self.all_rows, self.result, self.second, self.last = (Signal() for _ in range(5))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        with m.Switch(Cat(self.index, self.table)):
            for number, steps in enumerate(self.tables.values()):
                for index, step in enumerate(steps):
                    with m.Case(LONGEST * number + index):
                        m.d.comb += [*self._fields(step), self.last.eq(index == len(steps) - 1)]
        return m

    def _fields(self, step: Step) -> list[Any]:
        # The result and y share a slot: the sequencer gives the column.
        compare = {("y" if slot == "r" else slot): key for slot, key in step.compare.items()}
        write = {("y" if slot == "r" else slot): key for slot, key in step.write.items()}
        return [
            self.compare.eq(bool(compare)),
            self.mask.eq(_bits(SLOT_MASK, dict.fromkeys(compare, 1))),
            self.key.eq(_bits(SLOT_MASK, compare)),
            self.add.eq(step.mode == "add"),
            self.remove.eq(step.mode == "remove"),
            self.write.eq(bool(write)),
            self.write_mask.eq(_bits(WRITE_MASK, dict.fromkeys(write, 1))),
            self.write_key.eq(_bits(WRITE_MASK, write)),
            self.all_rows.eq(step.all_rows),
            self.result.eq(bool(write) or "r" in step.compare),
            self.second.eq(step.second),
        ]


def _bits(layout: data.StructLayout, slots: Mapping[str, int]) -> Any:
    """A constant with some slots set; the others are 0."""
    return layout.const({slot: slots.get(slot, 0) for slot, _ in layout})
