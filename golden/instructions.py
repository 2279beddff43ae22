"""What each instruction does to the cells and the tags, by opcode."""

from __future__ import annotations

from collections.abc import Callable

from golden.arithmetic import ARITHMETIC
from golden.blocks import BLOCKS
from golden.cells import Cells
from golden.comparison import COMPARISONS
from golden.logic import LOGIC
from hw.isa import Instruction

__all__ = ["INSTRUCTIONS"]

INSTRUCTIONS: dict[int, Callable[[Cells, Instruction], None]] = LOGIC | ARITHMETIC | COMPARISONS | BLOCKS
"""How each opcode rewrites the cells; the instruction is legal and its operands obey the contract."""
