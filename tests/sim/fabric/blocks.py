"""Blocks of layers with data: what a CAP is given, what it should store, and what its hardware counted by part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from golden.engine import Bits, Job, Outcome
from golden.graph import Integers
from golden.laws import run_law
from hw.config import TileConfig
from hw.counter_map import total_cycles
from hw.isa import ErrorCode, Instruction, Owner
from sim.evaluate.cost import Events
from sim.fabric.accounts import Parts, account, program_events
from sim.fabric.cap_programs import OnesLoad, Sums, WeightLoad, WindowLoad, block_program
from sim.fabric.geometry import MapCut
from sim.mapping.bits import from_bits, to_bits
from sim.mapping.builder import JobPlan, Source, equal_parts
from sim.mapping.shapes import AveragePoolShape, ConvShape


@dataclass(frozen=True)
class DotLayer:
    """A layer of sums over windows with an input map and some of its output channels.

    Parameters
    ----------
    kernel, stride, padding : of the windows.
    values : the input map, (height, width, channels).
    pad_value : what windows read beyond it.
    weights : of some output channels, (channels, kernel height, kernel width, input channels).
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    values: Integers
    pad_value: int
    weights: Integers

    @classmethod
    def random(cls, rng: np.random.Generator, shape: ConvShape | AveragePoolShape, channels: int) -> DotLayer:
        """Random numbers of the widths of a shape, those at the ends of their range among them.

        Of an average pool, whose channels share nothing, the input has ``channels`` channels.
        """
        height, width, depth = shape.input_size
        top = (1 << shape.activation_bits[0]) - 1
        pad_value = int(rng.integers(1, top + 1))
        if isinstance(shape, AveragePoolShape):
            values = rng.integers(0, top + 1, (height, width, channels))
            weights = np.broadcast_to(
                np.eye(channels, dtype=np.int64)[:, None, None], (channels, *shape.window, channels)
            )
            return cls(shape.window, shape.stride, shape.padding, values, pad_value, weights)
        values = rng.integers(0, top + 1, (height, width, depth))
        values[rng.random((height, width)) < 0.125] = top
        low = -(1 << (shape.kernel_bits - 1))
        weights = rng.integers(low, max(-low, 1), (channels, *shape.kernel, depth))
        weights[-1][rng.random((*shape.kernel, depth)) < 0.75] = low
        return cls(shape.kernel, shape.stride, shape.padding, values, pad_value, weights)

    def windows(self, pixels: Integers, outputs: int) -> Integers:
        """What a gather unit reads for the outputs at some (row, column): (outputs, taps), 0 without such a pixel.

        Taps are in the order kernel row, kernel column, channel.
        """
        (top, left), (height, width) = self.padding, self.kernel
        padded = np.pad(
            self.values, ((top, height), (left, width), (0, 0)), mode="constant", constant_values=self.pad_value
        )
        windows = np.zeros((outputs, height * width * self.values.shape[2]), np.int64)
        for output, (row, column) in enumerate(pixels * self.stride):
            windows[output] = padded[row : row + height, column : column + width].reshape(-1)
        return windows

    def sums(self, pixels: Integers, channel: int) -> list[int]:
        """The plain convolution at some (row, column), product by product, in one of the channels."""
        height, width, _ = self.values.shape
        found: list[int] = []
        for row, column in (pixels * self.stride - self.padding).tolist():
            total = 0
            for y, x in np.ndindex(self.kernel):
                weights = self.weights[channel, y, x]
                inside = 0 <= row + y < height and 0 <= column + x < width
                number = self.values[row + y, column + x] if inside else self.pad_value
                total += int((number * weights).sum())
            found.append(total)
        return found


def set_pixels(cut: MapCut, number: int) -> Integers:
    """(row, column) of the outputs of a set, in the order of its bits."""
    group, piece = divmod(number, cut.pieces)
    rows = range(group * cut.rows, min((group + 1) * cut.rows, cut.height))
    columns = equal_parts(cut.width, cut.pieces)[piece]
    return np.array([(row, column) for row in rows for column in columns])


@dataclass(frozen=True)
class Block:
    """The operands of a block: windows (outputs, taps) and weights (taps)."""

    windows: Integers
    weights: Integers


def tap_tile(numbers: Integers, tile: int, taps: int) -> Integers:
    """The taps of a tap tile on the last axis; 0 beyond the last one."""
    missing = max(0, (tile + 1) * taps - numbers.shape[-1])
    padded = np.pad(numbers, [(0, 0)] * (numbers.ndim - 1) + [(0, missing)])
    return padded[..., tile * taps : (tile + 1) * taps]


def block_planes(sums: Sums, blocks: Sequence[Block], source: Source) -> Bits:
    """The planes of one LOAD of a CAP."""
    config = sums.config
    if isinstance(source, WindowLoad):
        numbers = tap_tile(blocks[source.block].windows, source.tile, config.taps)
        bits = to_bits(numbers >> source.digit.first, source.digit.bits)
        return np.ascontiguousarray(bits.transpose(2, 1, 0)).reshape(-1, config.rows)
    if isinstance(source, WeightLoad):
        numbers = tap_tile(blocks[source.block].weights, source.tile, config.taps)
        return np.ascontiguousarray(to_bits(numbers >> source.digit.first, source.digit.bits).T)
    assert isinstance(source, OnesLoad)
    return np.eye(1, config.taps, dtype=np.uint8)


def block_job(sums: Sums, blocks: Sequence[Block]) -> tuple[JobPlan, Job]:
    """The program of a CAP for some blocks, and the same with its planes."""
    plan = block_program(sums, len(blocks))
    return plan, Job(plan.program, [block_planes(sums, blocks, source) for source in plan.loads])


def signed(bits: Bits) -> Integers:
    """Two's complement numbers from 0/1 on the last axis, lowest first."""
    return from_bits(bits) - (bits[..., -1].astype(np.int64) << bits.shape[-1])


def stored_fields(sums: Sums, planes: Sequence[Bits]) -> list[list[Integers]]:
    """The numbers that a CAP stored: for each block, those of each sum of digits, (outputs,)."""
    count = len(sums.stored)
    assert all(len(one) == width for one, (_, width) in zip(planes, sums.stored * (len(planes) // count), strict=True))
    numbers = [
        signed(one.T) if digits.signed else from_bits(one.T)
        for one, (digits, _) in zip(planes, sums.stored * (len(planes) // count), strict=True)
    ]
    return [numbers[first : first + count] for first in range(0, len(numbers), count)]


def wrapped(numbers: Integers, bits: int) -> Integers:
    """The two's complement numbers that so many bits hold."""
    return signed(to_bits(numbers, bits))


def put_together(sums: Sums, fields: Sequence[Integers]) -> Integers:
    """Sums of digits by their places, in the accumulator's width."""
    total = sum(number << digits.place for number, (digits, _) in zip(fields, sums.stored, strict=True))
    return wrapped(np.asarray(total), sums.accumulator_bits)


def hardware_parts(outcome: Outcome, instructions: Sequence[Instruction], computing: str) -> Parts:
    """The hardware's cycles by part, from its own counters: decode cycles belong to the controller."""
    decoded = Counter(Owner(op.owner) for op in instructions)
    left = {owner: outcome.counters[f"cycles.{owner.name.lower()}"] - decoded[owner] for owner in Owner}
    return {
        "controller": outcome.counters["events.instructions"],
        "load": left[Owner.LOAD],
        "store": left[Owner.STORE],
        computing: left[Owner.COMPUTE],
        "reduce": left[Owner.REDUCE],
        "limits and rescaling": left[Owner.REQUANTIZE],
    }


def assert_law(outcome: Outcome, plan: JobPlan, config: TileConfig, computing: str) -> Parts:
    """The counters are those of the law, and so are parts and events of the evaluator; returns the cycles by part."""
    assert outcome.error is ErrorCode.NONE
    instructions = plan.instructions
    law = {name: count for name, count in run_law(instructions, config).items() if not name.startswith("identity.")}
    assert {name: outcome.counters[name] for name in law} == law
    time = account(instructions, config, computing)
    assert outcome.cycles == total_cycles(law) == time.total
    parts = hardware_parts(outcome, instructions, computing)
    assert sum(parts.values()) == outcome.cycles
    rescaling = parts.pop("limits and rescaling")
    ours = dict(time.cycles)
    if computing == "requantise":
        rescaling += parts.pop(computing)
    assert ours.pop("relu", 0) + (ours.pop("requantise", 0) if computing != "pooling" else 0) == rescaling
    assert {part: count for part, count in parts.items() if count} == {
        part: count for part, count in ours.items() if count
    }
    events = program_events(instructions, config)
    assert events == Events(
        compares=outcome.counters["events.compares"],
        compared_rows=outcome.counters["events.compares"] * config.rows,
        compared_cells=outcome.counters["events.compared_columns"] * config.rows,
        counted_rows=events.counted_rows,
        writes=outcome.counters["events.writes"],
        driven_cells=outcome.counters["events.written_columns"] * config.rows,
        loaded_cells=events.loaded_cells,
        stored_bits=events.stored_bits,
        memory_bits=events.memory_bits,
        instructions=outcome.counters["events.instructions"],
    )
    return time.cycles
