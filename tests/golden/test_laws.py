"""The cycle laws against their formulas, classical values, and a simulator that steps through every cycle."""

import re
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from golden.engine import Job
from golden.laws import (
    LAWS,
    PORT_OPERATIONS,
    TERMS,
    LawEngine,
    Schedule,
    Timeline,
    body_cycles,
    events,
    port_steps,
    run_law,
    searches,
)
from golden.tile import GoldenTile
from hw.config import ARRAYS, CONFIGS, PASSES, TileConfig
from hw.counter_map import COUNTERS
from hw.isa import (
    OPERATIONS,
    ConstantKind,
    DotKind,
    ErrorCode,
    Instruction,
    LoadKind,
    Opcode,
    Owner,
    Program,
    ReduceKind,
    StoreKind,
    reduce_levels,
)
from hw.passes import tables
from tests.programs import ProgramMaker, overflow_program, random_program

SMALL, CAP64 = CONFIGS["small"], CONFIGS["cap64"]
TIMING = (
    *[Opcode.LOAD, Opcode.STORE, Opcode.DRAIN, Opcode.RESTORE] * 2,
    Opcode.SYNC, Opcode.DOT, Opcode.FILL, Opcode.INIT, Opcode.AND, Opcode.MOVE,
)  # fmt: skip


def step_by_step(
    instructions: list[Instruction], config: TileConfig, skipped: list[int] | None = None
) -> dict[str, int]:
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

    for op, planes in zip(instructions, skipped or [0] * len(instructions), strict=True):
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
        for _ in range(body_cycles(op, config, planes)):
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
        zero_skip=True,
    )  # fmt: skip
    rng = np.random.default_rng(seed)
    maker = ProgramMaker(rng, config)
    instructions = [maker.random_instruction(TIMING[int(rng.integers(len(TIMING)))]) for _ in range(length)]
    instructions.append(Instruction(Opcode.HALT))
    skipped = [int(rng.integers(0, op.a_width + 1)) if searches(op) else 0 for op in instructions]
    found = [planes for op, planes in zip(instructions, skipped, strict=True) if searches(op)]
    counters = run_law(Program.build(instructions, config), config, found)
    stepped = step_by_step(instructions, config, skipped)
    assert {name: counters[name] for name in stepped} == stepped
    assert counters["events.skipped_planes"] == sum(skipped)
    # At any moment the steps that the port has made are known, and the waits are owned as they pass.
    timeline = Timeline(config)
    for count, instruction in enumerate(instructions, start=1):
        timeline.execute(instruction, skipped[count - 1])
        stepped = step_by_step(instructions[:count], config, skipped[:count])
        assert {name: timeline.counters()[name] for name in stepped} == stepped
        assert timeline.cycles == sum(value for name, value in stepped.items() if name.startswith("cycles."))


def terms(op: Instruction, config: TileConfig, skipped: int) -> dict[str, object]:
    """What the names in the texts of the laws stand for."""
    step = {"classical": 8, "merged": 7, "two_tags": 6}[config.passes]
    wide = 10 if config.passes == "classical" else 8
    constant, levels = op.constant % (1 << op.b_width), reduce_levels(op.constant)
    binary = f"{constant:0{op.b_width}b}" if op.b_width else ""
    return {
        "A": op.a_width, "B": op.b_width, "D": op.d_width, "constant": op.constant, "a_signed": int(op.a_signed),
        "b_signed": int(op.b_signed), "predicated": int(op.predicated), "ext": op.b_width - op.a_width,
        "step": lambda bits: step * bits, "wide": lambda bits: wide * bits, "classical": int(wide == 10),
        "in_place": int(op.d == op.b), "SKIP": int(op.kind == DotKind.SKIP), "s": skipped,
        "SPARSE": int(op.kind == ConstantKind.SPARSE), "SHIFT": int(op.kind == ReduceKind.SHIFT),
        "zeros": len(binary) - len(binary.rstrip("0")), "ones": bin(op.constant % (1 << op.a_width)).count("1"),
        "PAIRS": int(op.kind == ReduceKind.PAIRS), "L": levels,
    }  # fmt: skip


def contract(op: Instruction, config: TileConfig, skipped: int) -> tuple[int, int]:
    """Cycles of a body on ``4r2w`` and what ``3r1w`` adds, written once more from the contract."""
    a, b, signed, opcode = op.a_width, op.b_width, op.a_signed, Opcode(op.opcode)
    classical, extended = config.passes == "classical", b - a
    step = 8 if classical else 7 if config.passes == "merged" else 6
    wide = 10 if classical else 8
    sum_body = 1 + step * a + extended * (step if signed else 4)
    apart_zero = {Opcode.SUM: (4, 3), Opcode.DIFF: (6, 5), Opcode.RDIFF: (4, 3)}.get(opcode, (0, 0))[not classical]
    ones = sum(op.constant >> bit & 1 for bit in range(a))
    lowest = next((bit for bit in range(b) if op.constant >> bit & 1), b)
    sparse, levels = op.kind == ConstantKind.SPARSE, (op.constant - 1).bit_length()
    reduce_body = 0
    for level in range(levels if opcode == Opcode.REDUCE else 0):
        width, distance = a + level, 2 ** (levels - 1 - level)
        one = step * width + (4 if signed else 0)
        reduce_body += 1
        if op.kind == ReduceKind.SHIFT:
            reduce_body += width * (3 + distance) + one
        elif op.kind == ReduceKind.PAIRS:
            reduce_body += distance * one
        else:
            reduce_body += one
    return {
        Opcode.DOT: (
            min(skipped + 1, a) + (a - skipped) * b + 1 if op.kind == DotKind.SKIP else a * b + 1, 0,
        ),
        Opcode.FILL: (op.d_width + op.predicated, 0),
        Opcode.COPY: (4 * a if op.predicated else 3 * a, int(op.predicated)),
        Opcode.NOT: (4 * a if op.predicated else 3 * a, int(op.predicated)),
        Opcode.AND: (2 * a if op.d == op.b else 3 * a, 0),
        Opcode.OR: (2 * a if op.d == op.b else 3 * a, 0),
        Opcode.XOR: (4 * a, 0),
        Opcode.ADD: (sum_body, 1),
        Opcode.SUB: (sum_body, 1),
        Opcode.RSUB: (sum_body + 3 * b, 1),
        Opcode.SUM: (1 + wide * a + extended * (wide if signed else apart_zero), 1),
        Opcode.DIFF: (1 + wide * a + extended * (wide if signed else apart_zero), 1),
        Opcode.RDIFF: (1 + wide * a + extended * (wide if signed else apart_zero), 1),
        Opcode.ADDC: (1 + 4 * (b - lowest if sparse else b), 1),
        Opcode.MUL: (b * step * a + (1 + step * b if signed else 0), 2 * b + signed),
        Opcode.MULC: (ones * step * b + (1 + 4 * a if op.b_signed else 0), 2 * ones + op.b_signed)
        if sparse else (4 * a * b, 2 * b),
        Opcode.MAX: (6 * a + 2 + extended * (6 if signed else 3), 1),
        Opcode.MIN: (6 * a + 2 + extended * (6 if signed else 3), 1),
        Opcode.MAXC: (2 * b, 0),
        Opcode.MINC: (2 * b, 0),
        Opcode.CLAMP: (4 * b, 0),
        Opcode.RELU: (1 + b, 0),
        Opcode.NEG: (1 + 4 * a, 1),
        Opcode.ABS: (6 * a - 1, 1),
        Opcode.CMP: (2 * a + 2 + extended * (2 if signed else 1), 0),
        Opcode.CMPC: (b + 2, 0),
        Opcode.MOVE: (a * (3 + abs(op.constant)), 0),
        Opcode.REDUCE: (reduce_body, levels),
    }.get(opcode, (0, 0))  # fmt: skip


@pytest.mark.parametrize("opcode", OPERATIONS, ids=lambda opcode: opcode.name)
@pytest.mark.parametrize("array", ARRAYS)
@pytest.mark.parametrize("passes", PASSES)
def test_laws_are_those_of_the_contract(opcode: Opcode, array: str, passes: str) -> None:
    config = SMALL.replace(array=array, passes=passes, vertical=True, zero_skip=True)
    rng = np.random.default_rng(opcode)
    maker = ProgramMaker(rng, config)
    law = LAWS[opcode]
    for _ in range(50):
        op = maker.random_instruction(opcode)
        skipped = int(rng.integers(0, op.a_width + 1)) if searches(op) else 0
        body, extra = contract(op, config, skipped)
        names = terms(op, config, skipped) | {"abs": abs, "min": min, "range": range, "sum": sum, "__builtins__": {}}
        assert (eval(law.body, names), eval(law.extra, names)) == (body, extra), op
        schedule = events(op, config, skipped)
        assert schedule.cycles == body + (extra if array == "3r1w" else 0), op
        assert body_cycles(op, config, skipped) == schedule.cycles
        assert min(schedule) >= 0


def test_every_opcode_has_a_law() -> None:
    assert list(LAWS) == list(OPERATIONS)


def test_terms_name_what_the_texts_use() -> None:
    named = {word for names in TERMS for word in re.findall(r"\w+", names)} - {"n"}
    texts = " ".join(f"{law.body} {law.extra}" for law in LAWS.values())
    used = set(re.findall(r"[A-Za-z]\w*", texts)) - {"if", "else", "for", "in", "abs", "min", "range", "sum"}
    assert used == named


def cost_of_table(name: str, passes: str, conditional: int) -> Schedule:
    """What one step of the hardware costs, with so many more columns in every compare."""
    steps = tables(passes)[name]
    compares = [step.compare for step in steps if step.compare]
    writes = [step.write for step in steps if step.write]
    columns = sum(map(len, compares)) + conditional * len(compares)
    return Schedule(len(compares), columns, len(writes), sum(map(len, writes)))


def form(opcode: Opcode, *, widths: str = "abd", held: str = "", **fields: Any) -> tuple[Instruction, Instruction]:
    """An instruction of two-bit operands, and one of three-bit operands but for those that are ``held``."""
    few, many = (dict[str, Any]({f"{name}_width": count for name in widths}) for count in (2, 3))
    fixed = {name: value for name, value in few.items() if name[0] in held}
    return Instruction(opcode, **few, **fields), Instruction(opcode, **(many | fixed), **fields)


STEPS = [
    *[(form(opcode), [table], 0) for opcode, table in (
        (Opcode.ADD, "add"), (Opcode.SUB, "subtract"), (Opcode.SUM, "sum"), (Opcode.DIFF, "diff"),
        (Opcode.RDIFF, "rdiff"),
    )],
    *[(form(opcode, held="a"), [f"{table}_0"], 0) for opcode, table in (
        (Opcode.ADD, "add"), (Opcode.SUB, "subtract"), (Opcode.SUM, "sum"), (Opcode.DIFF, "diff"),
        (Opcode.RDIFF, "rdiff"),
    )],
    *[(form(opcode, held="a", a_signed=True), [table], 0) for opcode, table in (
        (Opcode.ADD, "add"), (Opcode.SUB, "subtract"), (Opcode.SUM, "sum"), (Opcode.DIFF, "diff"),
        (Opcode.RDIFF, "rdiff"),
    )],
    (form(Opcode.ADD, predicated=True), ["add"], 1),
    (form(Opcode.RSUB), ["subtract", "not"], 0),
    (form(Opcode.ADDC, constant=0), ["add_0"], 0),
    (form(Opcode.ADDC, constant=-1), ["add_1"], 0),
    (form(Opcode.ADDC, constant=-1, predicated=True), ["add_1"], 1),
    (form(Opcode.MUL, held="a"), ["add", "add"], 1),
    (form(Opcode.MUL, held="b"), ["add", "subtract"], 1),
    (form(Opcode.MUL, held="a", a_signed=True), ["add", "add", "subtract"], 1),
    (form(Opcode.MULC, held="a", constant=2), ["add_0", "add_1"], 1),
    (form(Opcode.MULC, held="a", constant=2, kind=ConstantKind.SPARSE), ["add"], 0),
    (form(Opcode.MULC, held="b", constant=2, kind=ConstantKind.SPARSE, b_signed=True), ["subtract_0"], 1),
    (form(Opcode.COPY), ["copy"], 0),
    (form(Opcode.NOT), ["not"], 0),
    (form(Opcode.COPY, predicated=True), ["copy_if"], 1),
    (form(Opcode.NOT, predicated=True), ["not_if"], 1),
    (form(Opcode.AND, b=8, d=16), ["and"], 0),
    (form(Opcode.OR, b=8, d=16), ["or"], 0),
    (form(Opcode.AND, b=8, d=8), ["and_in_place"], 0),
    (form(Opcode.OR, b=8, d=8), ["or_in_place"], 0),
    (form(Opcode.XOR), ["xor"], 0),
    (form(Opcode.NEG), ["negate"], 0),
    (form(Opcode.ABS), ["absolute"], 0),
    (form(Opcode.CMP), ["less"], 0),
    (form(Opcode.CMP, held="a"), ["add_if_1"], 0),
    (form(Opcode.CMP, held="a", a_signed=True), ["greater"], 0),
    (form(Opcode.CMPC), ["remove_if_1"], 0),
    (form(Opcode.REDUCE, a_signed=True, constant=2, kind=ReduceKind.PAIRS), ["add"], 0),
]  # fmt: skip


@pytest.mark.parametrize("passes", PASSES)
@pytest.mark.parametrize(("forms", "names", "conditional"), STEPS)
def test_one_bit_more_costs_a_step_of_the_hardware(
    forms: tuple[Instruction, Instruction], names: list[str], conditional: int, passes: str
) -> None:
    few, many = (events(op, SMALL.replace(passes=passes)) for op in forms)
    costs = [cost_of_table(name, passes, conditional) for name in names]
    assert [after - before for before, after in zip(few, many, strict=True)] == [
        sum(c) for c in zip(*costs, strict=True)
    ]


@pytest.mark.parametrize("passes", PASSES)
def test_fixed_parts_are_steps_of_the_hardware(passes: str) -> None:
    config, write = SMALL.replace(passes=passes), (0, 0, 1, 1, 0)

    def parts(*costs: tuple[int, ...]) -> Schedule:
        return Schedule(*map(sum, zip(*costs, strict=True)))

    def table(name: str, conditional: int = 0) -> Schedule:
        return cost_of_table(name, passes, conditional)

    one: dict[str, Any] = {"a_width": 1, "b_width": 1, "d_width": 1}
    assert events(Instruction(Opcode.ABS, **one), config) == parts(write, table("absolute_top"))
    assert events(Instruction(Opcode.CMP, **one), config) == parts(table("less"), table("flag_marked"))
    assert events(Instruction(Opcode.MAX, **one), config) == parts(
        table("greater"), table("flag_taken"), table("copy_if", 1)
    )
    extended = events(Instruction(Opcode.MAX, a_width=1, b_width=2), config)
    assert extended == parts(events(Instruction(Opcode.MAX, **one), config), table("remove_if_1"), table("clear_if", 1))
    reduce = Instruction(Opcode.REDUCE, a_width=1, constant=2, a_signed=True, kind=ReduceKind.SEGMENTS)
    assert events(reduce, config) == parts(write, table("add_signs"))


def cost(opcode: Opcode, a_width: int = 0, b_width: int = 0) -> int:
    return body_cycles(Instruction(opcode, a_width=a_width, b_width=b_width, b=9), SMALL)


def test_classical_values() -> None:
    assert cost(Opcode.ADD, a_width=8, b_width=8) == 8 * 8 + 1
    assert cost(Opcode.MUL, a_width=8, b_width=8) == 8 * 8 * 8
    assert cost(Opcode.MULC, a_width=8, b_width=8) == 8 * 8 * 8 // 2
    assert cost(Opcode.MAX, a_width=8, b_width=8) == 6 * 8 + 2
    assert cost(Opcode.DOT, a_width=8, b_width=8) == 8 * 8 + 1
    assert cost(Opcode.RELU, b_width=8) == 9


def test_search_of_a_dot_is_open() -> None:
    config = CAP64.replace(zero_skip=True)
    load = Instruction(Opcode.LOAD, d=0, d_width=1)  # 75 steps
    dot = Instruction(Opcode.DOT, a=40, a_width=8, b=48, b_width=8, kind=DotKind.SKIP)
    halt = Instruction(Opcode.HALT)
    for skipped, body in ((0, 1 + 64 + 1), (1, 2 + 56 + 1), (7, 8 + 8 + 1), (8, 8 + 1)):
        counters = run_law([load, dot, halt], config, [skipped])
        assert sum(value for name, value in counters.items() if name.startswith("cycles.")) == 1 + 75 + 1
        assert counters["cycles.compute"] == 1 + body
        assert counters["events.skipped_planes"] == skipped
    assert run_law([dot, dot, halt], config, [2])["events.skipped_planes"] == 2
    assert run_law([dot, halt], config) == run_law([dot, halt], config, [0])


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
    config = SMALL.replace(
        array=ARRAYS[seed % 3], plane_bits=1 + seed % 256, passes=PASSES[seed // 3 % 3], vertical=bool(seed & 1),
    )  # fmt: skip
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


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_law_with_the_planes_that_the_tile_skipped(seed: int) -> None:
    config = SMALL.replace(plane_bits=1 + seed % 256, zero_skip=True)
    job = random_program(np.random.default_rng(seed), config, 40)
    tile = GoldenTile(config)
    counters = {name: value for name, value in tile.run(job).counters.items() if not name.startswith("activity.")}
    assert run_law(job.program, config, tile.skipped_planes) == counters
    assert counters["events.skipped_planes"] == sum(tile.skipped_planes)


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
