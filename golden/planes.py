"""Planes packed into 64-bit words: bit r of a plane is bit r % 64 of word r // 64, whatever the machine's byte order.

Bits of the last word beyond the plane are always 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from golden.engine import Bits

__all__ = ["WORD", "Words", "count_ones", "from_numbers", "pack", "read_bits", "to_numbers", "unpack", "write_bits"]

Words = NDArray[np.uint64]
"""Packed planes, shape (..., words of a plane)."""

WORD: np.dtype[np.uint64] = np.dtype("<u8")
"""The little-endian word, so that a byte view is in ascending order of rows."""

_ONES_OF = np.array([number.bit_count() for number in range(1 << 16)], np.uint8)


def pack(bits: Bits) -> Words:
    """Pack 0/1 of shape (..., n) into words of shape (..., ceil(n / 64))."""
    padding = -bits.shape[-1] % 64
    padded = np.pad(bits, [(0, 0)] * (bits.ndim - 1) + [(0, padding)])
    packed = np.packbits(padded, axis=-1, bitorder="little")
    return np.ndarray((*packed.shape[:-1], packed.shape[-1] // 8), WORD, packed)


def unpack(words: Words, count: int) -> Bits:
    """Unpack words of shape (..., w) into 0/1 of shape (..., count), count at most 64 * w."""
    return np.unpackbits(_bytes(words), axis=-1, count=count, bitorder="little")


def count_ones(words: Words) -> int:
    """How many bits of contiguous words are 1."""
    return int(np.sum(_ONES_OF[np.ndarray(4 * words.size, "<u2", words)], dtype=np.int64))


def read_bits(words: Words, first: int, count: int) -> Bits:
    """Bits first .. first + count - 1 of every plane: 0/1 of shape (planes, count) from words of shape (planes, w)."""
    skipped = first % 8
    part = _bytes(words)[:, first // 8 : (first + count + 7) // 8]
    return np.unpackbits(part, axis=1, bitorder="little")[:, skipped : skipped + count]


def write_bits(words: Words, first: int, bits: Bits) -> None:
    """Replace bits first .. first + n - 1 of every plane in place by ``bits``, 0/1 of shape (planes, n)."""
    skipped, count = first % 8, bits.shape[1]
    part = _bytes(words)[:, first // 8 : (first + count + 7) // 8]
    whole = np.unpackbits(part, axis=1, bitorder="little")
    whole[:, skipped : skipped + count] = bits
    part[:] = np.packbits(whole, axis=1, bitorder="little")


def to_numbers(bits: Bits) -> NDArray[np.int64]:
    """Two's complement numbers, shape (n,), from their bits, lowest first, 0/1 of shape (1..64, n)."""
    numbers = -bits[-1].astype(np.int64)
    for plane in bits[-2::-1]:
        numbers = numbers << 1 | plane
    return numbers


def _bytes(words: Words) -> NDArray[np.uint8]:
    """The same memory as bytes, shape (..., 8 * w); the words are contiguous."""
    return np.ndarray((*words.shape[:-1], 8 * words.shape[-1]), np.uint8, words)


def from_numbers(numbers: NDArray[np.int64], width: int) -> Bits:
    """Bits 0 .. width - 1 (1..64) of numbers of shape (n,): 0/1 of shape (width, n)."""
    return (numbers >> np.arange(width, dtype=np.int64)[:, None] & 1).astype(np.uint8)
