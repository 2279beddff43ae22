"""Instructions of a macro: fields, rules, and programs as words. ``docs/flexspim.md`` says what they do.

Plain Python, so that the golden side can use it without a hardware description language.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property

from hw.flexspim.config import MAXIMUM_OPERAND_ROWS, MacroConfig
from hw.isa import INSTRUCTION_BITS, MAGIC, VERSION

__all__ = [
    "EVENT_END", "FIELDS", "OPERATIONS", "POSITION_BITS", "Y_BITS", "EventKind", "MacroError", "MacroInstruction",
    "MacroOpcode", "MacroProgram", "MacroProgramError", "ResetKind", "instruction", "violation",
]  # fmt: skip


class MacroProgramError(ValueError):
    """A program that no macro can take; the text says which field, the rule, and what was received."""


class MacroOpcode(IntEnum):
    """Instructions of a macro."""

    HALT = 0x01
    LOOP = 0x03
    END = 0x04
    SHAPE = 0x06
    LOAD = 0x08
    STORE = 0x09
    ACCUMULATE = 0x10
    ADD = 0x11
    COMPARE = 0x12
    RESET = 0x13
    FIRE = 0x14
    INPUT = 0x20
    OUTPUT = 0x21
    EVENTS = 0x22


class ResetKind(IntEnum):
    """What happens to the potential of an operand that spiked."""

    NONE = 0
    HARD = 1  # it becomes 0
    SOFT = 2  # the threshold is taken from it


class EventKind(IntEnum):
    """What the words of events are."""

    BITMAP = 0  # a bit for each place of a line, line after line
    ADDRESSES = 1  # an event in each word, then a word with bit 31 set


class MacroError(IntEnum):
    """Codes of the sticky error port; the lowest that applies is raised."""

    NONE = 0
    MAGIC = 1  # the first word is not a header
    VERSION = 2  # header of another program format
    CONFIG = 3  # program for another config
    OPCODE = 4  # unknown opcode
    RESERVED = 5  # reserved bits set, unknown kind
    SHAPE = 6  # rows of a shape out of range, planes that are no operands, or no shape yet
    ROWS = 7  # rows out of range, or none
    OVERLAP = 8  # an operand lies in the potentials
    LAYER = 9  # a layer's size is out of range, or there is no layer yet
    EVENT = 10  # an event outside of the input
    LOOP = 11  # loop count zero, loops nested too deeply, END without LOOP, HALT inside a loop
    LOOP_LENGTH = 12  # loop body longer than the instruction buffer
    END = 14  # the program ended without HALT


POSITION_BITS, Y_BITS = 20, 11
"""Fields of an event's address, from bit 0: its place in the line, and the line."""

EVENT_END = POSITION_BITS + Y_BITS
"""The bit of a word of addresses that says that there are no more."""

_ROW = 16
_OPERATE = {"operand": _ROW, "potentials": _ROW, "slices": _ROW, "kind": 2}
_MOVE = {"first": _ROW, "rows": _ROW}

FIELDS: dict[MacroOpcode, dict[str, int]] = {
    MacroOpcode.HALT: {},
    MacroOpcode.LOOP: {"reserved": 67, "count": 32},
    MacroOpcode.END: {},
    MacroOpcode.SHAPE: {"weight_rows": 8, "potential_rows": 8, "saturate": 1},
    MacroOpcode.LOAD: _MOVE,
    MacroOpcode.STORE: _MOVE,
    MacroOpcode.ACCUMULATE: _OPERATE,
    MacroOpcode.ADD: _OPERATE,
    MacroOpcode.COMPARE: _OPERATE,
    MacroOpcode.RESET: _OPERATE,
    MacroOpcode.FIRE: _OPERATE,
    MacroOpcode.INPUT: {
        "height": 12, "width": 12, "channels": 16, "channel_shift": 5, "kernel_height": 12, "kernel_width": 12,
        "stride_y": 3, "stride_x": 3, "padding_y": 8, "padding_x": 8, "line_words": 16,
    },
    MacroOpcode.OUTPUT: {
        "height": 12, "width": 12, "first": 12, "lines": 12, "slices": 8, "groups": 12, "group_shift": 5, "fetch": 1,
        "potentials": _ROW, "weights": _ROW,
    },
    MacroOpcode.EVENTS: {"kind": 1},
}  # fmt: skip
"""Fields of each opcode and their widths, least significant first, above the 8 bits of the opcode."""

OPERATIONS = (
    MacroOpcode.ACCUMULATE, MacroOpcode.ADD, MacroOpcode.COMPARE, MacroOpcode.RESET, MacroOpcode.FIRE,
)  # fmt: skip
"""Opcodes that operate on rows."""

_KINDS: dict[MacroOpcode, tuple[int, ...]] = {
    MacroOpcode.ACCUMULATE: (0,),
    MacroOpcode.ADD: (0,),
    MacroOpcode.COMPARE: (0,),
    MacroOpcode.RESET: (ResetKind.HARD, ResetKind.SOFT),
    MacroOpcode.FIRE: tuple(ResetKind),
}
_ONE_SLICE = (MacroOpcode.COMPARE, MacroOpcode.RESET)


@dataclass(frozen=True)
class MacroInstruction:
    """One instruction of 128 bits.

    Parameters
    ----------
    opcode : a :class:`MacroOpcode`, or any number of 8 bits.
    values : of its fields; those that are left out are 0.
    rest : the bits above its fields, 0 in a legal instruction.
    """

    opcode: int
    values: Mapping[str, int] = field(default_factory=dict[str, int])
    rest: int = 0

    def __getitem__(self, name: str) -> int:
        return self.values.get(name, 0)

    @property
    def layout(self) -> dict[str, int]:
        """Its fields and their widths; none of an unknown opcode."""
        return FIELDS[MacroOpcode(self.opcode)] if self.opcode in tuple(MacroOpcode) else {}

    @property
    def name(self) -> str:
        """Mnemonic, or the opcode in hexadecimal."""
        return MacroOpcode(self.opcode).name if self.opcode in tuple(MacroOpcode) else f"0x{self.opcode:02x}"

    def encode(self) -> int:
        """The 128-bit word.

        Raises
        ------
        MacroProgramError
            If there is no such field, or a value does not fit its field.
        """
        word, position = self.opcode, 8
        for name in self.values:
            if name not in self.layout:
                raise MacroProgramError(f"{self.name} must have fields {', '.join(self.layout)}, not {name!r}")
        for name, width in self.layout.items():
            value = self[name]
            if not 0 <= value < 1 << width:
                raise MacroProgramError(f"{self.name}: {name} must be from 0 to {(1 << width) - 1}, not {value}")
            word |= value << position
            position += width
        if not 0 <= self.rest < 1 << (INSTRUCTION_BITS - position):
            raise MacroProgramError(f"{self.name}: rest must fit {INSTRUCTION_BITS - position} bits, not {self.rest}")
        return word | self.rest << position

    @classmethod
    def decode(cls, word: int) -> MacroInstruction:
        """The instruction of a word; every word decodes, legal or not."""
        opcode = word & 0xFF
        values: dict[str, int] = {}
        word >>= 8
        for name, width in cls(opcode).layout.items():
            values[name] = word & ((1 << width) - 1)
            word >>= width
        return cls(opcode, values, word)


def instruction(opcode: MacroOpcode, **values: int) -> MacroInstruction:
    """An instruction with these fields."""
    return MacroInstruction(opcode, values)


def violation(op: MacroInstruction, config: MacroConfig) -> MacroError:
    """The first rule that an instruction breaks by itself; what depends on shape and layer is not looked at."""
    if op.opcode not in tuple(MacroOpcode):
        return MacroError.OPCODE
    opcode = MacroOpcode(op.opcode)
    if op.rest or op["reserved"] or (opcode in _KINDS and op["kind"] not in _KINDS[opcode]):
        return MacroError.RESERVED
    if opcode is MacroOpcode.SHAPE:
        fits = 1 <= op["weight_rows"] <= op["potential_rows"] <= MAXIMUM_OPERAND_ROWS
        return MacroError.NONE if fits and (config.saturation or not op["saturate"]) else MacroError.SHAPE
    if opcode in (MacroOpcode.LOAD, MacroOpcode.STORE):
        return MacroError.NONE if op["rows"] and op["first"] + op["rows"] <= config.rows else MacroError.ROWS
    if opcode in OPERATIONS and (not op["slices"] or (opcode in _ONE_SLICE and op["slices"] != 1)):
        return MacroError.ROWS
    if opcode is MacroOpcode.INPUT:
        sizes = ("height", "width", "channels", "kernel_height", "kernel_width", "line_words")
        fits = all(op[name] for name in sizes) and op["channels"] <= 1 << op["channel_shift"]
        return MacroError.NONE if fits and op["channel_shift"] <= 16 else MacroError.LAYER
    if opcode is MacroOpcode.OUTPUT:
        fits = all(op[name] for name in ("height", "width", "lines", "slices", "groups"))
        return MacroError.NONE if fits and op["first"] + op["lines"] <= op["height"] else MacroError.LAYER
    if opcode is MacroOpcode.LOOP and not op["count"]:
        return MacroError.LOOP
    return MacroError.NONE


@dataclass(frozen=True)
class MacroProgram:
    """Instructions for the macro whose config has ``config_hash``; its words begin with the header of all programs."""

    instructions: tuple[MacroInstruction, ...]
    config_hash: int

    @classmethod
    def build(cls, instructions: Iterable[MacroInstruction], config: MacroConfig) -> MacroProgram:
        """A program for a macro; HALT is added. Instructions are checked by the macro, not here."""
        return cls((*instructions, MacroInstruction(MacroOpcode.HALT)), config.hash)

    @cached_property
    def words(self) -> list[int]:
        """Header and instructions as 128-bit words."""
        header = MAGIC | VERSION << 16 | len(self.instructions) << 32 | self.config_hash << 64
        return [header, *(one.encode() for one in self.instructions)]

    @cached_property
    def image(self) -> bytes:
        """:attr:`words`, each in little-endian order."""
        return b"".join(word.to_bytes(INSTRUCTION_BITS // 8, "little") for word in self.words)

    def __iter__(self) -> Iterator[MacroInstruction]:
        return iter(self.instructions)
