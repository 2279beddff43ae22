"""DOTs that search for the leading zero planes of their unsigned operand and skip them."""

from __future__ import annotations

import dataclasses

from hw.isa import DotKind, Instruction, Opcode
from sim.mapping.builder import JobPlan

__all__ = ["with_zero_skip"]


def with_zero_skip(job: JobPlan) -> JobPlan:
    """The same job for a tile with ``zero_skip``: every DOT with an unsigned operand searches it.

    Results are the same.  Cycles depend on the data; a DOT whose operand has no zero plane takes one cycle more.  Where
    the other operand has 1 bit a search can save nothing, and there is none.
    """
    routine = dataclasses.replace(job.routine, instructions=tuple(_searching(op) for op in job.routine.instructions))
    return dataclasses.replace(job, routine=routine)


def _searching(op: Instruction) -> Instruction:
    if op.opcode != Opcode.DOT or (op.a_signed and op.b_signed):
        return op
    if op.a_signed:
        op = dataclasses.replace(
            op, a=op.b, a_width=op.b_width, a_signed=False, b=op.a, b_width=op.a_width, b_signed=True
        )
    return op if op.b_width == 1 else dataclasses.replace(op, kind=DotKind.SKIP)
