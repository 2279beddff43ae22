"""Which instructions a tile executes, in which order, and where it refuses to go on."""

from __future__ import annotations

from collections.abc import Iterator

from hw.config import TileConfig
from hw.isa import ErrorCode, Instruction, Opcode, Program, violation

__all__ = ["Sequencer"]


class Sequencer:
    """Iterates over the instructions that a tile executes, loops unrolled, HALT included.

    Iteration ends after HALT, or before the first instruction that the tile refuses.

    Parameters
    ----------
    program : what the tile receives, legal or not.
    config : the tile.

    Attributes
    ----------
    error : the code that the tile raised; NONE as long as nothing was refused.
    address : of the instruction under way or refused; the program's length when its end came without
        HALT, 0 after HALT.
    """

    def __init__(self, program: Program, config: TileConfig) -> None:
        """Begin before the first instruction."""
        self.program = program
        self.config = config
        self.error = ErrorCode.NONE
        self.address = 0

    def __iter__(self) -> Iterator[Instruction]:
        """Yield the instructions; ``address`` is valid while each of them is under way."""
        if self.program.config_hash != self.config.hash:
            self.error = ErrorCode.CONFIG
            return
        instructions = self.program.instructions
        legal: set[int] = set()
        loops: list[list[int]] = []  # address of LOOP, rounds that are left
        while self.address < len(instructions):
            address, instruction = self.address, instructions[self.address]
            if address not in legal:
                self.error = self._refusal(instruction, loops)
                if self.error is not ErrorCode.NONE:
                    return
                legal.add(address)
            yield instruction
            if instruction.opcode == Opcode.HALT:
                self.address = 0  # as the error port shows it when nothing was refused
                return
            self.address += 1
            if instruction.opcode == Opcode.LOOP:
                loops.append([address, instruction.constant])
            elif instruction.opcode == Opcode.END:
                loops[-1][1] -= 1
                if loops[-1][1]:
                    self.address = loops[-1][0] + 1
                else:
                    loops.pop()
        self.error = ErrorCode.END

    def _refusal(self, instruction: Instruction, loops: list[list[int]]) -> ErrorCode:
        if loops and self.address - loops[0][0] >= self.config.program_depth:
            return ErrorCode.LOOP_LENGTH  # it can never arrive: the outermost loop's body fills the buffer
        found = violation(instruction, self.config)
        if found is not None:
            return found[0]
        if instruction.opcode == Opcode.LOOP and len(loops) == self.config.loop_depth:
            return ErrorCode.LOOP
        if instruction.opcode == Opcode.END and not loops:
            return ErrorCode.LOOP
        if instruction.opcode == Opcode.HALT and loops:
            return ErrorCode.LOOP
        return ErrorCode.NONE
