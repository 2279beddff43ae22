"""The instruction set: opcodes, fields, operand rules, error codes and the binary program.

Everything here is data that hardware, golden tile, laws, assembler and host share; ``docs/isa.md`` is the contract in
words.  Plain Python, no hardware description language.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum
from functools import cached_property, lru_cache

from hw.config import TileConfig

__all__ = [
    "CLAMP_BITS", "CONSTANT_BITS", "FIELDS", "INSTRUCTION_BITS", "MAGIC", "MAXIMUM_OPERAND", "MAXIMUM_RESULT",
    "OPERATIONS", "TOTAL_KINDS", "VERSION", "CompareKind", "ConstantKind", "DotKind", "ErrorCode",
    "Instruction", "LoadKind", "Opcode", "Operation", "Owner", "Program", "ProgramError", "ReduceKind", "Role",
    "StoreKind", "TileState", "clamp_bounds", "clamp_constant", "fields_used", "legal_kinds", "reduce_levels",
    "violation",
]  # fmt: skip

VERSION = 2
MAGIC = 0x4642  # "BF", little-endian
INSTRUCTION_BITS = 128
MAXIMUM_OPERAND = 32
MAXIMUM_RESULT = 64
CLAMP_BITS = 24
"""Bits of each of the two bounds in the constant of a CLAMP."""


class ProgramError(ValueError):
    """A program that a tile would refuse; the text says which instruction, field and rule, and what was received."""


class Opcode(IntEnum):
    """Macro-instructions; what is missing from :data:`OPERATIONS` is reserved."""

    HALT = 0x01
    SYNC = 0x02
    LOOP = 0x03
    END = 0x04
    LOAD = 0x08
    STORE = 0x09
    DRAIN = 0x0A
    RESTORE = 0x0B
    INIT = 0x10
    DOT = 0x11
    FILL = 0x20
    COPY = 0x21
    NOT = 0x22
    AND = 0x23
    OR = 0x24
    XOR = 0x25
    ADD = 0x28
    SUB = 0x29
    ADDC = 0x2A
    RSUB = 0x2B
    MUL = 0x2C
    MULC = 0x2D
    SUM = 0x2E
    DIFF = 0x2F
    MAX = 0x30
    MIN = 0x31
    MAXC = 0x32
    MINC = 0x33
    RELU = 0x34
    CLAMP = 0x35
    MOVE = 0x38
    NEG = 0x3A
    ABS = 0x3B
    RDIFF = 0x3C
    CMP = 0x40
    CMPC = 0x41
    REDUCE = 0x60
    # Reserved for raw micro-operations.
    VERTICAL_COMPARE = 0x61
    VERTICAL_WRITE = 0x62
    COMPARE = 0x70
    WRITE = 0x71
    COUNT = 0x72


class Owner(IntEnum):
    """Who a cycle is charged to; the parts of a run's cycles, besides stalls."""

    LOAD = 0
    COMPUTE = 1
    REDUCE = 2
    REQUANTIZE = 3
    STORE = 4


class TileState(IntEnum):
    """What a tile does in a cycle: the partition of its time."""

    IDLE = 0
    """No program runs."""
    BUSY = 1
    """It decodes or works."""
    PLANES = 2
    """It waits for planes that come in: for a beat, or for a LOAD or RESTORE to end."""
    ROOM = 3
    """It waits for planes to go out: for a beat to be taken, or for a STORE or DRAIN to end."""
    PROGRAM = 4
    """It waits for an instruction."""


class LoadKind(IntEnum):
    """What a LOAD's planes are."""

    PLANES = 0  # R bits: a whole column
    BLOCK = 1  # S bits: rows constant*S .. constant*S+S-1 of a column
    TAPS = 2  # G bits: bit i goes to all S rows of tap i
    TOTAL = 3  # S bits: one bit of the running sums, sign-extended above
    TAG = 4  # R bits: the tag register


class StoreKind(IntEnum):
    """What a STORE's planes are."""

    PLANES = 0  # R bits: a whole column
    BLOCK = 1  # S bits: rows constant*S .. of a column
    TOTAL = 3  # S bits: one bit of the running sums
    TAG = 4  # R bits: the tag register


class DotKind(IntEnum):
    """How a DOT walks over the planes of a."""

    PLAIN = 0  # all of them
    SKIP = 1  # a search finds the leading zero planes first; needs config.zero_skip and an unsigned a


class ConstantKind(IntEnum):
    """How ADDC and MULC treat the zero bits of their constant."""

    DENSE = 0  # as other known bits: the time does not depend on the constant
    SPARSE = 1  # skipped


class CompareKind(IntEnum):
    """What CMP and CMPC test; bit 0 inverts the one before."""

    EQ = 0
    NE = 1
    LT = 2
    GE = 3
    LE = 4
    GT = 5


class ReduceKind(IntEnum):
    """How a REDUCE brings two words into one row."""

    SHIFT = 0  # a 1D tile: through the tags, which move by row blocks
    PAIRS = 1  # a 2D tile: one pair of row blocks after the other
    SEGMENTS = 2  # a 2D tile with segmentation: all pairs of a level at once


class ErrorCode(IntEnum):
    """Codes of the sticky error port; the lowest that applies is raised."""

    NONE = 0
    MAGIC = 1  # the first word is not a header
    VERSION = 2  # header of another program format
    CONFIG = 3  # program for another config
    OPCODE = 4  # unknown or reserved opcode
    RESERVED = 5  # reserved bits set, unknown owner or kind
    WIDTH = 6  # a width is out of range or does not match
    COLUMN = 7  # a field ends past the last column
    OVERLAP = 8  # a written field meets another field
    ROWS = 9  # a row block is out of range
    FILL = 10  # a DOT could overflow the fill counter
    LOOP = 11  # loop count zero, loops nested too deeply, END without LOOP, HALT inside a loop
    LOOP_LENGTH = 12  # loop body longer than the instruction buffer
    TOTAL = 13  # a running sum overflowed
    END = 14  # the program ended without HALT


class Role(Enum):
    """What an operation does with a column field."""

    UNUSED = 0
    READ = 1
    WRITE = 2


class Scratch(Enum):
    """When an operation writes column p."""

    NEVER = 0
    ALWAYS = 1
    SIGNED_A = 2  # when a_signed
    SPARSE_SIGNED_B = 3  # when kind is SPARSE and b_signed
    SHIFT = 4  # when kind is SHIFT


FIELDS: dict[str, int] = {
    "opcode": 8, "owner": 3, "kind": 4, "a_signed": 1, "b_signed": 1, "predicated": 1,
    "a": 12, "a_width": 7, "b": 12, "b_width": 7, "d": 12, "d_width": 7,
    "constant": 36, "p": 12, "reserved": 5,
}  # fmt: skip
"""Fields of an instruction and their widths, least significant first."""

CONSTANT_BITS = FIELDS["constant"]
INIT_BITS = FIELDS["constant"] + FIELDS["p"]
WIDE_CONSTANTS = (Opcode.INIT, Opcode.CLAMP)
"""Opcodes whose constant takes the place of p as well."""


@dataclass(frozen=True)
class Operation:
    """Which fields an opcode uses, and the rules that its widths obey.

    Parameters
    ----------
    owner : what its cycles are charged to by default.
    a, b, d : roles of the three column fields.
    a_limit, b_limit, d_limit : greatest legal width of each used field.
    widths : pairs of width expressions that must be equal, as (field, rule) with rule a sum of "a", "b", "1" and
        "levels" (see :func:`reduce_levels`).
    narrow_a : a may be narrower than b (it is extended), never wider.
    free_a : a_width is the width of something that is no column field: of a constant, of the words of a REDUCE.
    predicate : the ``predicated`` flag is legal: only rows whose column p is 1 take part.
    scratch : when p is a scratch column, which is written.
    in_place : the field that d may coincide with (same first column and width), unless ``predicated``.
    kinds : legal values of ``kind`` (None: ignored); some of them need a config that has them.
    """

    owner: Owner
    a: Role = Role.UNUSED
    b: Role = Role.UNUSED
    d: Role = Role.UNUSED
    a_limit: int = MAXIMUM_RESULT
    b_limit: int = MAXIMUM_RESULT
    d_limit: int = MAXIMUM_RESULT
    widths: tuple[tuple[str, str], ...] = ()
    narrow_a: bool = False
    free_a: bool = False
    predicate: bool = False
    scratch: Scratch = Scratch.NEVER
    in_place: str = ""
    kinds: type[IntEnum] | None = None


_READ, _WRITE = Role.READ, Role.WRITE
_SAME_D = (("d", "a"),)
_SAME_B = (("b", "a"),)
_FLAG = (("d", "1"),)

OPERATIONS: dict[Opcode, Operation] = {
    Opcode.HALT: Operation(Owner.STORE),
    Opcode.SYNC: Operation(Owner.LOAD),
    Opcode.LOOP: Operation(Owner.COMPUTE),
    Opcode.END: Operation(Owner.COMPUTE),
    Opcode.LOAD: Operation(Owner.LOAD, d=_WRITE, kinds=LoadKind),
    Opcode.STORE: Operation(Owner.STORE, a=_READ, kinds=StoreKind),
    Opcode.DRAIN: Operation(Owner.COMPUTE, d=_WRITE),
    Opcode.RESTORE: Operation(Owner.COMPUTE, a=_READ),
    Opcode.INIT: Operation(Owner.COMPUTE),
    Opcode.DOT: Operation(
        Owner.COMPUTE, a=_READ, b=_READ, a_limit=MAXIMUM_OPERAND, b_limit=MAXIMUM_OPERAND, kinds=DotKind
    ),
    Opcode.FILL: Operation(Owner.COMPUTE, d=_WRITE, predicate=True),
    Opcode.COPY: Operation(Owner.COMPUTE, a=_READ, d=_WRITE, widths=_SAME_D, predicate=True),
    Opcode.NOT: Operation(Owner.COMPUTE, a=_READ, d=_WRITE, widths=_SAME_D, predicate=True, in_place="a"),
    Opcode.AND: Operation(Owner.COMPUTE, a=_READ, b=_READ, d=_WRITE, widths=(*_SAME_B, *_SAME_D), in_place="b"),
    Opcode.OR: Operation(Owner.COMPUTE, a=_READ, b=_READ, d=_WRITE, widths=(*_SAME_B, *_SAME_D), in_place="b"),
    Opcode.XOR: Operation(Owner.COMPUTE, a=_READ, b=_READ, d=_WRITE, widths=(*_SAME_B, *_SAME_D), in_place="b"),
    Opcode.ADD: Operation(
        Owner.COMPUTE, a=_READ, b=_WRITE, d=_WRITE, widths=_FLAG, narrow_a=True, predicate=True
    ),
    Opcode.SUB: Operation(
        Owner.COMPUTE, a=_READ, b=_WRITE, d=_WRITE, widths=_FLAG, narrow_a=True, predicate=True
    ),
    Opcode.RSUB: Operation(Owner.COMPUTE, a=_READ, b=_WRITE, d=_WRITE, widths=_FLAG, narrow_a=True),
    Opcode.SUM: Operation(Owner.COMPUTE, a=_READ, b=_READ, d=_WRITE, b_limit=63, widths=(("d", "b+1"),), narrow_a=True),
    Opcode.DIFF: Operation(
        Owner.COMPUTE, a=_READ, b=_READ, d=_WRITE, b_limit=63, widths=(("d", "b+1"),), narrow_a=True
    ),
    Opcode.RDIFF: Operation(
        Owner.COMPUTE, a=_READ, b=_READ, d=_WRITE, b_limit=63, widths=(("d", "b+1"),), narrow_a=True
    ),
    Opcode.ADDC: Operation(
        Owner.COMPUTE, b=_WRITE, d=_WRITE, widths=_FLAG, predicate=True, kinds=ConstantKind
    ),
    Opcode.MUL: Operation(
        Owner.COMPUTE, a=_READ, b=_READ, d=_WRITE, a_limit=MAXIMUM_OPERAND, b_limit=MAXIMUM_OPERAND,
        widths=(("d", "a+b"),), scratch=Scratch.SIGNED_A,
    ),
    Opcode.MULC: Operation(
        Owner.COMPUTE, b=_READ, d=_WRITE, a_limit=MAXIMUM_OPERAND, b_limit=MAXIMUM_OPERAND,
        widths=(("d", "a+b"),), free_a=True, scratch=Scratch.SPARSE_SIGNED_B, kinds=ConstantKind,
    ),
    Opcode.MAX: Operation(Owner.COMPUTE, a=_READ, b=_WRITE, d=_WRITE, widths=_FLAG, narrow_a=True),
    Opcode.MIN: Operation(Owner.COMPUTE, a=_READ, b=_WRITE, d=_WRITE, widths=_FLAG, narrow_a=True),
    Opcode.MAXC: Operation(Owner.COMPUTE, b=_WRITE),
    Opcode.MINC: Operation(Owner.COMPUTE, b=_WRITE),
    Opcode.CLAMP: Operation(Owner.COMPUTE, b=_WRITE),
    Opcode.RELU: Operation(Owner.COMPUTE, b=_WRITE),
    Opcode.NEG: Operation(Owner.COMPUTE, a=_READ, d=_WRITE, widths=_SAME_D, scratch=Scratch.ALWAYS, in_place="a"),
    Opcode.ABS: Operation(Owner.COMPUTE, a=_READ, d=_WRITE, widths=_SAME_D, scratch=Scratch.ALWAYS, in_place="a"),
    Opcode.CMP: Operation(Owner.COMPUTE, a=_READ, b=_READ, d=_WRITE, widths=_FLAG, narrow_a=True, kinds=CompareKind),
    Opcode.CMPC: Operation(Owner.COMPUTE, b=_READ, d=_WRITE, widths=_FLAG, kinds=CompareKind),
    Opcode.MOVE: Operation(Owner.COMPUTE, a=_READ, d=_WRITE, widths=_SAME_D),
    Opcode.REDUCE: Operation(
        Owner.REDUCE, d=_WRITE, a_limit=MAXIMUM_RESULT - 1, widths=(("d", "a+levels"),), free_a=True,
        scratch=Scratch.SHIFT, kinds=ReduceKind,
    ),
}  # fmt: skip
"""Operand rules of every opcode that this version executes."""

_NAMES = {int(opcode): opcode.name for opcode in Opcode}

TOTAL_KINDS = (LoadKind.TOTAL, LoadKind.TAG)  # kinds whose planes are not columns


def reduce_levels(words: int) -> int:
    """Levels of the tree that adds up 1.. words: ceil(log2(words)); 0 for what is no number of words."""
    return (words - 1).bit_length() if words > 1 else 0


def clamp_bounds(constant: int) -> tuple[int, int]:
    """Low and high bound of a CLAMP: two's complement numbers of :data:`CLAMP_BITS` bits, low one first."""
    low, high = constant & ((1 << CLAMP_BITS) - 1), constant >> CLAMP_BITS & ((1 << CLAMP_BITS) - 1)
    sign = 1 << (CLAMP_BITS - 1)
    return (low ^ sign) - sign, (high ^ sign) - sign


def clamp_constant(low: int, high: int) -> int:
    """The constant of a CLAMP with these bounds.

    Raises
    ------
    ProgramError
        If a bound does not fit :data:`CLAMP_BITS` bits, two's complement.
    """
    limit = 1 << (CLAMP_BITS - 1)
    for name, bound in (("low", low), ("high", high)):
        if not -limit <= bound < limit:
            raise ProgramError(f"{name} bound of a CLAMP must be from {-limit} to {limit - 1}, not {bound}")
    return high << CLAMP_BITS | low & ((1 << CLAMP_BITS) - 1)


def legal_kinds(opcode: Opcode, config: TileConfig) -> tuple[IntEnum, ...]:
    """The values of ``kind`` that a tile executes; empty where ``kind`` is ignored."""
    kinds = OPERATIONS[opcode].kinds
    missing = {
        Opcode.DOT: () if config.zero_skip else (DotKind.SKIP,),
        Opcode.REDUCE: () if config.vertical else (ReduceKind.PAIRS, ReduceKind.SEGMENTS),
    }.get(opcode, ())
    return tuple(kind for kind in kinds or () if kind not in missing)


@dataclass(frozen=True)
class Instruction:
    """One macro-instruction; fields as in :data:`FIELDS`, ``constant`` as a signed number.

    ``owner`` defaults to the operation's own.  Encodes to 16 bytes, little-endian.
    """

    opcode: int
    a: int = 0
    a_width: int = 0
    b: int = 0
    b_width: int = 0
    d: int = 0
    d_width: int = 0
    constant: int = 0
    p: int = 0
    kind: int = 0
    a_signed: bool = False
    b_signed: bool = False
    predicated: bool = False
    owner: int = -1
    reserved: int = 0

    def __post_init__(self) -> None:
        if self.owner == -1:
            known = self.opcode in OPERATIONS
            owner = OPERATIONS[Opcode(self.opcode)].owner if known else Owner.COMPUTE
            object.__setattr__(self, "owner", owner)
        # One number for one bit pattern: what fits the field unsigned is read as the tile reads it.
        if self.opcode not in WIDE_CONSTANTS and 1 << (CONSTANT_BITS - 1) <= self.constant < 1 << CONSTANT_BITS:
            object.__setattr__(self, "constant", self.constant - (1 << CONSTANT_BITS))

    def encode(self) -> int:
        """The 128-bit word.

        Raises
        ------
        ProgramError
            If a value does not fit its field.
        """
        values = {name: int(getattr(self, name)) for name in FIELDS}
        low, high = -(1 << (CONSTANT_BITS - 1)), 1 << CONSTANT_BITS
        if self.opcode in WIDE_CONSTANTS:
            low, high = -(1 << (INIT_BITS - 1)), 1 << (INIT_BITS - 1)
        if not low <= self.constant < high:
            raise ProgramError(f"constant must be from {low} to {high - 1}, not {self.constant}")
        if self.opcode in WIDE_CONSTANTS:
            values["p"] = (self.constant >> CONSTANT_BITS) & ((1 << FIELDS["p"]) - 1)
        values["constant"] = self.constant & ((1 << CONSTANT_BITS) - 1)
        word, position = 0, 0
        for name, width in FIELDS.items():
            if not 0 <= values[name] < 1 << width:
                raise ProgramError(f"{name} must be from 0 to {(1 << width) - 1}, not {values[name]}")
            word |= values[name] << position
            position += width
        return word

    @classmethod
    def decode(cls, word: int) -> Instruction:
        """The instruction of a 128-bit word; every word decodes, legal or not."""
        values: dict[str, int] = {}
        for name, width in FIELDS.items():
            values[name] = word & ((1 << width) - 1)
            word >>= width
        bits = CONSTANT_BITS
        if values["opcode"] in WIDE_CONSTANTS:
            values["constant"] |= values.pop("p") << CONSTANT_BITS
            bits = INIT_BITS
        values["constant"] -= (values["constant"] >> (bits - 1)) << bits
        flags = {name: bool(values.pop(name)) for name in ("a_signed", "b_signed", "predicated")}
        return cls(**values, **flags)

    @property
    def name(self) -> str:
        """Mnemonic, or the opcode in hexadecimal."""
        return _NAMES.get(self.opcode) or f"0x{self.opcode:02x}"


def violation(instruction: Instruction, config: TileConfig) -> tuple[ErrorCode, str] | None:
    """The first rule that an instruction breaks on a tile, as its error code and a text; None for a legal one.

    The text names the field, the rule and what was received.  Loops are checked by :meth:`Program.check`.
    """
    op = instruction
    if op.opcode not in OPERATIONS:
        return ErrorCode.OPCODE, f"opcode must be one of {', '.join(o.name for o in OPERATIONS)}, not {op.name}"
    rule = OPERATIONS[Opcode(op.opcode)]
    if op.reserved:
        return ErrorCode.RESERVED, f"reserved must be 0, not {op.reserved}"
    if op.owner not in tuple(Owner):
        return ErrorCode.RESERVED, f"owner must be from 0 to {max(Owner)}, not {op.owner}"
    kinds = legal_kinds(Opcode(op.opcode), config)
    if kinds and op.kind not in kinds:
        known = [kind.name for kind in rule.kinds or () if kind == op.kind]
        received = f"{known[0]}, which config {config.name} does not have" if known else str(op.kind)
        return ErrorCode.RESERVED, f"kind must be one of {', '.join(k.name for k in kinds)}, not {received}"
    if op.opcode == Opcode.DOT and op.kind == DotKind.SKIP and op.a_signed:
        return ErrorCode.RESERVED, "a must be unsigned for its leading zero planes to be skipped"
    return _width_violation(op, rule, config) or _column_violation(op, config) or _size_violation(op, config)


def _width_violation(op: Instruction, rule: Operation, config: TileConfig) -> tuple[ErrorCode, str] | None:
    off_column = moves_off_column(op)
    limits = {
        "a": rule.a_limit if rule.a is not Role.UNUSED or rule.free_a else 0,
        "b": rule.b_limit if rule.b is not Role.UNUSED else 0,
        "d": rule.d_limit if rule.d is not Role.UNUSED else 0,
    }
    if op.opcode in (Opcode.DRAIN, Opcode.RESTORE) or (off_column and op.kind == LoadKind.TOTAL):
        limits = {field: min(limit, config.total_bits) for field, limit in limits.items()}
    if off_column and op.kind == LoadKind.TAG:
        limits = {field: min(limit, 1) for field, limit in limits.items()}
    widths = {"a": op.a_width, "b": op.b_width, "d": op.d_width}
    for field, limit in limits.items():
        if limit and not 1 <= widths[field] <= limit:
            return ErrorCode.WIDTH, f"{field}_width must be from 1 to {limit}, not {widths[field]}"
    terms = widths | {"1": 1, "levels": reduce_levels(op.constant)}
    for field, wanted in rule.widths:
        total = sum(terms[term] for term in wanted.split("+"))
        if widths[field] != total:
            return ErrorCode.WIDTH, f"{field}_width must be {total} ({wanted}), not {widths[field]}"
    if rule.narrow_a and op.a_width > op.b_width:
        return ErrorCode.WIDTH, f"a_width must be at most b_width ({op.b_width}), not {op.a_width}"
    return None


def moves_off_column(op: Instruction) -> bool:
    """Whether a LOAD or STORE moves totals or tags instead of columns."""
    return op.opcode in (Opcode.LOAD, Opcode.STORE) and op.kind in TOTAL_KINDS


def scratches(op: Instruction) -> bool:
    """Whether column p is scratch."""
    return {
        Scratch.NEVER: False,
        Scratch.ALWAYS: True,
        Scratch.SIGNED_A: op.a_signed,
        Scratch.SPARSE_SIGNED_B: op.kind == ConstantKind.SPARSE and op.b_signed,
        Scratch.SHIFT: op.kind == ReduceKind.SHIFT,
    }[OPERATIONS[Opcode(op.opcode)].scratch]


def fields_used(op: Instruction) -> list[tuple[str, int, int, bool]]:
    """Column ranges that a legal opcode names: (field, first column, width, whether it is written)."""
    rule = OPERATIONS[Opcode(op.opcode)]
    off_column = moves_off_column(op)
    used = [
        (field, base, width, role is Role.WRITE)
        for field, base, width, role in (
            ("a", op.a, op.a_width, rule.a),
            ("b", op.b, op.b_width, rule.b),
            ("d", op.d, op.d_width, rule.d),
        )
        if role is not Role.UNUSED and not off_column
    ]
    if rule.predicate and op.predicated:
        used.append(("p", op.p, 1, False))
    if scratches(op):
        used.append(("p", op.p, 1, True))
    return used


def _column_violation(op: Instruction, config: TileConfig) -> tuple[ErrorCode, str] | None:
    used = fields_used(op)
    for field, base, width, _ in used:
        if base + width > config.columns:
            return ErrorCode.COLUMN, (
                f"{field} must end below column {config.columns}, not at {base}+{width}-1 = {base + width - 1}"
            )
    if op.opcode == Opcode.DOT:
        return None  # reads only: an operand may be multiplied by itself
    rule = OPERATIONS[Opcode(op.opcode)]
    may_coincide = "" if rule.predicate and op.predicated else rule.in_place
    for index, (field, base, width, _) in enumerate(used):
        for other, other_base, other_width, _ in used[index + 1 :]:
            if (field, other) == (may_coincide, "d") and base == other_base:
                continue
            if base < other_base + other_width and other_base < base + width:
                return ErrorCode.OVERLAP, (
                    f"{field} (columns {base}..{base + width - 1}) must not overlap "
                    f"{other} (columns {other_base}..{other_base + other_width - 1})"
                )
    return None


def _size_violation(op: Instruction, config: TileConfig) -> tuple[ErrorCode, str] | None:
    block = op.opcode in (Opcode.DRAIN, Opcode.RESTORE)
    block |= op.opcode in (Opcode.LOAD, Opcode.STORE) and op.kind == LoadKind.BLOCK
    if block and not 0 <= op.constant < config.taps:
        return ErrorCode.ROWS, f"constant (the row block) must be from 0 to {config.taps - 1}, not {op.constant}"
    if op.opcode == Opcode.MOVE and not -config.taps < op.constant < config.taps:
        limit = config.taps - 1
        return ErrorCode.ROWS, f"constant (row blocks to move by) must be from {-limit} to {limit}, not {op.constant}"
    if op.opcode == Opcode.REDUCE and not 1 <= op.constant <= config.taps:
        return ErrorCode.ROWS, f"constant (words to add) must be from 1 to {config.taps}, not {op.constant}"
    needed = op.a_width + op.b_width + config.count_bits + 1
    if op.opcode == Opcode.DOT and needed > config.fill_bits:
        return ErrorCode.FILL, (
            f"a_width + b_width must be at most {config.fill_bits - config.count_bits - 1} "
            f"for fill_bits = {config.fill_bits}, not {op.a_width}+{op.b_width}"
        )
    if op.opcode == Opcode.LOOP and not 1 <= op.constant < 1 << 32:
        return ErrorCode.LOOP, f"constant (the loop count) must be from 1 to {(1 << 32) - 1}, not {op.constant}"
    return None


@lru_cache(maxsize=1 << 16)
def _word(instruction: Instruction) -> int:
    """The word of an instruction."""
    return instruction.encode()


def _bytes(word: int) -> bytes:
    return word.to_bytes(INSTRUCTION_BITS // 8, "little")


@dataclass(frozen=True)
class Program:
    """A sequence of instructions for the tile whose config has ``config_hash``.

    The binary form is a 16-byte header (magic 2, version 2, number of instructions 4, config hash 8 bytes, all
    little-endian) and 16 bytes for each instruction.
    """

    instructions: tuple[Instruction, ...]
    config_hash: int

    @classmethod
    def build(cls, instructions: Iterable[Instruction], config: TileConfig) -> Program:
        """A program for a tile, checked.

        Raises
        ------
        ProgramError
            As :meth:`check`.
        """
        program = cls(tuple(instructions), config.hash)
        program.check(config)
        return program

    def check(self, config: TileConfig) -> None:
        """Refuse what the tile would refuse.

        Raises
        ------
        ProgramError
            If the config hashes differ, an instruction is illegal, loops are not closed, nested deeper than
            ``loop_depth`` or longer than ``program_depth``, or the last instruction is not the only HALT.
        """
        if self.config_hash != config.hash:
            raise ProgramError(
                f"program must be for config {config.name} (hash {config.hash_text}), not hash {self.config_hash:016x}"
            )
        loops: list[int] = []
        found = {key: violation(instruction, config) for key, instruction in self._distinct.items()}
        refused = {key: one[1] for key, one in found.items() if one is not None}
        structure = (Opcode.LOOP, Opcode.END, Opcode.HALT)
        looked_at = {key for key, one in self._distinct.items() if key in refused or one.opcode in structure}
        for address, instruction in enumerate(self.instructions):
            if id(instruction) not in looked_at:
                continue
            where = f"instruction {address} ({instruction.name}): "
            if id(instruction) in refused:
                raise ProgramError(f"{where}{refused[id(instruction)]}")
            if instruction.opcode == Opcode.LOOP:
                loops.append(address)
                if len(loops) > config.loop_depth:
                    raise ProgramError(f"{where}loops must be nested at most {config.loop_depth} deep")
            elif instruction.opcode == Opcode.END:
                if not loops:
                    raise ProgramError(f"{where}END must close a LOOP")
                length = address - loops.pop()
                if length >= config.program_depth:
                    raise ProgramError(
                        f"{where}a loop body must be at most {config.program_depth - 1} instructions, not {length}"
                    )
            elif instruction.opcode == Opcode.HALT and address != len(self.instructions) - 1:
                raise ProgramError(f"{where}HALT must be the last instruction")
        if not self.instructions or self.instructions[-1].opcode != Opcode.HALT or loops:
            raise ProgramError("a program must end with HALT, outside all loops")

    def executed(self) -> Iterator[Instruction]:
        """The instructions in the order in which a tile meets them, loops unrolled."""
        stack: list[list[int]] = []
        address = 0
        while address < len(self.instructions):
            instruction = self.instructions[address]
            yield instruction
            address += 1
            if instruction.opcode == Opcode.LOOP:
                stack.append([address, instruction.constant])
            elif instruction.opcode == Opcode.END:
                stack[-1][1] -= 1
                if stack[-1][1]:
                    address = stack[-1][0]
                else:
                    stack.pop()

    @property
    def words(self) -> list[int]:
        """Header and instructions as 128-bit words, in the order in which the program port takes them."""
        words = {key: _word(instruction) for key, instruction in self._distinct.items()}
        return [self._header, *(words[id(instruction)] for instruction in self.instructions)]

    @cached_property
    def image(self) -> bytes:
        """The binary program: :attr:`words`, each in little-endian order."""
        words = {key: _bytes(_word(instruction)) for key, instruction in self._distinct.items()}
        return b"".join([_bytes(self._header), *(words[id(instruction)] for instruction in self.instructions)])

    def replaced(self, changes: Mapping[int, Instruction]) -> Program:
        """The same program with other instructions at some addresses; they are not checked."""
        instructions, image = list(self.instructions), bytearray(self.image)
        for address, instruction in changes.items():
            instructions[address] = instruction
            place = 16 * (address + 1)
            image[place : place + 16] = _bytes(_word(instruction))
        changed = Program(tuple(instructions), self.config_hash)
        changed.__dict__["image"] = bytes(image)
        return changed

    def to_bytes(self) -> bytes:
        """The binary program."""
        return self.image

    @property
    def _header(self) -> int:
        return MAGIC | VERSION << 16 | len(self.instructions) << 32 | self.config_hash << 64

    @cached_property
    def _distinct(self) -> dict[int, Instruction]:
        """The objects among the instructions, by identity: long programs repeat few."""
        return {id(instruction): instruction for instruction in self.instructions}

    @classmethod
    def from_bytes(cls, data: bytes) -> Program:
        """Read a binary program; instructions are not checked.

        Raises
        ------
        ProgramError
            If the header is not one, is of another version, or the length does not match.
        """
        if len(data) < 16 or int.from_bytes(data[:2], "little") != MAGIC:
            raise ProgramError("a binary program must begin with the letters BF and a 16-byte header")
        _, version, length, config_hash = struct.unpack("<HHIQ", data[:16])
        if version != VERSION:
            raise ProgramError(f"program version must be {VERSION}, not {version}")
        if len(data) != 16 * (length + 1):
            raise ProgramError(
                f"a program of {length} instructions must have {16 * (length + 1)} bytes, not {len(data)}"
            )
        words = (int.from_bytes(data[i : i + 16], "little") for i in range(16, len(data), 16))
        return cls(tuple(Instruction.decode(word) for word in words), config_hash)


def with_owner(instructions: Iterable[Instruction], owner: Owner) -> list[Instruction]:
    """The same instructions, charged to one owner."""
    return [dataclasses.replace(instruction, owner=owner) for instruction in instructions]
