"""Events of a map as words: bitmaps and addresses. ``docs/flexspim.md`` has the two formats."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from hw.flexspim.config import MacroConfig
from hw.flexspim.isa import EVENT_END, POSITION_BITS

__all__ = ["address_words", "bitmap_words", "channel_shift", "line_words"]


def channel_shift(channels: int) -> int:
    """Bits of a place in a line that are its channel."""
    return (channels - 1).bit_length()


def line_words(width: int, channels: int, config: MacroConfig) -> int:
    """Words of a line of a bitmap."""
    places = ((width - 1) << channel_shift(channels)) + channels
    return -(-places // config.event_bits)


def bitmap_words(spikes: NDArray[np.bool_], config: MacroConfig) -> list[int]:
    """The words of a bitmap.

    Parameters
    ----------
    spikes : shape (height, width, channels).
    """
    height, width, channels = spikes.shape
    bits = config.event_bits
    lines = np.zeros((height, width, 1 << channel_shift(channels)), np.uint8)
    lines[:, :, :channels] = spikes
    words = line_words(width, channels, config)
    padded = np.zeros((height, words * bits), np.uint8)
    flat = lines.reshape(height, -1)[:, : words * bits]
    padded[:, : flat.shape[1]] = flat
    packed = np.packbits(padded.reshape(-1, bits), axis=1, bitorder="little")
    return [int.from_bytes(word.tobytes(), "little") for word in packed]


def address_words(places: Iterable[tuple[int, int, int]], channels: int) -> list[int]:
    """The words of events in the order given, and the word that ends them.

    Parameters
    ----------
    places : (y, x, channel) of each event.
    channels : of the map.
    """
    shift = channel_shift(channels)
    return [*((y << POSITION_BITS | x << shift | channel) for y, x, channel in places), 1 << EVENT_END]
