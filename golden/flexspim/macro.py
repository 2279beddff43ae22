"""The golden macro: what instructions mean for the cells of an array, slice by slice, in whole numbers.

Cells are read as numbers, added, and written as bits again; there are no adders, carries or modes of columns here.
Time is in :mod:`golden.flexspim.laws`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from golden.flexspim.engine import MacroJob, MacroOutcome, Rows, no_rows
from golden.flexspim.laws import SETTLE, events_cycles
from golden.flexspim.layer import Layer, scan
from golden.flexspim.shape import limited
from hw.flexspim.config import MacroConfig
from hw.flexspim.counter_map import MACRO_COUNTERS
from hw.flexspim.isa import (
    OPERATIONS,
    EventKind,
    MacroError,
    MacroInstruction,
    MacroOpcode,
    ResetKind,
    violation,
)

__all__ = ["GoldenMacro"]

_PLANES = 4


@dataclass(frozen=True)
class _Operand:
    """Which cells of a slice an operand has, as (row, column), lowest bit first: of its potential, of its weight."""

    start: int
    potential: tuple[tuple[int, int], ...]
    weight: tuple[tuple[int, int], ...]

    def read(self, cells: Rows, first: int, *, weight: bool) -> int:
        """The number in the rows from ``first`` on."""
        bits = [int(cells[first + row, column]) for row, column in (self.weight if weight else self.potential)]
        return sum(bit << place for place, bit in enumerate(bits)) - (bits[-1] << len(bits))

    def write(self, cells: Rows, first: int, number: int) -> None:
        """Put a number, in two's complement, into the rows from ``first`` on."""
        for place, (row, column) in enumerate(self.potential):
            cells[first + row, column] = number >> place & 1


class _Refused(Exception):
    """The macro raised an error."""

    def __init__(self, code: MacroError, address: int) -> None:
        self.code, self.address = code, address


class GoldenMacro:
    """A macro as an engine; cells, shape, layer and spikes persist from job to job, counters are those of one job.

    Parameters
    ----------
    config : the macro.
    seed : of the random cells that it starts with.

    Attributes
    ----------
    cells : 0/1, shape (rows, columns).
    """

    def __init__(self, config: MacroConfig, seed: int = 0) -> None:
        """Fill the cells with random bits."""
        self.config = config
        self.cells: Rows = np.random.default_rng(seed).integers(0, 2, (config.rows, config.columns), np.uint8)
        self._forget()

    def close(self) -> None:
        """Nothing to release."""

    def run(self, job: MacroJob) -> MacroOutcome:
        """Run one job; an error of the macro is reported in the outcome, not raised.

        Raises
        ------
        ValueError
            If rows or events are fewer or more than the program takes.
        """
        self._counters = {counter.name: 0 for counter in MACRO_COUNTERS if not counter.name.startswith("identity.")}
        self._in, self._events = 0, 0
        self._job = job
        self._out, self._spikes = list[Rows](), list[Rows]()
        error, address = MacroError.NONE, 0
        try:
            if job.program.config_hash != self.config.hash:
                raise _Refused(MacroError.CONFIG, 0)
            for address, op in self._executed(job):
                self._execute(op, address)
            address = 0
            if self._in != len(job.rows) or self._events != len(job.events):
                raise ValueError("a job must have as many rows and events as its program takes, not more")
        except _Refused as refused:
            error, address = refused.code, refused.address
            self._forget()
        nothing = no_rows(self.config)
        return MacroOutcome(
            np.array(self._out, np.uint8) if self._out else nothing,
            np.array(self._spikes, np.uint8) if self._spikes else nothing,
            self._counters,
            error,
            address,
        )

    def _forget(self) -> None:
        """After a reset there is no shape and no layer; spikes are whatever they were."""
        self._operands: list[_Operand] = []
        self._weight_rows = self._potential_rows = 0
        self._saturate = False
        self._inputs: MacroInstruction | None = None
        self._layer: Layer | None = None
        self._spiked: list[bool] = []

    def _executed(self, job: MacroJob) -> Iterator[tuple[int, MacroInstruction]]:
        """The instructions that are executed, each with its address, loops unrolled; HALT is the last one."""
        instructions, address, loops = job.program.instructions, 0, list[list[int]]()
        while address < len(instructions):
            op = instructions[address]
            if loops and address - loops[0][0] >= self.config.program_depth:
                raise _Refused(MacroError.LOOP_LENGTH, address)
            code = self._refusal(op)
            if code is MacroError.NONE and (
                (op.opcode == MacroOpcode.LOOP and len(loops) == self.config.loop_depth)
                or (op.opcode == MacroOpcode.END and not loops)
                or (op.opcode == MacroOpcode.HALT and loops)
            ):
                code = MacroError.LOOP
            if code is not MacroError.NONE:
                raise _Refused(code, address)
            self._count("events.instructions")
            self._count("cycles.control")
            yield address, op
            if op.opcode == MacroOpcode.HALT:
                return
            if op.opcode == MacroOpcode.LOOP:
                loops.append([address, op["count"]])
            elif op.opcode == MacroOpcode.END:
                loops[-1][1] -= 1
                if loops[-1][1]:
                    address = loops[-1][0]
                else:
                    loops.pop()
            address += 1
        raise _Refused(MacroError.END, address)

    def _refusal(self, op: MacroInstruction) -> MacroError:
        """The error code that an instruction raises now; codes of loops are not looked at."""
        codes = [violation(op, self.config)]
        opcode = op.opcode
        if opcode in (*OPERATIONS, MacroOpcode.OUTPUT) and not self._operands:
            codes.append(MacroError.SHAPE)
        if opcode in OPERATIONS:
            height = self._weight_rows * op["slices"] if opcode == MacroOpcode.ACCUMULATE else self._potential_rows
            potentials = range(op["potentials"], op["potentials"] + op["slices"] * self._potential_rows)
            codes += self._region_codes(range(op["operand"], op["operand"] + height), potentials)
        if opcode == MacroOpcode.OUTPUT and self._inputs is None:
            codes.append(MacroError.LAYER)
        if opcode == MacroOpcode.EVENTS:
            if self._layer is None:
                codes.append(MacroError.LAYER)
            else:
                codes += self._region_codes(self._layer.weights, self._layer.potentials)
        return min((code for code in codes if code is not MacroError.NONE), default=MacroError.NONE)

    def _region_codes(self, operand: range, potentials: range) -> list[MacroError]:
        codes: list[MacroError] = []
        if max(operand.stop, potentials.stop) > self.config.rows:
            codes.append(MacroError.ROWS)
        if operand.start < potentials.stop and potentials.start < operand.stop:
            codes.append(MacroError.OVERLAP)
        return codes

    def _execute(self, op: MacroInstruction, address: int) -> None:
        opcode = MacroOpcode(op.opcode)
        if opcode is MacroOpcode.SHAPE:
            self._shape(op, address)
        elif opcode is MacroOpcode.LOAD:
            self._load(op["first"], op["rows"])
        elif opcode is MacroOpcode.STORE:
            self._out += [np.array(row) for row in self.cells[op["first"] : op["first"] + op["rows"]]]
            self._count("cycles.move", op["rows"])
            self._count("events.rows_out", op["rows"])
        elif opcode in OPERATIONS:
            for number in range(op["slices"]):
                potentials = op["potentials"] + number * self._potential_rows
                if opcode is MacroOpcode.ACCUMULATE:
                    self._accumulate(op["operand"] + number * self._weight_rows, potentials)
                else:
                    self._operate(opcode, ResetKind(op["kind"]), op["operand"], potentials)
        elif opcode is MacroOpcode.INPUT:
            self._inputs, self._layer = (op if self._operands else None), None
        elif opcode is MacroOpcode.OUTPUT:
            assert self._inputs is not None
            self._layer = Layer(self._inputs, op, self._weight_rows, self._potential_rows)
            self._count("cycles.control", SETTLE)
        elif opcode is MacroOpcode.EVENTS:
            self._take_events(EventKind(op["kind"]), address)

    def _next_rows(self, count: int) -> Rows:
        rows = self._job.rows[self._in : self._in + count]
        if len(rows) != count:
            raise ValueError("a job must have as many rows as its program takes, not fewer")
        self._in += count
        self._count("cycles.move", count)
        self._count("events.rows_in", count)
        return rows

    def _load(self, first: int, rows: int) -> None:
        self.cells[first : first + rows] = self._next_rows(rows)

    def _shape(self, op: MacroInstruction, address: int) -> None:
        planes = self._next_rows(_PLANES).astype(np.bool_)
        self._count("cycles.control")
        self._inputs = self._layer = None
        self._weight_rows, self._potential_rows = op["weight_rows"], op["potential_rows"]
        self._saturate = bool(op["saturate"])
        operands = _operands(planes, self._weight_rows, self._potential_rows, self.config.operand_columns)
        if operands is None:
            raise _Refused(MacroError.SHAPE, address)
        self._operands = operands
        self._full, self._last = int(planes[1].sum()), int(planes[2].sum())

    def _pass(self) -> None:
        """One operation on each row of a slice."""
        for active, rows in ((self._full, self._potential_rows - 1), (self._last, 1)):
            self._count("cycles.array", rows)
            self._count("events.column_operations", rows * active)
            self._count("events.standby_columns", rows * (self.config.columns - active))

    def _put(self, potentials: int, sums: list[int | None]) -> None:
        """Write sums, None for what stays; whatever leaves its range takes a second pass where sums are clipped."""
        clips = False
        for operand, number in zip(self._operands, sums, strict=True):
            if number is not None:
                bits = len(operand.potential)
                kept = limited(number, bits, saturate=self._saturate)
                clips |= self._saturate and kept != number
                operand.write(self.cells, potentials, kept)
        self._pass()
        if clips:
            self._pass()
            self._count("events.saturations")

    def _accumulate(self, weights: int, potentials: int) -> None:
        cells = self.cells
        self._put(
            potentials,
            [
                operand.read(cells, potentials, weight=False) + operand.read(cells, weights, weight=True)
                for operand in self._operands
            ],
        )
        self._count("events.synaptic", len(self._operands))

    def _operate(self, opcode: MacroOpcode, kind: ResetKind, row: int, potentials: int) -> None:
        """ADD, COMPARE, RESET or FIRE on one slice."""
        cells = self.cells
        now = [operand.read(cells, potentials, weight=False) for operand in self._operands]
        other = [operand.read(cells, row, weight=False) for operand in self._operands]
        if opcode is MacroOpcode.ADD:
            self._put(potentials, [a + b for a, b in zip(now, other, strict=True)])
            return
        differences = [a + b + 1 for a, b in zip(now, other, strict=True)]  # b is the complement of the threshold
        if opcode in (MacroOpcode.COMPARE, MacroOpcode.FIRE):
            self._pass()
            self._spiked = [difference >= 0 for difference in differences]
            word = np.zeros(self.config.columns, np.uint8)
            word[[operand.start for operand in self._operands]] = self._spiked
            self._spikes.append(word)
            self._count("events.spike_words")
            self._count("events.spikes", sum(self._spiked))
        resets = opcode is MacroOpcode.RESET or (
            opcode is MacroOpcode.FIRE and kind is not ResetKind.NONE and any(self._spiked)
        )
        if resets:
            self._count("events.resets", opcode is MacroOpcode.FIRE)
            after = [0] * len(now) if kind is ResetKind.HARD else differences
            self._put(
                potentials,
                [number if spiked else None for number, spiked in zip(after, self._spiked, strict=True)],
            )

    def _take_events(self, kind: EventKind, address: int) -> None:
        assert self._layer is not None
        layer = self._layer
        events, empty, used = scan(layer, kind, self._job.events[self._events :], self.config)
        self._events += used
        self._count("events.event_words", used)
        channel: int | None = None
        worked: list[tuple[int, int]] = []
        before = self._counters["cycles.array"] + self._counters["cycles.move"]
        for event in events:
            if not layer.holds(event):
                raise _Refused(MacroError.EVENT, address)
            self._count("events.inputs")
            begun = self._counters["cycles.array"] + self._counters["cycles.move"]
            pairs = layer.rows_of(event)
            if pairs and layer.outputs["fetch"] and event.channel != channel:
                channel = event.channel
                self._load(layer.weights.start, layer.channel_rows)
            for weights, potentials in pairs:
                self._accumulate(weights, potentials)
            worked.append((event.empty, self._counters["cycles.array"] + self._counters["cycles.move"] - begun))
        spent = self._counters["cycles.array"] + self._counters["cycles.move"] - before
        self._count("cycles.scan", events_cycles(worked, empty) - spent)

    def _count(self, name: str, number: int = 1) -> None:
        self._counters[name] += number


def _operands(
    planes: NDArray[np.bool_], weight_rows: int, potential_rows: int, widest: int
) -> list[_Operand] | None:  # fmt: skip
    """The operands that control planes (start, full, last, weight) mean, None where they mean none."""
    start, full, last, weight = planes
    found: list[_Operand] = []
    covered = np.zeros_like(planes)
    for first in np.flatnonzero(start).tolist():
        end = first + 1
        while end < len(start) and full[end] and not start[end]:
            end += 1
        widths: list[int] = []
        for number, plane in enumerate((full, last, weight), 1):
            width = 0
            while first + width < end and plane[first + width]:
                width += 1
            covered[number, first : first + width] = True
            widths.append(width)
        if not all(widths) or widths[0] > widest:
            return None
        potential, held = _cells(first, widths[0], widths[1], potential_rows), _cells(
            first, widths[0], widths[2], weight_rows
        )  # fmt: skip
        bits = [cell for cell in held if cell in set(potential)]
        found.append(_Operand(first, tuple(potential), tuple(bits)))
    whole = all((covered[number] == planes[number]).all() for number in (1, 2, 3))
    return found if found and whole else None


def _cells(first: int, width: int, last: int, rows: int) -> list[tuple[int, int]]:
    """Row and column of each bit."""
    return [(row, first + place) for row in range(rows) for place in range(last if row == rows - 1 else width)]
