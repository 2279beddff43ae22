"""The golden tile: one associative-processor tile, bit by bit, from the meaning of its instructions.

Cells are packed planes (:mod:`golden.cells`), what rewrites them is in :mod:`golden.instructions`, time in
:mod:`golden.laws`.  A port operation takes its effect when it is decoded, which is what every program sees that joins
what it uses.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from golden.cells import Cells
from golden.engine import Bits, Job, Outcome
from golden.instructions import INSTRUCTIONS
from golden.laws import Timeline, plane_size, run_law, searches
from golden.planes import from_numbers, pack, read_bits, to_numbers, unpack, write_bits
from golden.schedules import SCHEDULES, Machine
from golden.sequencer import Sequencer
from hw.config import TileConfig
from hw.counter_map import COUNTERS
from hw.isa import ErrorCode, Instruction, LoadKind, Opcode

__all__ = ["GoldenTile", "job_law"]


class GoldenTile:
    """A tile as an engine; cells, tags and totals persist from job to job, counters are those of one job.

    Parameters
    ----------
    config : the tile.
    seed : of the random cells and tags that it starts with; totals start at 0.

    Attributes
    ----------
    totals : running sums, int64, shape (outputs,), within ``total_bits``.
    skipped_planes : of the last job, for every DOT of kind SKIP, the leading zero planes that it found.
    """

    def __init__(self, config: TileConfig, seed: int = 0) -> None:
        """Fill cells and tags with random bits."""
        self.config = config
        # Passes that share writes match and write what the meaning does not tell.
        self._counts_activity = config.activity and config.passes == "classical"
        self._machine = Machine.of(config)
        generator = np.random.default_rng(seed)
        self._array = Cells(config.taps, config.outputs, config.columns, generator, self._counts_activity)
        self.skipped_planes: list[int] = []
        self.totals: NDArray[np.int64] = np.zeros(config.outputs, np.int64)

    @property
    def cells(self) -> Bits:
        """A copy of the cells, 0/1 of shape (columns, rows)."""
        return unpack(self._array.words, self.config.rows)

    @cells.setter
    def cells(self, bits: Bits) -> None:
        _check_shape("cells", bits, (self.config.columns, self.config.rows))
        self._array.words = pack(bits)

    @property
    def tag(self) -> Bits:
        """A copy of the tag bits, 0/1 of shape (rows,)."""
        return unpack(self._array.tag, self.config.rows)

    @tag.setter
    def tag(self, bits: Bits) -> None:
        _check_shape("tag", bits, (self.config.rows,))
        self._array.tag = pack(bits)

    def run(self, job: Job) -> Outcome:
        """Run one job; an error of the tile is reported in the outcome, not raised.

        Raises
        ------
        ValueError
            If the job's planes are too few, too many (unless the tile stops at an error) or not of the shape that a
            LOAD wants.
        """
        config, array = self.config, self._array
        timeline, sequencer = Timeline(config), Sequencer(job.program, config)
        incoming, outgoing = iter(job.planes), list[Bits]()
        array.restart()
        self.skipped_planes = []
        for instruction in sequencer:
            timeline.execute(instruction, self._search(instruction) if searches(instruction) else 0)
            overflow = self._execute(instruction, incoming, outgoing)
            array.settle()
            if overflow:
                sequencer.error = ErrorCode.TOTAL
                break
        if sequencer.error is ErrorCode.NONE and next(incoming, None) is not None:
            raise ValueError("a job must have as many planes as its program has LOADs, not more")
        counters = timeline.counters()
        if self._counts_activity:
            counters["activity.rows_matched"] = array.rows_matched
            counters["activity.cells_written"] = array.cells_written
        ordered = {counter.name: counters[counter.name] for counter in COUNTERS if counter.name in counters}
        return Outcome(outgoing, ordered, sequencer.error, sequencer.address)

    def close(self) -> None:
        """Nothing to release."""

    def _execute(self, op: Instruction, incoming: Iterator[Bits], outgoing: list[Bits]) -> bool:
        """Carry out one instruction; tell whether a total overflowed."""
        array = self._array
        if op.opcode in INSTRUCTIONS:
            INSTRUCTIONS[op.opcode](array, op)
            if self._machine.narrow:
                schedule = SCHEDULES[Opcode(op.opcode)]
                array.spill(schedule(op, self._machine).writes - schedule(op, self._machine._replace(narrow=0)).writes)
        elif op.opcode == Opcode.DOT:
            return self._dot(op)
        elif op.opcode == Opcode.LOAD:
            planes = next(incoming, None)
            if planes is None:
                raise ValueError("a job must have as many planes as its program has LOADs, not fewer")
            _check_shape("planes of a LOAD", planes, (op.d_width, plane_size(op, self.config)))
            self._load(op, planes)
        elif op.opcode == Opcode.STORE:
            outgoing.append(self._store(op))
        elif op.opcode == Opcode.DRAIN:
            write_bits(self._columns(op.d, op.d_width), self._first_row(op), from_numbers(self.totals, op.d_width))
        elif op.opcode == Opcode.RESTORE:
            bits = read_bits(self._columns(op.a, op.a_width), self._first_row(op), self.config.outputs)
            self.totals = to_numbers(bits)
        elif op.opcode == Opcode.INIT:
            self.totals = _wrapped(np.full(self.config.outputs, op.constant, np.int64), self.config.total_bits)
        return False

    def _columns(self, first: int, width: int) -> NDArray[np.uint64]:
        return self._array.words[first : first + width]

    def _first_row(self, op: Instruction) -> int:
        return op.constant * self.config.outputs

    def _load(self, op: Instruction, planes: Bits) -> None:
        if op.kind == LoadKind.PLANES:
            self._columns(op.d, op.d_width)[:] = pack(planes)
        elif op.kind == LoadKind.BLOCK:
            write_bits(self._columns(op.d, op.d_width), self._first_row(op), planes)
        elif op.kind == LoadKind.TAPS:
            self._columns(op.d, op.d_width)[:] = pack(np.repeat(planes, self.config.outputs, axis=1))
        elif op.kind == LoadKind.TOTAL:
            self.totals = to_numbers(planes)
        else:
            self._array.tag = pack(planes[0])

    def _store(self, op: Instruction) -> Bits:
        if op.kind == LoadKind.PLANES:
            return unpack(self._columns(op.a, op.a_width), self.config.rows)
        if op.kind == LoadKind.BLOCK:
            return read_bits(self._columns(op.a, op.a_width), self._first_row(op), self.config.outputs)
        if op.kind == LoadKind.TOTAL:
            return from_numbers(self.totals, op.a_width)
        return self.tag[None, :]

    def _search(self, op: Instruction) -> int:
        """Look for a plane of a with a 1, from its top one down; return how many have none."""
        skipped = 0
        for plane in reversed(self._columns(op.a, op.a_width)):
            if np.any(plane):
                self._array.select(plane.copy())
                break
            skipped += 1
        self.skipped_planes.append(skipped)
        return skipped

    def _dot(self, op: Instruction) -> bool:
        """Add the sums of products over the taps to the totals; tell whether a total left its range.

        Operands are below 2**32 and sums below 2**63, so float64 and then int64 are exact.  A row responds to as many
        compares as it has pairs of 1s in its two operands; planes that were skipped have none.
        """
        config, array = self.config, self._array
        bits_a = unpack(self._columns(op.a, op.a_width), config.rows)
        bits_b = unpack(self._columns(op.b, op.b_width), config.rows)
        a = _weights(op.a_width, op.a_signed) @ bits_a.astype(np.float64)
        b = _weights(op.b_width, op.b_signed) @ bits_b.astype(np.float64)
        products = a.astype(np.int64) * b.astype(np.int64)
        fill: NDArray[np.int64] = np.sum(np.reshape(products, (config.taps, config.outputs)), axis=0)
        array.tag = array.words[op.a] & array.words[op.b]  # empty where all planes of a were skipped
        if self._counts_activity:
            array.rows_matched += int((bits_a.sum(axis=0, dtype=np.int64) * bits_b.sum(axis=0, dtype=np.int64)).sum())
        before, total = self.totals, self.totals + fill
        self.totals = _wrapped(total, config.total_bits)
        beyond_word = ((before ^ total) & (fill ^ total)) < 0
        return bool(np.any((self.totals != total) | beyond_word))


def job_law(job: Job, config: TileConfig, seed: int = 0) -> dict[str, int]:
    """The counters of a job by the laws, as :func:`golden.laws.run_law`, whatever its data.

    Where DOTs of kind SKIP are in the program, a golden tile tells how many planes each of them skips; ``seed`` is that
    of its random cells, which matter only to a program that searches columns which it never wrote.
    """
    if not any(searches(op) for op in job.program.instructions):
        return run_law(job.program, config)
    tile = GoldenTile(config, seed)
    tile.run(job)
    return run_law(job.program, config, skipped=tile.skipped_planes)


def _weights(width: int, signed: bool) -> NDArray[np.float64]:
    """What each bit of a number counts, lowest first."""
    weights = np.exp2(np.arange(width, dtype=np.float64))
    if signed:
        weights[-1] = -weights[-1]
    return weights


def _wrapped(numbers: NDArray[np.int64], bits: int) -> NDArray[np.int64]:
    """The numbers modulo 2**bits, as two's complement."""
    unused = np.int64(64 - bits)
    return numbers << unused >> unused


def _check_shape(name: str, bits: Bits, shape: tuple[int, ...]) -> None:
    if bits.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, not {bits.shape}")
    if bits.dtype != np.uint8:
        raise ValueError(f"{name} must be 0 and 1 as uint8, not {bits.dtype}")
