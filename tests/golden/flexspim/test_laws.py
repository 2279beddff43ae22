"""The laws of a macro: a scanner and an array that step through every cycle, and the texts."""

from __future__ import annotations

import numpy as np
import pytest

from golden.flexspim.engine import MacroJob
from golden.flexspim.laws import LAWS, TERMS, event_slices, events_cycles, fire_cycles, layer_cycles
from golden.flexspim.macro import GoldenMacro
from golden.flexspim.shape import OperandShape
from hw.flexspim.config import MACROS
from hw.flexspim.isa import MacroInstruction, MacroOpcode, MacroProgram, instruction

TINY = MACROS["flexspim-tiny"]


def stepped(events: list[tuple[int, int]], empty: int) -> int:
    """Cycles of an EVENTS, cycle by cycle: a scanner with a place for one event, and an array that works."""
    words = [word for skipped, cycles in events for word in [None] * skipped + [cycles]] + [None] * empty
    shown: int | None = None
    busy = cycle = 0
    while True:
        cycle += 1
        idle = not words and shown is None and not busy
        takes = shown is not None and busy <= 1
        looks = words and (shown is None or takes)
        busy = max(busy - 1, 0)
        if takes:
            assert shown is not None
            busy, shown = shown, None
        if looks:
            word = words.pop(0)
            shown = word if word is not None else shown
        if idle:
            return cycle


@pytest.mark.parametrize("seed", range(200))
def test_events_are_a_pipeline_of_two_stages(seed: int) -> None:
    generator = np.random.default_rng(seed)
    count = int(generator.integers(0, 8))
    events = [(int(generator.integers(0, 4)), int(generator.integers(0, 5))) for _ in range(count)]
    empty = int(generator.integers(0 if count else 1, 6))
    assert events_cycles(events, empty) == stepped(events, empty)


def test_formulas() -> None:
    assert event_slices(9, 32, 16) == 18
    assert event_slices(1, 10, 16) == 1
    assert event_slices(0, 10, 16) == 0
    assert fire_cycles(2, 10, 3) == 26
    assert layer_cycles(2, 100, 10, 3) == 226


def test_texts_have_every_opcode_and_only_known_terms() -> None:
    assert set(LAWS) == set(MacroOpcode)
    for law in LAWS.values():
        assert set(law) <= {"control", "move", "array", "scan"}
        for text in law.values():
            assert isinstance(eval(text, {}, dict.fromkeys(TERMS, 1)), int)


def test_texts_say_what_instructions_take() -> None:
    shape = OperandShape.widest(3, 7, 2, TINY)
    rows = {"operand": 0, "potentials": 20}
    cases: list[tuple[MacroInstruction, dict[str, int]]] = [
        (instruction(MacroOpcode.ACCUMULATE, **rows, slices=3), {"slices": 3}),
        (instruction(MacroOpcode.ADD, **rows, slices=5), {"slices": 5}),
        (instruction(MacroOpcode.COMPARE, **rows, slices=1), {}),
        (instruction(MacroOpcode.FIRE, **rows, slices=4), {"slices": 4}),
        (instruction(MacroOpcode.STORE, first=2, rows=9), {"rows": 9}),
        (shape.instruction(), {}),
        (instruction(MacroOpcode.END), {}),
    ]
    for op, terms in cases:
        planes = 2 if op.opcode == MacroOpcode.SHAPE else 1
        program = [shape.instruction(), op]
        if op.opcode == MacroOpcode.END:
            program = [shape.instruction(), instruction(MacroOpcode.LOOP, count=1), op]
        job = MacroJob(MacroProgram.build(program, TINY), np.concatenate([shape.planes(TINY)] * planes))
        counters = GoldenMacro(TINY).run(job).counters
        known = dict.fromkeys(TERMS, 0) | {"N_R": shape.rows} | terms
        executed = [*program, instruction(MacroOpcode.HALT)]
        for owner in ("control", "move", "array", "scan"):
            law = sum(eval(LAWS[MacroOpcode(one.opcode)].get(owner, "0"), {}, known) for one in executed)
            assert counters[f"cycles.{owner}"] == law + (len(executed) if owner == "control" else 0)
