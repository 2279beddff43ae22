"""Names of columns: which operand of an instruction they hold, and which bit of it."""

from __future__ import annotations

from collections.abc import Iterable

from hw.isa import Instruction, Opcode, fields_used

__all__ = ["column_names", "common_names"]

_FLAGS = {
    Opcode.ADD: "carry",
    Opcode.ADDC: "carry",
    Opcode.SUB: "borrow",
    Opcode.RSUB: "borrow",
    Opcode.MAX: "taken",
    Opcode.MIN: "taken",
}
"""What the one column of d holds."""


def column_names(instruction: Instruction) -> dict[int, str]:
    """Return the names of the columns that a legal instruction uses, by their numbers.

    ``a[0]`` is the lowest bit of operand a. In place a column is two things: it has the name of the operand. Column p
    is ``p``; a single column d has the name of what it is for, where that is always the same.
    """
    names: dict[int, str] = {}
    for field, first, width, _ in fields_used(instruction):
        for bit in range(width):
            names.setdefault(first + bit, "p" if field == "p" else f"{field}[{bit}]")
    flag = _FLAGS.get(Opcode(instruction.opcode))
    return names | {instruction.d: flag} if flag else names


def common_names(instructions: Iterable[Instruction]) -> dict[int, str]:
    """Return the names of all columns that instructions use; where they do not agree, a column has an empty name."""
    names: dict[int, str] = {}
    for instruction in instructions:
        for column, name in column_names(instruction).items():
            if names.setdefault(column, name) != name:
                names[column] = ""
    return names
