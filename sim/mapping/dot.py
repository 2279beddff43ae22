"""Dot products by counting responders: the schedule of DOTs, of the planes they need and of the drained sums.

A DOT multiplies a *resident* operand (its own bits in every row: planes of R bits) with a *broadcast* operand (the same
for all outputs: planes of G bits) and adds over the taps of each output.  A *block* is one such sum for S outputs: one
resident set against one broadcast item.  Sums of a batch of up to G blocks are drained to the accumulator columns,
block by block.

Columns, from 0: a ring of slots for resident tap tiles, two buffers for broadcast operands; at the top the
accumulators. The port brings the operands of later DOTs while the present one runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hw.config import TileConfig
from hw.isa import LoadKind, Opcode
from sim.mapping.builder import Builder, Source, piece_steps, row_pieces

__all__ = ["BiasLoad", "BroadcastLoad", "DotShape", "ResidentLoad", "Segment", "batches", "dot_chunks", "emit_batch"]

MAXIMUM_LOAD = 64  # planes of one LOAD
_PIECE_STEPS = 32  # a longer LOAD would hold up the broadcast operands that come after it
_LONGEST_CHUNK = 8


@dataclass(frozen=True)
class DotShape:
    """Sizes of the dot products of a layer.

    Parameters
    ----------
    used_taps : for each tap tile, how many of its taps are used.
    resident_bits, resident_signed, broadcast_bits, broadcast_signed : the operands.
    accumulator_bits : drained bits of each sum.
    bias_planes : whether the sums start from planes (one number per output) instead of a constant.
    """

    used_taps: tuple[int, ...]
    resident_bits: int
    resident_signed: bool
    broadcast_bits: int
    broadcast_signed: bool
    accumulator_bits: int
    bias_planes: bool

    @property
    def tiles(self) -> int:
        """Tap tiles that a sum goes over."""
        return len(self.used_taps)

    @property
    def minimum_columns(self) -> int:
        """Columns without which no DOT can be drained: one resident slot, two broadcast operands, accumulators."""
        return self.resident_bits + 2 * self.broadcast_bits + self.accumulator_bits


@dataclass(frozen=True)
class Segment:
    """Blocks that share a resident set: one block for each broadcast item."""

    resident: int
    items: tuple[int, ...]


@dataclass(frozen=True)
class ResidentLoad(Source):
    """Planes ``first`` .. of a tap tile of the resident set of a sum of the job: all row blocks, or one."""

    sum: int
    tile: int
    first: int
    planes: int
    block: int | None


@dataclass(frozen=True)
class BroadcastLoad(Source):
    """Broadcast operands of several DOTs, one after the other: (sum of the job, tap tile) of each."""

    operands: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class BiasLoad(Source):
    """The numbers from which a sum of the job starts: ``accumulator_bits`` planes of S bits."""

    sum: int


@dataclass
class _Use:
    """One DOT: its resident load (index in the batch), its tap tile and block, what happens before and after it."""

    load: int
    tile: int
    block: int
    starts: bool
    resumes: bool
    drains: bool


@dataclass
class _Piece:
    """A part of a resident load that waits to be issued."""

    load: int
    source: ResidentLoad
    kind: LoadKind
    steps: int


def batches(segments: Sequence[Segment], most: int) -> list[list[Segment]]:
    """Segments in as few batches of at most ``most`` blocks as possible, of nearly equal size.

    Segments stay whole where that needs no more batches.
    """
    total = sum(len(segment.items) for segment in segments)
    count = -(-total // most)
    whole = -(-len(segments) // count)
    parts = [list(segments[first : first + whole]) for first in range(0, len(segments), whole)]
    if all(sum(len(segment.items) for segment in part) <= most for part in parts):
        return parts
    pairs = [(segment.resident, item) for segment in segments for item in segment.items]
    parts = []
    for index in range(count):
        part: list[Segment] = []
        for resident, item in pairs[total * index // count : total * (index + 1) // count]:
            if part and part[-1].resident == resident:
                part[-1] = Segment(resident, (*part[-1].items, item))
            else:
                part.append(Segment(resident, (item,)))
        parts.append(part)
    return parts


def emit_batch(builder: Builder, shape: DotShape, counts: Sequence[int]) -> None:
    """Write the DOTs of a batch; its sums end in the top ``accumulator_bits`` columns, block by block, not yet joined.

    ``counts`` has the blocks of each segment. Without bias planes, one INIT of 0 starts each sum, in their order.
    """
    _Batch(builder, shape, counts).emit()


class _Batch:
    """The schedule of one batch."""

    def __init__(self, builder: Builder, shape: DotShape, counts: Sequence[int]) -> None:
        self.builder, self.shape = builder, shape
        config = self.config = builder.config
        self.accumulator = config.columns - shape.accumulator_bits
        loads = len(counts) * shape.tiles
        self.slots, self.chunk = _divide_columns(shape, config, loads)
        self.buffers = self.slots * shape.resident_bits
        self.loads: list[tuple[int, int]] = []
        self.uses = self._order(counts)
        first, last = [len(self.uses)] * len(self.loads), [0] * len(self.loads)
        for index, use in enumerate(self.uses):
            first[use.load] = min(first[use.load], index)
            last[use.load] = index
        self.needed = first
        self.free = [last[load - self.slots] + 1 if load >= self.slots else 0 for load in range(len(self.loads))]
        self.tickets = [-1] * len(self.loads)
        self.pieces = [piece for load in range(len(self.loads)) for piece in self._pieces(load)]
        self.issued = 0  # pieces
        self.last_drain = -1

    def _order(self, counts: Sequence[int]) -> list[_Use]:
        """All DOTs in order; a group of tap tiles that are resident together serves all items before the next group."""
        tiles, group_size = self.shape.tiles, min(self.shape.tiles, self.slots)
        uses: list[_Use] = []
        block = 0
        for count in counts:
            alone = count == 1  # its sum can stay in the totals from group to group
            for group in range(0, tiles, group_size):
                members = range(group, min(group + group_size, tiles))
                base = len(self.loads)
                self.loads += [(block, tile) for tile in members]
                for position in range(count):
                    for tile in members:
                        begins, ends = tile == members[0], tile == members[-1]
                        uses.append(
                            _Use(
                                load=base + tile - group,
                                tile=tile,
                                block=block + position,
                                starts=begins and group == 0,
                                resumes=begins and group > 0 and not alone,
                                drains=ends and (members[-1] == tiles - 1 or not alone),
                            )
                        )
            block += count
        return uses

    def _pieces(self, load: int) -> list[_Piece]:
        block_of, tile = self.loads[load]
        planes = self.shape.resident_bits
        return [
            _Piece(
                load,
                ResidentLoad(block_of, tile, first, count, block if kind == LoadKind.BLOCK else None),
                kind,
                piece_steps(count, kind, self.config),
            )
            for first, count, kind, block in row_pieces(planes, self.shape.used_taps[tile], self.config, _PIECE_STEPS)
        ]

    def emit(self) -> None:
        """Write everything, DOT by DOT."""
        builder, shape = self.builder, self.shape
        chunks = dot_chunks(len(self.uses), self.chunk)
        tickets = [self._load_chunk(0, chunks[0])]
        number = 0
        for index, use in enumerate(self.uses):
            if index == chunks[number].stop:
                number += 1
            self._issue_residents(index, urgent=True)
            if index == chunks[number].start and number + 1 < len(chunks):
                tickets.append(self._load_chunk(number + 1, chunks[number + 1]))
            self._issue_residents(index, urgent=False)
            self._start(use)
            builder.sync(max(tickets[number], self.tickets[use.load]))
            builder.emit(
                Opcode.DOT,
                a=self._slot(use.load),
                a_width=shape.resident_bits,
                a_signed=shape.resident_signed,
                b=self._buffer(number) + (index - chunks[number].start) * shape.broadcast_bits,
                b_width=shape.broadcast_bits,
                b_signed=shape.broadcast_signed,
            )
            if use.drains:
                self.last_drain = builder.drain(self.accumulator, shape.accumulator_bits, use.block)

    def _start(self, use: _Use) -> None:
        """Set the totals before the first DOT of a block, or of a group of its tap tiles."""
        builder, shape = self.builder, self.shape
        if use.resumes:
            builder.sync(self.last_drain)
            builder.sync(builder.restore(self.accumulator, shape.accumulator_bits, use.block))
        elif use.starts and shape.bias_planes:
            builder.sync(builder.load(LoadKind.TOTAL, 0, shape.accumulator_bits, BiasLoad(use.block)))
        elif use.starts:
            builder.emit(Opcode.INIT, constant=0)

    def _load_chunk(self, number: int, chunk: range) -> int:
        operands = tuple((self.uses[index].block, self.uses[index].tile) for index in chunk)
        planes = len(operands) * self.shape.broadcast_bits
        return self.builder.load(LoadKind.TAPS, self._buffer(number), planes, BroadcastLoad(operands))

    def _issue_residents(self, index: int, *, urgent: bool) -> None:
        """Issue what DOT ``index`` needs, and unless only ``urgent``, what keeps the port in step with later ones."""
        pending = self.pieces
        steps = goal = total = 0
        for position in range(self.issued, len(pending)):
            piece = pending[position]
            needed = self.needed[piece.load]
            if self.free[piece.load] > index or (urgent and needed > index):
                break
            total += piece.steps
            goal = total if needed <= index else max(goal, -(-total // (needed - index)))
        while self.issued < len(pending) and steps < goal:
            piece = pending[self.issued]
            source = piece.source
            self.tickets[piece.load] = self.builder.load(
                piece.kind, self._slot(piece.load) + source.first, source.planes, source, source.block or 0
            )
            steps += piece.steps
            self.issued += 1

    def _slot(self, load: int) -> int:
        return load % self.slots * self.shape.resident_bits

    def _buffer(self, number: int) -> int:
        return self.buffers + number % 2 * self.chunk * self.shape.broadcast_bits


def _divide_columns(shape: DotShape, config: TileConfig, loads: int) -> tuple[int, int]:
    """Slots for resident tap tiles, and broadcast operands in each of the two buffers."""
    columns = config.columns - shape.accumulator_bits
    wanted = min(2 * shape.tiles, loads)
    longest = max(1, min(MAXIMUM_LOAD // shape.broadcast_bits, _LONGEST_CHUNK))
    slots = 0
    for chunk in (2, 1):
        slots = min(wanted, (columns - 2 * chunk * shape.broadcast_bits) // shape.resident_bits)
        if slots >= min(wanted, shape.tiles):
            break
    chunk = (columns - slots * shape.resident_bits) // (2 * shape.broadcast_bits)
    return slots, max(1, min(longest, chunk))


def dot_chunks(count: int, longest: int) -> list[range]:
    """Runs of DOTs whose broadcast operands come together; short ones first, so that the first need not wait long."""
    runs: list[range] = []
    start, size = 0, 1
    while start < count:
        runs.append(range(start, min(start + size, count)))
        start += size
        size = min(2 * size, longest)
    return runs
