"""The tile times of beats against a port that works cycle by cycle, as the contract of the tile describes it."""

from collections import deque
from dataclasses import dataclass, field

import numpy as np
import pytest

from golden.accelerator.port_times import port_times
from golden.laws import body_cycles, port_steps, run_law
from hw.accelerator.config import ACCELERATORS
from hw.config import TileConfig
from hw.isa import Instruction, LoadKind, Opcode, Owner, Program, StoreKind
from tests.golden.accelerator.streams import HALT, SYNC, load, store
from tests.programs import random_program

TILES = [ACCELERATORS["meshtiny"].cap, ACCELERATORS["mesh1x1"].map]
PORT = (Opcode.LOAD, Opcode.STORE, Opcode.DRAIN, Opcode.RESTORE)
STREAMING = (Opcode.LOAD, Opcode.STORE)


@dataclass
class SlowTile:
    """One cycle after the other: the sequencer looks at the queue, and its head makes a step if the cycle is open."""

    config: TileConfig
    cycle: int = 0
    queue: deque[list[int]] = field(default_factory=deque)  # [steps left, opcode, streaming operation or -1, drains]
    beats: list[tuple[int, int]] = field(default_factory=list)
    waits: dict[Owner, int] = field(default_factory=lambda: {Owner.LOAD: 0, Owner.STORE: 0})

    def pass_cycle(self, is_open: bool) -> None:
        if is_open and self.queue:
            head = self.queue[0]
            head[0] -= 1
            if head[2] >= 0:
                self.beats.append((head[2], self.cycle))
            if not head[0]:
                self.queue.popleft()
        self.cycle += 1

    def must_wait(self, op: Instruction, drains: bool) -> bool:
        if op.opcode in PORT:
            return len(self.queue) == self.config.port_queue or (drains and any(entry[3] for entry in self.queue))
        if op.opcode == Opcode.SYNC:
            return 0 <= op.constant < len(self.queue)
        return op.opcode == Opcode.HALT and len(self.queue) > 0

    def run(self, program: Program) -> None:
        streaming = 0
        for op in program.executed():
            drains = op.opcode == Opcode.DRAIN or (op.opcode == Opcode.STORE and op.kind == StoreKind.TOTAL)
            while self.must_wait(op, drains):
                loads = self.queue[0][1] in (Opcode.LOAD, Opcode.RESTORE)
                self.waits[Owner.LOAD if loads else Owner.STORE] += 1
                self.pass_cycle(True)
            self.pass_cycle(True)
            if op.opcode in PORT:
                number = streaming if op.opcode in STREAMING else -1
                streaming += op.opcode in STREAMING
                self.queue.append([port_steps(op, self.config), op.opcode, number, int(drains)])
            else:
                for _ in range(body_cycles(op, self.config)):
                    self.pass_cycle(op.opcode == Opcode.DOT)


def check(program: Program, config: TileConfig) -> None:
    slow = SlowTile(config)
    slow.run(program)
    times = port_times(program, config)
    assert list(zip(times.operation.tolist(), times.times.tolist(), strict=True)) == slow.beats
    assert times.cycles == slow.cycle == sum(
        value for name, value in run_law(program, config).items() if name.startswith("cycles.")
    )  # fmt: skip
    assert times.waits == slow.waits
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
