"""Checks of a gather unit in Amaranth's simulator, each of one thing that it must do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from itertools import cycle, repeat
from random import Random
from typing import Any

import numpy as np
from amaranth.hdl import ResetInserter, Signal
from amaranth.sim import Simulator

from golden.accelerator.windows import GatherJob
from golden.engine import Bits
from hw.accelerator.config import AcceleratorConfig
from hw.accelerator.gather import GatherUnit
from hw.accelerator.protocol import GatherRegister
from tests.gather import (
    SHAPES,
    SMALL_JOB,
    TINY,
    WRONG,
    Cycle,
    Judge,
    memory_flits,
    random_job,
    random_memory,
    take_patterns,
)

SEED = 21
EVERYTHING = repeat(0xFFFF)


class Bench:
    """A gather unit in Amaranth's simulator, and what its memory was filled with."""

    def __init__(self, context: Any, dut: Any, reset: Signal, config: AcceleratorConfig):
        self.context, self.dut, self.reset_signal, self.config = context, dut, reset, config
        self.random, self.memory = Random(SEED), np.zeros(0, np.uint8)

    async def pulse(self, **values: int) -> None:
        """Some inputs for one cycle."""
        for name, value in values.items():
            self.context.set(getattr(self.dut, name), value)
        await self.context.tick()
        for name in values:
            self.context.set(getattr(self.dut, name), 0)

    async def reset(self) -> None:
        """The state of the first cycle; memories keep what they hold."""
        self.context.set(self.reset_signal, 1)
        await self.context.tick()
        self.context.set(self.reset_signal, 0)

    async def fill(self, memory: Bits) -> None:
        """Write the whole memory, in any order."""
        flits = list(memory_flits(memory, self.config))
        self.random.shuffle(flits)
        for address, payload in flits:
            await self.pulse(write=1, write_address=address, write_data=payload)
        self.memory = memory

    async def registers(self, job: GatherJob, arm: bool = True) -> None:
        """Write all registers, the one that arms last or not at all."""
        for register, value in zip(GatherRegister, job.registers, strict=True):
            if arm or register is not GatherRegister.RECEIVERS:
                await self.pulse(register_write=1, register_index=register, register_data=value)

    def cycle(self) -> Cycle:
        """The ports now."""
        ports = ("beat", "beat_valid", "beat_taken", "idle", "working", "blocked", "descriptor_error")
        values = {port: self.context.get(getattr(self.dut, port)) for port in ports}
        values["error"] = values.pop("descriptor_error")
        return Cycle(**{**values, "beat": values["beat"] if values["beat_valid"] else 0})

    async def run(self, job: GatherJob, takes: Iterable[int] = EVERYTHING) -> Judge:
        """*go*, and every cycle until the unit is idle again."""
        judge = Judge(job, self.memory, self.config)
        self.context.set(self.dut.go, 1)
        for taken in takes:
            self.context.set(self.dut.beat_taken, taken)
            judge.see(self.cycle())
            await self.context.tick()
            self.context.set(self.dut.go, 0)
            if judge.finished:
                break
        return judge

    async def job(self, job: GatherJob, takes: Iterable[int] = EVERYTHING) -> Judge:
        """Registers and run."""
        await self.registers(job)
        return await self.run(job, takes)

    async def nothing_starts(self) -> None:
        """*go*, which changes nothing."""
        self.context.set(self.dut.go, 1)
        for number in range(12):
            seen = self.cycle()
            assert (seen.idle, seen.beat_valid, seen.working, seen.error) == (1, 0, 0, 0), f"cycle {number}: {seen}"
            await self.context.tick()
            self.context.set(self.dut.go, 0)

    async def refused(self, register: GatherRegister) -> None:
        """*go*, upon which the unit tells a register in the second cycle, and is idle from the third on."""
        self.context.set(self.dut.go, 1)
        self.context.set(self.dut.beat_taken, 0xFFFF)
        for number in range(12):
            seen = self.cycle()
            idle, error = number not in (1, 2), number == 2
            assert (seen.idle, seen.error) == (idle, error), f"cycle {number}: {seen}, {register.name}"
            assert (seen.beat_valid, seen.working) == (0, 0), f"cycle {number}: {seen}, {register.name}"
            if seen.error:
                told = self.context.get(self.dut.descriptor_register)
                assert told == register, f"register {told}, not {register.name}"
            await self.context.tick()
            self.context.set(self.dut.go, 0)


def simulate(config: AcceleratorConfig, check: Callable[[Bench], Awaitable[None]], unit: Any = GatherUnit) -> None:
    """Run a check on a unit of its own, whose memory is full of random bits."""
    dut, reset = unit(config), Signal()

    async def process(context: Any) -> None:
        bench = Bench(context, dut, reset, config)
        await bench.fill(random_memory(np.random.default_rng(SEED), config))
        await check(bench)

    simulator = Simulator(ResetInserter(reset)(dut))
    simulator.add_clock(1e-6)
    simulator.add_testbench(process)
    print(f"seed {SEED}")
    simulator.run()


async def padding(unit: Bench) -> None:
    """On all sides, of bits of both kinds, and next to rows that fill their word."""
    await unit.job(replace(SMALL_JOB, pad_top=2, pad_left=2, out_width=8, out_rows=4, sets=3))
    await unit.job(
        replace(SMALL_JOB, width=31, rows_log2=0, height=3, pad_value=1, out_width=32, out_rows=1, sets=4, pad_left=0)
    )
    await unit.job(replace(SMALL_JOB, pad_left=15, kernel_width=15, groups=1, tiles=23))


async def strides(unit: Bench) -> None:
    """All of them, on the widest map too."""
    for stride in (1, 2, 3, 4):
        await unit.job(replace(SMALL_JOB, stride_x=stride, stride_y=5 - stride, groups=1, tiles=3))
        wide = replace(SMALL_JOB, width=32, rows_log2=0, height=4, stride_x=stride, out_width=32 // stride, out_rows=1)
        await unit.job(replace(wide, groups=1, tiles=3, pad_left=2))


async def stored_sets(unit: Bench) -> None:
    """Rows of a map of many sets, and of one of one row a set."""
    await unit.job(replace(SMALL_JOB, height=13, sets=5, groups=1, tiles=3))
    await unit.job(replace(SMALL_JOB, height=5, rows_log2=0, sets=2, groups=1, tiles=3))


async def tap_tiles(unit: Bench) -> None:
    """Tap groups that fill their tiles, that do not, and that are less than half of them."""
    for kernel_height, groups, tiles in ((3, 3, 9), (3, 1, 4), (1, 2, 6), (2, 3, 2)):
        await unit.job(replace(SMALL_JOB, kernel_height=kernel_height, groups=groups, tiles=tiles))


async def planes(unit: Bench) -> None:
    """Nine planes, the lowest first; and the 32 that are possible at most."""
    await unit.job(replace(SMALL_JOB, planes=9, height=4, pad_value=0b1_1010_0110, tiles=2, sets=1, out_rows=1))
    one = replace(SMALL_JOB, planes=32, channel_groups=1, groups=1, height=4, pad_value=0x8F00_FF01, tiles=1, sets=1)
    await unit.job(one)


async def rounds(unit: Bench) -> None:
    """Channel groups one after the other, with steps, and the same ones again; for every set anew."""
    for first, step, groups in ((0, 1, 1), (1, 1, 1), (0, 2, 1), (1, 0, 2)):
        count = 3 if first + 2 * step + groups <= SMALL_JOB.channel_groups else 2
        await unit.job(
            replace(
                SMALL_JOB, rounds=count, first_group=first, group_step=step, groups=groups, tiles=3, kernel_height=2
            )
        )


async def first_rows(unit: Bench) -> None:
    """Outputs from the middle of the map, up to the last row that there can be; powers of two are far below the map."""
    for first, stride in ((1, 1), (2, 2), (32768, 2), (32768, 4), (65530, 1), (65530, 4)):
        await unit.job(replace(SMALL_JOB, first_row=first, stride_y=stride, groups=1, tiles=2, pad_top=3))


async def one_pixel(unit: Bench) -> None:
    """The smallest job: one plane of a map of one pixel."""
    smallest = replace(SMALL_JOB, width=1, height=1, rows_log2=5, planes=1, channel_groups=1, kernel_height=1, groups=1)
    smallest = replace(smallest, kernel_width=1, pad_top=0, pad_left=0, out_width=1, out_rows=1, sets=1, tiles=1)
    await unit.job(smallest)
    await unit.job(replace(smallest, kernel_height=3, kernel_width=3, pad_top=1, pad_left=1, tiles=5, pad_value=1))


async def slow_tiles(unit: Bench) -> None:
    """Beats wait in a full queue, of one row or of several; then all are wanted at once."""
    for rows in (1, 3, 6):
        job = replace(SMALL_JOB, out_rows=rows, groups=2, tiles=6)
        judge = await unit.job(job, cycle([1] + [0] * 8))
        assert judge.blocked > 0
        await unit.job(job, cycle([0] * 40 + [1] * 17))


async def receivers(unit: Bench) -> None:
    """Two and three tiles that take at different times, and one that only looks on."""
    job = replace(SMALL_JOB, groups=1, tiles=3)
    for mask in (0b101, 0b110, 0b111):
        await unit.job(replace(job, receivers=mask), cycle([0b001, 0b010, 0b001, 0b111, 0, 0b100]))
        await unit.job(replace(job, receivers=mask))
        await unit.job(replace(job, receivers=mask), take_patterns(unit.random, unit.config.tiles))


async def arming(unit: Bench) -> None:
    """A unit starts once for each write to RECEIVERS, and runs with what its registers held at the go."""
    job = replace(SMALL_JOB, groups=1, tiles=3)
    await unit.registers(job, arm=False)
    await unit.nothing_starts()
    await unit.job(job)
    await unit.nothing_starts()
    await unit.registers(job)
    await unit.pulse(go=1)
    await unit.registers(replace(job, width=2, pad_left=9, out_rows=1, planes=1, tiles=1), arm=False)
    for _ in range(200):  # what it forms meanwhile is looked at in :func:`shadows`
        await unit.pulse(beat_taken=7)
    await unit.nothing_starts()


async def shadows(unit: Bench) -> None:
    """Registers are written while a job runs, and count for the next one."""
    job = replace(SMALL_JOB, groups=1, tiles=3)
    other = replace(job, width=2, rows_log2=1, pad_left=0, out_rows=1, planes=1, tiles=2, pad_value=1)
    await unit.registers(job)
    judge, values = Judge(job, unit.memory, unit.config), list(enumerate(other.registers))
    unit.context.set(unit.dut.go, 1)
    unit.context.set(unit.dut.beat_taken, 7)
    while not judge.finished:
        judge.see(unit.cycle())
        if values and judge.cycle > 1:
            index, value = values.pop(0)
            await unit.pulse(register_write=1, register_index=index, register_data=value)
        else:
            await unit.context.tick()
        unit.context.set(unit.dut.go, 0)
    await unit.run(other)


async def wrong_registers(unit: Bench) -> None:
    """Each one out of its range is told, and the next job is none the worse for it."""
    for number, (changes, register) in enumerate(WRONG):
        await unit.registers(replace(SMALL_JOB, **changes))
        await unit.refused(register)
        if number % 8 == 0:
            await unit.job(replace(SMALL_JOB, groups=1, tiles=2, sets=1))


async def random_jobs(unit: Bench) -> None:
    """Jobs of any kind with tiles of any pace."""
    takes = take_patterns(unit.random, unit.config.tiles)
    for _ in range(40):
        await unit.job(random_job(unit.random, unit.config, rows=200), takes)


CHECKS: dict[str, tuple[AcceleratorConfig, Callable[[Bench], Awaitable[None]]]] = {
    "padding": (TINY, padding),
    "strides": (TINY, strides),
    "stored sets": (TINY, stored_sets),
    "tap tiles": (TINY, tap_tiles),
    "planes": (TINY, planes),
    "rounds": (TINY, rounds),
    "first rows": (TINY, first_rows),
    "one pixel": (TINY, one_pixel),
    "slow tiles": (TINY, slow_tiles),
    "slow tiles, queue of three": (SHAPES["two-flits"], slow_tiles),
    "receivers": (TINY, receivers),
    "arming": (TINY, arming),
    "shadows": (TINY, shadows),
    "wrong registers": (TINY, wrong_registers),
    **{f"random jobs, {name}": (config, random_jobs) for name, config in SHAPES.items()},
}
"""What a gather unit must do, each on the config that it is done with."""
