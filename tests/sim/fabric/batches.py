"""Batches of MAPs with data: constants that fit a shape, sums as CAPs store them, and what the tile is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from golden.engine import Bits, Engine, Job, Outcome
from golden.graph import Conv, Elementwise, FeatureMap, Graph, Integers, Layer, Rescale
from hw.config import TileConfig
from hw.isa import ErrorCode, Instruction, Opcode, Program
from sim.fabric.accounts import Parts, account
from sim.fabric.cap_programs import Sums
from sim.fabric.map_programs import BiasLoad, SumLoad, sum_program
from sim.mapping.bits import PLAIN, from_bits, to_bits
from sim.mapping.builder import JobPlan, Source
from sim.mapping.dot_layer import constant_planes
from sim.mapping.requantize import ConstantLoad
from sim.mapping.shapes import ConvShape, ElementwiseShape, LayerShape, RequantizeShape, layer_shape
from tests.sim.fabric.blocks import wrapped
from tests.sim.fabric.evaluated import Evaluated


def requantize_shape(rescale: Rescale, bits: int) -> RequantizeShape:
    """The shape of constants whose output has so many bits."""
    weights = np.zeros((1, 1, 1, 1), np.int64)
    layer = Conv("x", ("in",), "out", "conv2d", weights, 1, (1, 1), (1, 1), (0, 0), 0, 1, rescale)
    shape = _shape_of(layer, (1,), bits)
    assert isinstance(shape, ConvShape)
    return shape.requantize


def _shape_of(layer: Layer, bits: Sequence[int], output_bits: int) -> LayerShape:
    sources = {name: FeatureMap(name, (1, 1, 1), width, 0, 1.0) for name, width in zip(layer.inputs, bits, strict=True)}
    maps = {**sources, "out": FeatureMap("out", (1, 1, 1), output_bits, 0, 1.0)}
    return layer_shape(layer, Graph("x", layer.inputs[0], "out", maps, (layer,)))


def random_rescale(rng: np.random.Generator, shape: RequantizeShape, entries: int) -> Rescale:
    """Random constants of exactly this shape, at least two entries; biases of any length.

    The first ones have the largest and the smallest multiplier that the shape allows.
    """

    def constants(multiplier: Sequence[int] | Integers, addend: Sequence[int] | Integers) -> Rescale:
        bias = _of_any_length(rng, max(1, shape.accumulator_bits - 6), (len(multiplier),), signed=True)
        numbers, addends = np.array(multiplier, np.int64), np.array(addend, np.int64)
        return Rescale(
            numbers, addends, addends, shape.shift, shape.offset2, shape.low, shape.high, bias,
            shape.accumulator_bits, shape.operand_bits, shape.ties,
        )  # fmt: skip

    def fits(multiplier: Sequence[int] | Integers, addend: Sequence[int] | Integers) -> bool:
        return requantize_shape(constants(multiplier, addend), shape.bits) == shape

    assert not shape.two_sided
    top = (1 << shape.operand_bits) - 1
    if shape.uniform:
        chosen = next(number for number in rng.integers(1, top + 1, 10_000) if fits([number], [0]))
        return constants([chosen] * entries, [0] * entries)
    low, high = 1, top - 1
    while low < high:  # the least multiplier whose output saturates where the shape says
        middle = (low + high) // 2
        low, high = (low, middle) if fits([top, middle], [0, 0]) else (middle + 1, high)
    numbers = np.exp(rng.uniform(np.log(low), np.log(top), entries)).astype(np.int64).clip(low, top)
    numbers[:2] = top, low
    addends = rng.integers(0, 1 << min(shape.operand_bits, shape.shift - 1), entries)
    addends[:2] = 0
    return constants(numbers, addends if fits(numbers, addends) else 0 * addends)


@dataclass(frozen=True)
class Batch:
    """What a MAP takes: sums of some CAPs' blocks, and the constants for each row block.

    Parameters
    ----------
    sums : how CAPs form them.
    fields : of each block and CAP, the numbers of each sum of digits: (blocks, caps, sums of digits, outputs).
    rescale : constants of all channels.
    channels : of each row block, block by block; -1 for none.
    """

    sums: Sums
    fields: Integers
    rescale: Rescale
    channels: Integers

    @classmethod
    def random(cls, rng: np.random.Generator, sums: Sums, blocks: int, caps: int, rescale: Rescale) -> Batch:
        """Numbers of any size that the stored planes can hold, small ones as often as large ones."""
        fields = _random_fields(rng, sums, (blocks, caps, sums.config.outputs))
        channels = rng.integers(0, len(rescale.multiplier), blocks * caps)
        return cls(sums, np.stack(fields, axis=2), rescale, channels)

    @property
    def accumulators(self) -> Integers:
        """Sums and bias, as wide as the accumulator: (row blocks, outputs)."""
        places = np.array([digits.place for digits, _ in self.sums.stored])
        totals = (self.fields << places[:, None]).sum(axis=2).reshape(len(self.channels), -1)
        return wrapped(totals + self.bias[:, None], self.sums.accumulator_bits)

    @property
    def bias(self) -> Integers:
        """Of each row block."""
        return np.where(self.channels >= 0, self.rescale.bias[self.channels], 0)

    def planes(self, shape: RequantizeShape, config: TileConfig, source: Source) -> Bits:
        """The planes of one LOAD."""
        if isinstance(source, SumLoad):
            numbers = self.fields[source.block, source.cap, source.digits]
            return np.ascontiguousarray(to_bits(numbers, self.sums.stored[source.digits][1]).T)
        if isinstance(source, BiasLoad):
            spread = np.zeros(config.taps, np.int64)
            spread[: len(self.bias)] = self.bias
            return np.ascontiguousarray(to_bits(spread, shape.accumulator_bits).T)
        assert isinstance(source, ConstantLoad)
        return constant_planes(source, self.rescale, self.channels, shape.operand_bits, config, PLAIN)


def _of_any_length(rng: np.random.Generator, bits: int, size: tuple[int, ...], *, signed: bool) -> Integers:
    """Two's complement numbers of at most so many bits, short ones as often as long ones; not negative if unsigned."""
    numbers = rng.integers(0, 1 << (bits - 1), size) >> rng.integers(0, bits, size)
    return np.where(rng.random(size) < 0.5, ~numbers, numbers) if signed else numbers


def _random_fields(rng: np.random.Generator, sums: Sums, size: tuple[int, ...]) -> list[Integers]:
    """Sums of digits whose total is of any length, and of which each takes a random share."""
    top, width = sums.stored[-1]
    left = _of_any_length(rng, min(sums.accumulator_bits, top.place + width), size, signed=top.signed)
    fields: list[Integers] = []
    for (digits, bits), (below, below_bits) in zip(sums.stored[:0:-1], sums.stored[-2::-1], strict=True):
        number = left >> digits.place
        room = 1 << max(0, below_bits - 1 - (digits.place - below.place))
        number -= rng.integers(-room if below.signed else 0, room, size)
        limit = 1 << (bits - 1)
        number = number.clip(-limit if digits.signed else 0, limit - 1)
        fields.append(number)
        left = left - (number << digits.place)
    return [left >> sums.stored[0][0].place, *reversed(fields)]


def random_elementwise(rng: np.random.Generator, shape: ElementwiseShape) -> Elementwise:
    """A layer of exactly this shape with random factors and addends."""
    assert shape.rounded is None
    assert not shape.two_sided
    top = (1 << shape.factor_bits) - 1
    for _ in range(10_000):
        factors = [int(number) for number in rng.integers(top // 4, top + 1, len(shape.inputs))]
        factors[int(rng.integers(len(factors)))] = top
        limit = 1 << (shape.constant_bits - 1)
        addend = int(rng.integers(-limit, limit))
        layer = Elementwise(
            shape.name, shape.inputs, "out", shape.op, tuple(factors), shape.factor_bits, 0, addend, addend,
            shape.shift, shape.low, shape.high,
        )  # fmt: skip
        found = _shape_of(layer, shape.activation_bits, shape.output_bits)
        assert isinstance(found, ElementwiseShape)
        if (found.sum_bits, found.constant_bits) == (shape.sum_bits, shape.constant_bits):
            return layer
    raise AssertionError(f"no constants found for {shape}")


def load_columns(config: TileConfig, planes: Bits) -> Job:
    """A job that writes planes of R bits to the columns from 0 on."""
    program = [Instruction(Opcode.LOAD, d=0, d_width=len(planes)), Instruction(Opcode.HALT)]
    return Job(Program.build(program, config), [planes])


def store_columns(config: TileConfig, count: int) -> Job:
    """A job that shows the columns from 0 on."""
    program = [Instruction(Opcode.STORE, a=0, a_width=count), Instruction(Opcode.HALT)]
    return Job(Program.build(program, config))


def run_map(engine: Engine, plan: JobPlan, planes: Callable[[Source], Bits], bits: int) -> tuple[Outcome, Integers]:
    """Run a MAP's program; returns what it counted, and the stored numbers of its first columns, (taps, outputs)."""
    outcome = engine.run(Job(plan.program, [planes(source) for source in plan.loads]))
    shown = engine.run(store_columns(engine.config, bits))
    assert shown.error is ErrorCode.NONE
    return outcome, from_bits(shown.planes[0].T).reshape(engine.config.taps, engine.config.outputs)


def assert_evaluated(found: Evaluated, parts: Parts) -> None:
    """What the evaluator says of a layer's MAPs is what the hardware counted for its first phase, for each phase.

    What a MAP does while sums still come is hidden.  In mode ``lut`` CAPs have sums over rows as well.
    """
    counting = found.phases[0]["sums"].mode == "count"
    for part in ("requantise", "relu", "reduce") if counting else ("requantise", "relu"):
        total = 0
        for phase in found.phases:
            names = ("sums", "shape", "blocks", "caps", "tile")
            assert [phase[name] for name in names] == [found.phases[0][name] for name in names]
            program = sum_program("", phase["shape"], phase["sums"], phase["caps"], phase["blocks"], phase["tile"])
            hidden = account(program.job.instructions, phase["tile"], "requantise", after=program.joined).mark
            total += parts.get(part, 0) - hidden.get(part, 0)
        assert found.cost.cycles.get(part, 0) == total, part
