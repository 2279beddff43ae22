"""The cycle laws: exactly how long an instruction and a program take on a tile, and what they do meanwhile.

``LAWS`` holds one row per opcode as data; the functions below it only look rows up.  Time between instructions is in
:class:`Timeline`, which needs a few operations for each instruction, however long it takes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from golden.engine import Job, Outcome
from golden.sequencer import Sequencer
from hw.config import TileConfig
from hw.counter_map import COUNTERS
from hw.isa import Instruction, LoadKind, Opcode, Owner, Program

__all__ = [
    "LAWS", "PORT_OPERATIONS", "Law", "LawEngine", "Schedule", "Timeline", "body_cycles", "events",
    "plane_size", "port_steps", "run_law",
]  # fmt: skip


class Schedule(NamedTuple):
    """What a body does: cycles with a compare, with a write and with neither, and the columns that they concern."""

    compares: int = 0
    compared_columns: int = 0
    writes: int = 0
    written_columns: int = 0
    idle: int = 0

    @property
    def cycles(self) -> int:
        """All cycles of the body; each has at most one compare or write."""
        return self.compares + self.writes + self.idle


@dataclass(frozen=True)
class Law:
    """The law of one opcode.

    Parameters
    ----------
    body : cycles on ``cells`` and ``4r2w``: an expression of the widths A, B, D and a_signed, predicated, constant.
    extra : cycles that ``3r1w`` adds, likewise.
    schedule : the same and the events as a function of an instruction and of whether the array is ``3r1w`` (0 or 1).
    """

    body: str
    extra: str
    schedule: Callable[[Instruction, int], Schedule]


def _nothing(_op: Instruction, _narrow: int) -> Schedule:
    return Schedule()


def _dot(op: Instruction, _narrow: int) -> Schedule:
    pairs = op.a_width * op.b_width
    return Schedule(compares=pairs, compared_columns=2 * pairs, idle=1)


def _fill(op: Instruction, _narrow: int) -> Schedule:
    selects = int(op.predicated)
    return Schedule(selects, selects, op.d_width, op.d_width)


def _copy(op: Instruction, narrow: int) -> Schedule:
    flag, passes = int(op.predicated), 2 * op.a_width
    return Schedule(passes, passes * (2 + flag), passes, passes, narrow * flag)


def _and(op: Instruction, _narrow: int) -> Schedule:
    return Schedule(op.a_width, 2 * op.a_width, op.a_width, op.a_width)


def _xor(op: Instruction, narrow: int) -> Schedule:
    passes = 4 * op.a_width
    return Schedule(passes, 3 * passes, passes, passes, narrow * op.a_width)


def _sums(full: int, half: int, flag: int, clears: int, spills: int, fetches: int = 0) -> Schedule:
    """Steps of an adder: four passes for an unknown bit, two for a known one; ``flag`` more columns are compared."""
    return Schedule(
        compares=4 * full + 2 * half,
        compared_columns=4 * full * (3 + flag) + 2 * half * (2 + flag),
        writes=4 * full + 2 * half + clears + spills,
        written_columns=6 * full + 3 * half + clears + spills,
        idle=fetches,
    )


def _add(op: Instruction, narrow: int) -> Schedule:
    full = op.b_width if op.a_signed else op.a_width
    return _sums(full, op.b_width - full, int(op.predicated), clears=1, spills=narrow)


def _add_constant(op: Instruction, narrow: int) -> Schedule:
    return _sums(0, op.b_width, int(op.predicated), clears=1, spills=narrow)


def _multiply(op: Instruction, narrow: int) -> Schedule:
    width, signed = op.b_width, int(op.a_signed)
    full = op.a_width * width + signed * width
    return _sums(full, 0, 1, clears=signed, spills=narrow * (width + signed), fetches=narrow * width)


def _multiply_constant(op: Instruction, narrow: int) -> Schedule:
    width = op.b_width
    return _sums(0, op.a_width * width, 1, clears=0, spills=narrow * width, fetches=narrow * width)


def _extreme(op: Instruction, narrow: int) -> Schedule:
    passes, spills = 4 * op.a_width, 2 * narrow
    return Schedule(passes, 4 * passes, 1 + passes + spills, 2 + 5 * op.a_width + spills)


def _extreme_constant(op: Instruction, narrow: int) -> Schedule:
    width, spills = op.b_width, 2 * narrow
    return Schedule(width + 1, 3 * width + 1, 1 + 2 * width + spills, 2 + 2 * width + spills)


def _relu(op: Instruction, _narrow: int) -> Schedule:
    return Schedule(1, 1, op.b_width, op.b_width)


def _move(op: Instruction, _narrow: int) -> Schedule:
    return Schedule(op.a_width, op.a_width, 2 * op.a_width, 2 * op.a_width, op.a_width * abs(op.constant))


_NO_BODY = Law("0", "0", _nothing)
_SUM = "1 + 8*A + (B - A)*(8 if a_signed else 4)"

LAWS: dict[Opcode, Law] = {
    Opcode.HALT: _NO_BODY,
    Opcode.SYNC: _NO_BODY,
    Opcode.LOOP: _NO_BODY,
    Opcode.END: _NO_BODY,
    Opcode.LOAD: _NO_BODY,
    Opcode.STORE: _NO_BODY,
    Opcode.DRAIN: _NO_BODY,
    Opcode.RESTORE: _NO_BODY,
    Opcode.INIT: _NO_BODY,
    Opcode.DOT: Law("A*B + 1", "0", _dot),
    Opcode.FILL: Law("D + predicated", "0", _fill),
    Opcode.COPY: Law("4*A", "predicated", _copy),
    Opcode.NOT: Law("4*A", "predicated", _copy),
    Opcode.AND: Law("2*A", "0", _and),
    Opcode.OR: Law("2*A", "0", _and),
    Opcode.XOR: Law("8*A", "A", _xor),
    Opcode.ADD: Law(_SUM, "1", _add),
    Opcode.SUB: Law(_SUM, "1", _add),
    Opcode.ADDC: Law("1 + 4*B", "1", _add_constant),
    Opcode.MUL: Law("8*A*B + (1 + 8*B if a_signed else 0)", "2*B + a_signed", _multiply),
    Opcode.MULC: Law("4*A*B", "2*B", _multiply_constant),
    Opcode.MAX: Law("1 + 8*A", "2", _extreme),
    Opcode.MIN: Law("1 + 8*A", "2", _extreme),
    Opcode.MAXC: Law("1 + 2*B + 1 + B", "2", _extreme_constant),
    Opcode.MINC: Law("1 + 2*B + 1 + B", "2", _extreme_constant),
    Opcode.RELU: Law("1 + B", "0", _relu),
    Opcode.MOVE: Law("A*(3 + abs(constant))", "0", _move),
}
"""The law of every opcode that a tile executes."""

_SCHEDULES = {int(opcode): law.schedule for opcode, law in LAWS.items()}

PORT_OPERATIONS = frozenset({int(Opcode.LOAD), int(Opcode.STORE), int(Opcode.DRAIN), int(Opcode.RESTORE)})
"""Opcodes whose work the plane port does while the sequencer goes on."""

_LOADING = frozenset({int(Opcode.LOAD), int(Opcode.RESTORE)})
_JOINING = frozenset({int(Opcode.SYNC), int(Opcode.HALT)})


def events(instruction: Instruction, config: TileConfig) -> Schedule:
    """Schedule events of the body of a legal instruction."""
    return _SCHEDULES[instruction.opcode](instruction, int(config.array == "3r1w"))


def body_cycles(instruction: Instruction, config: TileConfig) -> int:
    """Cycles of the body of a legal instruction, its decode cycle not included."""
    return events(instruction, config).cycles


def port_steps(instruction: Instruction, config: TileConfig) -> int:
    """Steps that the plane port makes for a legal instruction: beats of LOAD and STORE, planes of DRAIN and RESTORE."""
    op = instruction
    if op.opcode == Opcode.DRAIN:
        return op.d_width
    if op.opcode == Opcode.RESTORE:
        return op.a_width
    if op.opcode not in (Opcode.LOAD, Opcode.STORE):
        return 0
    planes = op.d_width if op.opcode == Opcode.LOAD else op.a_width
    return planes * config.beats(plane_size(op, config))


def plane_size(instruction: Instruction, config: TileConfig) -> int:
    """Bits of one plane of a LOAD or STORE at the port: R, S or G."""
    if instruction.kind == LoadKind.TAPS:
        return config.taps
    if instruction.kind in (LoadKind.BLOCK, LoadKind.TOTAL):
        return config.outputs
    return config.rows


class Timeline:
    """The time of a run, instruction by instruction, as a max-plus recurrence.

    The port makes one step per open cycle, so its time is counted in open cycles: a port operation ends at open cycle
    ``max(end of the one before, its own decode cycle) + steps``, and waiting adds open cycles one by one.

    Parameters
    ----------
    config : the tile.
    """

    def __init__(self, config: TileConfig) -> None:
        """Begin before the first decode cycle."""
        self.config = config
        self._narrow = int(config.array == "3r1w")
        self._open = 0  # open cycles so far
        self._pending: deque[tuple[int, int, Owner]] = deque()  # last open cycle, steps, owner of waits
        self._port_end = 0  # last open cycle of the newest port operation
        self._snapshot_end = 0  # the same of the newest STORE TOTAL or DRAIN
        self._cycles = dict.fromkeys(Owner, 0)
        self._instructions = 0
        self._events = [0, 0, 0, 0]
        self._steps = 0

    def execute(self, instruction: Instruction) -> None:
        """Add one legal instruction, in the order of execution."""
        op = instruction
        opcode = op.opcode
        if opcode in PORT_OPERATIONS:
            self._join(self.config.port_queue - 1)
            snapshot = opcode == Opcode.DRAIN or (opcode == Opcode.STORE and op.kind == LoadKind.TOTAL)
            if snapshot:
                self._wait(self._snapshot_end)
            self._open += 1
            steps = port_steps(op, self.config)
            self._steps += steps
            self._port_end = max(self._port_end, self._open) + steps
            self._pending.append((self._port_end, steps, Owner.LOAD if opcode in _LOADING else Owner.STORE))
            if snapshot:
                self._snapshot_end = self._port_end
            self._cycles[Owner(op.owner)] += 1
        elif opcode in _JOINING:
            self._join(op.constant if opcode == Opcode.SYNC else 0)
            self._open += 1
            self._cycles[Owner(op.owner)] += 1
        else:
            schedule = _SCHEDULES[opcode](op, self._narrow)
            compares, compared, writes, written, idle = schedule
            body = compares + writes + idle
            self._open += 1 + body if opcode == Opcode.DOT else 1
            self._cycles[Owner(op.owner)] += 1 + body
            sums = self._events
            sums[0] += compares
            sums[1] += compared
            sums[2] += writes
            sums[3] += written
        self._instructions += 1

    def _join(self, count: int) -> None:
        """Wait until at most ``count`` port operations are outstanding."""
        pending = self._pending
        while pending and pending[0][0] <= self._open:
            pending.popleft()
        excess = len(pending) - count
        if 0 < excess <= len(pending):  # a negative count is a great unsigned number
            self._wait(pending[excess - 1][0])

    def _wait(self, until: int) -> None:
        """Repeat the decode cycle, which is open, until ``until`` open cycles have passed."""
        pending = self._pending
        while self._open < until:
            end, _, owner = pending[0]
            passed = max(min(end, until), self._open)
            self._cycles[owner] += passed - self._open
            self._open = passed
            if end <= passed:
                pending.popleft()

    @property
    def cycles(self) -> int:
        """Cycles so far."""
        return sum(self._cycles.values())

    def counters(self) -> dict[str, int]:
        """All counters but the activity; port steps that are still to come are not counted."""
        left = sum(min(steps, max(end - self._open, 0)) for end, steps, _ in self._pending)
        compares, compared, writes, written = self._events
        values = {f"cycles.{owner.name.lower()}": cycles for owner, cycles in self._cycles.items()}
        values |= {
            "cycles.stall": 0,
            "events.instructions": self._instructions,
            "events.compares": compares,
            "events.compared_columns": compared,
            "events.writes": writes,
            "events.written_columns": written,
            "events.port_steps": self._steps - left,
            "identity.config": self.config.hash,
        }
        return {counter.name: values[counter.name] for counter in COUNTERS if counter.name in values}


def run_law(program: Program | Iterable[Instruction], config: TileConfig) -> dict[str, int]:
    """The counters of a run without stalls and errors, activity excepted.

    ``program`` is legal (:meth:`Program.check`), or an iterable of legal instructions in the order of execution.
    """
    timeline = Timeline(config)
    for instruction in program.executed() if isinstance(program, Program) else program:
        timeline.execute(instruction)
    return timeline.counters()


class LawEngine:
    """The laws alone as an engine: cycles and schedule events without data.

    Needs no planes and gives none; raises what an instruction alone can raise, so never TOTAL.

    Parameters
    ----------
    config : the tile.
    """

    def __init__(self, config: TileConfig) -> None:
        """Take the tile's sizes."""
        self.config = config

    def run(self, job: Job) -> Outcome:
        """Run one job; a refused instruction is reported in the outcome, not raised."""
        timeline, sequencer = Timeline(self.config), Sequencer(job.program, self.config)
        for instruction in sequencer:
            timeline.execute(instruction)
        return Outcome(counters=timeline.counters(), error=sequencer.error, address=sequencer.address)

    def close(self) -> None:
        """Nothing to release."""
