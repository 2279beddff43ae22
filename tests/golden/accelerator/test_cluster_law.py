"""The law of a cluster against a cluster that works cycle by cycle, and cases worked out by hand."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from golden.accelerator.cluster_law import ClusterTimes, cluster_times
from golden.accelerator.stream import ClusterStart, Fault, Memories
from hw.accelerator.commands import HostCommand, Write
from hw.accelerator.protocol import AcceleratorError, TileState, Unit, Waiting
from hw.isa import Instruction, LoadKind, Opcode, Owner
from tests.golden.accelerator.slow_tile import STREAMING, Cycle, cycles
from tests.golden.accelerator.streams import CAP, MAP, SYNC, TINY, arm, arm_gather, arm_sender, load, store

GO = 100
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
        queue, worked, free, quiet, cycle = 0, 0, GO + 1, 0, GO + 2
        while any(tile.now for tile in self.tiles.values()) or left or queue:
            quiet += 1
            if quiet > PATIENCE:
                return False
            moving = {number for number, tile in self.tiles.items() if tile.now and cycle >= GO + 4}
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
                if cycle < GO + 4 or tile.now is None:
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


def start_of(commands: Sequence[HostCommand]) -> ClusterStart:
    memories = Memories(TINY, seed=None)
    for command in commands:
        assert isinstance(command, Write)
        memories.write(command)
    return memories.go()[0]


def check(start: ClusterStart) -> ClusterTimes | None:
    """Compare law and slow cluster; None where units wait for ever."""
    slow = SlowCluster(start)
    if not slow.run():
        with pytest.raises(Fault) as raised:
            cluster_times(start, GO, 0, TINY)
        assert raised.value.code is AcceleratorError.WATCHDOG
        return None
    times = cluster_times(start, GO, 0, TINY)
    for number, tile in slow.tiles.items():
        tile.states.pop(TileState.IDLE)
        assert times.tiles[number] == tile.states, number
    assert times.sent == slow.sent
    assert times.gather_blocked == slow.blocked
    ends = [tile.halted + 1 for tile in slow.tiles.values()] + [cycle + 1 for cycle in slow.sent]
    assert times.idle == max([*ends, GO, slow.last_beat + 1 if start.gather else 0])
    return times


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


def random_start(seed: int) -> ClusterStart:
    generator = np.random.default_rng(seed)
    receivers = int(generator.integers(1, 8))
    planes, turns = int(generator.integers(1, 12)), int(generator.integers(0, 4))
    commands: list[HostCommand] = [
        arm_gather(TILES=planes, RECEIVERS=receivers, OUT_ROWS=int(generator.integers(1, 9)), OUT_WIDTH=4)
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
            commands.append(arm_sender(counts=(stored, 1, 1)))
        elif generator.random() < 0.9 or receivers >> tile & 1:
            widths = [int(generator.integers(1, 5)) for _ in range(turns)]
            words += sum(widths)
            groups.append([store(24, width) for width in widths])
        else:
            continue
        commands += arm(tile, shuffled(groups, generator), taps=(0, 3))
    return start_of(commands)


def test_random_clusters() -> None:
    ends = [check(random_start(seed)) for seed in range(150)]
    assert 30 < sum(end is not None for end in ends) < 145  # both what ends and what waits for ever


def test_a_word_from_cap_to_map_by_hand() -> None:
    """The CAP decodes STORE at 104, stores at 105 if the MAP loads then; the MAP comes at 104 + 1 + 8 + 1."""
    fill = Instruction(Opcode.FILL, d=8, d_width=7)
    start = start_of(
        [
            *arm(CAP, [store(0, 1)]),
            *arm(MAP, [fill, load(0, 1, LoadKind.BLOCK), SYNC, store(0, 1)]),
            arm_sender(counts=(1, 1, 1)),
        ]
    )
    times = check(start)
    assert times is not None
    # MAP: 104 FILL .. 111, 112 LOAD, 113 SYNC waits for the word, 114 SYNC, 115 STORE, 116 HALT waits, 117 HALT.
    assert times.tiles[MAP] == {
        TileState.BUSY: 12, TileState.PLANES: 1, TileState.ROOM: 1, TileState.PROGRAM: 1,
    }  # fmt: skip
    # CAP: 104 STORE, 105 .. 113 HALT waits for the word to be taken, 114 HALT.
    assert times.tiles[CAP] == {
        TileState.BUSY: 2, TileState.PLANES: 0, TileState.ROOM: 9, TileState.PROGRAM: 1,
    }  # fmt: skip
    assert times.sent == [117]
    assert times.idle == 118


def test_windows_by_hand() -> None:
    """Beats of five rows show at 107, 112, ..; the CAP is there at 105."""
    start = start_of([*arm(CAP, [load(0, 2, LoadKind.PLANES)]), arm_gather(TILES=2, OUT_ROWS=5, OUT_WIDTH=6)])
    times = check(start)
    assert times is not None
    # 104 LOAD, then HALT waits until the fourth beat: shown at 107 + 15; 123 HALT.
    assert times.tiles[CAP][TileState.PLANES] == 122 - 104
    assert (times.idle, times.gather_working, times.gather_blocked) == (124, 20, 0)


WAITS: list[tuple[Sequence[HostCommand], int, Waiting]] = [
    (arm(CAP, [load(0, 1, LoadKind.BLOCK)]), Unit.TILE + CAP, Waiting.PLANES),
    (arm(CAP, [load(0, 1, LoadKind.PLANES)]), Unit.TILE + CAP, Waiting.PLANES),
    (arm(MAP, [Instruction(Opcode.LOAD, d_width=1, kind=LoadKind.TAG)]), Unit.TILE + MAP, Waiting.PLANES),
    (arm(CAP, [store(0, 1)]), Unit.TILE + CAP, Waiting.ROOM),
    (arm(MAP, [store(0, 1)]), Unit.TILE + MAP, Waiting.ROOM),
    ([arm_sender()], Unit.SENDER, Waiting.WORDS),
    ([arm_gather()], Unit.GATHER, Waiting.TILES),
    ([*arm(CAP, [SYNC]), Write(Unit.TILE + CAP, 0, [0, 0, 0, 2], 1)], Unit.TILE + CAP, Waiting.PROGRAM),
]


@pytest.mark.parametrize(("commands", "unit", "state"), WAITS)
def test_who_waits_for_ever_is_told(commands: Sequence[HostCommand], unit: int, state: Waiting) -> None:
    with pytest.raises(Fault, match=f"WATCHDOG in cluster 0, unit 0x{unit:02x}, detail {state.value}"):
        cluster_times(start_of(commands), GO, 0, TINY)


def test_a_refused_program_is_told() -> None:
    commands = [*arm(CAP, [SYNC]), Write(Unit.PROGRAM + CAP, 8, [0], 1)]
    with pytest.raises(Fault, match="TILE in cluster 0, unit 0x40, detail 260"):
        cluster_times(start_of(commands), GO, 0, TINY)
