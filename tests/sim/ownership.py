"""Whether a program keeps off what belongs to a port operation."""

from __future__ import annotations

from hw.config import TileConfig
from hw.isa import Instruction, LoadKind, Opcode, Program, fields_used

EVERYWHERE = -1


def ownership_violations(program: Program, config: TileConfig) -> list[str]:
    """What a program touches while it belongs to a port operation that is not joined.

    A region is a range of columns in one row block (or everywhere); the totals are the column behind the last.
    """
    totals = config.columns

    def regions(op: Instruction) -> list[tuple[int, int, int, bool]]:
        block = EVERYWHERE
        if op.opcode in (Opcode.DRAIN, Opcode.RESTORE) or (
            op.opcode in (Opcode.LOAD, Opcode.STORE) and op.kind == LoadKind.BLOCK
        ):
            block = op.constant
        found = [(base, base + width, block, written) for _, base, width, written in fields_used(op)]
        if op.opcode == Opcode.RESTORE or (op.opcode == Opcode.LOAD and op.kind == LoadKind.TOTAL):
            found.append((totals, totals + 1, EVERYWHERE, True))
        return found

    pending: list[Instruction] = []
    faults: list[str] = []
    for address, op in enumerate(program.executed()):
        if op.opcode in (Opcode.SYNC, Opcode.HALT):
            keep = op.constant if op.opcode == Opcode.SYNC else 0
            del pending[: max(0, len(pending) - keep)]
            continue
        mine = regions(op)
        if op.opcode in (Opcode.INIT, Opcode.DOT, Opcode.DRAIN):
            mine.append((totals, totals + 1, EVERYWHERE, True))
        for other in pending:
            for first, last, block, written in mine:
                for other_first, other_last, other_block, other_written in regions(other):
                    apart = EVERYWHERE not in (block, other_block) and block != other_block
                    if (written or other_written) and not apart and first < other_last and other_first < last:
                        faults.append(f"{address} {op} meets {other}")
        if op.opcode in (Opcode.LOAD, Opcode.STORE, Opcode.DRAIN, Opcode.RESTORE):
            pending.append(op)
    return faults
