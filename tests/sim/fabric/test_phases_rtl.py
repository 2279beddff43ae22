"""Programs of fabrics on the golden accelerator and on the Verilog: numbers and cycles of whole phases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from golden import operators
from golden.accelerator.machine import GoldenAccelerator
from golden.accelerator.timing import law
from golden.graph import Graph
from hw.accelerator.protocol import AcceleratorError
from sim.accelerator.rtl_engine import RtlAccelerator
from sim.fabric.phases import pool_phase
from tests.sim.accelerator.chains import Chain
from tests.sim.accelerator.counted import assert_law
from tests.sim.fabric.built import BuiltConv, BuiltPool, built, input_writes, phase_commands
from tests.sim.fabric.test_phases_law import convolution, fabric_cycles
from tests.sim.mapping_graphs import random_input

CONFIG = built(caps=4, maps=2, queue=2, width=1)
"""The one accelerator that is built as Verilog."""

CASES: dict[str, tuple[Graph, int, int, int, str]] = {
    "8x8, 1x1": (convolution(((8, 8, 20), 1, 1, 0), 8, 8), 4, 2, 1, "count"),
    "4x4, 3x3": (convolution(((14, 14, 16), 3, 1, 1), 4, 4), 3, 1, 2, "count"),
    "2x2, stride 2": (convolution(((15, 30, 5), 3, 2, 1), 2, 2), 4, 2, 2, "count"),
    "5x3, rows beyond the map": (convolution(((7, 7, 33), 1, 1, 0), 5, 3), 1, 5, 1, "count"),
    "1x1": (convolution(((8, 8, 16), 1, 1, 0), 1, 1), 4, 4, 1, "count"),
    "8x16, weights in digits": (convolution(((8, 8, 16), 1, 1, 0), 8, 16), 4, 2, 1, "count"),
    "4x4, products": (convolution(((7, 7, 20), 1, 1, 0), 4, 4), 2, 2, 1, "lut"),
    "1x1, products": (convolution(((8, 8, 16), 1, 1, 0), 1, 1), 4, 2, 1, "lut"),
}
"""By name: graph, CAPs, rounds, sets, mode."""


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("maps", [1, 2])
def test_numbers_of_dot_phases(case: str, maps: int) -> None:
    """Sums of the CAPs' dot products, requantised in the MAPs, are those of the integer operators."""
    graph, caps, rounds, sets, mode = CASES[case]
    work = BuiltConv(graph, built(caps=4, maps=maps), caps, rounds, sets, mode)
    if max(map(len, work.map_caps)) * work.blocks > work.config.taps:
        work = replace(work, rounds=1)
    assert work.fed
    values = random_input(np.random.default_rng(len(case)), graph)
    commands = [
        *input_writes(values, graph, work.config),
        *phase_commands([work.phase(), *work.results()], work.config),
    ]
    outcome = GoldenAccelerator(work.config, seed=2).run(commands)
    assert outcome.error is AcceleratorError.NONE, outcome
    expected = operators.run(graph, values)[graph.output]
    assert work.compare(outcome.words, expected) > 0


POOLS = {
    "2x2": ((8, 8, 16), 8, 2, 2, 0),
    "3x3, padding": ((14, 14, 5), 3, 3, 2, 1),
    "global": ((7, 7, 16), 4, 7, 1, 0),
}
"""By name: size, bits, window, stride, padding."""


def pool(case: str) -> BuiltPool:
    size, bits, window, stride, padding = POOLS[case]
    chain = Chain(np.random.default_rng(0), size, bits)
    chain.maximum(window, stride, padding, limits=(1, (1 << bits) - 2))
    return BuiltPool(chain.graph, CONFIG)


@pytest.mark.parametrize("case", POOLS)
def test_numbers_of_pool_phases(case: str) -> None:
    work = pool(case)
    values = random_input(np.random.default_rng(1), work.graph)
    expected = operators.run(work.graph, values)[work.graph.output]
    for number in range(-(-expected.shape[0] // work.rows)):
        phases = [work.phase(number), work.result()]
        commands = [*input_writes(values, work.graph, CONFIG), *phase_commands(phases, CONFIG)]
        outcome = GoldenAccelerator(CONFIG, seed=number).run(commands)
        assert outcome.error is AcceleratorError.NONE, outcome
        work.compare(number, outcome.words, expected)


@pytest.fixture(scope="module")
def engine() -> Iterator[RtlAccelerator]:
    with RtlAccelerator(CONFIG, seed=3) as engine:
        yield engine


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_dot_phases_on_the_verilog(engine: RtlAccelerator, case: str) -> None:
    graph, caps, rounds, sets, mode = CASES[case]
    work = BuiltConv(graph, CONFIG, caps, rounds, sets, mode)
    values = random_input(np.random.default_rng(len(case)), graph)
    commands = [*input_writes(values, graph, CONFIG), *phase_commands([work.phase(), *work.results()], CONFIG)]
    outcome = engine.run(commands)
    work.compare(outcome.words, operators.run(graph, values)[graph.output])
    assert outcome.goes[1] - outcome.goes[0] == fabric_cycles(work)
    assert_law(outcome, law(commands, CONFIG), CONFIG)


@pytest.mark.slow
@pytest.mark.parametrize("case", POOLS)
def test_pool_phases_on_the_verilog(engine: RtlAccelerator, case: str) -> None:
    work = pool(case)
    values = random_input(np.random.default_rng(1), work.graph)
    commands = [*input_writes(values, work.graph, CONFIG), *phase_commands([work.phase(0), work.result()], CONFIG)]
    outcome = engine.run(commands)
    work.compare(0, outcome.words, operators.run(work.graph, values)[work.graph.output])
    wanted = pool_phase(work.shape, CONFIG.map, 1, work.rows, CONFIG.gather_queue).total
    assert outcome.goes[1] - outcome.goes[0] == wanted
    assert_law(outcome, law(commands, CONFIG), CONFIG)
