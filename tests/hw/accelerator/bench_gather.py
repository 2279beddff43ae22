"""cocotb test of the Verilog of a gather unit; ``test_gather_rtl.py`` runs it."""

from __future__ import annotations

import os
from random import Random
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

from tests.gather import SHAPES, WIDE, Cycle, Judge, memory_flits, random_job, random_memory, take_patterns

INPUTS = (
    "write", "write_address", "write_data", "register_write", "register_index", "register_data", "go", "beat_taken",
)  # fmt: skip


@cocotb.test()
async def random_jobs(dut: Any) -> None:
    """As many jobs as BFIMNA_JOBS says, of at most BFIMNA_ROWS output rows."""
    seed, jobs, rows = (int(os.environ[f"BFIMNA_{name}"]) for name in ("SEED", "JOBS", "ROWS"))
    config = {**SHAPES, "wide": WIDE}[os.environ["BFIMNA_SHAPE"]]
    print(f"seed {seed}")
    random, edge = Random(seed), RisingEdge(dut.clk)
    memory = random_memory(np.random.default_rng(seed), config)
    takes = take_patterns(random, config.tiles)

    Clock(dut.clk, 10, unit="ns").start()
    for name in INPUTS:
        getattr(dut, name).value = 0
    dut.rst.value = 1
    await edge
    await edge
    dut.rst.value = 0
    for address, payload in memory_flits(memory, config):
        dut.write.value, dut.write_address.value, dut.write_data.value = 1, address, payload
        await edge
    dut.write.value = 0

    for _ in range(jobs):
        job = random_job(random, config, rows)
        for index, value in enumerate(job.registers):
            dut.register_write.value, dut.register_index.value, dut.register_data.value = 1, index, value
            await edge
        dut.register_write.value, dut.go.value = 0, 1
        judge = Judge(job, memory, config)
        while not judge.finished:
            taken = next(takes)
            dut.beat_taken.value = taken
            await edge
            valid = int(dut.beat_valid.value)
            judge.see(
                Cycle(
                    int(dut.beat.value) if valid else 0,
                    valid,
                    taken,
                    *(int(port.value) for port in (dut.idle, dut.working, dut.blocked, dut.descriptor_error)),
                )
            )
            dut.go.value = 0
