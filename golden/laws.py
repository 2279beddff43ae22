"""The cycle laws: exactly how long an instruction and a program take on a tile, and what they do meanwhile.

``LAWS`` holds one row per opcode as data: the law as a text, and as a function of :mod:`golden.schedules`.  Time
between instructions is in :class:`Timeline`, which needs a few operations for each instruction, however long it takes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from golden.engine import Job, Outcome
from golden.schedules import SCHEDULES, Machine, Schedule, dot
from golden.sequencer import Sequencer
from hw.config import TileConfig
from hw.counter_map import COUNTERS
from hw.isa import DotKind, Instruction, LoadKind, Opcode, Owner, Program, ProgramError

__all__ = [
    "LAWS", "PORT_OPERATIONS", "TERMS", "Law", "LawEngine", "Machine", "Schedule", "Timeline", "body_cycles", "events",
    "plane_size", "port_steps", "run_law", "searches",
]  # fmt: skip


@dataclass(frozen=True)
class Law:
    """The law of one opcode.

    Parameters
    ----------
    body : cycles on ``cells`` and ``4r2w``: an expression of :data:`TERMS`.
    extra : cycles that ``3r1w`` adds, likewise.
    schedule : the same and the events as a function of an instruction and of what of the config they depend on.
    """

    body: str
    extra: str
    schedule: Callable[[Instruction, Machine], Schedule]


TERMS: dict[str, str] = {
    "A, B, D": "the widths a_width, b_width, d_width in bits",
    "a_signed, b_signed, predicated": "flags, 0 or 1",
    "constant": "the constant, a signed number",
    "ext": "B - A",
    "step(n)": "additions of n unknown bits: 8*n cycles with classical passes, 7*n with merged, 6*n with two_tags",
    "wide(n)": "additions of n unknown bits beside the operands: 10*n cycles with classical passes, else 8*n",
    "classical": "1 with classical passes, else 0",
    "in_place": "1 where d is b, else 0",
    "SKIP, SPARSE, SHIFT, PAIRS": "1 for the kind of that name, else 0",
    "s": "leading zero planes that a DOT of kind SKIP finds, 0 to A",
    "zeros": "zero bits below the lowest one of the B-bit constant; B where all are 0",
    "ones": "ones among the low A bits of the constant",
    "L": "levels of the sum of n = constant words: ceil(log2(n))",
    "l": "a level of the sum, 0 to L - 1",
}
"""What the expressions of laws are made of: names, and what they say."""

_EXTENDED_SUM = "1 + step(A) + (step(ext) if a_signed else 4*ext)"
_DENSE, _SPARSE = "4*A*B", "ones*step(B) + (1 + 4*A if b_signed else 0)"
_DISTANCE = "2**(L - 1 - l)"
_TREE = f"1 + ({_DISTANCE} if PAIRS else 1)*(step(A + l) + 4*a_signed) + ((A + l)*(3 + {_DISTANCE}) if SHIFT else 0)"


def _apart(classical: int, other: int) -> str:
    return f"1 + wide(A) + (wide(ext) if a_signed else ext*({classical} if classical else {other}))"


_TEXTS: dict[Opcode, tuple[str, str]] = {
    Opcode.HALT: ("0", "0"),
    Opcode.SYNC: ("0", "0"),
    Opcode.LOOP: ("0", "0"),
    Opcode.END: ("0", "0"),
    Opcode.LOAD: ("0", "0"),
    Opcode.STORE: ("0", "0"),
    Opcode.DRAIN: ("0", "0"),
    Opcode.RESTORE: ("0", "0"),
    Opcode.INIT: ("0", "0"),
    Opcode.DOT: ("(min(s + 1, A) + (A - s)*B if SKIP else A*B) + 1", "0"),
    Opcode.FILL: ("D + predicated", "0"),
    Opcode.COPY: ("(4 if predicated else 3)*A", "predicated"),
    Opcode.NOT: ("(4 if predicated else 3)*A", "predicated"),
    Opcode.AND: ("(2 if in_place else 3)*A", "0"),
    Opcode.OR: ("(2 if in_place else 3)*A", "0"),
    Opcode.XOR: ("4*A", "0"),
    Opcode.ADD: (_EXTENDED_SUM, "1"),
    Opcode.SUB: (_EXTENDED_SUM, "1"),
    Opcode.RSUB: (f"{_EXTENDED_SUM} + 3*B", "1"),
    Opcode.SUM: (_apart(4, 3), "1"),
    Opcode.DIFF: (_apart(6, 5), "1"),
    Opcode.RDIFF: (_apart(4, 3), "1"),
    Opcode.ADDC: ("1 + 4*(B - zeros if SPARSE else B)", "1"),
    Opcode.MUL: ("B*step(A) + (1 + step(B) if a_signed else 0)", "2*B + a_signed"),
    Opcode.MULC: (f"{_SPARSE} if SPARSE else {_DENSE}", "2*ones + b_signed if SPARSE else 2*B"),
    Opcode.MAX: ("6*A + 2 + ext*(6 if a_signed else 3)", "1"),
    Opcode.MIN: ("6*A + 2 + ext*(6 if a_signed else 3)", "1"),
    Opcode.MAXC: ("2*B", "0"),
    Opcode.MINC: ("2*B", "0"),
    Opcode.CLAMP: ("4*B", "0"),
    Opcode.RELU: ("1 + B", "0"),
    Opcode.NEG: ("1 + 4*A", "1"),
    Opcode.ABS: ("6*A - 1", "1"),
    Opcode.CMP: ("2*A + 2 + ext*(2 if a_signed else 1)", "0"),
    Opcode.CMPC: ("B + 2", "0"),
    Opcode.MOVE: ("A*(3 + abs(constant))", "0"),
    Opcode.REDUCE: (f"sum({_TREE} for l in range(L))", "L"),
}

LAWS: dict[Opcode, Law] = {opcode: Law(body, extra, SCHEDULES[opcode]) for opcode, (body, extra) in _TEXTS.items()}
"""The law of every opcode that a tile executes."""

_SCHEDULES = {int(opcode): schedule for opcode, schedule in SCHEDULES.items()}

PORT_OPERATIONS = frozenset({int(Opcode.LOAD), int(Opcode.STORE), int(Opcode.DRAIN), int(Opcode.RESTORE)})
"""Opcodes whose work the plane port does while the sequencer goes on."""

_LOADING = frozenset({int(Opcode.LOAD), int(Opcode.RESTORE)})
_JOINING = frozenset({int(Opcode.SYNC), int(Opcode.HALT)})
_NO_BODY = Schedule()


def searches(instruction: Instruction) -> bool:
    """Whether an instruction's time depends on data: a DOT of kind SKIP."""
    return instruction.opcode == Opcode.DOT and instruction.kind == DotKind.SKIP


def events(instruction: Instruction, config: TileConfig, skipped: int = 0) -> Schedule:
    """Schedule events of the body of a legal instruction; ``skipped`` as in :meth:`Timeline.execute`."""
    return _schedule(instruction, Machine.of(config), skipped)


def body_cycles(instruction: Instruction, config: TileConfig, skipped: int = 0) -> int:
    """Cycles of the body of a legal instruction, its decode cycle not included."""
    return events(instruction, config, skipped).cycles


def _schedule(op: Instruction, machine: Machine, skipped: int) -> Schedule:
    return dot(op, machine, skipped) if skipped else _SCHEDULES[op.opcode](op, machine)


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


class _Known(NamedTuple):
    """What the time of a run needs of one instruction: long programs repeat few."""

    instruction: Instruction  # keeps the object, and with it its identity
    steps: int | None  # of the port; None unless it is a port operation
    snapshot: bool  # STORE TOTAL and DRAIN, which take the totals
    waited_for: Owner  # as what a wait for this port operation counts
    joined: int | None  # how many port operations may stay; None unless it joins any
    body: Schedule
    open: bool  # a DOT leaves the port alone: all of its cycles are open

    @classmethod
    def of(cls, op: Instruction, config: TileConfig, machine: Machine) -> _Known:
        """Look at a legal instruction."""
        port, joins = op.opcode in PORT_OPERATIONS, op.opcode in _JOINING
        return cls(
            instruction=op,
            steps=port_steps(op, config) if port else None,
            snapshot=op.opcode == Opcode.DRAIN or (op.opcode == Opcode.STORE and op.kind == LoadKind.TOTAL),
            waited_for=Owner.LOAD if op.opcode in _LOADING else Owner.STORE,
            joined=None if not joins else op.constant if op.opcode == Opcode.SYNC else 0,
            body=_NO_BODY if port or joins else _schedule(op, machine, 0),
            open=op.opcode == Opcode.DOT,
        )


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
        self._machine = Machine.of(config)
        self._known: dict[int, _Known] = {}  # what was seen of an instruction, by its identity
        self._open = 0  # open cycles so far
        self._pending: deque[tuple[int, int, Owner]] = deque()  # last open cycle, steps, owner of waits
        self._port_end = 0  # last open cycle of the newest port operation
        self._snapshot_end = 0  # the same of the newest STORE TOTAL or DRAIN
        self._cycles: dict[int, int] = dict.fromkeys(Owner, 0)
        self._waits: dict[Owner, int] = {Owner.LOAD: 0, Owner.STORE: 0}
        self._instructions = 0
        self._events = [0, 0, 0, 0]
        self._steps = 0
        self._skipped = 0

    def execute(self, instruction: Instruction, skipped: int = 0) -> None:
        """Add one legal instruction, in the order of execution.

        ``skipped`` counts the leading zero planes that a DOT of kind SKIP finds in a, 0..A; 0 for anything else.
        """
        known = self._known.get(id(instruction))
        if known is None:
            known = self._known[id(instruction)] = _Known.of(instruction, self.config, self._machine)
        self._instructions += 1
        if known.steps is not None:
            self._join(self.config.port_queue - 1)
            if known.snapshot:
                self._wait(self._snapshot_end)
            self._open += 1
            self._steps += known.steps
            self._port_end = max(self._port_end, self._open) + known.steps
            self._pending.append((self._port_end, known.steps, known.waited_for))
            if known.snapshot:
                self._snapshot_end = self._port_end
            self._cycles[instruction.owner] += 1
        elif known.joined is not None:
            self._join(known.joined)
            self._open += 1
            self._cycles[instruction.owner] += 1
        else:
            body = _schedule(instruction, self._machine, skipped) if skipped else known.body
            compares, compared, writes, written, idle = body
            cycles = 1 + compares + writes + idle
            self._open += cycles if known.open else 1
            self._cycles[instruction.owner] += cycles
            sums = self._events
            sums[0] += compares
            sums[1] += compared
            sums[2] += writes
            sums[3] += written
            self._skipped += skipped

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
            self._waits[owner] += passed - self._open
            self._open = passed
            if end <= passed:
                pending.popleft()

    @property
    def cycles(self) -> int:
        """Cycles so far."""
        return sum(self._cycles.values())

    @property
    def open_cycles(self) -> int:
        """Cycles so far in which the port could make a step."""
        return self._open

    @property
    def port_end(self) -> int:
        """The open cycle, counted from 1, of the last step of all port operations so far."""
        return self._port_end

    @property
    def waits(self) -> dict[Owner, int]:
        """Cycles so far in which the sequencer waited for the port, by what was at the head of its queue."""
        return dict(self._waits)

    def counters(self) -> dict[str, int]:
        """All counters but the activity; port steps that are still to come are not counted."""
        left = sum(min(steps, max(end - self._open, 0)) for end, steps, _ in self._pending)
        compares, compared, writes, written = self._events
        values = {f"cycles.{owner.name.lower()}": self._cycles[owner] for owner in Owner}
        values |= {
            "cycles.stall": 0,
            "events.instructions": self._instructions,
            "events.compares": compares,
            "events.compared_columns": compared,
            "events.writes": writes,
            "events.written_columns": written,
            "events.port_steps": self._steps - left,
            "events.skipped_planes": self._skipped,
            "identity.config": self.config.hash,
        }
        return {counter.name: values[counter.name] for counter in COUNTERS if counter.name in values}


def run_law(
    program: Program | Iterable[Instruction], config: TileConfig, skipped: Iterable[int] = ()
) -> dict[str, int]:
    """The counters of a run without stalls and errors, activity excepted.

    ``program`` is legal (:meth:`Program.check`), or an iterable of legal instructions in the order of execution.
    ``skipped`` counts the planes that each DOT of kind SKIP skips, in the order of execution; where it ends, 0.
    """
    timeline, counts = Timeline(config), iter(skipped)
    for instruction in program.executed() if isinstance(program, Program) else program:
        timeline.execute(instruction, next(counts, 0) if searches(instruction) else 0)
    return timeline.counters()


class LawEngine:
    """The laws alone as an engine: cycles and schedule events without data.

    Needs no planes and gives none; raises what an instruction alone can raise, so never TOTAL.  A DOT of kind SKIP
    skips nothing.

    Parameters
    ----------
    config : the tile.
    """

    def __init__(self, config: TileConfig) -> None:
        """Take the tile's sizes."""
        self.config = config

    def run(self, job: Job) -> Outcome:
        """Run one job; a refused instruction is reported in the outcome, not raised."""
        try:
            job.program.check(self.config)
        except ProgramError:
            return self._run_refused(job.program)
        return Outcome(counters=run_law(job.program, self.config))

    def _run_refused(self, program: Program) -> Outcome:
        """Run a program up to what the tile refuses."""
        timeline, sequencer = Timeline(self.config), Sequencer(program, self.config)
        for instruction in sequencer:
            timeline.execute(instruction)
        return Outcome(counters=timeline.counters(), error=sequencer.error, address=sequencer.address)

    def close(self) -> None:
        """Nothing to release."""
