"""Moving and re-ordering bits: all that the host does between the input of a network and its output.

Nothing here looks at a bit's value, so everything works for any integer dtype: 0/1 as uint8 in a normal run, identities
of bits as int64 when a test follows where each bit came from.  An :class:`Alphabet` says how constant bits are written.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden.engine import Bits
from golden.graph import Integers

__all__ = ["PLAIN", "Alphabet", "Symbols", "flat_map", "from_bits", "pack_bits", "pack_taps", "shifted", "to_bits"]

Symbols = NDArray[Any]
"""Bits, or whatever stands for them: any integer dtype."""


@dataclass(frozen=True)
class Alphabet:
    """What constant bits look like: ``zero`` and ``one`` in an array of ``dtype``."""

    zero: int = 0
    one: int = 1
    dtype: np.dtype[Any] = field(default_factory=lambda: np.dtype(np.uint8))

    def encode(self, bits: Bits) -> Symbols:
        """Constant bits (0/1, any shape) in this alphabet, the same shape."""
        if (self.zero, self.one) == (0, 1) and self.dtype == bits.dtype:
            return bits
        return np.array([self.zero, self.one], self.dtype)[bits]

    def zeros(self, *shape: int) -> Symbols:
        """Constant zero bits."""
        return np.full(shape, self.zero, self.dtype)


PLAIN = Alphabet()
"""Bits as 0 and 1."""


def to_bits(numbers: Integers, bits: int) -> Bits:
    """The lowest ``bits`` bits, at most 64, of integers (two's complement), lowest first, on a new last axis."""
    size = next(size for size in (1, 2, 4, 8) if bits <= 8 * size)
    words = np.ascontiguousarray(numbers).astype(f"<i{size}")
    unpacked = np.unpackbits(words.reshape(-1).view(np.uint8).reshape(-1, size), axis=1, count=bits, bitorder="little")
    return unpacked.reshape(*numbers.shape, bits)


def from_bits(bits: Bits) -> Integers:
    """Unsigned integers from 0/1 on the last axis, lowest first: int64 of the shape without that axis."""
    packed = np.packbits(bits, axis=-1, bitorder="little")
    numbers = np.zeros(bits.shape[:-1], np.int64)
    for place in range(packed.shape[-1]):
        numbers |= packed[..., place].astype(np.int64) << (8 * place)
    return numbers


def pack_bits(planes: Bits) -> NDArray[np.uint8]:
    """Planes with their last axis as bytes, the lowest bit first."""
    return np.packbits(planes, axis=-1, bitorder="little")


def flat_map(stored: Symbols, pad_value: int, alphabet: Alphabet) -> Symbols:
    """A feature map (height, width, channels, bits) as a table of elements, with two constant elements at its end.

    Returns (elements + 2, bits): element ``elements`` is ``pad_value``, element ``elements + 1`` is 0.
    """
    bits = stored.shape[-1]
    constants = alphabet.encode(to_bits(np.array([pad_value, 0], np.int64), bits))
    return np.concatenate([stored.reshape(-1, bits), constants])


def pack_taps(elements: Symbols, digits: int, tiles: int, taps: int, alphabet: Alphabet) -> Symbols:
    """Lay the digits of each element out on taps of their own, and the taps on tap tiles.

    ``elements`` is (outputs, elements, digits * width); digit j of element e goes to tap ``e * digits + j``.
    Returns planes (tiles, width, taps * outputs): row ``i * outputs + s`` of tile t is tap ``t * taps + i`` of output
    s; taps beyond the elements are constant 0.
    """
    outputs, count, bits = elements.shape
    width = bits // digits
    rows = elements.reshape(outputs, count * digits, width)
    missing = tiles * taps - count * digits
    if missing:
        rows = np.concatenate([rows, alphabet.zeros(outputs, missing, width)], axis=1)
    planes = rows.reshape(outputs, tiles, taps, width).transpose(1, 3, 2, 0)
    return np.ascontiguousarray(planes).reshape(tiles, width, taps * outputs)


def shifted(numbers: Bits, digit_bits: int, digits: int, *, signed: bool, alphabet: Alphabet) -> Symbols:
    """Copies of numbers moved up by 0, ``digit_bits``, 2 ``digit_bits`` ...: the partners of another number's digits.

    ``numbers`` is 0/1 of shape (..., width); returns (..., digits * W) with W = width + (digits - 1) * digit_bits bits
    for each copy, zeros below and the sign (or zeros) above.
    """
    width = numbers.shape[-1]
    wide = width + (digits - 1) * digit_bits
    copies = np.zeros((*numbers.shape[:-1], digits, wide), np.uint8)
    for j in range(digits):
        low = j * digit_bits
        copies[..., j, low : low + width] = numbers
        if signed:
            copies[..., j, low + width :] = numbers[..., -1:]
    return alphabet.encode(copies.reshape(*numbers.shape[:-1], digits * wide))
