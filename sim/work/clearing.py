"""A tile that every job finds the same, so that activity does not depend on what ran before."""

from __future__ import annotations

from golden.engine import Engine, Job, Outcome, TileError
from hw.config import TileConfig
from hw.isa import ErrorCode, Instruction, Opcode, Program

__all__ = ["ClearedTile", "clearing_program"]

_WIDEST = 64


def clearing_program(config: TileConfig) -> Program:
    """A program after which all cells and totals are 0, and all tags are the same in whatever state it began."""
    columns = range(0, config.columns, _WIDEST)
    fills = [
        Instruction(Opcode.FILL, d=first, d_width=min(_WIDEST, config.columns - first), constant=0) for first in columns
    ]
    # Cells that are 0 stay 0; its compares set the tags.
    addition = Instruction(Opcode.ADD, a=0, a_width=1, b=1, b_width=1, d=2, d_width=1)
    return Program.build([*fills, Instruction(Opcode.INIT, constant=0), addition, Instruction(Opcode.HALT)], config)


class ClearedTile:
    """An engine whose tile is cleared before each job, by a program that is not counted.

    Parameters
    ----------
    engine : the tile; closed with this one.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.config = engine.config
        self._clearing = Job(clearing_program(engine.config))

    def run(self, job: Job) -> Outcome:
        """Clear the tile, and run a job.

        Raises
        ------
        TileError
            As the engine's own, and if the tile cannot be cleared.
        """
        cleared = self.engine.run(self._clearing)
        if cleared.error is not ErrorCode.NONE:
            raise TileError(f"the tile raised error {ErrorCode(cleared.error).name} while it was cleared")
        return self.engine.run(job)

    def close(self) -> None:
        """Close the engine."""
        self.engine.close()
