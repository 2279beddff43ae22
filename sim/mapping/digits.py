"""Signed digits: a constant as few powers of two, added or subtracted."""

from __future__ import annotations

from functools import lru_cache

__all__ = ["signed_digits"]


@lru_cache(maxsize=1 << 16)
def signed_digits(number: int) -> tuple[tuple[int, int], ...]:
    """The canonical signed digits of an integer: pairs (place, sign), lowest place first, without zeros.

    ``number`` is the sum of ``sign * 2**place``, signs are 1 and -1, no two places are neighbours; no other such sum
    has fewer terms.  The highest place is at most the bit length of ``abs(number)``.
    """
    digits: list[tuple[int, int]] = []
    place = 0
    while number:
        if number & 1:
            sign = 2 - (number & 3)
            digits.append((place, sign))
            number -= sign
        number >>= 1
        place += 1
    return tuple(digits)
