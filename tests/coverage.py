"""Functional coverage: which instructions ran on the Verilog, how wide, with which signs, where, and what interfered.

A process counts what it ran; the counts of all processes of a session are merged through a folder, one file for each.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from hw.config import ARRAYS, TileConfig
from hw.isa import OPERATIONS, Instruction, Opcode, Program, Role

__all__ = [
    "COVERAGE", "FOLDER_VARIABLE", "MOMENTARY", "WIDTH_CLASSES", "Bin", "Coverage", "is_signed", "reachable",
    "width_class",
]  # fmt: skip

FOLDER_VARIABLE = "BFIMNA_COVERAGE"
"""Names the folder through which the processes of a session merge their counts."""

WIDTH_CLASSES = {"1": range(1, 2), "2-4": range(2, 5), "5-8": range(5, 9), "9-16": range(9, 17), "17-32": range(17, 33),
                 "over 32": range(33, 65)}  # fmt: skip
NO_WIDTH = "none"
MOMENTARY = (Opcode.HALT, Opcode.SYNC, Opcode.LOOP, Opcode.END, Opcode.INIT)
"""Instructions without width and without a body: nothing of them could be interrupted."""
SIGNED_BY_A = (
    Opcode.DOT, Opcode.ADD, Opcode.SUB, Opcode.RSUB, Opcode.SUM, Opcode.DIFF, Opcode.RDIFF, Opcode.MUL, Opcode.MAX,
    Opcode.MIN, Opcode.CMP, Opcode.REDUCE,
)  # fmt: skip
SIGNED_BY_B = (Opcode.DOT, Opcode.MUL, Opcode.MULC, Opcode.MAXC, Opcode.MINC, Opcode.CLAMP, Opcode.CMPC)


class Bin(NamedTuple):
    """One thing that ought to have happened."""

    opcode: str
    width: str
    signed: bool
    array: str
    stalled: bool
    reset: bool


def width_of(op: Instruction) -> int:
    """The width of an instruction's widest operand; 0 where it has none."""
    if op.opcode in MOMENTARY:
        return 0
    rule = OPERATIONS[Opcode(op.opcode)]
    a = op.a_width if rule.a is not Role.UNUSED or rule.free_a else 0
    b = op.b_width if rule.b is not Role.UNUSED else 0
    return max(a, b) or op.d_width


def width_class(op: Instruction) -> str:
    """The class of :func:`width_of`."""
    return next((name for name, widths in WIDTH_CLASSES.items() if width_of(op) in widths), NO_WIDTH)


def is_signed(op: Instruction) -> bool:
    """Whether an operand counts as two's complement."""
    return (op.opcode in SIGNED_BY_A and op.a_signed) or (op.opcode in SIGNED_BY_B and op.b_signed)


def reachable(arrays: Iterable[str] = ARRAYS) -> Iterator[Bin]:
    """Every bin that can be filled.

    Widths are those that a field may have; signs are those of operations that know them; a reset is counted where there
    is something to interrupt.
    """
    for array in arrays:
        for opcode, rule in OPERATIONS.items():
            limit = max(
                rule.a_limit if rule.a is not Role.UNUSED or rule.free_a else 0,
                rule.b_limit if rule.b is not Role.UNUSED else 0,
                0 if rule.a is not Role.UNUSED or rule.b is not Role.UNUSED else rule.d_limit,
            )
            classes = [name for name, widths in WIDTH_CLASSES.items() if widths[0] <= limit]
            for width in [NO_WIDTH] if opcode in MOMENTARY else classes:
                for signed in (False, True) if opcode in {*SIGNED_BY_A, *SIGNED_BY_B} else (False,):
                    for stalled in (False, True):
                        for reset in (False,) if opcode in MOMENTARY else (False, True):
                            yield Bin(opcode.name, width, signed, array, stalled, reset)


class Coverage:
    """Counts by bin."""

    def __init__(self) -> None:
        self.counts: Counter[Bin] = Counter()

    def note(self, op: Instruction, config: TileConfig, *, stalled: bool, reset: bool = False) -> None:
        """An instruction ran."""
        self.counts[bin_of(op, config, stalled=stalled, reset=reset)] += 1

    def note_program(self, program: Program, config: TileConfig, *, stalled: bool) -> None:
        """A program ran to its end."""
        for op in program.instructions:
            self.note(op, config, stalled=stalled)

    def missing(self) -> list[Bin]:
        """Reachable bins in which nothing ran."""
        return [place for place in reachable() if not self.counts[place]]

    def summary(self) -> str:
        """Filled and reachable bins, by array."""
        bins = list(reachable())
        parts = [
            f"{array} {sum(bool(self.counts[place]) for place in bins if place.array == array)}" for array in ARRAYS
        ]
        filled = sum(bool(self.counts[place]) for place in bins)
        return (
            f"functional coverage: {filled} of {len(bins)} reachable bins ({', '.join(parts)}), "
            f"{sum(self.counts.values())} instructions"
        )

    def save(self, folder: Path) -> None:
        """Add a file with what this process counted."""
        rows = [[*place, count] for place, count in sorted(self.counts.items())]
        (folder / f"{os.getpid()}.json").write_text(json.dumps(rows), encoding="utf-8")

    @classmethod
    def merged(cls, folder: Path) -> Coverage:
        """What all processes counted."""
        found = cls()
        for path in sorted(folder.glob("*.json")):
            for *fields, count in json.loads(path.read_text(encoding="utf-8")):
                found.counts[Bin(*fields)] += count
        return found


def bin_of(op: Instruction, config: TileConfig, *, stalled: bool, reset: bool) -> Bin:
    """Where an instruction is counted."""
    return Bin(Opcode(op.opcode).name, width_class(op), is_signed(op), config.array, stalled, reset)


COVERAGE = Coverage()
"""What this process ran."""
