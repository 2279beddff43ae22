"""Lines of the latched array: what each kind of cycle writes, and where to."""

from __future__ import annotations

from typing import Any

import pytest
from amaranth.sim import Simulator

from hw.config import CONFIGS
from hw.latch_lines import LatchLines

CONFIG = CONFIGS["tiny"].replace(array="3r1w")
COLUMNS = {"x": 1, "y": 2, "c": 4, "f": 8}

SOURCES = {(0, 0): "y", (0, 1): "port", (1, 0): "c", (1, 1): "f"}
ROWS = {(0, 0): "none", (0, 1): "tagged", (1, 0): "all", (1, 1): "port"}


def write(slots: str, ones: str = "", **others: int) -> dict[str, Any]:
    """An operation that writes slots, with ones into some of them."""
    return {"write": 1, "write_mask": dict.fromkeys(slots, 1), "write_key": dict.fromkeys(ones, 1), **others}


@pytest.mark.parametrize(
    ("operation", "port", "expected"),
    [
        (write("y"), 0, {"from": "y", "rows": "tagged", "key": 0, "to": "memory", "address": 2}),
        (write("y", "y", all_rows=1), 0, {"from": "y", "rows": "all", "key": 1, "to": "memory", "address": 2}),
        (write("f", "f"), 0, {"from": "f", "rows": "tagged", "key": 1, "to": "f"}),
        (write("f", all_rows=1), 0, {"from": "f", "rows": "all", "key": 0, "to": "f"}),
        (
            write("yc", "c"), 0,
            {"from": "y", "rows": "tagged", "key": 0, "to": "memory", "address": 2, "carry": "tagged", "carry_key": 1},
        ),
        (write("c", all_rows=1), 0, {"to": "", "carry": "all", "carry_key": 0}),
        (
            write("c", "c", all_rows=1, fetch_f=1), 0,
            {"from": "port", "rows": "none", "to": "f", "carry": "all", "carry_key": 1},
        ),
        (
            {"fetch_f": 1, "clear_c": 1}, 0,
            {"from": "port", "rows": "none", "to": "f", "carry": "all", "carry_key": 0},
        ),
        ({"spill_c": 1}, 0, {"from": "c", "rows": "none", "to": "memory", "address": 4}),
        ({"spill_f": 1}, 0, {"from": "f", "rows": "none", "to": "memory", "address": 8}),
        ({"compare": 1}, 1, {"from": "port", "rows": "port", "to": "memory"}),
        ({"compare": 1}, 0, {"to": ""}),
    ],
    ids=[
        "y", "y-all", "f", "f-all", "y-and-carry", "carry", "carry-and-fetch", "fetch", "spill-c", "spill-f", "port",
        "compare",
    ],
)  # fmt: skip
def test_lines_of_a_cycle(operation: dict[str, Any], port: int, expected: dict[str, object]) -> None:
    dut = LatchLines(CONFIG)
    found: dict[str, object] = {}

    async def bench(context: Any) -> None:
        context.set(dut.operation, COLUMNS | operation)
        context.set(dut.port_write, port)
        line = {name: context.get(getattr(dut, name)) for name in dut.signature.members if "operation" not in name}
        found["from"] = SOURCES[line["from_latch"], line["from_other"]]
        found["rows"] = ROWS[line["every_row"], line["some_rows"]]
        found["to"] = " ".join(["memory"] * line["write"] + ["f"] * line["write_f"])
        found["carry"] = ("tagged", "all")[line["all_c"]] if line["write_c"] else ""
        found["carry_key"] = line["key_c"] if line["write_c"] else None
        found.update({name: line[name] for name in ("key", "address")})

    simulator = Simulator(dut)
    simulator.add_testbench(bench)
    simulator.run()
    wanted = {"carry": "", "carry_key": None} | expected
    assert {name: found[name] for name in wanted} == wanted
