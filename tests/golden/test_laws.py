"""The cycle laws against their formulas, classical values, and a simulator that steps through every cycle."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from golden.engine import Job
from golden.laws import LAWS, PORT_OPERATIONS, LawEngine, Timeline, body_cycles, events, port_steps, run_law
from golden.tile import GoldenTile
from hw.config import CONFIGS, TileConfig
from hw.counter_map import COUNTERS
from hw.isa import OPERATIONS, ErrorCode, Instruction, LoadKind, Opcode, Owner, Program, StoreKind
from tests.programs import ProgramMaker, overflow_program, random_program

SMALL, CAP64 = CONFIGS["small"], CONFIGS["cap64"]
TIMING = (
    *[Opcode.LOAD, Opcode.STORE, Opcode.DRAIN, Opcode.RESTORE] * 2,
    Opcode.SYNC, Opcode.DOT, Opcode.FILL, Opcode.INIT, Opcode.AND, Opcode.MOVE,
)  # fmt: skip


def step_by_step(instructions: list[Instruction], config: TileConfig) -> dict[str, int]:
    """The timing rules of the contract, one cycle at a time, and nothing else."""
    cycles = dict.fromkeys((f"cycles.{owner.name.lower()}" for owner in Owner), 0)
    queue: list[dict[str, int]] = []  # the port's operations: steps left, is it a store, has it the snapshot
    steps_made = 0

    def tick(owner: str, is_open: bool) -> None:
        nonlocal steps_made
        cycles[f"cycles.{owner}"] += 1
        if is_open and queue:
            steps_made += 1
            queue[0]["left"] -= 1
            if queue[0]["left"] == 0:
                del queue[0]

    for op in instructions:
        uses_port = op.opcode in PORT_OPERATIONS
        snapshot = op.opcode == Opcode.DRAIN or (op.opcode == Opcode.STORE and op.kind == StoreKind.TOTAL)
        while (
            (uses_port and len(queue) >= config.port_queue)
            or (snapshot and any(entry["snapshot"] for entry in queue))
            or (op.opcode == Opcode.SYNC and len(queue) > op.constant)
            or (op.opcode == Opcode.HALT and queue)
        ):
            tick("store" if queue[0]["store"] else "load", is_open=True)
        owner = Owner(op.owner).name.lower()
        tick(owner, is_open=True)
        if uses_port:
            stores = op.opcode in (Opcode.STORE, Opcode.DRAIN)
            queue.append({"left": port_steps(op, config), "store": int(stores), "snapshot": int(snapshot)})
        for _ in range(body_cycles(op, config)):
            tick(owner, is_open=op.opcode == Opcode.DOT)
    return cycles | {"events.port_steps": steps_made, "events.instructions": len(instructions)}


@settings(max_examples=200, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    plane_bits=st.integers(1, 40),
    port_queue=st.integers(1, 6),
    length=st.integers(0, 60),
    array=st.sampled_from(["4r2w", "3r1w"]),
)
def test_law_equals_stepping_through_every_cycle(
    seed: int, plane_bits: int, port_queue: int, length: int, array: str
) -> None:
    config = TileConfig(
        name="random", taps=4, outputs=10, columns=40, plane_bits=plane_bits, port_queue=port_queue, array=array,
    )  # fmt: skip
    rng = np.random.default_rng(seed)
    maker = ProgramMaker(rng, config)
    instructions = [maker.random_instruction(TIMING[int(rng.integers(len(TIMING)))]) for _ in range(length)]
    instructions.append(Instruction(Opcode.HALT))
    counters = run_law(Program.build(instructions, config), config)
    assert {name: counters[name] for name in step_by_step(instructions, config)} == step_by_step(instructions, config)
    # At any moment the steps that the port has made are known, and the waits are owned as they pass.
    timeline = Timeline(config)
    for count, instruction in enumerate(instructions, start=1):
        timeline.execute(instruction)
        stepped = step_by_step(instructions[:count], config)
        assert {name: timeline.counters()[name] for name in stepped} == stepped
        assert timeline.cycles == sum(value for name, value in stepped.items() if name.startswith("cycles."))


@pytest.mark.parametrize("opcode", OPERATIONS, ids=lambda opcode: opcode.name)
@pytest.mark.parametrize("array", ["cells", "4r2w", "3r1w"])
def test_formula_texts_say_what_the_functions_do(opcode: Opcode, array: str) -> None:
    config = SMALL.replace(array=array)
    maker = ProgramMaker(np.random.default_rng(opcode), config)
    law = LAWS[opcode]
    for _ in range(50):
        op = maker.random_instruction(opcode)
        names = {
            "A": op.a_width, "B": op.b_width, "D": op.d_width, "constant": op.constant, "a_signed": int(op.a_signed),
            "predicated": int(op.predicated), "abs": abs, "__builtins__": {},
        }  # fmt: skip
        cycles = eval(law.body, names) + (eval(law.extra, names) if array == "3r1w" else 0)
        assert body_cycles(op, config) == cycles
        schedule = events(op, config)
        assert schedule.cycles == cycles
        assert min(schedule) >= 0


def test_every_opcode_has_a_law() -> None:
    assert list(LAWS) == list(OPERATIONS)


def cost(opcode: Opcode, a_width: int = 0, b_width: int = 0) -> int:
    return body_cycles(Instruction(opcode, a_width=a_width, b_width=b_width), SMALL)


def test_classical_values() -> None:
    assert cost(Opcode.ADD, a_width=8, b_width=8) == 8 * 8 + 1
    assert cost(Opcode.MUL, a_width=8, b_width=8) == 8 * 8 * 8
    assert cost(Opcode.MULC, a_width=8, b_width=8) == 8 * 8 * 8 // 2
    assert cost(Opcode.MAX, a_width=8, b_width=8) == 2 * 4 * 8 + 1
    assert cost(Opcode.DOT, a_width=8, b_width=8) == 8 * 8 + 1
    assert cost(Opcode.RELU, b_width=8) == 9


@pytest.mark.parametrize(
    ("instruction", "steps"),
    [
        (Instruction(Opcode.LOAD, d_width=3), 3 * 75),
        (Instruction(Opcode.LOAD, kind=LoadKind.BLOCK, d_width=3), 3),
        (Instruction(Opcode.LOAD, kind=LoadKind.TAPS, d_width=3), 3 * 2),
        (Instruction(Opcode.LOAD, kind=LoadKind.TOTAL, d_width=3), 3),
        (Instruction(Opcode.LOAD, kind=LoadKind.TAG, d_width=1), 75),
        (Instruction(Opcode.STORE, a_width=3), 3 * 75),
        (Instruction(Opcode.STORE, kind=StoreKind.TAG, a_width=1), 75),
        (Instruction(Opcode.DRAIN, d_width=22), 22),
        (Instruction(Opcode.RESTORE, a_width=22), 22),
        (Instruction(Opcode.DOT, a_width=22, b_width=2), 0),
    ],
    ids=str,
)
def test_port_steps(instruction: Instruction, steps: int) -> None:
    assert port_steps(instruction, CAP64) == steps


def test_overlap_costs_the_larger_of_both_times() -> None:
    load = Instruction(Opcode.LOAD, d=0, d_width=1)  # 75 steps
    dot = Instruction(Opcode.DOT, a=40, a_width=8, b=48, b_width=8)  # 65 cycles, open
    pure = Instruction(Opcode.MUL, a=40, a_width=8, b=48, b_width=8, d=60, d_width=16)  # 512 cycles, closed
    sync, halt = Instruction(Opcode.SYNC), Instruction(Opcode.HALT)

    def cycles(*instructions: Instruction) -> int:
        return sum(value for name, value in run_law(instructions, CAP64).items() if name.startswith("cycles."))

    assert cycles(load, halt) == 1 + 75 + 1
    assert cycles(load, dot, dot, halt) == 1 + 66 + 66 + 1
    assert cycles(load, dot, sync, halt) == 1 + 75 + 1 + 1
    assert cycles(load, pure, halt) == 1 + 1 + 512 + 74 + 1


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_law_engine_equals_the_golden_tile(seed: int) -> None:
    config = SMALL.replace(array=("cells", "4r2w", "3r1w")[seed % 3], plane_bits=1 + seed % 256)
    job = random_program(np.random.default_rng(seed), config, 40)
    engine = LawEngine(config)
    law, golden = engine.run(Job(job.program)), GoldenTile(config).run(job)
    engine.close()
    assert law.planes == ()
    assert law.error is golden.error is ErrorCode.NONE
    assert law.address == golden.address
    assert law.counters == {name: value for name, value in golden.counters.items() if not name.startswith("activity.")}
    assert law.counters == run_law(job.program, config)
    order = [counter.name for counter in COUNTERS]
    assert sorted(golden.counters, key=order.index) == list(golden.counters)


def test_law_engine_reports_refused_instructions_but_no_overflow() -> None:
    engine = LawEngine(SMALL)
    outcome = engine.run(Job(Program((Instruction(Opcode.INIT), Instruction(0xFF)), SMALL.hash)))
    assert (outcome.error, outcome.address, outcome.cycles) == (ErrorCode.OPCODE, 1, 1)
    assert engine.run(overflow_program(SMALL)).error is ErrorCode.NONE


def test_run_law_is_fast() -> None:
    body = [
        Instruction(Opcode.LOAD, kind=LoadKind.TAPS, d=20, d_width=8),
        Instruction(Opcode.SYNC),
        Instruction(Opcode.DOT, a=0, a_width=8, b=8, b_width=8),
    ]
    program = Program.build([*body * 10_000, Instruction(Opcode.HALT)], CAP64)
    start = time.perf_counter()
    counters = run_law(program, CAP64)
    assert time.perf_counter() - start < 3  # 0.1 s on an idle machine
    assert counters["events.instructions"] == 30_001
