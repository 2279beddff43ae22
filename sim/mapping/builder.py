"""Writing programs: instructions with owners, and the book-keeping of what the plane port still has under way."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden.laws import plane_size, run_law
from hw.config import TileConfig
from hw.isa import CLAMP_BITS, ConstantKind, Instruction, LoadKind, Opcode, Owner, Program, StoreKind, clamp_constant

__all__ = ["Builder", "JobPlan", "Routine", "Sink", "Source", "row_pieces"]


@dataclass(frozen=True)
class Source:
    """Where the planes of a LOAD come from; each kind of layer has its own sources."""


@dataclass(frozen=True)
class Sink:
    """Where the planes of a STORE go: to ``rows`` rows from ``first_row`` of the job's results."""

    first_row: int
    rows: int


@dataclass(frozen=True)
class Routine:
    """What jobs share that differ in their work and in the constants of their INITs alone.

    Parameters
    ----------
    instructions : of the program, HALT included.
    loads : for every LOAD, in the order of execution, what it brings, named by its place in the job's work.
    stores : for every STORE, in the order of execution, what it takes away.
    config : the tile.
    """

    instructions: tuple[Instruction, ...]
    loads: tuple[Source, ...]
    stores: tuple[Sink, ...]
    config: TileConfig

    @cached_property
    def program(self) -> Program:
        """The checked program."""
        return Program.build(self.instructions, self.config)

    @cached_property
    def law(self) -> dict[str, int]:
        """Counters of the program by the laws, to be read only."""
        return run_law(self.program, self.config)

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """Addresses of the INITs."""
        return tuple(address for address, op in enumerate(self.instructions) if op.opcode == Opcode.INIT)

    @cached_property
    def load_shapes(self) -> NDArray[np.int64]:
        """Planes and bits of a plane of every LOAD, in the order of execution: (LOADs, 2)."""
        shapes = [(op.d_width, plane_size(op, self.config)) for op in self.instructions if op.opcode == Opcode.LOAD]
        return np.array(shapes, np.int64).reshape(-1, 2)

    @property
    def dots(self) -> int:
        """Number of DOTs, each a fill of the responder counters."""
        return sum(instruction.opcode == Opcode.DOT for instruction in self.instructions)


@dataclass(frozen=True)
class JobPlan:
    """One program with the meaning of its streams.

    Parameters
    ----------
    routine : the program but for the constants of INITs, and its streams.
    work : which outputs the job computes; its meaning is the layer kind's own.
    constants : of the INITs, in the order of their addresses; empty where those of the routine hold.
    """

    routine: Routine
    work: Any
    constants: tuple[int, ...] = ()

    @property
    def instructions(self) -> tuple[Instruction, ...]:
        """Of the program, HALT included."""
        return self.program.instructions if self.constants else self.routine.instructions

    @cached_property
    def program(self) -> Program:
        """The checked program; the same object as the routine's where constants are the same."""
        checked = self.routine.program
        if not self.constants:
            return checked
        changes: dict[int, Instruction] = {}
        for address, constant in zip(self.routine.starts, self.constants, strict=True):
            fields = (("constant", constant), ("owner", checked.instructions[address].owner))
            changes[address] = _instruction(Opcode.INIT, fields)
        return checked.replaced(changes)

    @property
    def loads(self) -> tuple[Source, ...]:
        """For every LOAD, in the order of execution, what it brings."""
        return self.routine.loads

    @property
    def stores(self) -> tuple[Sink, ...]:
        """For every STORE, in the order of execution, what it takes away."""
        return self.routine.stores

    @property
    def config(self) -> TileConfig:
        """The tile."""
        return self.routine.config


class Builder:
    """Collects the instructions of one job.

    Port operations are numbered in the order of their decode; such a number is a *ticket*, and :meth:`sync` joins the
    operation that it stands for, and all earlier ones, without waiting for later ones.

    Parameters
    ----------
    config : the tile.
    """

    def __init__(self, config: TileConfig) -> None:
        """Begin an empty job."""
        self.config = config
        self.owner = Owner.COMPUTE
        self._instructions: list[Instruction] = []
        self._loads: list[Source] = []
        self._stores: list[Sink] = []
        self._issued = 0
        self._joined = -1

    @property
    def count(self) -> int:
        """Instructions so far."""
        return len(self._instructions)

    def emit(self, opcode: Opcode, **fields: Any) -> None:
        """Add an instruction charged to the current owner, unless ``fields`` name another."""
        fields.setdefault("owner", self.owner)
        self._instructions.append(_instruction(opcode, tuple(fields.items())))

    def load(self, kind: LoadKind, column: int, planes: int, source: Source, block: int = 0) -> int:
        """Issue a LOAD of ``planes`` planes to columns from ``column``; returns its ticket."""
        self.emit(Opcode.LOAD, kind=kind, d=column, d_width=planes, constant=block, owner=Owner.LOAD)
        self._loads.append(source)
        return self._ticket()

    def store(self, kind: StoreKind, column: int, planes: int, sink: Sink, block: int = 0) -> int:
        """Issue a STORE of ``planes`` columns from ``column``; returns its ticket."""
        self.emit(Opcode.STORE, kind=kind, a=column, a_width=planes, constant=block, owner=Owner.STORE)
        self._stores.append(sink)
        return self._ticket()

    def drain(self, column: int, width: int, block: int) -> int:
        """Issue a DRAIN of the totals to a row block; returns its ticket."""
        self.emit(Opcode.DRAIN, d=column, d_width=width, constant=block)
        return self._ticket()

    def restore(self, column: int, width: int, block: int) -> int:
        """Issue a RESTORE of the totals from a row block; returns its ticket."""
        self.emit(Opcode.RESTORE, a=column, a_width=width, constant=block)
        return self._ticket()

    def sync(self, ticket: int | None = None) -> None:
        """Join the operation of a ticket and all earlier ones (without a ticket all); nothing if joined already."""
        wanted = self._issued - 1 if ticket is None else ticket
        if wanted > self._joined:
            self.emit(Opcode.SYNC, constant=self._issued - 1 - wanted)
            self._joined = wanted

    def fill(self, column: int, width: int, constant: int = 0) -> None:
        """Write a constant to ``width`` columns (nothing when that is 0)."""
        if width > 0:
            self.emit(Opcode.FILL, d=column, d_width=width, constant=constant)

    def add_constant(
        self,
        column: int,
        width: int,
        constant: int,
        constant_bits: int,
        carry: int,
        predicate: int | None = None,
        kind: ConstantKind = ConstantKind.DENSE,
    ) -> None:
        """Add a constant of ``constant_bits`` bits (two's complement) to a field, in two parts when it is too wide.

        ``kind`` is DENSE where the time must not depend on the constant.
        """
        flags: dict[str, Any] = {"kind": kind}
        if predicate is not None:
            flags |= {"predicated": True, "p": predicate}
        if constant_bits <= 36:
            self.emit(Opcode.ADDC, b=column, b_width=width, d=carry, d_width=1, constant=constant, **flags)
            return
        low = constant & 0xFFFFFFFF
        self.emit(Opcode.ADDC, b=column, b_width=width, d=carry, d_width=1, constant=low, **flags)
        if width > 32:
            high = constant >> 32
            self.emit(Opcode.ADDC, b=column + 32, b_width=width - 32, d=carry, d_width=1, constant=high, **flags)

    def lower_ties(self, column: int, width: int, shift: int, ties: int, carry: int) -> None:
        """Take 1 from a field where the bit at ``shift`` is not ``ties``; a whole number of 2**shift gets below it.

        ``carry`` is a scratch column, and so is the one behind it.
        """
        opcode = Opcode.NOT if ties else Opcode.COPY
        self.emit(opcode, a=column + shift, a_width=1, d=carry + 1, d_width=1)
        self.add_constant(column, width, -1, 1, carry, predicate=carry + 1)

    def limit(self, column: int, width: int, low: int, high: int, *, signed: bool) -> None:
        """Limit a field to ``low``..``high``: CLAMP, or MAXC and MINC where a bound does not fit CLAMP."""
        field: dict[str, Any] = {"b": column, "b_width": width, "b_signed": signed}
        if max(-low - 1, high).bit_length() < CLAMP_BITS:
            self.emit(Opcode.CLAMP, **field, constant=clamp_constant(low, high))
            return
        self.emit(Opcode.MAXC, **field, constant=low)
        self.emit(Opcode.MINC, **field, constant=high)

    def clamp(self, column: int, width: int, low: int, high: int, bits: int, carry: int) -> None:
        """Turn a signed field into the stored number ``low + min(max(field, 0), high)`` on its lowest ``bits`` columns.

        ``carry`` is a scratch column; columns up to ``bits`` above a narrower field are overwritten.
        """
        self.emit(Opcode.RELU, b=column, b_width=width)
        if width > 1 and high < (1 << (width - 1)) - 1:
            self.emit(Opcode.MINC, b=column, b_width=width - 1, constant=high)
        self.fill(column + width, bits - width)
        if low:
            self.emit(Opcode.ADDC, b=column, b_width=bits, d=carry, d_width=1, constant=low)

    def store_rows(self, column: int, planes: int, blocks: int, first_row: int = 0) -> int:
        """STORE columns of the first ``blocks`` row blocks, as whole planes or block by block, whichever is faster.

        The tile's row 0 is row ``first_row`` of the job's results.  Returns the last ticket.
        """
        size, ticket = self.config.outputs, -1
        for first, count, kind, block in row_pieces(planes, blocks, self.config):
            rows = self.config.rows if kind == LoadKind.PLANES else size
            store_kind = StoreKind.PLANES if kind == LoadKind.PLANES else StoreKind.BLOCK
            sink = Sink(first_row + block * size, rows)
            assert first == 0
            assert count == planes
            ticket = self.store(store_kind, column, planes, sink, block)
        return ticket

    def finish(self, work: Any) -> JobPlan:
        """End the job with HALT, which joins all port operations."""
        return JobPlan(self.routine(), work)

    def routine(self) -> Routine:
        """End the routine of several jobs with HALT, which joins all port operations."""
        self.emit(Opcode.HALT, owner=Owner.STORE)
        return Routine(tuple(self._instructions), tuple(self._loads), tuple(self._stores), self.config)

    def _ticket(self) -> int:
        self._issued += 1
        return self._issued - 1


@lru_cache(maxsize=1 << 14)
def _instruction(opcode: Opcode, fields: tuple[tuple[str, Any], ...]) -> Instruction:
    """An instruction; equal ones are one object, as long programs repeat few different ones."""
    return Instruction(opcode, **dict(fields))


def row_pieces(
    planes: int, blocks: int, config: TileConfig, steps: int | None = None
) -> Iterator[tuple[int, int, LoadKind, int]]:
    """How to move ``planes`` planes of which only the first ``blocks`` row blocks matter: (first, planes, kind, block).

    Whole planes take ``beats(R)`` steps each; single blocks take ``beats(S)`` steps for each of their planes and one
    decode cycle.  With ``steps``, whole planes come in pieces of at most that many steps, or of one plane.
    """
    whole, single = planes * config.beats(config.rows), planes * config.beats(config.outputs) + 1
    if blocks * single < whole:
        yield from ((0, planes, LoadKind.BLOCK, block) for block in range(blocks))
        return
    most = planes if steps is None else max(1, steps // config.beats(config.rows))
    for first in range(0, planes, most):
        yield first, min(most, planes - first), LoadKind.PLANES, 0


def piece_steps(planes: int, kind: LoadKind, config: TileConfig) -> int:
    """Port steps of a piece of :func:`row_pieces`."""
    return planes * config.beats(config.outputs if kind == LoadKind.BLOCK else config.rows)


def equal_parts(count: int, parts: int) -> Sequence[range]:
    """``count`` things in ``parts`` runs of nearly equal length, none longer than the others by more than one."""
    edges = [count * part // parts for part in range(parts + 1)]
    return [range(first, last) for first, last in itertools.pairwise(edges)]
