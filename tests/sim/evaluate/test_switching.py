"""Changing the precision takes no cycles: on the Verilog, operations of many widths take what each takes alone.

In the evaluator, too, a layer costs what its own widths and those of its maps ask for, whatever the others have.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from golden.engine import Job
from hw.counter_map import total_cycles
from hw.isa import Instruction, Opcode, Program
from sim.evaluate.cost import LayerCost
from sim.evaluate.evaluate import evaluator, load_machine
from sim.evaluate.widths import Widths
from sim.fabric.flatten import flattened
from sim.mapping.shapes import LayerShape
from sim.networks.load import load_network
from sim.rtl_engine import RtlEngine
from tests.rtl import TINY

CONFIG = TINY["4r2w"]
HALT = Instruction(Opcode.HALT)
WIDTHS = ((8, 8), (4, 4), (1, 8), (8, 2), (3, 5), (1, 1))


@pytest.fixture(scope="module", params=["icarus", pytest.param("verilator", marks=pytest.mark.slow)])
def engine(request: pytest.FixtureRequest) -> Iterator[RtlEngine]:
    with RtlEngine(CONFIG, request.param) as made:
        yield made


def dot(widths: tuple[int, int]) -> Instruction:
    """A DOT of activations and weights of these widths."""
    return Instruction(Opcode.DOT, a=0, a_width=widths[0], b=8, b_width=widths[1], b_signed=True)


def requantise(width: int) -> Instruction:
    """A product with a multiplier of 3 bits, as requantisation has it."""
    return Instruction(Opcode.MUL, a=0, a_width=width, b=8, b_width=3, d=16, d_width=width + 3)


def cycles(engine: RtlEngine, operations: Sequence[Instruction]) -> int:
    """Cycles of a program by the hardware's own counters."""
    outcome = engine.run(Job(Program.build([*operations, HALT], CONFIG)))
    return total_cycles(outcome.counters)


def test_widths_one_after_the_other(engine: RtlEngine) -> None:
    """Every order of widths takes the sum of the same DOTs alone, and so does no change at all."""
    nothing = cycles(engine, ())
    alone = {widths: cycles(engine, [dot(widths)]) - nothing for widths in WIDTHS}
    assert alone == {(a, b): a * b + 2 for a, b in WIDTHS}
    wanted = nothing + sum(alone.values())
    rng = random.Random(1)
    orders = [WIDTHS, WIDTHS[::-1], *(rng.sample(WIDTHS, len(WIDTHS)) for _ in range(10))]
    assert {cycles(engine, [dot(widths) for widths in order]) for order in orders} == {wanted}
    for first, second in itertools.product(WIDTHS, repeat=2):
        both = cycles(engine, [dot(first), dot(second)])
        assert both == nothing + alone[first] + alone[second], (first, second)


def test_layers_one_after_the_other(engine: RtlEngine) -> None:
    """The same where each width has its dot products and its requantisation, as layers do."""
    nothing = cycles(engine, ())
    layers = {bits: [dot((bits, bits)), dot((bits, bits)), requantise(bits)] for bits in (8, 4, 1)}
    alone = {bits: cycles(engine, layer) - nothing for bits, layer in layers.items()}
    for order in itertools.permutations(layers):
        program = [operation for bits in order for operation in layers[bits]]
        assert cycles(engine, program) == nothing + sum(alone.values()), order


def test_cells_do_not_matter(engine: RtlEngine) -> None:
    """Planes of ones, of zeros and of noise take the same."""
    rng = np.random.default_rng(1)
    load = Instruction(Opcode.LOAD, d=0, d_width=16)
    program = Program.build([load, *(dot(widths) for widths in WIDTHS), HALT], CONFIG)
    noise = rng.integers(0, 2, (16, CONFIG.rows), np.uint8)
    found = {
        total_cycles(engine.run(Job(program, (planes,))).counters)
        for planes in (noise, np.zeros_like(noise), np.ones_like(noise))
    }
    assert len(found) == 1


def test_other_layers_do_not_matter() -> None:
    """The same shape, which has the widths of the layer's own numbers, costs the same in every network of widths."""
    network = load_network("resnet18")
    run = evaluator(network, load_machine("lr"), residual_bits=16)
    rng = random.Random(1)
    known: dict[LayerShape, LayerCost] = {}
    compared = 0
    for _ in range(8):
        bits = {layer.name: (rng.choice((2, 4, 8)), rng.choice((2, 4, 8))) for layer in network.weight_layers}
        widths = Widths(layers=bits, residual_bits=16)
        for shape, layer in zip(flattened(network.shapes(widths)), run.layers(widths), strict=True):
            compared += shape in known
            assert known.setdefault(shape, layer) == layer
    assert compared > 50
