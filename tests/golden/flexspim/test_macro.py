"""The golden macro: grouped convolutions against sums over taps, and jobs that do not fit their program."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from golden.flexspim.engine import MacroJob, no_rows
from golden.flexspim.macro import GoldenMacro
from golden.flexspim.shape import OperandShape
from hw.flexspim.config import MACROS
from hw.flexspim.isa import MacroOpcode, MacroProgram, instruction
from sim.flexspim.events import bitmap_words, channel_shift, line_words

TALL = MACROS["flexspim-tiny"].replace(name="tall", rows=512)


@pytest.mark.parametrize(("groups", "inputs", "outputs"), [(1, 3, 2), (4, 4, 1), (2, 4, 3), (3, 6, 2)])
@pytest.mark.parametrize(("stride", "padding"), [(1, 1), (2, 0), (2, 2)])
def test_grouped_convolutions(groups: int, inputs: int, outputs: int, stride: int, padding: int) -> None:
    height, width, kernel = 4, 5, 3
    generator = np.random.default_rng(groups)
    lines, places = ((size + 2 * padding - kernel) // stride + 1 for size in (height, width))
    weights = generator.integers(-4, 4, (inputs, kernel, kernel, outputs))
    spikes = generator.random((height, width, inputs)) < 0.4
    shape = OperandShape(weight_bits=3, potential_bits=9, columns=5, operands=outputs)
    per_group = inputs // groups
    held = shape.weights(weights.reshape(-1, outputs), TALL)
    first = len(held)
    slices = lines * places * groups
    program = [
        instruction(MacroOpcode.LOAD, first=0, rows=first),
        instruction(MacroOpcode.LOAD, first=first, rows=slices * shape.rows),
        shape.instruction(),
        instruction(
            MacroOpcode.INPUT,
            height=height, width=width, channels=inputs, channel_shift=channel_shift(inputs), kernel_height=kernel,
            kernel_width=kernel, stride_y=stride // 2, stride_x=stride // 2, padding_y=padding, padding_x=padding,
            line_words=line_words(width, inputs, TALL),
        ),
        instruction(
            MacroOpcode.OUTPUT,
            height=lines, width=places, lines=lines, slices=1, groups=groups, group_shift=per_group.bit_length() - 1,
            potentials=first, weights=0,
        ),
        instruction(MacroOpcode.EVENTS),
        instruction(MacroOpcode.STORE, first=first, rows=slices * shape.rows),
    ]  # fmt: skip
    zeros = shape.potentials(np.zeros((slices, outputs), np.int64), TALL)
    rows = np.concatenate([held, zeros, shape.planes(TALL)])
    job = MacroJob(MacroProgram.build(program, TALL), rows, bitmap_words(spikes, TALL))
    outcome = GoldenMacro(TALL).run(job)
    expected = np.zeros((lines, places, groups, outputs), np.int64)
    for y, x, ky, kx, channel in itertools.product(
        range(lines), range(places), range(kernel), range(kernel), range(inputs)
    ):
        at = y * stride + ky - padding, x * stride + kx - padding
        if 0 <= at[0] < height and 0 <= at[1] < width and spikes[at[0], at[1], channel]:
            expected[y, x, channel // per_group] += weights[channel, ky, kx]
    assert outcome.error == 0
    assert np.array_equal(shape.numbers(outcome.rows).reshape(expected.shape), expected)


def test_jobs_must_have_what_their_program_takes() -> None:
    load = MacroProgram.build([instruction(MacroOpcode.LOAD, first=0, rows=2)], TALL)
    row = np.zeros((1, TALL.columns), np.uint8)
    with pytest.raises(ValueError, match="as many rows as its program takes, not fewer"):
        GoldenMacro(TALL).run(MacroJob(load, row))
    with pytest.raises(ValueError, match="as many rows and events as its program takes, not more"):
        GoldenMacro(TALL).run(MacroJob(MacroProgram.build([], TALL), row))
    with pytest.raises(ValueError, match="as many rows and events as its program takes, not more"):
        GoldenMacro(TALL).run(MacroJob(MacroProgram.build([], TALL), no_rows(TALL), [1]))
