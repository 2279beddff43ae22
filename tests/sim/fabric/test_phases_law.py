"""Phases of clusters on a fabric take the cycles that the law of the built accelerator gives, from go to go."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from golden.accelerator.port_times import executed_port_times
from golden.accelerator.timing import law
from golden.graph import Conv, Graph
from hw.accelerator.config import AcceleratorConfig
from hw.isa import Opcode
from sim.accelerator.phases import Phase, PhaseKind
from sim.fabric.cap_programs import block_program
from sim.fabric.map_programs import elementwise_program, sum_program
from sim.fabric.phases import dot_phase, element_phase, pool_phase
from sim.mapping.builder import Builder, JobPlan
from sim.mapping.errors import MappingError
from sim.mapping.shapes import ElementwiseShape, layer_shape
from tests.sim.accelerator.chains import Chain
from tests.sim.fabric.built import MAP, BuiltConv, BuiltPool, built, phase_commands, tile_work
from tests.sim.mapping_graphs import random_graph

Size = tuple[int, int, int]
Layer = tuple[Size, int, int, int]

LAYERS: dict[int, Layer] = {
    1: ((2, 50, 3), 3, 2, 1),
    2: ((16, 32, 16), 1, 1, 0),
    4: ((15, 30, 16), 3, 2, 1),
    7: ((7, 7, 40), 1, 1, 0),
    8: ((8, 8, 20), 1, 1, 0),
    14: ((28, 7, 33), 3, 2, 1),
}
"""By rows of a set of outputs: size of the input, kernel, stride, padding."""

PLACES = ((1, 1, 8), (2, 1, 8), (3, 1, 2), (4, 1, 8), (4, 2, 8), (3, 2, 2))
"""CAPs that work, MAPs (each of two CAPs if there are two), planes in the queue."""

BLOCKS = ((1, 1), (1, 2), (2, 2), (1, 5))
"""Sets and rounds."""


def convolution(layer: Layer, activation_bits: int, weight_bits: int, *, wider: int = 0) -> Graph:
    """A random convolution whose accumulators have ``wider`` more bits than they need."""
    size, kernel, stride, padding = layer
    chain = Chain(np.random.default_rng(1), size, activation_bits)
    chain.conv(64, kernel, stride, padding, weight_bits=weight_bits, bits=min(activation_bits, 8))
    only = chain.layers[0]
    assert isinstance(only, Conv)
    rescale = replace(only.rescale, accumulator_bits=only.rescale.accumulator_bits + wider)
    return replace(chain.graph, layers=(replace(only, rescale=rescale),))


def cycles(phase: Phase, config: AcceleratorConfig) -> int:
    """What the law of the accelerator gives."""
    return law(phase_commands([phase], config), config).phases[0].cycles


def fabric_cycles(work: BuiltConv) -> int:
    """What the fabric is charged."""
    config, caps = work.config, max(map(len, work.map_caps))
    phase = dot_phase(work.sums, work.shape.requantize, config.map, work.blocks, caps, work.rows, config.gather_queue)
    return phase.total


def works(graph: Graph, mode: str, *, few: bool = False) -> Iterator[BuiltConv]:
    """All ways to divide a convolution that a MAP has row blocks for, or a few of them."""
    ways = list(itertools.product(PLACES, BLOCKS))
    for (caps, maps, queue), (sets, rounds) in ways[:: 5 if few else 1]:
        config = built(caps=caps + caps % 2 if maps == 2 else caps, maps=maps, queue=queue, words=1 << 14)
        work = BuiltConv(graph, config, caps, rounds, sets, mode)
        height = work.shape.output_size[0]
        if max(map(len, work.map_caps)) * work.blocks <= config.taps and (sets - 1) * work.rows < height:
            yield work


WIDTHS = ((8, 8), (4, 4), (2, 2), (5, 3), (1, 1), (1, 8), (8, 1), (3, 7))
SPLITS = ((16, 16), (8, 16), (16, 8), (9, 9), (12, 5), (1, 16))


@pytest.mark.parametrize("rows", LAYERS)
@pytest.mark.parametrize("widths", [(8, 8), (4, 4), (1, 1)], ids=str)
def test_dot_phases(widths: tuple[int, int], rows: int) -> None:
    """Gather units faster and slower than the CAPs, several MAPs, CAPs and blocks."""
    compared = 0
    for work in works(convolution(LAYERS[rows], *widths), "count", few=True):
        assert work.rows == rows
        assert fabric_cycles(work) == cycles(work.phase(), work.config), work
        compared += 1
    assert compared >= 3


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["count", "lut"])
@pytest.mark.parametrize("rows", LAYERS)
@pytest.mark.parametrize("widths", WIDTHS + SPLITS, ids=str)
def test_all_dot_phases(widths: tuple[int, int], rows: int, mode: str) -> None:
    """Whole words in all ways to divide a layer, digits and products in a few."""
    graph = convolution(LAYERS[rows], *widths)
    compared = 0
    for work in works(graph, mode, few=mode == "lut" or widths in SPLITS):
        try:
            wanted = fabric_cycles(work)
        except MappingError:
            continue
        assert wanted == cycles(work.phase(), work.config), work
        compared += 1
    assert compared or mode == "lut"


@pytest.mark.parametrize("mode", ["count", "lut"])
@pytest.mark.parametrize("widths", [(16, 16), (8, 16), (9, 9), (4, 4)], ids=str)
def test_words_in_digits(widths: tuple[int, int], mode: str) -> None:
    """A job of as many planes stands for the windows of cut activations, which the built unit cannot form."""
    graph = convolution(LAYERS[7], *widths)
    for caps, queue in ((1, 8), (4, 2)):
        work = BuiltConv(graph, built(caps=caps, queue=queue), caps, 1, 1, mode)
        assert fabric_cycles(work) == cycles(work.phase(), work.config), work


@pytest.mark.parametrize("caps", [1, 3])
@pytest.mark.parametrize("mode", ["count", "lut"])
def test_a_map_that_comes_late(mode: str, caps: int) -> None:
    """Wide accumulators are filled up before the first word is taken, short dot products are there before."""
    late = 0
    for wider in (0, 16, 30):
        graph = convolution(((8, 8, 3), 1, 1, 0), 1, 1, wider=wider)
        for blocks in (1, 4):
            work = BuiltConv(graph, built(caps=caps), caps, blocks, 1, mode)
            assert fabric_cycles(work) == cycles(work.phase(), work.config), work
            late += first_word(block_program(work.sums, blocks), Opcode.STORE) < first_word(
                sum_program("", work.shape.requantize, work.sums, caps, blocks, MAP).job, Opcode.LOAD
            )
    assert mode == "lut" or late == 4


def first_word(job: JobPlan, opcode: Opcode) -> int:
    """When a tile that waits for nobody moves the first beat of its first LOAD or STORE."""
    port = executed_port_times(job.instructions, job.config)
    first = next(number for number, op in enumerate(port.operations) if op.opcode == opcode)
    return int(port.times[np.searchsorted(port.operation, first)])


def test_the_cluster_with_the_most_blocks_tells_the_time() -> None:
    """Others have fewer sets, fewer rounds or fewer CAPs."""
    graph = convolution(LAYERS[4], 4, 4)
    config = built(caps=4, maps=2, width=2)
    most = BuiltConv(graph, config, 4, 2, 2)
    for other in (replace(most, sets=1), replace(most, rounds=1), replace(most, caps=3), replace(most, caps=1)):
        for first, second in ((most, other), (other, most)):
            phases = [first.phase(0), second.phase(1)]
            both = Phase(
                PhaseKind.COMPUTE, ("conv",), {**phases[0].tiles, **phases[1].tiles},
                {**phases[0].gather, **phases[1].gather},
            )  # fmt: skip
            assert cycles(both, config) == fabric_cycles(most)


@pytest.mark.parametrize("queue", [2, 8])
@pytest.mark.parametrize(
    ("size", "bits", "window", "stride", "padding"),
    [
        ((8, 8, 16), 8, 2, 2, 0),
        ((7, 7, 5), 4, 7, 1, 0),
        ((14, 14, 16), 3, 3, 2, 1),
        ((6, 40, 1), 1, 3, 1, 1),
        ((4, 4, 16), 16, 1, 1, 0),
        ((32, 32, 3), 2, 2, 1, 0),
    ],
)
def test_pool_phases(size: Size, bits: int, window: int, stride: int, padding: int, queue: int) -> None:
    for limits in (None, (1, (1 << bits) - 1), (0, (1 << bits) - 2)):
        if limits is not None and bits == 1:
            continue
        chain = Chain(np.random.default_rng(0), size, bits)
        chain.maximum(window, stride, padding, limits=limits)
        work = BuiltPool(chain.graph, built(queue=queue))
        sets = -(-work.shape.output_size[0] // work.rows)
        run = law(phase_commands([work.phase(number) for number in range(sets)], work.config), work.config)
        phase = pool_phase(work.shape, work.config.map, sets, work.rows, queue)
        assert sum(one.cycles for one in run.phases) == phase.total


@pytest.mark.parametrize("seed", range(12))
def test_element_phases(seed: int) -> None:
    """Batches in one program."""
    config = built()
    graph = random_graph(np.random.default_rng(seed), ("elementwise", "rounded")[seed % 2])
    shape = layer_shape(graph.layers[0], graph)
    assert isinstance(shape, ElementwiseShape)
    for batches in (1, 3):
        builder = Builder(config.map)
        for instruction in elementwise_program(shape, config.map).instructions[:-1] * batches:
            fields = {name: value for name, value in vars(instruction).items() if name != "opcode"}
            builder.emit(Opcode(instruction.opcode), **fields)
        work = tile_work(builder.finish(1), [], config)
        phase = Phase(PhaseKind.ELEMENTWISE, ("add",), {(0, config.caps): work})
        assert element_phase(shape, config.map, batches, "residual").total == cycles(phase, config)
