"""The gather memory against an array, in Amaranth's simulator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator

from hw.accelerator.gather_memory import GatherMemory
from hw.accelerator.protocol import Unit, unit_size
from tests.gather import SHAPES, number, random_memory

SEED = 31


@pytest.mark.parametrize("shape", SHAPES)
def test_flits_become_words_of_lanes(shape: str) -> None:
    config = SHAPES[shape]
    dut, rng = GatherMemory(config), np.random.default_rng(SEED)
    print(f"seed {SEED}")
    # Lane 0 lowest, and in each lane the lowest part.
    mirror = np.zeros((config.gather_words, config.lanes, config.flits_per_word, config.flit_bits), np.uint8)
    content = np.reshape(random_memory(rng, config), (-1, config.flit_bits))
    assert len(content) == unit_size(Unit.GATHER_MEMORY, config)

    async def bench(context: Any) -> None:
        expected = 0
        for index in rng.permutation(np.repeat(np.arange(len(content)), 2)).tolist():
            # A flit in some cycles, a read in others, at the same address now and then.
            write, read = int(rng.integers(4) > 0), int(rng.integers(3) > 0)
            word, part = divmod(index, config.flits_per_word)
            address = word // config.lanes if rng.integers(3) == 0 else int(rng.integers(config.gather_words))
            if write and address == word // config.lanes:
                read = 0  # what a read meets at the very time of a write is not said
            content[index] = rng.integers(0, 2, config.flit_bits)
            for name, value in {
                "write": write, "write_address": index, "write_data": number(content[index]), "read": read,
                "read_address": address,
            }.items():  # fmt: skip
                context.set(getattr(dut, name), value)
            await context.tick()
            if read:
                expected = number(mirror[address].reshape(-1))
            assert context.get(dut.data) == expected
            if write:
                mirror[word // config.lanes, word % config.lanes, part] = content[index]
        assert mirror.mean() > 0.3

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
