"""The tile times of beats against a port that works cycle by cycle, as the contract of the tile describes it."""

import numpy as np
import pytest

from golden.accelerator.port_times import port_times
from golden.laws import run_law
from hw.accelerator.config import ACCELERATORS
from hw.config import TileConfig
from hw.isa import Instruction, LoadKind, Opcode, Owner, Program, StoreKind
from tests.golden.accelerator.slow_tile import cycles
from tests.golden.accelerator.streams import HALT, SYNC, load, store
from tests.programs import random_program

TILES = [ACCELERATORS["meshtiny"].cap, ACCELERATORS["mesh1x1"].map]
STREAMING = (Opcode.LOAD, Opcode.STORE)


def check(program: Program, config: TileConfig) -> None:
    slow = list(cycles(program, config))
    times = port_times(program, config)
    beats = [(cycle.beat, index) for index, cycle in enumerate(slow) if cycle.beat is not None]
    assert list(zip(times.operation.tolist(), times.times.tolist(), strict=True)) == beats
    assert times.cycles == len(slow) == sum(
        value for name, value in run_law(program, config).items() if name.startswith("cycles.")
    )  # fmt: skip
    assert times.waits == {
        owner: sum(cycle.wait is owner for cycle in slow) for owner in (Owner.LOAD, Owner.STORE)
    }  # fmt: skip
    assert list(times.operations) == [op for op in program.executed() if op.opcode in STREAMING]


@pytest.mark.parametrize("config", TILES, ids=lambda config: config.name)
@pytest.mark.parametrize("seed", range(8))
def test_random_programs(config: TileConfig, seed: int) -> None:
    print(f"seed {seed}")
    job = random_program(np.random.default_rng(seed), config, 60)
    check(job.program, config)


@pytest.mark.parametrize("queue", [1, 2, 4])
def test_streams_of_port_operations(queue: int) -> None:
    """Many port operations with few instructions between, so that the queue fills and empties."""
    config = TILES[0].replace(port_queue=queue)
    generator = np.random.default_rng(queue)
    instructions: list[Instruction] = []
    for _ in range(200):
        width = int(generator.integers(1, 6))
        choices = [
            load(0, width, LoadKind.TAPS), load(0, width, LoadKind.PLANES), load(0, width, LoadKind.BLOCK),
            store(8, width), Instruction(Opcode.DRAIN, d=16, d_width=width),
            Instruction(Opcode.STORE, a_width=width, kind=StoreKind.TOTAL),
            Instruction(Opcode.RESTORE, a=8, a_width=width), Instruction(Opcode.SYNC, constant=width % 3),
            Instruction(Opcode.FILL, d=32, d_width=width),
            Instruction(Opcode.DOT, a=32, a_width=2, b=34, b_width=width),
        ]  # fmt: skip
        instructions.append(choices[generator.integers(len(choices))])
    check(Program.build([*instructions, HALT], config), config)


def test_beats_by_hand() -> None:
    """LOAD 0, FILL 1 + 3 closed, LOAD, SYNC 1 that waits for the first: two beats a plane."""
    config = TILES[0]
    program = [
        load(0, 2, LoadKind.PLANES),
        Instruction(Opcode.FILL, d=8, d_width=3),
        load(16, 1, LoadKind.TAPS),
        Instruction(Opcode.SYNC, constant=1),
        HALT,
    ]
    times = port_times(Program.build(program, config), config)
    # 0 LOAD; 1 FILL, a beat; 2..4 closed; 5 LOAD, 6, 7 SYNC waits, 8 SYNC, 9 HALT
    assert times.times.tolist() == [1, 5, 6, 7, 8]
    assert times.operation.tolist() == [0, 0, 0, 0, 1]
    assert (times.cycles, times.waits) == (10, {Owner.LOAD: 2, Owner.STORE: 0})


def test_a_program_without_beats() -> None:
    times = port_times(Program.build([SYNC, HALT], TILES[0]), TILES[0])
    assert (len(times.times), times.operations, times.cycles) == (0, (), 2)
