"""A cluster that works cycle by cycle, as the contract describes its units, and random work for it."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from golden.accelerator.stream import ClusterStart
from hw.accelerator.commands import End, HostCommand, Run, Wait, Write
from hw.accelerator.protocol import TileState, Unit
from hw.isa import Instruction, LoadKind, Opcode, Owner
from tests.golden.accelerator.slow_tile import STREAMING, Cycle, cycles
from tests.golden.accelerator.streams import CAP, MAP, TINY, arm, arm_gather, arm_sender, load, store

PATIENCE = 300  # cycles without a beat after which nothing will move any more


@dataclass
class SlowTile:
    """A tile: its next cycle, and what it did with the ones before."""

    walk: Iterator[Cycle]
    kinds: list[str]  # what each LOAD and STORE meets
    now: Cycle | None = None
    states: dict[TileState, int] = field(default_factory=lambda: dict.fromkeys(TileState, 0))
    taken: bool = False  # the beat that the gather unit shows
    halted: int = 0

    def meets(self) -> str:
        return "" if self.now is None or self.now.beat is None else self.kinds[self.now.beat]


@dataclass
class SlowCluster:
    """Every unit, one cycle after the other, as the contract describes them."""

    start: ClusterStart
    go: int
    tiles: dict[int, SlowTile] = field(default_factory=dict)
    sent: list[int] = field(default_factory=list)
    blocked: int = 0
    last_beat: int = 0

    def run(self) -> bool:
        """Whether all came to an end."""
        for number, slot in self.start.tiles.items():
            program = slot.program.program
            operations = [op for op in program.executed() if op.opcode in STREAMING]
            kinds = ["out" if op.opcode == Opcode.STORE else LoadKind(op.kind).name for op in operations]
            walk = cycles(program, TINY.tile(number))
            self.tiles[number] = SlowTile(walk, kinds, next(walk))
            self.tiles[number].states[TileState.PROGRAM] = 1
        turns = {MAP: deque(cap for cap in sorted(self.tiles) if cap < MAP)}
        job = self.start.gather
        left = job.beat_count(TINY) if job else 0
        queue, worked, free, quiet, cycle = 0, 0, self.go + 1, 0, self.go + 2
        while any(tile.now for tile in self.tiles.values()) or left or queue:
            quiet += 1
            if quiet > PATIENCE:
                return False
            moving = {number for number, tile in self.tiles.items() if tile.now and cycle >= self.go + 4}
            for number in sorted(moving):
                tile = self.tiles[number]
                meets = tile.meets()
                if meets == "PLANES":
                    shown = queue and job and job.receivers >> number & 1 and not tile.taken
                    moving -= set() if shown else {number}
                    tile.taken |= bool(shown)
                elif meets == "BLOCK" and number < MAP:
                    moving.remove(number)
                elif meets == "out" and number == MAP:
                    job_words = self.start.sender.words if self.start.sender else 0
                    if cycle < free or len(self.sent) == job_words:
                        moving.remove(number)
                    else:
                        self.sent.append(cycle + 1)
                        free = cycle + TINY.flits_per_word

            # A word goes from the CAP whose turn it is to the MAP, or both wait.
            ours = self.tiles.get(MAP)
            turn = turns[MAP][0] if turns[MAP] else None
            takes = ours is not None and MAP in moving and ours.meets() == "BLOCK"
            gives = turn is not None and turn in moving and self.tiles[turn].meets() == "out"
            for cap in range(MAP):
                if cap in moving and self.tiles[cap].meets() == "out" and not (takes and cap == turn):
                    moving.remove(cap)
            if takes and not gives:
                moving.remove(MAP)
            if takes and gives and turn is not None:
                now = self.tiles[turn].now
                if now is not None and now.last:
                    turns[MAP].rotate(-1)

            # The gather unit.
            full, shows = queue == TINY.gather_queue, queue > 0
            if shows and job and all(
                self.tiles[number].taken for number in range(3) if job.receivers >> number & 1 and number in self.tiles
            ):  # fmt: skip
                queue -= 1
                self.last_beat = cycle
                for tile in self.tiles.values():
                    tile.taken = False
            if left and job:
                if worked < job.out_rows - 1:
                    worked += 1
                elif not full:
                    worked, queue, left = 0, queue + 1, left - 1
                else:
                    self.blocked += 1

            for number, tile in self.tiles.items():
                if cycle < self.go + 4 or tile.now is None:
                    continue
                if number in moving:
                    quiet = 0
                    waits = {None: TileState.BUSY, Owner.LOAD: TileState.PLANES, Owner.STORE: TileState.ROOM}
                    tile.states[waits[tile.now.wait]] += 1
                    tile.now = next(tile.walk, None)
                    tile.halted = cycle
                else:
                    tile.states[TileState.ROOM if tile.meets() == "out" else TileState.PLANES] += 1
            cycle += 1
        return self.start.sender is None or len(self.sent) == self.start.sender.words

    @property
    def idle(self) -> int:
        """The first cycle in which nothing works any more."""
        ends = [tile.halted + 1 for tile in self.tiles.values()] + [cycle + 1 for cycle in self.sent]
        return max([*ends, self.go, self.last_beat + 1])


def parts(total: int, generator: np.random.Generator, most: int = 6) -> list[int]:
    """Random widths that add up to a total."""
    widths: list[int] = []
    while total:
        widths.append(min(total, int(generator.integers(1, most))))
        total -= widths[-1]
    return widths


def shuffled(groups: Sequence[Sequence[Instruction]], generator: np.random.Generator) -> list[Instruction]:
    """Instructions of several groups, each in its order, with work and SYNCs between."""
    left = [deque(group) for group in groups if group]
    result: list[Instruction] = []
    while left:
        group = left[generator.integers(len(left))]
        result.append(group.popleft())
        if not group:
            left.remove(group)
        if generator.random() < 0.5:
            result.append(Instruction(Opcode.SYNC, constant=int(generator.integers(0, 3))))
        if generator.random() < 0.4:
            result.append(Instruction(Opcode.FILL, d=40, d_width=int(generator.integers(1, 20))))
        if generator.random() < 0.3:
            width = int(generator.integers(1, 4))
            result.append(Instruction(Opcode.DOT, a=40, a_width=width, b=44, b_width=3))
    return result


def random_cluster(seed: int, clusters: int = 1) -> list[HostCommand]:
    """Programs and registers for a phase of random work; some wait for ever."""
    generator = np.random.default_rng(seed)
    receivers = int(generator.integers(1, 8))
    planes, turns = int(generator.integers(1, 12)), int(generator.integers(0, 4))
    commands: list[HostCommand] = [
        arm_gather(
            TILES=planes, RECEIVERS=receivers, OUT_ROWS=int(generator.integers(1, 9)), OUT_WIDTH=4, clusters=clusters
        )
    ]
    words = 0
    for tile in (CAP, CAP + 1, MAP):
        groups: list[list[Instruction]] = [[load(0, 2, LoadKind.TAPS)]]
        if receivers >> tile & 1:
            groups.append([load(8, width, LoadKind.PLANES) for width in parts(planes, generator)])
        if tile == MAP:
            groups.append([load(16, width, LoadKind.BLOCK) for width in parts(words, generator)])
            stored = int(generator.integers(1, 30))
            groups.append([store(24, width) for width in parts(stored, generator)])
            commands.append(arm_sender(counts=(stored, 1, 1), clusters=clusters))
        elif generator.random() < 0.9 or receivers >> tile & 1:
            widths = [int(generator.integers(1, 5)) for _ in range(turns)]
            words += sum(widths)
            groups.append([store(24, width) for width in widths])
        else:
            continue
        commands += arm(tile, shuffled(groups, generator), taps=(0, 3), clusters=clusters)
    return commands


def random_stream(seed: int) -> list[HostCommand]:
    """A run of three phases of random work in both clusters, with writes and WAITs; in some units wait for ever.

    All senders send to the host.
    """
    generator = np.random.default_rng(seed)
    commands: list[HostCommand] = []
    for phase in range(3):
        clusters = int(generator.integers(1, 4))
        for cluster in range(2):
            if clusters >> cluster & 1:
                commands += random_cluster(1000 * seed + 10 * phase + cluster, 1 << cluster)
        commands.append(Run())
        for _ in range(generator.integers(0, 4)):
            count = int(generator.integers(0, 60))
            write = Write(Unit.TAPS, 0, [0] * count, int(generator.integers(1, 4)))
            commands.append(write if generator.random() < 0.5 else Wait(int(generator.integers(0, 4))))
    return [*commands, End()]
