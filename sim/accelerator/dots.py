"""Programs of CAPs: dot products of the windows that a gather unit forms, by counting responders.

The tap tiles of a window come as whole planes, in the order of the gather unit, into a ring of slots; weights come from
the CAP's taps memory into two buffers.  Sums are drained to the accumulator columns, one row block for each sum of a
batch, and stored to the MAP while the next batch's DOTs run.

A tile stands still while a beat is missing, so a LOAD of planes is issued when a model of the gather unit says that its
beats are there, or when they cannot wait any more.  All CAPs of a cluster run programs of the same structure, so none
of them waits for beats or turns in an order that others do not have.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import lru_cache

from hw.accelerator.config import AcceleratorConfig
from hw.isa import Instruction, LoadKind, Opcode, StoreKind
from sim.mapping.builder import Builder, Sink, Source
from sim.mapping.dot import MAXIMUM_LOAD, dot_chunks
from sim.mapping.errors import MappingError

__all__ = ["Batches", "Dots", "Use", "WeightLoad", "WindowLoad", "cap_program", "check_dots"]

_MOST_PARTS = 12
_CHUNKS = (8, 4, 2, 1)


@dataclass(frozen=True)
class Dots:
    """What the dot products of a layer have in common.

    Parameters
    ----------
    tiles : tap tiles of a window.
    window_bits, weight_bits, weights_signed : the operands.
    accumulator_bits : of each sum.
    out_rows : cycles that the gather unit takes for a beat.
    """

    tiles: int
    window_bits: int
    weight_bits: int
    weights_signed: bool
    accumulator_bits: int
    out_rows: int

    @property
    def cycles(self) -> int:
        """About the cycles of one DOT with what goes with it."""
        return self.window_bits * self.weight_bits + 3


@dataclass(frozen=True)
class Use:
    """One DOT: the round (counted from the program's first), the channel of the round and the tap tile."""

    turn: int
    item: int
    tile: int


Batches = tuple[tuple[int, ...], ...]
"""For each batch of sums, the channels of its rounds."""


@dataclass(frozen=True)
class WindowLoad(Source):
    """Planes of a tap tile, next in the gather unit's order."""


@dataclass(frozen=True)
class WeightLoad(Source):
    """Weights of the next DOTs."""


def check_dots(dots: Dots, config: AcceleratorConfig, name: str) -> None:
    """Refuse dot products that do not fit a CAP.

    Raises
    ------
    MappingError
        The text says what would do.
    """
    cap = config.cap
    limits = (
        ("total_bits", dots.accumulator_bits, cap.total_bits),
        ("fill_bits", dots.window_bits + dots.weight_bits + cap.count_bits + 1, cap.fill_bits),
        ("columns", dots.window_bits + 2 * dots.weight_bits + dots.accumulator_bits, cap.columns),
    )
    for quantity, needed, given in limits:
        if needed > given:
            raise MappingError(
                f"layer {name!r} needs {quantity} of at least {needed} in a CAP, config {cap.name} has {given}"
            )


@lru_cache(maxsize=64)
def cap_program(
    config: AcceleratorConfig, dots: Dots, batches: Batches, bias: tuple[int, ...] | None
) -> tuple[tuple[Instruction, ...], tuple[Use, ...]]:
    """The program of a CAP for batches of rounds of so many channels each, and its DOTs in the order of their weights.

    ``bias`` has the constants from which the sums start, round by round; without it that is 0.
    """
    group, chunk = _columns(config, dots, batches[:2])
    schedule = _Schedule(config, dots, batches, group, chunk, bias)
    schedule.emit()
    uses = tuple(Use(use.turn, use.item, use.tile) for use in schedule.uses)
    return schedule.builder.finish(None).instructions, uses


@lru_cache(maxsize=256)
def _columns(config: AcceleratorConfig, dots: Dots, batches: Batches) -> tuple[int, int]:
    """Tap tiles that are resident together, and weights in each buffer: what takes the least time by the model."""
    best: tuple[int, int, int] | None = None
    for parts in range(1, min(dots.tiles, _MOST_PARTS) + 1):
        group = -(-dots.tiles // parts)
        for chunk in _CHUNKS:
            if _slots(config, dots, chunk) < group or chunk * dots.weight_bits > MAXIMUM_LOAD:
                continue
            schedule = _Schedule(config, dots, batches, group, chunk, None)
            schedule.emit(None if best is None else best[0])
            if best is None or schedule.clock.now < best[0]:
                best = (schedule.clock.now, group, chunk)
    if best is None:
        return min(dots.tiles, _slots(config, dots, 1)), 1
    return best[1], best[2]


def _slots(config: AcceleratorConfig, dots: Dots, chunk: int) -> int:
    columns = config.cap.columns - dots.accumulator_bits - 2 * chunk * dots.weight_bits
    return columns // dots.window_bits


class _Clock:
    """A rough model of a CAP's time, of its port and of the gather unit ahead of it."""

    def __init__(self, config: AcceleratorConfig, dots: Dots) -> None:
        self.now = 0
        self.port = 0  # when the port is free
        self.done: list[int] = []
        self.rows, self.queue = dots.out_rows, config.gather_queue
        self.depth = config.cap.port_queue
        self.ready = 0  # when the latest beat was ready
        self.takes: deque[int] = deque(maxlen=config.gather_queue)

    def beats(self, count: int) -> tuple[int, int, deque[int]]:
        """When the last of the next ``count`` beats could be taken, were it asked for now; and the state after it."""
        time, ready, takes = max(self.port, self.now), self.ready, self.takes.copy()
        for _ in range(count):
            time, ready = self._next(time, ready, takes)
        return time, ready, takes

    def punctual(self, most: int) -> int:
        """How many of the next beats, up to ``most``, could be taken one after the other, without a wait, from now."""
        time, ready, takes = max(self.port, self.now), self.ready, self.takes.copy()
        for count in range(most):
            last, ready = self._next(time, ready, takes)
            if last > time + 1:
                return count
            time = last
        return most

    def _next(self, time: int, ready: int, takes: deque[int]) -> tuple[int, int]:
        """When the next beat is taken and ready, if the one before it was taken at ``time`` and ready at ``ready``."""
        ready += self.rows
        if len(takes) == self.queue and takes[0] >= ready:
            ready = takes[0] + 1
        time = ready if ready > time else time + 1
        takes.append(time)
        return time, ready

    def issue(self, steps: int) -> None:
        """A port operation of so many steps."""
        self.now += 1
        if len(self.done) >= self.depth:
            self.now = max(self.now, self.done[-self.depth])
        self.port = max(self.port, self.now) + steps
        self.done.append(self.port)

    def take(self, count: int) -> None:
        """A LOAD of so many beats of the gather unit; what is late delays everything."""
        wanted = max(self.port, self.now) + count
        time, self.ready, self.takes = self.beats(count)
        self.issue(count)
        self.now += max(0, time - wanted)
        self.port = max(self.port, time)
        self.done[-1] = self.port

    def join(self, ticket: int) -> None:
        """A SYNC."""
        self.now = max(self.now, self.done[ticket] if ticket >= 0 else 0)


@dataclass
class _Use:
    """One DOT, its row block, its resident load and what happens around it; then ``stores`` sums of a batch go out."""

    turn: int
    item: int
    tile: int
    block: int
    load: int
    starts: bool
    resumes: bool
    drains: bool
    stores: int


class _Schedule:
    """The program of a CAP."""

    def __init__(
        self,
        config: AcceleratorConfig,
        dots: Dots,
        batches: Batches,
        group: int,
        chunk: int,
        bias: tuple[int, ...] | None,
    ) -> None:
        self.config, self.dots, self.chunk = config, dots, chunk
        self.bias = None if bias is None else deque(bias)
        self.builder = Builder(config.cap)
        self.clock = _Clock(config, dots)
        self.accumulator = config.cap.columns - dots.accumulator_bits
        self.uses, loads = _order(dots.tiles, batches, group)
        self.slots = min(_slots(config, dots, chunk), max(1, loads))
        self.buffers = self.slots * dots.window_bits
        first, last = [len(self.uses)] * loads, [0] * loads
        for index, use in enumerate(self.uses):
            first[use.load] = min(first[use.load], index)
            last[use.load] = index
        self.needed = first
        self.free = [last[load - self.slots] + 1 if load >= self.slots else 0 for load in range(loads)]
        self.tickets = [-1] * loads
        self.issued = 0  # planes
        self.pending: deque[int] = deque()  # row blocks to be stored

    def emit(self, limit: int | None = None) -> None:
        """Write everything, DOT by DOT; stop when it takes more time than ``limit``."""
        builder, dots, clock = self.builder, self.dots, self.clock
        chunks = dot_chunks(len(self.uses), self.chunk)
        weights = [self._load_weights(0, chunks[0])]
        number = 0
        for index, use in enumerate(self.uses):
            if limit is not None and clock.now > limit:
                return
            if index == chunks[number].stop:
                number += 1
            self._load_windows(index, urgent=True)
            if index == chunks[number].start and number + 1 < len(chunks):
                weights.append(self._load_weights(number + 1, chunks[number + 1]))
            self._load_windows(index, urgent=False)
            if self.pending:
                self._store()
            self._start(use)
            self._sync(max(weights[number], self.tickets[use.load]))
            builder.emit(
                Opcode.DOT,
                a=self._slot(use.load),
                a_width=dots.window_bits,
                b=self._buffer(number) + (index - chunks[number].start) * dots.weight_bits,
                b_width=dots.weight_bits,
                b_signed=dots.weights_signed,
            )
            clock.now += dots.window_bits * dots.weight_bits + 2
            if use.drains:
                while self.pending and self.pending[0] <= use.block:
                    self._store()
                builder.drain(self.accumulator, dots.accumulator_bits, use.block)
                clock.issue(dots.accumulator_bits)
            if use.stores:
                self.pending.extend(range(use.stores))
        while self.pending:
            self._store()

    def _start(self, use: _Use) -> None:
        """Set the totals before the first DOT of a sum, or of a group of its tap tiles."""
        if use.resumes:
            ticket = self.builder.restore(self.accumulator, self.dots.accumulator_bits, use.block)
            self.clock.issue(self.dots.accumulator_bits)
            self._sync(ticket)
        elif use.starts:
            self.builder.emit(Opcode.INIT, constant=self.bias.popleft() if self.bias else 0)
            self.clock.now += 1

    def _sync(self, ticket: int) -> None:
        self.builder.sync(ticket)
        self.clock.join(ticket)

    def _store(self) -> None:
        self.builder.store(
            StoreKind.BLOCK, self.accumulator, self.dots.accumulator_bits, Sink(0, 0), self.pending.popleft()
        )
        self.clock.issue(self.dots.accumulator_bits)

    def _load_weights(self, number: int, chunk: range) -> int:
        planes = len(chunk) * self.dots.weight_bits
        self.clock.issue(planes)
        return self.builder.load(LoadKind.TAPS, self._buffer(number), planes, WeightLoad())

    def _load_windows(self, index: int, *, urgent: bool) -> None:
        """Issue what DOT ``index`` needs, and unless only ``urgent``, planes whose beats are there by now."""
        bits, beats = self.dots.window_bits, self.config.beats
        while self.issued < len(self.needed) * bits:
            load, plane = divmod(self.issued, bits)
            if self.free[load] > index:
                return
            if self.needed[load] <= index:
                count = min(bits - plane, MAXIMUM_LOAD)
            elif urgent:
                return
            else:
                count = self.clock.punctual((bits - plane) * beats) // beats
                if not count:
                    return
            self.tickets[load] = self.builder.load(LoadKind.PLANES, self._slot(load) + plane, count, WindowLoad())
            self.clock.take(count * beats)
            self.issued += count

    def _slot(self, load: int) -> int:
        return load % self.slots * self.dots.window_bits

    def _buffer(self, number: int) -> int:
        return self.buffers + number % 2 * self.chunk * self.dots.weight_bits


def _order(tiles: int, batches: Batches, group: int) -> tuple[list[_Use], int]:
    """All DOTs in order, and the number of resident loads.

    Tap tiles that are resident together serve all channels of a round before the next ones, which begin with the
    channel that the others ended with: its sum stays in the totals.
    """
    uses: list[_Use] = []
    loads = turn = 0
    for batch in batches:
        block = 0
        for items in batch:
            for number, first in enumerate(range(0, tiles, group)):
                members = range(first, min(first + group, tiles))
                whole = members[-1] == tiles - 1
                order = range(items) if number % 2 == 0 else range(items - 1, -1, -1)
                for item in order:
                    for tile in members:
                        begins, ends = tile == members[0], tile == members[-1]
                        uses.append(
                            _Use(
                                turn=turn,
                                item=item,
                                tile=tile,
                                block=block + item,
                                load=loads + tile - first,
                                starts=begins and first == 0,
                                resumes=begins and first > 0 and item != order[0],
                                drains=ends and (whole or item != order[-1]),
                                stores=0,
                            )
                        )
                loads += len(members)
            block += items
            turn += 1
        uses[-1].stores = block
    return uses, loads
