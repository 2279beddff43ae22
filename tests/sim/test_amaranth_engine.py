"""The tile in Amaranth's own simulator: the same planes, counters and errors as the golden tile."""

from __future__ import annotations

import numpy as np
import pytest

from golden.engine import Job, TileError
from golden.tile import GoldenTile
from hw.config import CONFIGS
from hw.isa import ErrorCode, Instruction, LoadKind, Opcode, Program, StoreKind
from sim.amaranth_engine import AmaranthEngine
from tests.programs import random_planes

CONFIG = CONFIGS["small"].replace(name="amaranth", taps=2, outputs=8, columns=40, plane_bits=8)
SEED = 3


def program(*instructions: Instruction) -> Program:
    return Program.build([*instructions, Instruction(Opcode.HALT)], CONFIG)


DOT = program(
    Instruction(Opcode.LOAD, d=0, d_width=3),
    Instruction(Opcode.LOAD, d=8, d_width=2, kind=LoadKind.TAPS),
    Instruction(Opcode.INIT, constant=-5),
    Instruction(Opcode.SYNC),
    Instruction(Opcode.DOT, a=0, a_width=3, b=8, b_width=2, b_signed=True),
    Instruction(Opcode.DRAIN, d=16, d_width=12),
    Instruction(Opcode.STORE, a=16, a_width=12, kind=StoreKind.BLOCK),
    Instruction(Opcode.COPY, a=0, a_width=3, d=32, d_width=3),
    Instruction(Opcode.STORE, a=32, a_width=3),
)


def test_equals_the_golden_tile_job_by_job() -> None:
    ours, golden = AmaranthEngine(CONFIG), GoldenTile(CONFIG)
    golden.cells = np.zeros_like(golden.cells)
    rng = np.random.default_rng(SEED)
    for _ in range(2):
        job = Job(DOT, random_planes(rng, DOT, CONFIG))
        found, wanted = ours.run(job), golden.run(job)
        assert {**found.counters, "identity.config": CONFIG.hash} == wanted.counters
        assert len(found.planes) == len(wanted.planes) == 2
        for our, their in zip(found.planes, wanted.planes, strict=True):
            assert np.array_equal(our, their)
    ours.close()


def test_after_an_error_it_goes_on() -> None:
    engine = AmaranthEngine(CONFIG, timeout_cycles=2000)
    planes = random_planes(np.random.default_rng(SEED), DOT, CONFIG)
    first = engine.run(Job(DOT, planes))
    refused = engine.run(Job(Program(DOT.instructions, CONFIG.hash ^ 1), planes))
    assert (refused.error, refused.planes) == (ErrorCode.CONFIG, ())
    again = engine.run(Job(DOT, planes))
    assert again.counters == first.counters
    assert again.error is ErrorCode.NONE
    with pytest.raises(TileError, match=r"^the tile did not end a program of 10 instructions within 2000 cycles$"):
        engine.run(Job(DOT, planes[:1]))
    assert engine.run(Job(DOT, planes)).counters == first.counters
    with pytest.raises(TileError, match=r"^the tile left 1 of \d+ beats of plane_in untaken$"):
        engine.run(Job(DOT, [*planes, planes[0][:1, :8]]))
