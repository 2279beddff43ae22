"""Words that are wider than a tile's columns allow: cut into digits, whose dot products are summed apart.

x = sum of digits x_i * 2^(i*a), w = sum of digits w_j * 2^(j*b), so the dot product of x and w is the sum of those of
all pairs of digits, each moved up by its *place* i*a + j*b.  Pairs of the same place are summed together.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property, lru_cache

from sim.mapping.errors import MappingError

WIDEST_OPERAND = 32
"""Bits of an operand that an instruction can name."""

__all__ = ["Digit", "DigitSum", "WordSplit", "split_words"]


@dataclass(frozen=True)
class Digit:
    """Bits ``first`` .. ``first + bits - 1`` of a word; ``signed``: its top bit is the word's sign."""

    first: int
    bits: int
    signed: bool


@dataclass(frozen=True)
class DigitSum:
    """Pairs of an activation's and a weight's digit whose dot products are summed, worth 2^``place``."""

    place: int
    pairs: tuple[tuple[Digit, Digit], ...]

    @property
    def signed(self) -> bool:
        """Whether the sum can be negative."""
        return any(weight.signed for _, weight in self.pairs)

    def bits(self, reduction: int) -> int:
        """Width of the two's complement number that holds the sum of ``reduction`` products of every pair."""
        widest = max(activation.bits + weight.bits for activation, weight in self.pairs)
        return widest + (reduction * len(self.pairs)).bit_length() + 1


@dataclass(frozen=True)
class WordSplit:
    """How activations and weights of a layer are cut.

    Parameters
    ----------
    activation, weight : their digits, lowest first.
    """

    activation: tuple[Digit, ...]
    weight: tuple[Digit, ...]

    @property
    def whole(self) -> bool:
        """Whether nothing is cut."""
        return len(self.activation) == len(self.weight) == 1

    @cached_property
    def sums(self) -> tuple[DigitSum, ...]:
        """What is summed apart, by place, the lowest first."""
        places: dict[int, list[tuple[Digit, Digit]]] = {}
        for activation, weight in itertools.product(self.activation, self.weight):
            places.setdefault(activation.first + weight.first, []).append((activation, weight))
        return tuple(DigitSum(place, tuple(places[place])) for place in sorted(places))

    def __str__(self) -> str:
        parts = [
            f"{name} in {len(digits)} digits of up to {max(digit.bits for digit in digits)} bits"
            for name, digits in (("activations", self.activation), ("weights", self.weight))
            if len(digits) > 1
        ]
        return ", ".join(parts)


def _digits(bits: int, size: int, *, signed: bool) -> tuple[Digit, ...]:
    return tuple(
        Digit(first, min(size, bits - first), signed and first + size >= bits) for first in range(0, bits, size)
    )


def split_words(
    activation_bits: int,
    weight_bits: int,
    columns: int,
    copies: int,
    name: str,
    *,
    weight_signed: bool = True,
    most_sums: int | None = None,
) -> WordSplit:
    """The fewest pairs of digits of which ``copies`` fit ``columns`` columns; of these, those with the fewest sums.

    ``most_sums`` limits the sums.

    Raises
    ------
    MappingError
        If not even single bits fit, or all that fit make more sums.
    """
    sizes = _digit_sizes(activation_bits, weight_bits, columns // copies, most_sums)
    if sizes is None:
        raise MappingError(f"layer {name!r} needs columns of at least {2 * copies}, the tile has {columns}")
    activation, weight = sizes
    return WordSplit(
        _digits(activation_bits, activation, signed=False), _digits(weight_bits, weight, signed=weight_signed)
    )


@lru_cache(maxsize=1024)
def _digit_sizes(activation_bits: int, weight_bits: int, most: int, most_sums: int | None) -> tuple[int, int] | None:
    """Bits of an activation's and a weight's digits that are ``most`` together, with the fewest pairs and places."""
    widths = (range(1, min(bits, WIDEST_OPERAND) + 1) for bits in (activation_bits, weight_bits))
    fitting = [(a, b) for a, b in itertools.product(*widths) if a + b <= most]

    def work(sizes: tuple[int, int]) -> tuple[int, int]:
        firsts = [range(0, bits, size) for bits, size in zip((activation_bits, weight_bits), sizes, strict=True)]
        return len(firsts[0]) * len(firsts[1]), len({sum(pair) for pair in itertools.product(*firsts)})

    works = {sizes: work(sizes) for sizes in fitting}
    allowed = [sizes for sizes in fitting if most_sums is None or works[sizes][1] <= most_sums]
    return min(allowed, key=works.__getitem__, default=None)
