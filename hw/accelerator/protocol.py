"""Units, registers, opcodes and error codes of the accelerator as data; ``docs/accelerator.md`` says what they mean."""

from __future__ import annotations

from enum import IntEnum

from hw.accelerator.config import AcceleratorConfig
from hw.isa import TileState

__all__ = [
    "ADDRESS_BITS", "COMMAND_BITS", "COUNT_BITS", "LARGEST_KERNEL", "LARGEST_STRIDE", "REGISTER_BITS", "UNIT_BITS",
    "AcceleratorError", "Command", "GatherRegister", "SenderRegister", "TileRegister", "TileState", "Unit", "Waiting",
    "unit_size",
]  # fmt: skip

UNIT_BITS, ADDRESS_BITS, COUNT_BITS, REGISTER_BITS, COMMAND_BITS = 8, 24, 24, 32, 128
LARGEST_KERNEL, LARGEST_STRIDE = 15, 4


class Unit(IntEnum):
    """Units of a cluster; those of tiles are the number of tile 0, to which the tile's number is added."""

    GATHER_MEMORY = 0x00
    GATHER = 0x01
    SENDER = 0x02
    TILE = 0x40
    PROGRAM = 0x80
    TAPS = 0xC0


class TileRegister(IntEnum):
    """Registers of a tile's slot; the last one arms."""

    TAPS_START = 0
    TAPS_WORDS = 1
    PROGRAM_START = 2
    PROGRAM_WORDS = 3


class GatherRegister(IntEnum):
    """Registers of a gather unit; the last one arms."""

    BASE = 0
    WIDTH = 1
    HEIGHT = 2
    ROWS_LOG2 = 3
    PLANES = 4
    CHANNEL_GROUPS = 5
    KERNEL_HEIGHT = 6
    KERNEL_WIDTH = 7
    STRIDE_Y = 8
    STRIDE_X = 9
    PAD_TOP = 10
    PAD_LEFT = 11
    PAD_VALUE = 12
    OUT_WIDTH = 13
    OUT_ROWS = 14
    FIRST_ROW = 15
    SETS = 16
    ROUNDS = 17
    FIRST_GROUP = 18
    GROUP_STEP = 19
    GROUPS = 20
    TILES = 21
    RECEIVERS = 22


class SenderRegister(IntEnum):
    """Registers of a sender; the last one arms."""

    SOURCE = 0
    DESTINATIONS_LOW = 1
    DESTINATIONS_HIGH = 2
    BASE = 3
    STRIDE0 = 4
    COUNT0 = 5
    STRIDE1 = 6
    COUNT1 = 7
    STRIDE2 = 8
    COUNT2 = 9


class Command(IntEnum):
    """Opcodes of the command stream."""

    WRITE = 1
    RUN = 2
    WAIT = 3
    END = 4


class AcceleratorError(IntEnum):
    """What the error register of an accelerator may hold."""

    NONE = 0
    OPCODE = 1
    DESTINATION = 2
    UNIT = 3
    ADDRESS = 4
    BARRIER = 5
    TILE = 6
    DESCRIPTOR = 7
    WATCHDOG = 8


class Waiting(IntEnum):
    """What the first unit of a cluster that stands still waits for."""

    NOTHING = 0
    PLANES = TileState.PLANES
    ROOM = TileState.ROOM
    PROGRAM = TileState.PROGRAM
    TILES = 5
    """The gather unit: for a tile to take its beat."""
    WORDS = 6
    """The sender: for a word of its MAP."""
    MESH = 7
    """The sender: for its flit to be taken."""


def unit_size(unit: int, config: AcceleratorConfig) -> int:
    """Addresses of a unit of a cluster, 0 where there is no such unit."""
    sizes: dict[int, int] = {
        Unit.GATHER_MEMORY: config.gather_words * config.lanes * config.flits_per_word,
        Unit.GATHER: len(GatherRegister),
        Unit.SENDER: len(SenderRegister),
    }
    for tile in range(config.tiles):
        sizes[Unit.TILE + tile] = len(TileRegister)
        sizes[Unit.PROGRAM + tile] = config.program_words * config.flits_per_instruction
        sizes[Unit.TAPS + tile] = config.taps_words
    return sizes.get(unit, 0)
