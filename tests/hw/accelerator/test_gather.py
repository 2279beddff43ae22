"""The gather unit against windows of the map, and against the clock, in Amaranth's simulator."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from golden.accelerator.windows import check
from tests.gather import LARGEST, SMALL_JOB, TINY, WRONG
from tests.gather_checks import CHECKS, SEED, Bench, simulate


@pytest.mark.parametrize("name", CHECKS)
def test_unit(name: str) -> None:
    simulate(*CHECKS[name])


def test_largest_values_start() -> None:
    async def bench(unit: Bench) -> None:
        for changes in LARGEST:
            job = replace(SMALL_JOB, **changes)
            if job.beat_count(TINY) * job.out_rows < 600:
                await unit.job(job)
                continue
            await unit.registers(job)
            await unit.pulse(go=1)
            for _ in range(6):
                assert not unit.context.get(unit.dut.descriptor_error), changes
                assert not unit.context.get(unit.dut.idle), changes
                await unit.context.tick()
            await unit.reset()

    simulate(TINY, bench)


def test_first_of_several_wrong_registers_is_told() -> None:
    random = Random(SEED)

    async def bench(unit: Bench) -> None:
        for _ in range(40):
            changes: dict[str, int] = {}
            for wrong, _ in random.sample(WRONG, 2):
                changes |= wrong
            job = replace(SMALL_JOB, **changes)
            register = check(job, TINY)
            if register is not None:
                await unit.registers(job)
                await unit.refused(register)

    simulate(TINY, bench)
