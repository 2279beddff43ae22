"""When the units of one cluster do what they do in a phase.

Tiles are lockstep machines: a beat moves when both sides have come to it, and all that a tile does later is later by
what it waited.  So the times of a phase follow from tile times (:mod:`golden.accelerator.port_times`) and from who
meets whom, beat by beat, in any order in which the partners can be worked off.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from golden.accelerator.gather_law import GatherClock
from golden.accelerator.port_times import port_times
from golden.accelerator.stream import ClusterStart, Fault, TileProgram
from golden.sequencer import Sequencer
from hw.accelerator.config import AcceleratorConfig
from hw.accelerator.protocol import AcceleratorError, TileState, Unit, Waiting
from hw.config import TileConfig
from hw.isa import ErrorCode, LoadKind, Opcode, Owner

__all__ = [
    "FIRST_DECODE", "GATHER_IDLE", "SENDER_FIRST", "SENDER_IDLE", "SENDER_LATENCY", "SLOT_LATENCY", "STARTING",
    "ClusterTimes", "cluster_times",
]  # fmt: skip

FIRST_DECODE = 4
"""Cycles from *go* to the first decode cycle of a tile."""

STARTING: dict[TileState, int] = {TileState.PROGRAM: 1}
"""What a tile does before its first decode cycle, besides being idle."""

SLOT_LATENCY = 1
"""Cycles from the decode cycle of HALT to the first one in which the tile's slot is idle."""

GATHER_IDLE = 1
"""Cycles from the one in which the last beat is taken to the first one in which the gather unit is idle."""

SENDER_FIRST = 1
"""Cycles from *go* to the first one in which a sender takes a word."""

SENDER_LATENCY = 1
"""Cycles from the one in which a sender takes a word to the one in which a router takes the first flit of it; it takes
the next word at the earliest when it hands over the last flit of this one."""

SENDER_IDLE = 1
"""Cycles from the one in which the router takes the last flit to the first one in which the sender is idle."""

_GATHERED, _WORD_IN, _WORD_OUT, _NEVER, _ALWAYS = range(5)
"""Whom a tile meets at a step of its port: gather unit, CAPs, MAP or sender; nobody; or one that is always there."""


@dataclass
class ClusterTimes:
    """One cluster in one phase.

    Parameters
    ----------
    idle : the first cycle in which none of its units works.
    tiles : of each tile that ran, cycles by state, those of IDLE excepted.
    sent : the cycles in which the first flit of each of the sender's words is taken by the router.
    gather_working : cycles in which the gather unit forms a beat.
    gather_blocked : cycles in which it waits for room in its queue.
    """

    idle: int
    tiles: dict[int, dict[TileState, int]] = field(default_factory=dict[int, dict[TileState, int]])
    sent: list[int] = field(default_factory=list[int])
    gather_working: int = 0
    gather_blocked: int = 0


@dataclass(frozen=True)
class _Steps:
    """Steps of a tile's port at which it may have to wait, in order: tile time, whom it meets, ends of operations."""

    times: list[int]
    partners: list[int]
    ends: list[bool]
    cycles: int
    waits: dict[Owner, int]
    error: ErrorCode
    address: int


@lru_cache(maxsize=256)
def _steps(program: TileProgram, config: TileConfig, accumulates: bool) -> _Steps:
    """The steps of a program on a tile, which takes words from CAPs or not."""
    sequencer = Sequencer(program.program, config)
    for _ in sequencer:
        pass
    port = port_times(program.program, config)
    partners = np.array([_partner(op.opcode, op.kind, accumulates) for op in port.operations], np.int64)
    of_beat = partners[port.operation]
    last = np.append(np.diff(port.operation) != 0, True)[: len(of_beat)]
    kept = of_beat != _ALWAYS
    return _Steps(
        port.times[kept].tolist(),
        of_beat[kept].tolist(),
        last[kept].tolist(),
        port.cycles,
        port.waits,
        program.error or sequencer.error,
        sequencer.address,
    )


def _partner(opcode: int, kind: int, accumulates: bool) -> int:
    """Whom a LOAD or STORE meets."""
    if opcode == Opcode.STORE:
        return _WORD_OUT
    words = _WORD_IN if accumulates else _NEVER
    return {LoadKind.TAPS: _ALWAYS, LoadKind.PLANES: _GATHERED, LoadKind.BLOCK: words}.get(LoadKind(kind), _NEVER)


class _Tile:
    """A tile on its way through its steps."""

    def __init__(self, number: int, steps: _Steps, first: int) -> None:
        self.number = number
        self.steps = steps
        self.base = first  # the cycle of tile time 0, if nothing had to be waited for after the present step
        self.position = 0
        self.gathered = 0
        self.planes = 0
        self.room = 0
        self.offered = False  # a CAP has a word, and has come to the step

    @property
    def left(self) -> bool:
        return self.position < len(self.steps.times)

    @property
    def next(self) -> int:
        """The cycle of the next step, if its partner is there."""
        return self.base + self.steps.times[self.position]


class _Words:
    """The words that CAPs store to one MAP: a STORE of each by turns."""

    def __init__(self, caps: Sequence[_Tile]) -> None:
        self.caps = caps
        self.turn = 0

    @property
    def cap(self) -> _Tile | None:
        return self.caps[self.turn] if self.caps else None

    def moved(self, ends: bool) -> None:
        if ends:
            self.turn = (self.turn + 1) % len(self.caps)


class _Network:
    """A cluster in a phase; what can go on is worked off until nothing can."""

    def __init__(self, start: ClusterStart, go: int, cluster: int, config: AcceleratorConfig) -> None:
        self.start = start
        self.go = go
        self.cluster = cluster
        self.config = config
        self.tiles: dict[int, _Tile] = {}
        for number, slot in sorted(start.tiles.items()):
            steps = _steps(slot.program, config.tile(number), number >= config.caps)
            self._check_program(number, slot.program, steps)
            self.tiles[number] = _Tile(number, steps, go + FIRST_DECODE)
        self.words = {
            config.caps + number: _Words(
                [tile for cap, tile in self.tiles.items() if cap < config.caps and config.map_of(cap) == number]
            )
            for number in range(config.maps)
        }
        self.ready = deque(self.tiles.values())

        # The gather unit: the beat at the head of its queue, who has to take it, and who waits for the next one.
        job = start.gather
        self.beats = job.beat_count(config) if job is not None else 0
        self.receivers = job.receivers if job is not None else 0
        self.clock = GatherClock(go, job.out_rows if job is not None else 1, config.gather_queue)
        self.beat = 0
        self.shown = self.clock.shown(0)
        self.missing = self.receivers.bit_count()
        self.taken = go
        self.waiting: list[_Tile] = []

        # The sender.
        self.free = go + SENDER_FIRST
        self.sent: list[int] = []

    def _check_program(self, number: int, program: TileProgram, steps: _Steps) -> None:
        unit = Unit.TILE + number
        if not program.program.instructions or (steps.error is ErrorCode.END and not program.complete):
            raise Fault(AcceleratorError.WATCHDOG, self.cluster, unit, Waiting.PROGRAM)
        if steps.error is not ErrorCode.NONE:
            raise Fault(AcceleratorError.TILE, self.cluster, unit, steps.error | steps.address << 8)

    def run(self) -> ClusterTimes:
        while self.ready:
            self._advance(self.ready.popleft())
        waiting = self._waiting()
        if waiting:
            unit = min(waiting)
            raise Fault(AcceleratorError.WATCHDOG, self.cluster, unit, waiting[unit])
        return self._times()

    def _advance(self, tile: _Tile) -> None:
        """Let a tile go on until its partner is not known to be there."""
        partners, count = tile.steps.partners, len(tile.steps.times)
        while tile.position < count:
            partner = partners[tile.position]
            if partner == _GATHERED:
                moved = self._take_beat(tile)
            elif partner == _WORD_IN:
                moved = self._take_word(tile)
            elif partner == _WORD_OUT and tile.number >= self.config.caps:
                moved = self._send_word(tile)
            elif partner == _WORD_OUT:
                # The MAP moves the word, and this tile with it.
                tile.offered = True
                receiver = self.tiles.get(self.config.caps + self.config.map_of(tile.number))
                if receiver is not None and receiver is not tile:
                    self.ready.append(receiver)
                return
            else:
                return
            if not moved:
                return
            tile.position += 1

    def _take_beat(self, tile: _Tile) -> bool:
        if not self.receivers >> tile.number & 1 or tile.gathered != self.beat or self.beat == self.beats:
            self.waiting.append(tile)
            return False
        cycle = tile.next
        if cycle < self.shown:
            tile.planes += self.shown - cycle
            tile.base += self.shown - cycle
            cycle = self.shown
        tile.gathered += 1
        self.taken = max(self.taken, cycle)
        self.missing -= 1
        if not self.missing:
            self.clock.popped(self.beat, self.taken)
            self.beat += 1
            if self.beat < self.beats:
                self.shown = self.clock.shown(self.beat)
                self.missing = self.receivers.bit_count()
            self.ready.extend(self.waiting)
            self.waiting.clear()
        return True

    def _take_word(self, tile: _Tile) -> bool:
        words = self.words[tile.number]
        cap = words.cap
        if cap is None or not cap.offered:
            return False
        behind = tile.next - cap.next
        if behind > 0:
            cap.base += behind
            cap.room += behind
        else:
            tile.base -= behind
            tile.planes -= behind
        words.moved(cap.steps.ends[cap.position])
        cap.offered = False
        cap.position += 1
        self.ready.append(cap)
        return True

    def _send_word(self, tile: _Tile) -> bool:
        sender = self.start.sender
        if sender is None or sender.source != tile.number - self.config.caps or len(self.sent) == sender.words:
            return False
        behind = self.free - tile.next
        if behind > 0:
            tile.base += behind
            tile.room += behind
        self.sent.append(tile.next + SENDER_LATENCY)
        self.free = tile.next + self.config.flits_per_word
        return True

    def _waiting(self) -> dict[int, Waiting]:
        """The units that wait for ever."""
        waits: dict[int, Waiting] = {}
        if self.beat < self.beats:
            waits[Unit.GATHER] = Waiting.TILES
        if self.start.sender is not None and len(self.sent) < self.start.sender.words:
            waits[Unit.SENDER] = Waiting.WORDS
        for number, tile in self.tiles.items():
            if tile.left:
                stores = tile.steps.partners[tile.position] == _WORD_OUT
                waits[Unit.TILE + number] = Waiting.ROOM if stores else Waiting.PLANES
        return waits

    def _times(self) -> ClusterTimes:
        ends = [self.go]
        times = ClusterTimes(self.go, sent=self.sent)
        for number, tile in self.tiles.items():
            steps, planes, room = tile.steps, tile.planes, tile.room
            loading, storing = steps.waits[Owner.LOAD], steps.waits[Owner.STORE]
            times.tiles[number] = {
                TileState.BUSY: steps.cycles - loading - storing,
                TileState.PLANES: planes + loading,
                TileState.ROOM: room + storing,
                TileState.PROGRAM: 0,
            }
            for state, cycles in STARTING.items():
                times.tiles[number][state] += cycles
            ends.append(tile.base + steps.cycles - 1 + SLOT_LATENCY)
        if self.start.gather is not None:
            times.gather_working = self.beats * self.start.gather.out_rows
            times.gather_blocked = self.clock.blocked
            ends.append(self.taken + GATHER_IDLE)
        if self.sent:
            ends.append(self.sent[-1] + self.config.flits_per_word - 1 + SENDER_IDLE)
        times.idle = max(ends)
        return times


def cluster_times(start: ClusterStart, go: int, cluster: int, config: AcceleratorConfig) -> ClusterTimes:
    """The times of a cluster whose units see *go* in cycle ``go``; O(beats).

    Raises
    ------
    Fault
        TILE, if a tile refuses its program; WATCHDOG, if a unit waits for ever: the lowest one that does.
    """
    return _Network(start, go, cluster, config).run()
