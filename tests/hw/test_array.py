"""The three array back-ends side by side: the same matches, the same cells, whatever their ports."""

from __future__ import annotations

import random
from typing import Any

import pytest
from amaranth.hdl import Module
from amaranth.sim import Simulator

from hw.array import create_array
from hw.config import ARRAYS, CONFIGS

SEED = 11
STEPS = 120
IDLE = dict.fromkeys(
    ("compare", "keep", "ones", "remove", "second", "write", "all_rows", "fetch_f", "clear_c", "spill_c", "spill_f"), 0
)
NO_SLOTS = {"x": 0, "y": 0, "c": 0, "f": 0}
NO_WRITE = {"y": 0, "c": 0, "f": 0}


@pytest.mark.parametrize("array", ARRAYS)
@pytest.mark.parametrize(("taps", "outputs"), [(1, 1), (3, 5), (4, 8)])
def test_against_a_matrix_of_bits(array: str, taps: int, outputs: int) -> None:
    config = CONFIGS["tiny"].replace(name="a", array=array, taps=taps, outputs=outputs, plane_bits=1, columns=8)
    dut = create_array(config)
    rng = random.Random(SEED)
    print(f"seed {SEED}")
    ones = (1 << config.rows) - 1
    cells = [rng.getrandbits(config.rows) for _ in range(config.columns)]
    top = Module()
    top.submodules.dut = dut
    bus = dut.bus

    async def bench(context: Any) -> None:
        def operate(**fields: object) -> None:
            slots = {"mask": NO_SLOTS, "key": NO_SLOTS, "write_mask": NO_WRITE, "write_key": NO_WRITE}
            context.set(bus.operation, {**NO_SLOTS, **IDLE, **slots, **fields})

        async def load(column: int, blocks: int, planes: int) -> None:
            operate()
            context.set(bus.port_column, column)
            context.set(bus.port_blocks, blocks)
            context.set(bus.port_planes, planes)
            context.set(bus.port_read, 1)
            context.set(bus.port_write, 1)
            await context.tick()
            context.set(bus.port_read, 0)
            context.set(bus.port_write, 0)

        for column, value in enumerate(cells):
            await load(column, (1 << taps) - 1, value)
        for _ in range(STEPS):
            x, y, c, f = rng.sample(range(config.columns), 4)
            slots = {"x": x, "y": y, "c": c, "f": f}
            if array == "3r1w":  # the latches hold columns c and f
                operate(**slots, clear_c=1, fetch_f=1)
                await context.tick()
                context.set(bus.tag, cells[c])
                operate(**slots, write=1, write_mask={**NO_WRITE, "c": 1}, write_key={**NO_WRITE, "c": 1})
                await context.tick()

            mask = {slot: rng.getrandbits(1) for slot in slots}
            key = {slot: rng.getrandbits(1) & mask[slot] for slot in slots}
            operate(**slots, compare=1, mask=mask, key=key)
            wanted = ones
            for slot, column in slots.items():
                if mask[slot]:
                    wanted &= cells[column] if key[slot] else ~cells[column]
            assert context.get(bus.match) == wanted & ones
            await context.tick()

            tag = rng.choice([wanted & ones, rng.getrandbits(config.rows)])
            everywhere = rng.getrandbits(1)
            written = rng.choice([{"y": 1, "c": 1, "f": 0}, {"y": 1, "c": 0, "f": 0}, {"y": 0, "c": 0, "f": 1}])
            values = {slot: rng.getrandbits(1) for slot in written}
            context.set(bus.tag, tag)
            operate(**slots, write=1, all_rows=everywhere, write_mask=written, write_key=values)
            rows = ones if everywhere else tag
            for slot, drives in written.items():
                if drives:
                    old = cells[slots[slot]]
                    cells[slots[slot]] = old | rows if values[slot] else old & ~rows
            await context.tick()
            if array == "3r1w":
                for spill in ("spill_c", "spill_f"):
                    operate(**slots, **{spill: 1})
                    await context.tick()

            block, planes = rng.getrandbits(taps), rng.getrandbits(config.rows)
            column = rng.randrange(config.columns)
            keep = sum(((1 << outputs) - 1) << (tap * outputs) for tap in range(taps) if not block >> tap & 1)
            await load(column, block, planes)
            cells[column] = (cells[column] & keep) | (planes & ~keep & ones)

            operate()
            context.set(bus.port_read, 1)
            for index, value in enumerate(cells):
                context.set(bus.port_column, index)
                assert context.get(bus.port_data) == value, f"column {index}"
            context.set(bus.port_read, 0)

    simulator = Simulator(top)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
