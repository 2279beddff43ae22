"""Random legal programs that use everything a tile can do and end by storing everything that a tile holds.

A generated program obeys the contract's rules about data as well: what an outstanding port operation names is left
alone until a SYNC joins it, the upper product columns are 0 before a MUL, and totals stay in range.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from golden.engine import Bits, Job
from golden.laws import PORT_OPERATIONS, plane_size
from hw.config import TileConfig
from hw.isa import OPERATIONS, Instruction, LoadKind, Opcode, Owner, Program, Role, StoreKind, fields_used, violation

MAXIMUM_PLANES = 64  # that one LOAD or STORE names
CONTROL = (Opcode.HALT, Opcode.LOOP, Opcode.END)
TAGGING = {opcode for opcode in OPERATIONS if opcode >= Opcode.DOT and opcode != Opcode.FILL}
SIGNED_CONSTANT_BITS = 36


@dataclass(frozen=True)
class Use:
    """What an instruction reads and writes: columns by number, and "tag" and "totals"."""

    reads: frozenset[int | str]
    writes: frozenset[int | str]


def use_of(instruction: Instruction, *, at_port: bool) -> Use:
    """What an instruction uses; ``at_port``: what a port operation still uses after its decode cycle."""
    op = instruction
    reads: set[int | str] = set()
    writes: set[int | str] = set()
    for _, first, width, written in fields_used(op):
        (writes if written else reads).update(range(first, first + width))
    if op.opcode in TAGGING or (op.opcode == Opcode.FILL and op.predicated):
        writes.add("tag")
    if op.opcode in (Opcode.INIT, Opcode.DOT, Opcode.RESTORE):
        writes.add("totals")
    if op.opcode in (Opcode.LOAD, Opcode.STORE) and op.kind == LoadKind.TAG:
        (writes if op.opcode == Opcode.LOAD else reads).add("tag")
    if op.opcode == Opcode.LOAD and op.kind == LoadKind.TOTAL:
        writes.add("totals")
    takes_snapshot = op.opcode == Opcode.DRAIN or (op.opcode == Opcode.STORE and op.kind == StoreKind.TOTAL)
    if takes_snapshot and not at_port:
        reads.add("totals")
    return Use(frozenset(reads), frozenset(writes))


def conflict(outstanding: Use, new: Use) -> bool:
    """Whether an instruction meets what belongs to an outstanding port operation."""
    return bool(outstanding.writes & (new.reads | new.writes) or outstanding.reads & new.writes)


class ProgramMaker:
    """Builds a random program, adding the SYNCs, FILLs and INITs that random instructions need to be well defined."""

    def __init__(self, rng: np.random.Generator, config: TileConfig) -> None:
        self.rng = rng
        self.config = config
        self.instructions: list[Instruction] = []
        self._outstanding: list[Use] = []
        self._bound = 1 << (config.total_bits - 1)  # no total is above this in magnitude
        self._depth = 0
        self._outermost = 0  # address of the outermost open LOOP

    def append(self, instruction: Instruction) -> None:
        """Add an instruction after the SYNC that it needs, if any."""
        new = use_of(instruction, at_port=False)
        if instruction.opcode == Opcode.SYNC:
            self._outstanding = self._outstanding[max(len(self._outstanding) - instruction.constant, 0) :]
        blocking = [index for index, use in enumerate(self._outstanding) if conflict(use, new)]
        if blocking:
            still_out = len(self._outstanding) - 1 - blocking[-1]
            count = int(self.rng.integers(0, still_out + 1))
            self.instructions.append(Instruction(Opcode.SYNC, constant=count))
            self._outstanding = self._outstanding[len(self._outstanding) - count :]
        self.instructions.append(instruction)
        if instruction.opcode in PORT_OPERATIONS:
            self._outstanding.append(use_of(instruction, at_port=True))

    def sync(self, count: int = 0) -> None:
        """Join all but ``count`` port operations."""
        self.append(Instruction(Opcode.SYNC, constant=count))

    def load_everything(self) -> None:
        """Begin with known cells, tags and totals, whatever the tile held."""
        for first in range(0, self.config.columns, MAXIMUM_PLANES):
            width = min(MAXIMUM_PLANES, self.config.columns - first)
            self.append(Instruction(Opcode.LOAD, d=first, d_width=width))
        self.append(Instruction(Opcode.LOAD, kind=LoadKind.TAG, d_width=1))
        self.append(Instruction(Opcode.INIT))
        self._bound = 0

    def store_everything(self) -> None:
        """End with every column, the tags and the totals at the port, and HALT."""
        for first in range(0, self.config.columns, MAXIMUM_PLANES):
            width = min(MAXIMUM_PLANES, self.config.columns - first)
            self.append(Instruction(Opcode.STORE, a=first, a_width=width))
        self.append(Instruction(Opcode.STORE, kind=StoreKind.TAG, a_width=1))
        self.append(Instruction(Opcode.STORE, kind=StoreKind.TOTAL, a_width=self.config.total_bits))
        self.append(Instruction(Opcode.HALT))

    def random_step(self, opcodes: Sequence[Opcode]) -> None:
        """Add a random instruction, or open or close a loop."""
        draw = self.rng.random()
        if self._depth and len(self.instructions) - self._outermost + 6 + 2 * self._depth >= self.config.program_depth:
            self.close_loops()  # before the body is longer than the instruction buffer
        if draw < 0.05 and self._depth < self.config.loop_depth:
            self.open_loop()
        elif draw < 0.15 and self._depth:
            self.close_loop()
        else:
            self.append_valid(self.random_instruction(Opcode(int(self.rng.choice([int(o) for o in opcodes])))))

    def open_loop(self) -> None:
        """Begin a loop; nothing is known of the totals in it."""
        self.sync()
        if self._depth == 0:
            self._outermost = len(self.instructions)
        self.append(Instruction(Opcode.LOOP, constant=int(self.rng.integers(1, 4))))
        self._bound = 1 << (self.config.total_bits - 1)
        self._depth += 1

    def close_loop(self) -> None:
        """End a loop; its next round begins with nothing outstanding."""
        self.sync()
        self.append(Instruction(Opcode.END))
        self._depth -= 1

    def close_loops(self) -> None:
        """End all loops."""
        while self._depth:
            self.close_loop()

    def append_valid(self, op: Instruction) -> None:
        """Add an instruction after what makes its result well defined."""
        limit = 1 << (self.config.total_bits - 1)
        if op.opcode in (Opcode.MUL, Opcode.MULC):
            self.append(Instruction(Opcode.FILL, d=op.d + op.a_width, d_width=op.b_width))
        elif op.opcode == Opcode.INIT:
            self._bound = abs(op.constant)
        elif op.opcode == Opcode.RESTORE:
            self._bound = 1 << (op.a_width - 1)
        elif op.opcode == Opcode.LOAD and op.kind == LoadKind.TOTAL:
            self._bound = 1 << (op.d_width - 1)
        elif op.opcode == Opcode.DOT:
            growth = self.config.taps << (op.a_width + op.b_width)
            if self._bound + growth >= limit:
                self._bound = min(1000, limit >> 4)
                start = int(self.rng.integers(-self._bound, self._bound + 1))
                self.append(Instruction(Opcode.INIT, constant=start))
            if self._bound + growth >= limit:
                return  # the operands are too wide for these totals
            self._bound += growth
        self.append(op)

    def random_instruction(self, opcode: Opcode) -> Instruction:
        """A random legal instruction."""
        for _ in range(1000):
            op = self._draw(opcode)
            if violation(op, self.config) is None:
                return op
        raise AssertionError(f"no legal {opcode.name} found on {self.config.name}")

    def _width(self, limit: int) -> int:
        """Mostly small, sometimes anything."""
        small = min(limit, 8 if self.config.columns >= 64 else 4)
        return int(self.rng.integers(1, (limit if self.rng.random() < 0.15 else small) + 1))

    def _draw(self, opcode: Opcode) -> Instruction:
        rng, config = self.rng, self.config
        rule = OPERATIONS[opcode]
        kind = int(rng.choice([kind.value for kind in rule.kinds])) if rule.kinds else 0
        a_limit, b_limit, d_limit = rule.a_limit, rule.b_limit, rule.d_limit
        if opcode in (Opcode.DRAIN, Opcode.RESTORE) or (rule.kinds and kind == LoadKind.TOTAL):
            a_limit = d_limit = min(64, config.total_bits)
        if rule.kinds and kind == LoadKind.TAG:
            a_limit = d_limit = 1
        widths = {"a": self._width(a_limit), "b": self._width(b_limit), "d": self._width(d_limit)}
        if rule.narrow_a:
            widths["a"] = min(widths["a"], widths["b"])
        for field, wanted in rule.widths:
            widths[field] = int(wanted) if wanted.isdigit() else sum(widths[name] for name in wanted.split("+"))
        a_signed, b_signed, predicated = (bool(flag) for flag in rng.integers(0, 2, 3))
        predicated &= rule.predicate
        roles = {"a": rule.a, "b": rule.b, "d": rule.d}
        used = [field for field, role in roles.items() if role is not Role.UNUSED]
        if predicated or (rule.scratch and a_signed):
            used.append("p")
        places = self._place(used, widths | {"p": 1}, apart=opcode != Opcode.DOT or bool(rng.random() < 0.7))
        if rule.constant_width:
            used.append("a")
        return Instruction(
            opcode, **places, **{f"{field}_width": widths[field] for field in used if field != "p"}, kind=kind,
            constant=self._constant(opcode, kind), a_signed=a_signed, b_signed=b_signed, predicated=predicated,
            owner=int(rng.integers(0, len(Owner))),
        )  # fmt: skip

    def _place(self, used: list[str], widths: dict[str, int], apart: bool) -> dict[str, int]:
        """First columns of the fields, not overlapping when ``apart``; the last column is used as often as others."""
        free = self.config.columns - sum(widths[field] for field in used)
        if not apart or free < 0:
            limits = {field: max(self.config.columns - widths[field], 0) for field in used}
            return {field: int(self.rng.integers(0, limit + 1)) for field, limit in limits.items()}
        gaps = np.sort(self.rng.integers(0, free + 1, len(used)))
        places: dict[str, int] = {}
        first = 0
        for field, gap in zip(self.rng.permutation(used), gaps, strict=True):
            places[str(field)] = first + int(gap)
            first += widths[str(field)]
        return places

    def _constant(self, opcode: Opcode, kind: int) -> int:
        rng, config = self.rng, self.config
        if opcode in (Opcode.DRAIN, Opcode.RESTORE) or (
            opcode in (Opcode.LOAD, Opcode.STORE) and kind == LoadKind.BLOCK
        ):
            return int(rng.integers(0, config.taps))
        if opcode == Opcode.MOVE:
            return int(rng.integers(1 - config.taps, config.taps))
        if opcode == Opcode.SYNC:
            return int(rng.integers(0, config.port_queue + 1))
        if opcode == Opcode.INIT:
            bits = min(48, config.total_bits)
            return int(rng.integers(-(1 << (bits - 1)), 1 << (bits - 1))) >> int(rng.integers(0, bits))
        limit = 1 << (SIGNED_CONSTANT_BITS - 1)
        return int(rng.integers(-limit, limit)) >> int(rng.integers(0, SIGNED_CONSTANT_BITS))


def random_planes(rng: np.random.Generator, program: Program, config: TileConfig) -> list[Bits]:
    """Random planes for every LOAD that a program executes; a column in eight is all 0 or all 1."""
    planes: list[Bits] = []
    for op in program.executed():
        if op.opcode == Opcode.LOAD:
            bits = rng.integers(0, 2, (op.d_width, plane_size(op, config)), np.uint8)
            for plane in bits:
                if rng.random() < 0.125:
                    plane[:] = rng.integers(0, 2)
            planes.append(bits)
    return planes


def random_program(
    rng: np.random.Generator,
    config: TileConfig,
    length: int,
    *,
    opcodes: Sequence[Opcode] = tuple(OPERATIONS),
    load_everything: bool = True,
) -> Job:
    """A random legal job of about ``length`` random instructions, besides those that make it well defined.

    It begins by loading every column and the tags and setting the totals (unless told not to; then only the totals'
    state before the first INIT, LOAD TOTAL or RESTORE depends on the tile, as do cells and tags) and ends by storing
    every column, the tags and the totals, so the last STOREs show the whole state.
    """
    chosen = [opcode for opcode in opcodes if opcode not in CONTROL]
    maker = ProgramMaker(rng, config)
    if load_everything:
        maker.load_everything()
    start = len(maker.instructions)
    while len(maker.instructions) - start < length:
        maker.random_step(chosen)
    maker.close_loops()
    maker.store_everything()
    program = Program.build(maker.instructions, config)
    return Job(program, random_planes(rng, program, config))


def overflow_program(config: TileConfig, *, upwards: bool = True) -> Job:
    """A job whose second DOT overflows every total by one: error TOTAL at address 4."""
    limit = 1 << (config.total_bits - 1)
    start = limit - 1 - config.taps if upwards else config.taps - limit
    dot = Instruction(Opcode.DOT, a=0, a_width=1, b=1, b_width=1, b_signed=not upwards)
    program = Program.build(
        [
            Instruction(Opcode.LOAD, kind=LoadKind.TOTAL, d_width=config.total_bits),
            Instruction(Opcode.FILL, d=0, d_width=2, constant=-1),
            Instruction(Opcode.SYNC),
            dot,
            dot,
            Instruction(Opcode.FILL, d=0, d_width=2),
            Instruction(Opcode.HALT),
        ],
        config,
    )
    bits = [[start >> bit & 1] * config.outputs for bit in range(config.total_bits)]
    return Job(program, [np.array(bits, np.uint8)])
