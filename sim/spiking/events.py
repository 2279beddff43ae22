"""Turns pictures into the events that a sensor of brightness changes (DVS) has when the picture moves.

**Saccade.** The picture makes three moves, back to where it was: down to the right, up to the right, and left. Each
move takes the same number of timesteps, and a timestep shifts it by whole pixels. Outside of the picture it is dark.

**Threshold.** Each pixel remembers a brightness, at first that of the picture at rest. In each timestep, a pixel whose
brightness differs from it by the threshold or more has one event and remembers the new brightness. Brightness is
linear, not logarithmic as in a sensor: on a dark background the logarithm would show the noise of dark pixels.

**Polarity.** Channel 0 has the pixels that became brighter, channel 1 those that became darker.

Events of a timestep are stored as a **bitmap**, one bit for each input, or as **addresses** (:mod:`golden.synapses`),
``ceil(log2(inputs))`` bits for each event. Addresses need fewer bits where the density of events is less than
``1 / ceil(log2(inputs))``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from golden.graph import Integers
from golden.spiking import Spikes
from sim.errors import UserError

__all__ = [
    "SACCADE",
    "EventFormat",
    "Saccade",
    "address_bits",
    "bitmap_bits",
    "cheaper_format",
    "crossover",
    "from_addresses",
    "from_bitmap",
    "picture_events",
    "to_addresses",
    "to_bitmap",
]

EventFormat = Literal["bitmap", "addresses"]

MOVES = ((1, 1), (-1, 1), (0, -2))
"""Directions (down, right) of the three moves; they add up to nothing."""

POLARITIES = 2


@dataclass(frozen=True, kw_only=True)
class Saccade:
    """How a picture moves, and what a sensor sees of it.

    Parameters
    ----------
    steps : timesteps of each move, at least 1.
    pixels : by which a timestep shifts the picture, at least 1; the last move is twice as fast.
    threshold : change of brightness at which a pixel has an event, 1..255.
    """

    steps: int = 1
    pixels: int = 2
    threshold: int = 96

    def __post_init__(self) -> None:
        for what, value, most in (
            ("steps", self.steps, 64),
            ("pixels", self.pixels, 64),
            ("threshold", self.threshold, 255),
        ):
            if not 1 <= value <= most:
                raise UserError(f"{what} of a saccade must be 1..{most}, got {value}")

    @property
    def timesteps(self) -> int:
        """Timesteps of all moves."""
        return len(MOVES) * self.steps

    @property
    def positions(self) -> tuple[tuple[int, int], ...]:
        """Where the picture is (down, right) at rest, and after each timestep."""
        moves = np.repeat(np.array(MOVES) * self.pixels, self.steps, axis=0)
        path = np.vstack([np.zeros((1, 2), dtype=np.int64), np.cumsum(moves, axis=0)])
        # The middle of the horizontal path is the picture's own place.
        path[:, 1] -= self.steps * self.pixels
        return tuple((int(down), int(right)) for down, right in path)


SACCADE = Saccade()
"""That of the packaged network of digits."""


def picture_events(pictures: NDArray[np.uint8], saccade: Saccade = SACCADE) -> Spikes:
    """Return the events of pictures that make a saccade.

    Parameters
    ----------
    pictures : brightness 0..255, shape (..., height, width).
    saccade : the moves and the threshold.

    Returns
    -------
    Spikes
        Shape (..., timesteps, height, width, 2).

    Raises
    ------
    UserError
        If *pictures* have no two axes, or are not 8-bit numbers.
    """
    if pictures.ndim < 2 or pictures.dtype != np.uint8:
        raise UserError(
            f"pictures must be 8-bit numbers of shape (..., height, width), got {pictures.dtype} of shape "
            f"{pictures.shape}"
        )
    reference, *scenes = (_shifted(pictures, *place).astype(np.int16) for place in saccade.positions)
    found: list[Spikes] = []
    for scene in scenes:
        change = scene - reference
        now = np.stack([change >= saccade.threshold, change <= -saccade.threshold], axis=-1)
        reference = np.where(now.any(axis=-1), scene, reference)
        found.append(now)
    return np.stack(found, axis=-4)


def _shifted(pictures: NDArray[np.uint8], down: int, right: int) -> NDArray[np.uint8]:
    """Pictures moved by whole pixels; dark where nothing comes in."""
    height, width = pictures.shape[-2:]
    result = np.zeros_like(pictures)
    rows, columns = (
        (slice(max(0, by), max(0, size + min(0, by))), slice(max(0, -by), max(0, size - max(0, by))))
        for by, size in ((down, height), (right, width))
    )
    result[..., rows[0], columns[0]] = pictures[..., rows[1], columns[1]]
    return result


def address_bits(inputs: int) -> int:
    """Return the bits of an address among *inputs* inputs: 0 for one input, which needs none."""
    return (inputs - 1).bit_length()


def bitmap_bits(inputs: int) -> int:
    """Return the bits of a timestep as a bitmap."""
    return inputs


def crossover(inputs: int) -> float:
    """Return the density of events below which addresses need fewer bits than a bitmap."""
    return 1 / max(1, address_bits(inputs))


def cheaper_format(events: Spikes) -> EventFormat:
    """Return the format in which the events of a timestep need fewer bits; a bitmap where both need the same."""
    bits = int(np.count_nonzero(events)) * max(1, address_bits(events.size))
    return "addresses" if bits < bitmap_bits(events.size) else "bitmap"


def to_addresses(events: Spikes) -> Integers:
    """Return the addresses of the events of a timestep, ascending."""
    return np.flatnonzero(events).astype(np.int64)


def from_addresses(addresses: Integers, shape: tuple[int, int, int]) -> Spikes:
    """Return a map with events at *addresses*.

    Raises
    ------
    UserError
        If an address is outside of the map or occurs twice.
    """
    inputs = int(np.prod(shape))
    if addresses.size and not 0 <= int(addresses.min()) <= int(addresses.max()) < inputs:
        raise UserError(f"addresses must be 0..{inputs - 1}, got {addresses.min()}..{addresses.max()}")
    if np.unique(addresses).size != addresses.size:
        raise UserError("addresses must occur once each in a timestep")
    events = np.zeros(inputs, dtype=np.bool_)
    events[addresses] = True
    return events.reshape(shape)


def to_bitmap(events: Spikes) -> bytes:
    """Return the events of a timestep as bytes: address n is bit ``n % 8`` of byte ``n // 8``, the rest is 0."""
    return np.packbits(events.ravel(), bitorder="little").tobytes()


def from_bitmap(content: bytes, shape: tuple[int, int, int]) -> Spikes:
    """Return the events that :func:`to_bitmap` wrote.

    Raises
    ------
    UserError
        If the number of bytes is not that of the map.
    """
    inputs = int(np.prod(shape))
    if len(content) != -(-inputs // 8):
        raise UserError(f"a bitmap of {inputs} inputs must have {-(-inputs // 8)} bytes, got {len(content)}")
    return (
        np.unpackbits(np.frombuffer(content, dtype=np.uint8), count=inputs, bitorder="little")
        .astype(np.bool_)
        .reshape(shape)
    )
