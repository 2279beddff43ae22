"""What the programs of tiles do with their time, and the events that energy follows from, by the laws."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from golden.accelerator.port_times import BeatCollector, PortTimes
from golden.laws import PORT_OPERATIONS, SCHEDULES, Machine, Timeline, plane_size
from hw.config import TileConfig
from hw.isa import Instruction, LoadKind, Opcode, Owner
from sim.evaluate.cost import Events

__all__ = ["CLAMPS", "Account", "Parts", "account", "add_parts", "program_events"]

Parts = dict[str, int]
"""Cycles by :data:`sim.evaluate.cost.PARTS`."""

CLAMPS = (Opcode.RELU, Opcode.MINC, Opcode.MAXC, Opcode.CLAMP)
"""Instructions that limit numbers."""

_OWNED = {Owner.REDUCE: "reduce", Owner.REQUANTIZE: "requantise"}


@dataclass(frozen=True)
class Account:
    """The time of a stretch of instructions on a tile that waits for nobody.

    Parameters
    ----------
    cycles : by part; they add up to what the tile counts.
    mark : cycles so far after the instruction that the caller asked for.
    port : when the plane port moves its beats.
    """

    cycles: Parts
    mark: Parts
    port: PortTimes

    @property
    def total(self) -> int:
        """All cycles."""
        return sum(self.cycles.values())


def add_parts(*accounts: Mapping[str, int]) -> Parts:
    """Cycles of all of them, part by part."""
    result: Parts = {}
    for parts in accounts:
        for part, cycles in parts.items():
            result[part] = result.get(part, 0) + cycles
    return result


def account(instructions: Iterable[Instruction], config: TileConfig, computing: str, *, after: int = -1) -> Account:
    """The time of instructions in the order of execution.

    Parameters
    ----------
    computing : the part that bodies of owner COMPUTE belong to.
    after : index of an instruction after which a mark is set; none if negative.
    """
    timeline = Timeline(config)
    beats = BeatCollector(timeline)
    mark: Parts = {}
    cycles: Parts = {"controller": 0, "load": 0, "store": 0}
    before = 0
    for index, op in enumerate(instructions):
        timeline.execute(op)
        beats.note(op)
        passed, before = timeline.cycles - before, timeline.cycles
        cycles["controller"] += 1
        waits = timeline.waits
        waited = waits[Owner.LOAD] + waits[Owner.STORE] - cycles["load"] - cycles["store"]
        cycles["load"], cycles["store"] = waits[Owner.LOAD], waits[Owner.STORE]
        body = passed - 1 - waited
        if body:
            owner = Owner(op.owner)
            clamps = op.opcode in CLAMPS and owner == Owner.REQUANTIZE
            part = "relu" if clamps else _OWNED.get(owner, computing)
            cycles[part] = cycles.get(part, 0) + body
        if index == after:
            mark = dict(cycles)
    return Account(cycles, mark, beats.times())


def program_events(instructions: Iterable[Instruction], config: TileConfig) -> Events:
    """Events of one tile that executes instructions; time and mesh apart."""
    machine, rows = Machine.of(config), config.rows
    compares = compared = counted = writes = written = loaded = stored = memory = count = 0
    for op in instructions:
        count += 1
        if op.opcode in PORT_OPERATIONS:
            planes = op.a_width if op.opcode in (Opcode.STORE, Opcode.RESTORE) else op.d_width
            moves = op.opcode in (Opcode.LOAD, Opcode.STORE)
            bits = planes * (plane_size(op, config) if moves else config.outputs)
            if op.opcode == Opcode.STORE:
                stored += bits
            elif op.opcode == Opcode.LOAD:
                # A plane of weights is read once, and written to all rows of its taps.  What a gather unit reads is for
                # all tiles of a cluster, so it is not counted here.
                memory += bits if op.kind == LoadKind.TAPS else 0
                loaded += planes * rows if op.kind == LoadKind.TAPS else bits
            elif op.opcode == Opcode.DRAIN:
                loaded += bits
            continue
        schedule = SCHEDULES[Opcode(op.opcode)](op, machine)
        compares += schedule.compares
        compared += schedule.compared_columns
        writes += schedule.writes
        written += schedule.written_columns
        if op.opcode == Opcode.DOT:
            counted += schedule.compares
    return Events(
        compares=compares,
        compared_rows=compares * rows,
        compared_cells=compared * rows,
        counted_rows=counted * rows,
        writes=writes,
        driven_cells=written * rows,
        loaded_cells=loaded,
        stored_bits=stored,
        memory_bits=memory,
        instructions=count,
    )
