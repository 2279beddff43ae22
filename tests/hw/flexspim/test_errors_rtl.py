"""What a macro refuses: codes and addresses, on the Verilog as in the golden model."""

from __future__ import annotations

import numpy as np
import pytest

from golden.flexspim.engine import MacroEngine, MacroJob, no_rows
from golden.flexspim.macro import GoldenMacro
from golden.flexspim.shape import OperandShape
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
    violation,
)
from tests.macros import TINY, WAYS, MacroPool

SHAPE = OperandShape(weight_bits=3, potential_bits=6, columns=2, operands=5)
PLANES = SHAPE.planes(TINY)
SET = SHAPE.instruction()
INPUT = {
    "height": 3, "width": 4, "channels": 2, "channel_shift": 1, "kernel_height": 2, "kernel_width": 2, "line_words": 1,
}  # fmt: skip
OUTPUT = {
    "height": 2, "width": 3, "lines": 2, "slices": 1, "groups": 1, "potentials": 20, "weights": 0,
}  # fmt: skip
ROWS = TINY.rows


def op(opcode: MacroOpcode, **values: int) -> MacroInstruction:
    return instruction(opcode, **values)


def layer(inputs: dict[str, int], outputs: dict[str, int]) -> list[MacroInstruction]:
    return [SET, op(MacroOpcode.INPUT, **INPUT | inputs), op(MacroOpcode.OUTPUT, **OUTPUT | outputs)]


def operate(opcode: MacroOpcode, **values: int) -> list[MacroInstruction]:
    return [SET, op(opcode, **{"operand": 0, "potentials": 20, "slices": 1} | values)]


M, E = MacroOpcode, MacroError
REFUSED: list[tuple[MacroError, list[MacroInstruction]]] = [
    (E.OPCODE, [MacroInstruction(0x7F)]),
    (E.OPCODE, [op(M.LOOP, count=1), MacroInstruction(0x00)]),
    (E.RESERVED, [MacroInstruction(M.END, {}, 1)]),
    (E.RESERVED, [MacroInstruction(M.LOAD, {"first": 0, "rows": 1}, 4)]),
    (E.RESERVED, [op(M.LOOP, count=1, reserved=8)]),
    (E.RESERVED, operate(M.ACCUMULATE, kind=1)),
    (E.RESERVED, operate(M.ADD, kind=2)),
    (E.RESERVED, operate(M.COMPARE, kind=1)),
    (E.RESERVED, operate(M.RESET, kind=0)),
    (E.RESERVED, operate(M.RESET, kind=3)),
    (E.RESERVED, operate(M.FIRE, kind=3)),
    (E.SHAPE, [op(M.SHAPE, weight_rows=0, potential_rows=1)]),
    (E.SHAPE, [op(M.SHAPE, weight_rows=3, potential_rows=2)]),
    (E.SHAPE, [op(M.SHAPE, weight_rows=3, potential_rows=65)]),
    (E.SHAPE, [op(M.ADD, operand=0, potentials=9, slices=1)]),
    (E.SHAPE, [op(M.OUTPUT, **OUTPUT)]),
    (E.ROWS, [op(M.LOAD, first=0, rows=0)]),
    (E.ROWS, [op(M.LOAD, first=1, rows=ROWS)]),
    (E.ROWS, [op(M.STORE, first=ROWS, rows=1)]),
    (E.ROWS, [op(M.STORE, first=65535, rows=65535)]),
    (E.ROWS, operate(M.ACCUMULATE, slices=0)),
    (E.ROWS, operate(M.ACCUMULATE, potentials=ROWS - 2)),
    (E.ROWS, operate(M.ACCUMULATE, operand=ROWS - 1, potentials=0)),
    (E.ROWS, operate(M.ADD, operand=ROWS - 2, potentials=0)),
    (E.ROWS, operate(M.FIRE, slices=65535)),
    (E.ROWS, operate(M.COMPARE, slices=2)),
    (E.ROWS, operate(M.RESET, slices=2, kind=ResetKind.HARD)),
    (E.OVERLAP, operate(M.ACCUMULATE, potentials=1)),
    (E.OVERLAP, operate(M.ADD, operand=22)),
    (E.OVERLAP, operate(M.FIRE, operand=22, potentials=19, slices=2)),
    (E.LAYER, layer({"height": 0}, {})),
    (E.LAYER, layer({"kernel_width": 0}, {})),
    (E.LAYER, layer({"line_words": 0}, {})),
    (E.LAYER, layer({"channels": 3}, {})),
    (E.LAYER, layer({"channel_shift": 17}, {})),
    (E.LAYER, layer({}, {"slices": 0})),
    (E.LAYER, layer({}, {"groups": 0})),
    (E.LAYER, layer({}, {"first": 1})),
    (E.LAYER, [SET, op(M.OUTPUT, **OUTPUT)]),
    (E.LAYER, [SET, op(M.EVENTS)]),
    (E.LAYER, [*layer({}, {}), op(M.INPUT, **INPUT), op(M.EVENTS)]),
    (E.LAYER, [*layer({}, {}), SET, op(M.EVENTS)]),
    (E.ROWS, [*layer({}, {"potentials": ROWS - 17}), op(M.EVENTS)]),
    (E.ROWS, [*layer({"kernel_height": 2000, "kernel_width": 2000}, {"slices": 200}), op(M.EVENTS)]),
    (E.OVERLAP, [*layer({}, {"potentials": 15}), op(M.EVENTS)]),
    (E.OVERLAP, [*layer({}, {"potentials": 7, "fetch": 1}), op(M.EVENTS)]),
    (E.LOOP, [op(M.LOOP, count=0)]),
    (E.LOOP, [op(M.LOOP, count=1)] * 3),
    (E.LOOP, [op(M.END)]),
    (E.LOOP, [op(M.LOOP, count=2)]),
]


def run(engine: MacroEngine, program: list[MacroInstruction], events: list[int] | None = None) -> tuple[int, int]:
    shapes = sum(one is SET or one == SET for one in program)
    rows = np.concatenate([no_rows(TINY), *[PLANES] * shapes])
    outcome = engine.run(MacroJob(MacroProgram.build(program, TINY), rows, events or []))
    return outcome.error, outcome.address


@pytest.mark.parametrize("way", WAYS[:2])
def test_each_rule(macros: MacroPool, way: str) -> None:
    engine, golden = macros.get(TINY, way), GoldenMacro(TINY)
    seen: set[MacroError] = set()
    for number, (code, program) in enumerate(REFUSED):
        broken = [place for place, one in enumerate(program) if violation(one, TINY)]
        last = len(program) if program[-1] == op(M.LOOP, count=2) else len(program) - 1  # or HALT, in a loop
        address = min(broken, default=last)
        for one in (golden, engine):
            assert run(one, program) == (code, address), f"{number}: {code.name} {program[-1]}"
        seen.add(code)
    assert seen >= {E.OPCODE, E.RESERVED, E.SHAPE, E.ROWS, E.OVERLAP, E.LAYER, E.LOOP}


@pytest.mark.parametrize("way", WAYS[:2])
def test_largest_sizes_are_taken(macros: MacroPool, way: str) -> None:
    fits = [
        [op(M.LOAD, first=ROWS - 1, rows=1)],
        operate(M.ACCUMULATE, operand=ROWS - 2, potentials=ROWS - 5),
        operate(M.ADD, operand=ROWS - 3, potentials=0, slices=(ROWS - 3) // 3),
        [*layer({}, {"potentials": ROWS - 18, "weights": ROWS - 18 - 16}), op(M.EVENTS)],
        [*layer({}, {"potentials": 16}), op(M.EVENTS)],
    ]
    for program in fits:
        loads = program[0].opcode == M.LOAD
        rows = np.zeros((1, TINY.columns), np.uint8) if loads else PLANES
        events = [0, 0, 0] if program[-1].opcode == M.EVENTS else []
        one = MacroJob(MacroProgram.build(program, TINY), rows, events)
        for engine in (macros.get(TINY, way), GoldenMacro(TINY)):
            assert engine.run(one).error is MacroError.NONE, program


def test_planes_that_are_no_operands(macros: MacroPool) -> None:
    generator = np.random.default_rng(8)
    seen: set[MacroError] = set()
    for _ in range(150):
        planes = PLANES.copy()
        for _ in range(int(generator.integers(1, 4))):
            planes[generator.integers(4), generator.integers(TINY.columns)] ^= 1
        one = MacroJob(MacroProgram.build([SET], TINY), planes)
        codes = [engine.run(one).error for engine in (macros.get(TINY), GoldenMacro(TINY))]
        assert codes[0] == codes[1], planes
        seen.add(codes[0])
    assert seen == {MacroError.NONE, MacroError.SHAPE}


def address(y: int, x: int, channel: int) -> int:
    return y << POSITION_BITS | x << 1 | channel


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (EventKind.BITMAP, [0, 1 << 8, 0]),
        (EventKind.BITMAP, [1, 1 << 31, 0]),
        (EventKind.ADDRESSES, [address(3, 0, 0), 1 << EVENT_END]),
        (EventKind.ADDRESSES, [address(0, 0, 0), address(0, 4, 0), 1 << EVENT_END]),
        (EventKind.ADDRESSES, [address(2047, 0, 0), 1 << EVENT_END]),
        (EventKind.ADDRESSES, [(1 << POSITION_BITS) - 1, 1 << EVENT_END]),
    ],
)
def test_events_outside_of_the_input(macros: MacroPool, kind: EventKind, words: list[int]) -> None:
    program = [*layer({}, {}), op(M.EVENTS, kind=kind)]
    for engine in (GoldenMacro(TINY), macros.get(TINY)):
        assert run(engine, program, words) == (MacroError.EVENT, 3)


def test_channels_between_the_last_one_and_the_power_of_two(macros: MacroPool) -> None:
    program = [*layer({"channels": 5, "channel_shift": 3}, {"potentials": 44}), op(M.EVENTS)]
    for engine in (GoldenMacro(TINY), macros.get(TINY)):
        assert run(engine, program, [1 << 5, 0, 0]) == (MacroError.EVENT, 3)


def test_headers_and_ends(macros: MacroPool) -> None:
    engine = macros.get(TINY)
    foreign = MacroProgram((op(M.HALT),), TINY.hash ^ 1)
    endless = MacroProgram((op(M.LOOP, count=1), op(M.END)), TINY.hash)
    for program, code, place in ((foreign, MacroError.CONFIG, 0), (endless, MacroError.END, 2)):
        one = MacroJob(program, no_rows(TINY))
        for model in (engine, GoldenMacro(TINY)):
            outcome = model.run(one)
            assert (outcome.error, outcome.address) == (code, place)
    words = MacroProgram.build([], TINY).words
    for bit, code in ((0, MacroError.MAGIC), (16, MacroError.VERSION)):

        class Broken(MacroProgram):
            """A program with another header."""

        broken = Broken((op(M.HALT),), TINY.hash)
        changed = [words[0] ^ 1 << bit, *words[1:]]
        vars(broken)["words"] = changed
        vars(broken)["image"] = b"".join(word.to_bytes(16, "little") for word in changed)
        assert engine.run(MacroJob(broken, no_rows(TINY))).error == code


def test_loops(macros: MacroPool) -> None:
    add = op(M.ADD, operand=0, potentials=20, slices=2)
    body = [op(M.LOOP, count=3), add, op(M.LOOP, count=2), add, op(M.END), op(M.END)]
    one = MacroJob(MacroProgram.build([SET, *body], TINY), PLANES)
    golden, found = GoldenMacro(TINY).run(one), macros.get(TINY).run(one)
    assert found.counters == golden.counters
    assert found.counters["cycles.array"] == 9 * 2 * SHAPE.rows
    long = [SET, op(M.LOOP, count=2), *[add] * TINY.program_depth, op(M.END)]
    for engine in (GoldenMacro(TINY), macros.get(TINY)):
        assert run(engine, long) == (MacroError.LOOP_LENGTH, TINY.program_depth + 1)


def test_a_macro_goes_on_after_an_error(macros: MacroPool) -> None:
    engine = macros.get(TINY)
    good = MacroJob(MacroProgram.build([SET, op(M.ADD, operand=0, potentials=20, slices=1)], TINY), PLANES)
    for code, program in REFUSED:
        run(engine, [MacroInstruction(0x7F)])  # there is no shape after a reset
        assert run(engine, program)[0] == code
        assert engine.run(good).error is MacroError.NONE
