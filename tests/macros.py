"""What the tests of macros share: engines, operands in a random array, and what plain integers make of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from golden.flexspim.engine import MacroEngine, MacroJob, MacroOutcome, Rows
from golden.flexspim.shape import OperandShape
from golden.graph import Integers
from hw.flexspim.config import MACROS, MacroConfig
from hw.flexspim.isa import MacroInstruction, MacroOpcode, MacroProgram, instruction
from sim.flexspim.rtl_engine import RtlMacro
from sim.flexspim.turbo import TurboMacro

TINY = MACROS["flexspim-tiny"]
FULL = MACROS["flexspim"]

WAYS = ("turbo", "icarus", "verilator")
"""How the Verilog of a macro is run."""


def start(config: MacroConfig, way: str, stall_probability: float = 0.0) -> TurboMacro | RtlMacro:
    """An engine with the Verilog of a macro."""
    if way == "turbo":
        return TurboMacro(config, stall_probability=stall_probability)
    return RtlMacro(config, way, stall_probability=stall_probability)


class MacroPool:
    """Engines by config and way, each started once."""

    def __init__(self) -> None:
        self._engines: dict[tuple[int, str], TurboMacro | RtlMacro] = {}

    def get(self, config: MacroConfig, way: str = "turbo", stall_probability: float = 0.0) -> TurboMacro | RtlMacro:
        """The macro; pauses are as asked for from now on."""
        key = (config.hash, way)
        if key not in self._engines:
            self._engines[key] = start(config, way)
        engine = self._engines[key]
        engine.stall_probability = stall_probability
        return engine

    def close(self) -> None:
        for engine in self._engines.values():
            engine.close()


def job(
    shape: OperandShape,
    rows: Rows,
    program: Sequence[MacroInstruction],
    config: MacroConfig,
    events: Sequence[int] = (),
    more: Sequence[Rows] = (),
) -> MacroJob:
    """A job that loads a whole array, runs a program with a shape, and stores the whole array."""
    whole = {"first": 0, "rows": config.rows}
    instructions = [
        instruction(MacroOpcode.LOAD, **whole),
        shape.instruction(),
        *program,
        instruction(MacroOpcode.STORE, **whole),
    ]
    return MacroJob(
        MacroProgram.build(instructions, config), np.concatenate([rows, shape.planes(config), *more]), events
    )


def placed(array: Rows, first: int, rows: Rows, shape: OperandShape, bits: int) -> None:
    """Put operands of so many bits into an array, and leave cells that hold none of them as they are."""
    columns = np.arange(shape.operands * shape.columns)
    place = columns % shape.columns
    height = -(-bits // shape.columns)
    for number, row in enumerate(rows):
        used = columns[place < bits - number % height * shape.columns]
        array[first + number, used] = row[used]


def chunks(shape: OperandShape, config: MacroConfig, count: int) -> Iterator[slice]:
    """Cut so many pairs of a weight and a potential into what fits an array at once."""
    slices = config.rows // (shape.weight_rows + shape.rows)
    size = max(1, slices) * shape.operands
    for first in range(0, count, size):
        yield slice(first, min(count, first + size))


def padded(numbers: Integers, shape: OperandShape) -> Integers:
    """Numbers as (slices, operands), with zeros at the end."""
    slices = -(-len(numbers) // shape.operands)
    whole = np.zeros(slices * shape.operands, np.int64)
    whole[: len(numbers)] = numbers
    return whole.reshape(slices, shape.operands)


def accumulate_all(
    engine: MacroEngine, shape: OperandShape, weights: Integers, potentials: Integers, seed: int = 0
) -> tuple[Integers, list[tuple[MacroOutcome, int]]]:
    """Add each weight to its potential in arrays of random cells, and look at every cell afterwards.

    Returns the sums, and for each run the outcome with the slices that it worked on.
    """
    config, generator = engine.config, np.random.default_rng(seed)
    sums: list[Integers] = []
    runs: list[tuple[MacroOutcome, int]] = []
    for part in chunks(shape, config, len(weights)):
        array = generator.integers(0, 2, (config.rows, config.columns), np.uint8)
        left, right = padded(weights[part], shape), padded(potentials[part], shape)
        held = shape.weights(left, config)
        placed(array, 0, held, shape, shape.held_bits)
        placed(array, len(held), shape.potentials(right, config), shape, shape.potential_bits)
        op = instruction(MacroOpcode.ACCUMULATE, operand=0, potentials=len(held), slices=len(left))
        outcome = engine.run(job(shape, array, [op], config))
        height = len(right) * shape.rows
        found = shape.numbers(outcome.rows[len(held) : len(held) + height])
        expected = array.copy()
        placed(expected, len(held), shape.potentials(found, config), shape, shape.potential_bits)
        assert np.array_equal(outcome.rows, expected), "a cell changed that holds no potential"
        sums.append(found.reshape(-1)[: part.stop - part.start])
        runs.append((outcome, len(left)))
    return np.concatenate(sums), runs


def range_of(bits: int) -> Integers:
    """Every number of so many bits in two's complement."""
    return np.arange(-(1 << (bits - 1)), 1 << (bits - 1), dtype=np.int64)


def wrapped(numbers: Integers, bits: int) -> Integers:
    """Numbers without the bits above so many, in two's complement."""
    unused = np.int64(64 - bits)
    return numbers << unused >> unused


def clipped(numbers: Integers, bits: int) -> Integers:
    """Numbers within so many bits."""
    return np.clip(numbers, -(1 << (bits - 1)), (1 << (bits - 1)) - 1)
