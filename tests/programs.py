"""Random legal programs that use everything a tile can do and end by storing everything that a tile holds.

A generated program obeys the contract's rules about data as well: what an outstanding port operation names is left
alone until a SYNC joins it, product columns are 0 before a multiplication, totals stay in range, and tags that the
contract leaves open are loaded anew before they are stored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from golden.engine import Bits, Job
from golden.laws import PORT_OPERATIONS, plane_size
from hw.config import TileConfig
from hw.isa import (
    CLAMP_BITS,
    OPERATIONS,
    ConstantKind,
    DotKind,
    Instruction,
    LoadKind,
    Opcode,
    Owner,
    Program,
    Role,
    StoreKind,
    clamp_constant,
    fields_used,
    legal_kinds,
    reduce_levels,
    scratches,
    violation,
)

MAXIMUM_PLANES = 64  # that one LOAD or STORE names
CONTROL = (Opcode.HALT, Opcode.LOOP, Opcode.END)
TAGGING = {opcode for opcode in OPERATIONS if opcode >= Opcode.DOT and opcode != Opcode.FILL}
ADDING = (
    Opcode.ADD, Opcode.SUB, Opcode.RSUB, Opcode.SUM, Opcode.DIFF, Opcode.RDIFF, Opcode.ADDC, Opcode.MUL, Opcode.MULC,
    Opcode.REDUCE,
)  # fmt: skip
"""Instructions whose tags depend on the order of passes, so that the contract names them for classical ones only."""
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


def laid_out(op: Instruction, a: int, b: int, in_place: str = "") -> Instruction:
    """An instruction with operands of these widths, its fields side by side from column 0 on.

    ``op`` has the opcode, kind, flags and constant; ``in_place`` is the field on which d lies, if any.
    """
    rule = OPERATIONS[Opcode(op.opcode)]
    terms = {"a": a, "b": b, "1": 1, "levels": reduce_levels(op.constant)}
    widths = {field: terms[field] for field in "ab" if getattr(rule, field) is not Role.UNUSED}
    if rule.d is not Role.UNUSED:
        widths["d"] = sum(terms[term] for term in dict(rule.widths).get("d", "a").split("+"))
    if op.predicated or scratches(op):
        widths["p"] = 1
    places: dict[str, int] = {}
    column = 0
    for field, width in widths.items():
        if field == "d" and in_place:
            places["d"] = places[in_place]
        else:
            places[field] = column
            column += width
    sizes = {f"{field}_width": width for field, width in widths.items() if field != "p"}
    if rule.free_a:
        sizes["a_width"] = a
    return replace(op, **places, **sizes)


class ProgramMaker:
    """Builds a random program, adding the SYNCs, FILLs and INITs that random instructions need to be well defined."""

    def __init__(self, rng: np.random.Generator, config: TileConfig) -> None:
        self.rng = rng
        self.config = config
        self.instructions: list[Instruction] = []
        self._outstanding: list[Use] = []
        self._bound = 1 << (config.total_bits - 1)  # no total is above this in magnitude
        self._drawn_widths: range | None = None
        self._tags_open = config.passes != "classical"  # whether the contract leaves the tags open
        self._depth = 0
        self._outermost = 0  # address of the outermost open LOOP

    def append(self, instruction: Instruction) -> None:
        """Add an instruction after what it needs: tags that the contract defines, a SYNC."""
        if instruction.opcode == Opcode.STORE and instruction.kind == StoreKind.TAG and self._tags_open:
            self.append(Instruction(Opcode.LOAD, kind=LoadKind.TAG, d_width=1))
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
        if "tag" in new.writes:
            self._tags_open = self.config.passes != "classical" and instruction.opcode in ADDING
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
        if self._depth and len(self.instructions) - self._outermost + 8 + 2 * self._depth >= self.config.program_depth:
            self.close_loops()  # before the body is longer than the instruction buffer
        if draw < 0.05 and self._depth < self.config.loop_depth:
            self.open_loop()
        elif draw < 0.15 and self._depth:
            self.close_loop()
        else:
            self.append_valid(self.random_instruction(Opcode(int(self.rng.choice([int(o) for o in opcodes])))))

    def open_loop(self) -> None:
        """Begin a loop; nothing is known of the totals and tags in it."""
        self.sync()
        if self._depth == 0:
            self._outermost = len(self.instructions)
        self.append(Instruction(Opcode.LOOP, constant=int(self.rng.integers(1, 4))))
        self._bound = 1 << (self.config.total_bits - 1)
        self._tags_open = self.config.passes != "classical"
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
        if op.opcode == Opcode.MULC and op.kind == ConstantKind.SPARSE:
            self.append(Instruction(Opcode.FILL, d=op.d, d_width=op.d_width))
        elif op.opcode in (Opcode.MUL, Opcode.MULC):
            self.append(Instruction(Opcode.FILL, d=op.d + op.a_width, d_width=op.b_width))
        elif op.opcode == Opcode.DOT:
            if not self._make_room(self.config.taps << (op.a_width + op.b_width)):
                return  # the operands are too wide for these totals
            if op.kind == DotKind.SKIP and self.rng.random() < 0.7:
                zeros = int(self.rng.integers(1, op.a_width + 1))
                self.append(Instruction(Opcode.FILL, d=op.a + op.a_width - zeros, d_width=zeros))
        self._follow_totals(op)
        self.append(op)

    def _follow_totals(self, op: Instruction) -> None:
        """Note how great the totals may be when they are set."""
        if op.opcode == Opcode.INIT:
            self._bound = abs(op.constant)
        elif op.opcode == Opcode.RESTORE:
            self._bound = 1 << (op.a_width - 1)
        elif op.opcode == Opcode.LOAD and op.kind == LoadKind.TOTAL:
            self._bound = 1 << (op.d_width - 1)

    def _make_room(self, growth: int) -> bool:
        """Set the totals to something smaller if they could leave their range; whether there is room at last."""
        limit = 1 << (self.config.total_bits - 1)
        if self._bound + growth >= limit:
            self._bound = min(1000, limit >> 4)
            start = int(self.rng.integers(-self._bound, self._bound + 1))
            self.append(Instruction(Opcode.INIT, constant=start))
        if self._bound + growth >= limit:
            return False
        self._bound += growth
        return True

    def random_instruction(
        self,
        opcode: Opcode,
        widths: range | None = None,
        wanted: Callable[[Instruction], bool] = lambda _: True,
    ) -> Instruction:
        """A random legal instruction, with ``widths`` to draw those of its fields from, that is as ``wanted``."""
        self._drawn_widths = widths
        for _ in range(1000):
            op = self._draw(opcode)
            if violation(op, self.config) is None and wanted(op):
                return op
        raise AssertionError(f"no legal {opcode.name} found on {self.config.name}")

    def _width(self, limit: int) -> int:
        """Mostly small, sometimes anything, unless told which ones."""
        if self._drawn_widths is not None:
            low, high = min(self._drawn_widths[0], limit), min(self._drawn_widths[-1], limit)
            return int(self.rng.integers(low, high + 1))
        small = min(limit, 8 if self.config.columns >= 64 else 4)
        return int(self.rng.integers(1, (limit if self.rng.random() < 0.15 else small) + 1))

    def _draw(self, opcode: Opcode) -> Instruction:
        """Fields at random; widths, kinds and places as the opcode's rule wants them, mostly."""
        rng, rule = self.rng, OPERATIONS[opcode]
        kinds = [kind.value for kind in legal_kinds(opcode, self.config)]
        kind = int(rng.choice(kinds)) if kinds else 0
        a_signed, b_signed, predicated = (bool(flag) for flag in rng.integers(0, 2, 3))
        predicated &= rule.predicate
        a_signed &= not (opcode == Opcode.DOT and kind == DotKind.SKIP)
        widths = self._widths(opcode, kind)
        constant = self._constant(opcode, kind, widths)
        terms = widths | {"1": 1, "levels": reduce_levels(constant)}
        for field, wanted in rule.widths:
            widths[field] = terms[field] = sum(terms[term] for term in wanted.split("+"))
        plain = Instruction(opcode, kind=kind, constant=constant, a_signed=a_signed, b_signed=b_signed)
        roles = {"a": rule.a, "b": rule.b, "d": rule.d}
        used = [field for field, role in roles.items() if role is not Role.UNUSED]
        if predicated or scratches(plain):
            used.append("p")
        places = self._places(opcode, used, widths, in_place="" if predicated else rule.in_place)
        if rule.free_a:
            used.append("a")
        return replace(
            plain, **places, **{f"{field}_width": widths[field] for field in used if field != "p"},
            predicated=predicated, owner=int(rng.integers(0, len(Owner))),
        )  # fmt: skip

    def _widths(self, opcode: Opcode, kind: int) -> dict[str, int]:
        """Widths of a, b and d before rules that tie them together."""
        rule = OPERATIONS[opcode]
        limits = {"a": rule.a_limit, "b": rule.b_limit, "d": rule.d_limit}
        moves = opcode in (Opcode.LOAD, Opcode.STORE)
        if opcode in (Opcode.DRAIN, Opcode.RESTORE) or (moves and kind == LoadKind.TOTAL):
            limits["a"] = limits["d"] = min(64, self.config.total_bits)
        if moves and kind == LoadKind.TAG:
            limits["a"] = limits["d"] = 1
        widths = {field: self._width(limit) for field, limit in limits.items()}
        if rule.narrow_a:
            widths["a"] = min(widths["a"], widths["b"])
        return widths

    def _places(self, opcode: Opcode, used: list[str], widths: dict[str, int], in_place: str) -> dict[str, int]:
        """First columns of the fields; where an operation may work in place, it often does."""
        if in_place and self.rng.random() < 0.5:
            places = self._place([field for field in used if field != "d"], widths | {"p": 1}, apart=True)
            return places | {"d": places[in_place]}
        return self._place(used, widths | {"p": 1}, apart=opcode != Opcode.DOT or bool(self.rng.random() < 0.7))

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

    def _constant(self, opcode: Opcode, kind: int, widths: dict[str, int]) -> int:
        rng, config = self.rng, self.config
        if opcode in (Opcode.DRAIN, Opcode.RESTORE) or (
            opcode in (Opcode.LOAD, Opcode.STORE) and kind == LoadKind.BLOCK
        ):
            return int(rng.integers(0, config.taps))
        if opcode == Opcode.MOVE:
            return int(rng.integers(1 - config.taps, config.taps))
        if opcode == Opcode.REDUCE:
            return int(rng.integers(1, config.taps + 1))
        if opcode == Opcode.SYNC:
            return int(rng.integers(0, config.port_queue + 1))
        if opcode == Opcode.INIT:
            return self._number(min(48, config.total_bits))
        if opcode == Opcode.CLAMP:
            bounds = [self._number(min(CLAMP_BITS, widths["b"] + 1)) for _ in range(2)]
            return clamp_constant(*(sorted(bounds) if rng.random() < 0.8 else bounds))
        if opcode in (Opcode.ADDC, Opcode.MULC, Opcode.CMPC, Opcode.MAXC, Opcode.MINC) and rng.random() < 0.5:
            return self._number(min(SIGNED_CONSTANT_BITS, widths["a" if opcode == Opcode.MULC else "b"] + 1))
        return self._number(SIGNED_CONSTANT_BITS)

    def _number(self, bits: int) -> int:
        """A two's complement number of so many bits, often small, sometimes with zero bits at its end."""
        number = int(self.rng.integers(-(1 << (bits - 1)), 1 << (bits - 1))) >> int(self.rng.integers(0, bits))
        return number & -(1 << int(self.rng.integers(0, bits))) if self.rng.random() < 0.3 else number


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
