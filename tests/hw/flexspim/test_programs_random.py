"""Random programs on the Verilog and on the golden macro: cells, spikes, counters, with pauses on all streams."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from golden.flexspim.engine import MacroEngine, MacroJob, MacroOutcome, Rows, no_rows
from golden.flexspim.layer import Layer, scan
from golden.flexspim.macro import GoldenMacro
from golden.flexspim.shape import OperandShape
from hw.flexspim.config import MacroConfig
from hw.flexspim.isa import (
    EVENT_END,
    POSITION_BITS,
    EventKind,
    MacroError,
    MacroInstruction,
    MacroOpcode,
    MacroProgram,
    ResetKind,
    instruction,
)
from sim.flexspim.events import channel_shift, line_words
from tests.macros import TINY, WAYS, MacroPool
from tests.rtl import random_settings

TALL = TINY.replace(name="tall", rows=256)


@dataclass
class Draft:
    """A program that grows, with the words that it will take."""

    config: MacroConfig
    generator: np.random.Generator
    instructions: list[MacroInstruction] = field(default_factory=list[MacroInstruction])
    rows: list[Rows] = field(default_factory=list[Rows])
    events: list[int] = field(default_factory=list[int])

    def number(self, low: int, high: int) -> int:
        """A number from low to high."""
        return int(self.generator.integers(low, high + 1))

    def some_rows(self, count: int) -> Rows:
        return self.generator.integers(0, 2, (count, self.config.columns), np.uint8)

    def add(self, opcode: MacroOpcode, **values: int) -> None:
        self.instructions.append(instruction(opcode, **values))

    def shape(self) -> OperandShape:
        potential = self.number(1, 20)
        columns = self.number(1, min(potential, self.config.operand_columns))
        shape = OperandShape(
            weight_bits=self.number(1, 20), potential_bits=potential, columns=columns,
            operands=self.number(1, self.config.parallel(columns)), saturate=bool(self.number(0, 1)),
        )  # fmt: skip
        planes = shape.planes(self.config)
        spare = self.config.columns - shape.operands * columns
        self.instructions.append(shape.instruction())
        self.rows.append(np.roll(planes, self.number(0, spare), axis=1))
        return shape

    def operate(self, shape: OperandShape) -> None:
        """One instruction on rows that do not overlap."""
        opcode = (MacroOpcode.ACCUMULATE, MacroOpcode.ADD, MacroOpcode.COMPARE, MacroOpcode.RESET, MacroOpcode.FIRE)[
            self.number(0, 4)
        ]
        one = opcode in (MacroOpcode.COMPARE, MacroOpcode.RESET)
        height = shape.rows + (shape.weight_rows if opcode is MacroOpcode.ACCUMULATE else 0)
        free = self.config.rows - (0 if opcode is MacroOpcode.ACCUMULATE else shape.rows)
        slices = 1 if one else self.number(1, min(5, free // height))
        operand_rows = shape.weight_rows * slices if opcode is MacroOpcode.ACCUMULATE else shape.rows
        rows = operand_rows + shape.rows * slices
        first = self.number(0, self.config.rows - rows)
        above = bool(self.number(0, 1))
        kind = self.number(0, 2) if opcode is MacroOpcode.FIRE else 0
        if opcode is MacroOpcode.RESET:
            kind = self.number(1, 2)
        where = {
            "operand": first if above else first + shape.rows * slices,
            "potentials": first + operand_rows if above else first,
            "slices": slices,
        }
        if opcode is MacroOpcode.RESET:  # of operands that spiked
            self.add(MacroOpcode.COMPARE, **where)
        self.add(opcode, **where, kind=kind)

    def layer(self, shape: OperandShape) -> None:
        """A layer with events; nothing where it would not fit."""
        groups, per_group = self.number(1, 3), 1 << self.number(0, 1)
        channels = groups * per_group if groups > 1 else self.number(1, 5)
        height, width = self.number(1, 4), self.number(1, 5)
        inputs = instruction(
            MacroOpcode.INPUT,
            height=height, width=width, channels=channels, channel_shift=channel_shift(channels) + self.number(0, 1),
            kernel_height=self.number(1, 3), kernel_width=self.number(1, 3), stride_y=self.number(0, 2),
            stride_x=self.number(0, 2), padding_y=self.number(0, 3), padding_x=self.number(0, 3),
            line_words=line_words(width, 2 * channels, self.config) + self.number(0, 1),
        )  # fmt: skip
        output_height = self.number(1, 4)
        lines = self.number(1, output_height)
        outputs = instruction(
            MacroOpcode.OUTPUT,
            height=output_height, width=self.number(1, 4), first=self.number(0, output_height - lines), lines=lines,
            slices=self.number(1, 2), groups=groups, group_shift=per_group.bit_length() - 1,
            fetch=self.number(0, 1), potentials=0, weights=0,
        )  # fmt: skip
        layer = Layer(inputs, outputs, shape.weight_rows, shape.rows)
        sizes = len(layer.potentials), len(layer.weights)
        if sum(sizes) > self.config.rows:
            return
        at = self.number(0, self.config.rows - sum(sizes))
        values = dict(outputs.values)
        values |= {"potentials": at, "weights": at + sizes[0]} if self.number(0, 1) else {
            "potentials": at + sizes[1], "weights": at
        }  # fmt: skip
        layer = Layer(inputs, instruction(MacroOpcode.OUTPUT, **values), shape.weight_rows, shape.rows)
        self.instructions += [inputs, layer.outputs]
        for _ in range(self.number(1, 2)):
            self.take_events(layer)

    def take_events(self, layer: Layer) -> None:
        shift, density = layer.inputs["channel_shift"], (0.0, 0.1, 0.4, 1.0)[self.number(0, 3)]
        places = [
            (y, x << shift | channel)
            for y in range(layer.inputs["height"])
            for x in range(layer.inputs["width"])
            for channel in range(layer.inputs["channels"])
            if self.generator.random() < density
        ]
        kind = EventKind(self.number(0, 1))
        if kind is EventKind.ADDRESSES:
            places = [places[place] for place in self.generator.permutation(len(places))]
            words = [*(y << POSITION_BITS | position for y, position in places), 1 << EVENT_END]
        else:
            bits, line = self.config.event_bits, layer.inputs["line_words"]
            words = [0] * (layer.inputs["height"] * line)
            for y, position in places:
                words[y * line + position // bits] |= 1 << position % bits
        events, _, used = scan(layer, kind, words, self.config)
        assert used == len(words)
        assert len(events) == len(places)
        channel = -1
        for event in events:
            if layer.outputs["fetch"] and layer.rows_of(event) and event.channel != channel:
                channel = event.channel
                self.rows.append(self.some_rows(layer.channel_rows))
        self.events += words
        self.add(MacroOpcode.EVENTS, kind=kind)

    def job(self) -> MacroJob:
        rows = np.concatenate([no_rows(self.config), *self.rows])
        return MacroJob(MacroProgram.build(self.instructions, self.config), rows, self.events)


def draft(config: MacroConfig, seed: int) -> MacroJob:
    """A random program that begins with a load of all rows and ends with a store of all."""
    one = Draft(config, np.random.default_rng(seed))
    one.add(MacroOpcode.LOAD, first=0, rows=config.rows)
    one.rows.append(one.some_rows(config.rows))
    for _ in range(one.number(1, 3)):
        shape = one.shape()
        for _ in range(one.number(0, 4)):
            if one.number(0, 2):
                one.operate(shape)
            else:
                one.layer(shape)
    one.add(MacroOpcode.STORE, first=0, rows=config.rows)
    return one.job()


def compare(engine: MacroEngine, one: MacroJob, golden: MacroOutcome) -> MacroOutcome:
    found = engine.run(one)
    assert (found.error, golden.error) == (MacroError.NONE, MacroError.NONE)
    assert np.array_equal(found.rows, golden.rows)
    assert np.array_equal(found.spikes, golden.spikes)
    assert {**found.counters, "cycles.stall": 0} == golden.counters
    return found


@random_settings(80)
@given(seed=st.integers(0, 2**32 - 1))
@example(seed=1)
def test_random_programs(macros: MacroPool, seed: int) -> None:
    one = draft(TALL, seed)
    golden = GoldenMacro(TALL).run(one)
    assert compare(macros.get(TALL), one, golden).counters["cycles.stall"] == 0
    assert compare(macros.get(TALL, "turbo", 0.3), one, golden).counters["cycles.stall"] > 0


@pytest.mark.parametrize("way", WAYS[1:])
def test_random_programs_in_simulators(macros: MacroPool, way: str) -> None:
    for seed in range(100, 112):
        one = draft(TALL, seed)
        compare(macros.get(TALL, way, 0.0 if seed % 2 else 0.2), one, GoldenMacro(TALL).run(one))


def test_programs_have_every_opcode_and_kind() -> None:
    jobs = [draft(TALL, seed) for seed in range(60)]
    found = {(op.opcode, op["kind"]) for one in jobs for op in one.program}
    wanted = {(MacroOpcode.FIRE, kind) for kind in ResetKind} | {(MacroOpcode.EVENTS, kind) for kind in EventKind}
    wanted |= {(MacroOpcode.RESET, kind) for kind in (ResetKind.HARD, ResetKind.SOFT)}
    wanted |= {(opcode, 0) for opcode in (MacroOpcode.ACCUMULATE, MacroOpcode.ADD, MacroOpcode.COMPARE)}
    assert wanted <= found
    assert any(op["groups"] > 1 and op["fetch"] for one in jobs for op in one.program)
