"""The read-only memory of the step tables: from a table and the place in it to one compare or write."""

from typing import Any

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from hw.component import Component
from hw.config import TileConfig
from hw.layouts import SLOT_MASK, WRITE_MASK
from hw.passes import LONGEST, Step, tables

__all__ = ["STEP", "StepTable"]

STEP = data.StructLayout(
    {
        "compare": 1,
        "mask": SLOT_MASK,
        "key": SLOT_MASK,
        "add": 1,
        "remove": 1,
        "write": 1,
        "write_mask": WRITE_MASK,
        "write_key": WRITE_MASK,
        "all_rows": 1,
        "result": 1,
        "second": 1,
        "last": 1,
    }
)
"""A step of a table, lowest bit first."""


class StepTable(Component):
    """The step tables: ``table`` and ``index`` in, one step out, combinational.

    Members
    -------
    number, index : which table, and which step of it.
    compare, mask, key, add, remove : a compare, and how its matches join the tags.
    write, write_mask, write_key, all_rows : a write.
    result : slot y is the result's column in this step.
    second : the tag register. last : the last step of the table.
    """

    block = "steps"

    def __init__(self, config: TileConfig) -> None:
        self.tables = tables(config.passes)
        outputs = {name: Out(shape) for name, shape in STEP.members.items()}
        super().__init__({"number": In(range(len(self.tables))), "index": In(range(LONGEST)), **outputs})

    def elaborate(self, platform: object) -> Module:
        m = Module()

        # A word for each step, so that a step is one line of Verilog.
        step = Signal(STEP)
        m.d.comb += [getattr(self, name).eq(step[name]) for name in STEP.members]
        with m.Switch(Cat(self.index, self.number)):
            for number, steps in enumerate(self.tables.values()):
                for index, fields in enumerate(map(_fields, steps)):
                    with m.Case(LONGEST * number + index):
                        m.d.comb += step.eq(STEP.const({**fields, "last": index == len(steps) - 1}))
        return m


def _fields(step: Step) -> dict[int | str, Any]:
    # The result and y share a slot: the sequencer gives the column.
    compare = {("y" if slot == "r" else slot): key for slot, key in step.compare.items()}
    write = {("y" if slot == "r" else slot): key for slot, key in step.write.items()}
    return {
        "compare": bool(compare),
        "mask": dict.fromkeys(compare, 1),
        "key": compare,
        "add": step.mode == "add",
        "remove": step.mode == "remove",
        "write": bool(write),
        "write_mask": dict.fromkeys(write, 1),
        "write_key": write,
        "all_rows": step.all_rows,
        "result": bool(write) or "r" in step.compare,
        "second": step.second,
    }
