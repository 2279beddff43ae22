"""What a gather unit forms: windows of a stored feature map, and how a map is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from golden.engine import Bits
from hw.accelerator.config import AcceleratorConfig
from hw.accelerator.protocol import LARGEST_KERNEL, LARGEST_STRIDE, REGISTER_BITS, GatherRegister

__all__ = ["LARGEST_COUNT", "LARGEST_PLANES", "GatherJob", "beats", "check", "load_map", "memory_bits", "rows_log2",
           "store_map"]  # fmt: skip

LARGEST_COUNT, LARGEST_PLANES = (1 << 16) - 1, 32
"""Limits of heights, rows and counts of loops, and of bits of a stored number."""


@dataclass(frozen=True, kw_only=True)
class GatherJob:
    """The registers of a gather unit; ``docs/accelerator.md`` says what each means."""

    base: int
    width: int
    height: int
    rows_log2: int
    planes: int
    channel_groups: int
    kernel_height: int
    kernel_width: int
    stride_y: int
    stride_x: int
    pad_top: int
    pad_left: int
    pad_value: int
    out_width: int
    out_rows: int
    first_row: int
    sets: int
    rounds: int
    first_group: int
    group_step: int
    groups: int
    tiles: int
    receivers: int

    @property
    def registers(self) -> tuple[int, ...]:
        """Values in the order of :class:`~hw.accelerator.protocol.GatherRegister`."""
        return astuple(self)

    @property
    def stored_sets(self) -> int:
        """Sets of the stored map."""
        return -(-self.height >> self.rows_log2)

    def beat_count(self, config: AcceleratorConfig) -> int:
        """Beats of the whole job."""
        return self.sets * self.rounds * self.tiles * self.planes * config.beats


def check(job: GatherJob, config: AcceleratorConfig) -> GatherRegister | None:
    """The register out of its range that a DESCRIPTOR error names, or None.

    It is the first one out of the range that it has alone; where there is none, the first one that does not go with the
    others: the map ends within the gather memory (BASE), rows of a set fit a word (ROWS_LOG2) and those of a beat a
    beat (OUT_ROWS), the last output row is at most 65,535 (SETS), and the channel groups are those of the map (GROUPS).
    """
    size, most = config.outputs, LARGEST_COUNT
    ranges: dict[GatherRegister, tuple[int, int]] = {
        GatherRegister.BASE: (0, config.gather_words - 1),
        GatherRegister.WIDTH: (1, size),
        GatherRegister.HEIGHT: (1, most),
        GatherRegister.ROWS_LOG2: (0, size.bit_length() - 1),
        GatherRegister.PLANES: (1, LARGEST_PLANES),
        GatherRegister.CHANNEL_GROUPS: (1, config.gather_words),
        GatherRegister.KERNEL_HEIGHT: (1, LARGEST_KERNEL),
        GatherRegister.KERNEL_WIDTH: (1, LARGEST_KERNEL),
        GatherRegister.STRIDE_Y: (1, LARGEST_STRIDE),
        GatherRegister.STRIDE_X: (1, LARGEST_STRIDE),
        GatherRegister.PAD_TOP: (0, LARGEST_KERNEL),
        GatherRegister.PAD_LEFT: (0, LARGEST_KERNEL),
        GatherRegister.PAD_VALUE: (0, (1 << REGISTER_BITS) - 1),
        GatherRegister.OUT_WIDTH: (1, size),
        GatherRegister.OUT_ROWS: (1, size),
        GatherRegister.FIRST_ROW: (0, most),
        GatherRegister.SETS: (1, most),
        GatherRegister.ROUNDS: (1, most),
        GatherRegister.FIRST_GROUP: (0, config.gather_words - 1),
        GatherRegister.GROUP_STEP: (0, config.gather_words - 1),
        GatherRegister.GROUPS: (1, config.gather_words),
        GatherRegister.TILES: (1, most),
        GatherRegister.RECEIVERS: (1, (1 << config.tiles) - 1),
    }
    for register, value in zip(GatherRegister, job.registers, strict=True):
        low, high = ranges[register]
        if not low <= value <= high:
            return register
    last_group = job.first_group + (job.rounds - 1) * job.group_step + job.groups - 1
    relations = {
        GatherRegister.BASE: job.base + job.stored_sets * job.planes * job.channel_groups <= config.gather_words,
        GatherRegister.ROWS_LOG2: job.width << job.rows_log2 <= size,
        GatherRegister.OUT_ROWS: job.out_rows * job.out_width <= size,
        GatherRegister.SETS: job.first_row + job.sets * job.out_rows <= most + 1,
        GatherRegister.GROUPS: last_group < job.channel_groups,
    }
    return next((register for register, holds in relations.items() if not holds), None)


def beats(job: GatherJob, memory: Bits, config: AcceleratorConfig) -> Bits:
    """All beats of a job, in order, as bits of shape (beats, L*S), lane 0 lowest.

    ``memory`` holds the gather memory's bits, of shape (gather_words, L, S). Channels that the map does not have are
    what the memory holds there.

    Raises
    ------
    ValueError
        If a register is out of its range.
    """
    wrong = check(job, config)
    if wrong is not None:
        raise ValueError(f"{wrong.name} of a gather unit is out of its range: {job.registers[wrong]}")
    lanes, size = config.lanes, config.outputs
    stored = _stored_map(job, memory)

    # The map with its padding, as far out as the windows reach.
    rows, columns = job.sets * job.out_rows, job.out_width
    below = (job.first_row + rows - 1) * job.stride_y + job.kernel_height - job.pad_top - job.height
    right = (columns - 1) * job.stride_x + job.kernel_width - job.pad_left - job.width
    pad = np.array([job.pad_value >> plane & 1 for plane in range(job.planes)], np.uint8)
    padded = np.empty(
        (
            *stored.shape[:3],
            job.pad_top + job.height + max(0, below),
            job.pad_left + job.width + max(0, right),
        ),
        np.uint8,
    )
    padded[:] = pad[:, None, None, None, None]
    padded[..., job.pad_top : job.pad_top + job.height, job.pad_left : job.pad_left + job.width] = stored

    # One window position after the other: all sets of a round at once.
    tap_groups = job.kernel_height * job.kernel_width * job.groups
    formed = min(tap_groups, job.tiles * config.beats)
    result = np.zeros((job.sets, job.rounds, job.tiles * config.beats, job.planes, lanes, size), np.uint8)
    for number in range(formed):
        position, channel = divmod(number, job.groups)
        ky, kx = divmod(position, job.kernel_width)
        for turn in range(job.rounds):
            group = job.first_group + turn * job.group_step + channel
            first = job.first_row * job.stride_y + ky
            window = padded[:, group, :, first :: job.stride_y, kx :: job.stride_x][..., :rows, :columns]
            window = np.reshape(window, (job.planes, lanes, job.sets, job.out_rows * columns))
            result[:, turn, number, :, :, : job.out_rows * columns] = np.transpose(window, (2, 0, 1, 3))

    by_tap_group = np.reshape(result, (job.sets, job.rounds, job.tiles, config.beats, job.planes, lanes * size))
    return np.reshape(np.swapaxes(by_tap_group, 3, 4), (job.beat_count(config), lanes * size))


def _stored_map(job: GatherJob, memory: Bits) -> Bits:
    """The map's bits, of shape (planes, channel groups, L, height, width)."""
    map_rows, words = 1 << job.rows_log2, job.stored_sets * job.planes * job.channel_groups
    lanes = memory.shape[1]
    sets = memory[job.base : job.base + words, :, : map_rows * job.width]
    parts = np.reshape(sets, (job.stored_sets, job.planes, job.channel_groups, lanes, map_rows, job.width))
    in_rows = np.transpose(parts, (1, 2, 3, 0, 4, 5))
    shape = (job.planes, job.channel_groups, lanes, job.stored_sets * map_rows, job.width)
    return np.reshape(in_rows, shape)[..., : job.height, :]


def rows_log2(width: int, config: AcceleratorConfig) -> int:
    """The r of a map of ``width`` columns: sets have the most rows, a power of two, that fit S pixels.

    Raises
    ------
    ValueError
        If not even one row fits.
    """
    if not 1 <= width <= config.outputs:
        raise ValueError(f"a feature map must be 1 to {config.outputs} columns wide, not {width}")
    return (config.outputs // width).bit_length() - 1


def store_map(u: NDArray[np.integer], bits: int, base: int, config: AcceleratorConfig) -> dict[int, int]:
    """The words, by word address, that place a map of stored numbers at bank address ``base``.

    ``u`` has shape (H, W, C) and numbers from 0 to 2^bits - 1. Channels beyond C, up to a whole group, are not written;
    pixels beyond the map are 0.

    Raises
    ------
    ValueError
        If the map is too wide, a number does not fit, or the map does not end within the gather memory.
    """
    height, width, channels = u.shape
    map_rows = 1 << rows_log2(width, config)
    if not 1 <= bits <= LARGEST_PLANES:
        raise ValueError(f"numbers of a feature map must have 1 to {LARGEST_PLANES} bits, not {bits}")
    lowest, highest = int(u.min()), int(u.max())
    if lowest < 0 or highest >> bits:
        raise ValueError(f"numbers of a feature map must fit {bits} bits, not {lowest} .. {highest}")
    sets, groups = -(-height // map_rows), -(-channels // config.lanes)
    end = base + sets * bits * groups
    if base < 0 or end > config.gather_words:
        raise ValueError(f"a feature map must end within {config.gather_words} words of a bank, not at {base} .. {end}")

    # Pixels of each set in a row, then bit by bit: (sets, planes, channels, S).
    pixels = np.zeros((sets, config.outputs, channels), np.int64)
    padded = np.zeros((sets * map_rows, width, channels), np.int64)
    padded[:height] = u
    pixels[:, : map_rows * width] = np.reshape(padded, (sets, map_rows * width, channels))
    planes = np.swapaxes((pixels[:, None] >> np.arange(bits)[:, None, None] & 1).astype(np.uint8), 2, 3)
    packed = np.packbits(planes, axis=-1, bitorder="little")
    return {
        base * config.lanes + (q * bits + b) * groups * config.lanes + k: int.from_bytes(packed[q, b, k], "little")
        for q in range(sets)
        for b in range(bits)
        for k in range(channels)
    }


def memory_bits(words: Mapping[int, int], config: AcceleratorConfig) -> Bits:
    """A gather memory's bits, of shape (gather_words, L, S), from words by word address; others are 0."""
    size = -(-config.outputs // 8)
    packed = np.zeros((config.gather_words * config.lanes, size), np.uint8)
    for address, word in words.items():
        packed[address] = np.frombuffer(word.to_bytes(size, "little"), np.uint8)
    bits = np.unpackbits(packed, axis=-1, count=config.outputs, bitorder="little")
    return np.reshape(bits, (config.gather_words, config.lanes, config.outputs))


def load_map(
    words: Mapping[int, int], shape: tuple[int, int, int], bits: int, base: int, config: AcceleratorConfig
) -> NDArray[np.int64]:
    """The map of shape (H, W, C) that :func:`store_map` placed: the inverse of it, pixel by pixel."""
    height, width, channels = shape
    log2, groups = rows_log2(width, config), -(-channels // config.lanes)
    result = np.zeros(shape, np.int64)
    for y, x, k in product(range(height), range(width), range(channels)):
        pixel = (y % (1 << log2)) * width + x
        for b in range(bits):
            address = base * config.lanes + ((y >> log2) * bits + b) * groups * config.lanes + k
            result[y, x, k] |= (words[address] >> pixel & 1) << b
    return result
