"""The gather unit against windows of the map, and against the clock, in Amaranth's simulator."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator

from golden.accelerator.windows import GatherJob
from hw.accelerator.config import AcceleratorConfig
from hw.accelerator.gather import GatherUnit
from tests.gather import SHAPES, Cycle, Judge, memory_flits, random_job, random_memory, take_patterns

SEED = 21


class Bench:
    """A gather unit in Amaranth's simulator."""

    def __init__(self, context: Any, dut: GatherUnit):
        self.context, self.dut = context, dut

    async def pulse(self, **values: int) -> None:
        """Some inputs for one cycle."""
        for name, value in values.items():
            self.context.set(getattr(self.dut, name), value)
        await self.context.tick()
        for name in values:
            self.context.set(getattr(self.dut, name), 0)

    async def fill(self, memory: Any) -> None:
        """Write the whole memory."""
        for address, payload in memory_flits(memory, self.dut.config):
            await self.pulse(write=1, write_address=address, write_data=payload)

    async def registers(self, job: GatherJob) -> None:
        """Write all registers, the one that arms last."""
        for index, value in enumerate(job.registers):
            await self.pulse(register_write=1, register_index=index, register_data=value)

    def cycle(self) -> Cycle:
        """The ports now."""
        get, dut = self.context.get, self.dut
        valid = get(dut.beat_valid)
        return Cycle(
            get(dut.beat) if valid else 0,
            valid,
            get(dut.beat_taken),
            get(dut.idle),
            get(dut.working),
            get(dut.blocked),
            get(dut.descriptor_error),
        )

    async def run(self, judge: Judge, takes: Any) -> None:
        """*go*, and every cycle until the unit is idle again."""
        self.context.set(self.dut.go, 1)
        for taken in takes:
            self.context.set(self.dut.beat_taken, taken)
            judge.see(self.cycle())
            await self.context.tick()
            self.context.set(self.dut.go, 0)
            if judge.finished:
                break


def simulate(config: AcceleratorConfig, bench: Any) -> None:
    """Run a test bench on a unit of its own."""
    dut = GatherUnit(config)

    async def process(context: Any) -> None:
        await bench(Bench(context, dut))

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(process)
    simulator.run()


@pytest.mark.parametrize("shape", SHAPES)
def test_random_jobs_form_the_golden_beats_in_the_cycles_of_the_clock(shape: str) -> None:
    config = SHAPES[shape]
    random, rng = Random(SEED), np.random.default_rng(SEED)
    print(f"seed {SEED}")

    async def bench(unit: Bench) -> None:
        takes = take_patterns(random, config.tiles)
        for index in range(40):
            if index % 20 == 0:
                memory = random_memory(rng, config)
                await unit.fill(memory)
            job = random_job(random, config, rows=200)
            await unit.registers(job)
            await unit.run(Judge(job, memory, config), takes)

    simulate(config, bench)
