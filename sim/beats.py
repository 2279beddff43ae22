"""Planes as the words of a plane port: how many bits a plane has, and how beats carry them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from golden.engine import Bits, PackedPlanes
from hw.config import TileConfig
from hw.isa import Instruction, LoadKind, Opcode, Program, StoreKind

__all__ = [
    "Store",
    "beat_bytes",
    "beats_of",
    "packed_beats",
    "plane_bits",
    "stores_of",
    "to_beats",
    "to_planes",
    "unpacked_planes",
]

Store = tuple[int, int]
"""Planes of a STORE, and the bits of each."""


def plane_bits(instruction: Instruction, config: TileConfig) -> int:
    """Bits of one plane that a LOAD or STORE moves."""
    taps = instruction.opcode == Opcode.LOAD and instruction.kind == LoadKind.TAPS
    wide = instruction.kind in (StoreKind.PLANES, StoreKind.TAG)
    return config.taps if taps else config.rows if wide else config.outputs


def stores_of(program: Program, config: TileConfig) -> list[Store]:
    """Every STORE of a program, in the order of execution."""
    opcodes = np.array([instruction.opcode for instruction in program.instructions], np.uint8)
    executed = program.executed()
    if not (opcodes == Opcode.LOOP).any():
        executed = (program.instructions[place] for place in np.flatnonzero(opcodes == Opcode.STORE))
    return [
        (instruction.a_width, plane_bits(instruction, config))
        for instruction in executed
        if instruction.opcode == Opcode.STORE
    ]


def beat_bytes(config: TileConfig) -> int:
    """Bytes of a beat."""
    return -(-config.plane_bits // 8)


def packed_beats(planes: Bits, config: TileConfig) -> NDArray[np.uint8]:
    """Planes, shape (planes, bits), as beats of ``plane_in``: (beats, bytes), the lowest bit first.

    Bytes at the end of a beat that no bit falls into are left out.
    """
    count, bits = planes.shape
    width = config.plane_bits
    if bits > width:
        padded = np.zeros((count, config.beats(bits) * width), dtype=np.uint8)
        padded[:, :bits] = planes
        planes = padded.reshape(-1, width)
    return np.packbits(planes, axis=1, bitorder="little")


def beats_of(planes: Sequence[Bits], config: TileConfig) -> tuple[NDArray[np.uint8], NDArray[np.uint64]]:
    """The planes of all LOADs of a run as bytes of beats, and (beats, bytes of each) for every LOAD, (LOADs, 2)."""
    if isinstance(planes, PackedPlanes):
        counts, bits = planes.shapes.T
        width = config.plane_bits
        whole = bits > width
        # Planes that fill their beats to the last byte are their beats already.
        if not whole.any() or (width % 8 == 0 and not (bits[whole] % width).any()):
            beats = counts * -(-bits // width)
            sizes = np.where(whole, width // 8, -(-bits // 8))
            return planes.content, np.stack([beats, sizes], axis=1).astype(np.uint64)
    parts = [packed_beats(part, config) for part in planes if part.size]
    content = np.concatenate([np.empty(0, np.uint8), *(part.reshape(-1) for part in parts)])
    return content, np.array([part.shape for part in parts], np.uint64).reshape(-1, 2)


def unpacked_planes(beats: NDArray[np.uint8], planes: int, bits: int, config: TileConfig) -> Bits:
    """Beats of ``plane_out``, (beats, bytes), as planes, shape (planes, bits)."""
    unpacked = np.unpackbits(beats, axis=1, bitorder="little", count=config.plane_bits)
    return unpacked.reshape(planes, -1)[:, :bits]


def to_beats(planes: Bits, config: TileConfig) -> list[int]:
    """Planes, shape (planes, bits), as words of ``plane_in``."""
    return [int.from_bytes(beat.tobytes(), "little") for beat in packed_beats(planes, config)]


def to_planes(beats: Sequence[int], planes: int, bits: int, config: TileConfig) -> Bits:
    """Words of ``plane_out`` as planes, shape (planes, bits)."""
    size = beat_bytes(config)
    raw = np.frombuffer(b"".join(beat.to_bytes(size, "little") for beat in beats), dtype=np.uint8)
    return unpacked_planes(raw.reshape(-1, size), planes, bits, config)
