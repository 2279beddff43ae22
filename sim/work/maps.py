"""Feature maps as they travel and are kept: whole numbers of as few bytes as their width needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden.engine import Bits

__all__ = ["PackedMap", "pack_bits", "pack_numbers"]

_BYTES = (1, 2, 4, 8)


@dataclass(frozen=True)
class PackedMap:
    """A feature map of stored numbers.

    Parameters
    ----------
    numbers : unsigned, little-endian, (height, width, channels).
    bits : width of a number, 1 to 64.
    """

    numbers: NDArray[np.unsignedinteger[Any]]
    bits: int

    @property
    def symbols(self) -> Bits:
        """The bits, lowest first: 0/1 of (height, width, channels, bits)."""
        size = self.numbers.dtype.itemsize
        content = np.frombuffer(self.numbers.tobytes(), np.uint8).reshape(*self.numbers.shape, size)
        return np.unpackbits(content, axis=-1, count=self.bits, bitorder="little")


def pack_numbers(numbers: NDArray[np.integer[Any]], bits: int) -> PackedMap:
    """Pack stored numbers 0..2**bits-1."""
    return PackedMap(numbers.astype(_type(bits)), bits)


def pack_bits(symbols: Bits) -> PackedMap:
    """Pack numbers of 1 to 64 bits, 0/1 on the last axis, lowest first."""
    bits = symbols.shape[-1]
    kind = _type(bits)
    packed = np.packbits(symbols, axis=-1, bitorder="little")
    content = np.zeros((*symbols.shape[:-1], kind.itemsize), np.uint8)
    content[..., : packed.shape[-1]] = packed
    return PackedMap(content.view(kind)[..., 0], bits)


def _type(bits: int) -> np.dtype[Any]:
    """The narrowest numbers of so many bits."""
    return np.dtype(f"<u{next(size for size in _BYTES if 8 * size >= bits)}")
