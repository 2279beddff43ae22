"""Random programs: the Verilog in both simulators, the golden tile and the laws agree on everything they leave behind.

``BFIMNA_EXPLORE=500 pytest tests/hw/test_tile_random.py`` draws 500 other examples for each test.
"""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from golden.engine import Job
from golden.laws import plane_size, run_law
from golden.tile import GoldenTile
from hw.config import ARRAYS, CONFIGS, TileConfig
from hw.isa import OPERATIONS, Instruction, Opcode, Program
from tests.coverage import (
    COVERAGE,
    MOMENTARY,
    WIDTH_CLASSES,
    Bin,
    Coverage,
    is_signed,
    reachable,
    width_class,
)
from tests.programs import MAXIMUM_PLANES, ProgramMaker, random_planes, random_program
from tests.rtl import (
    EXPLORE,
    FASTER,
    GRID,
    PLACES,
    TINY,
    VERTICAL,
    WAYS,
    EnginePool,
    VerilogEngine,
    compare,
    random_settings,
)

STALLS = (0.0, 0.1, 0.5)
SEEDS = st.integers(0, 2**32 - 1)
EXAMPLES = {"cells": 5, "4r2w": 8, "3r1w": 8}
VERILATOR_EXAMPLES = 50


def examples(simulator: str, array: str) -> int:
    """Icarus takes a third of a second for a random program on the array of cells, Verilator a few milliseconds."""
    return EXAMPLES[array] if simulator == "icarus" else VERILATOR_EXAMPLES


TILES = [
    *((simulator, config) for simulator in WAYS for config in TINY.values()),
    *((simulator, config) for simulator in ("verilator", "turbo") for config in GRID.values()),
    *(("icarus", config) for config in (*VERTICAL.values(), *FASTER.values())),
]
"""Every way with every array, alone and with the units that a config may have besides."""
QUICK = (
    "verilator-tiny-4r2w", "verilator-full-4r2w", "verilator-full-two-tags", "icarus-tiny-cells", "icarus-tiny-3r1w",
    "icarus-tiny-merged-2d", "icarus-tiny-two-tags-2d", "turbo-tiny-4r2w",
)  # fmt: skip
"""Tiles in the quick tier: every array, unit and way to make passes, in one simulator or the other."""


def tier(simulator: str, config: TileConfig, *values: float, quick: bool = True) -> object:
    """Parameters of a test; in the slow tier unless the tile is a quick one."""
    name = f"{simulator}-{config.name}"
    marks = () if quick and name in QUICK else pytest.mark.slow
    return pytest.param(simulator, config, *values, id="-".join(map(str, (name, *values))), marks=marks)


def job_of(config: TileConfig, seed: int, length: int = 12, *, load_everything: bool = True) -> Job:
    note(f"random_program(np.random.default_rng({seed}), config, {length}) on {config}")
    return random_program(np.random.default_rng(seed), config, length, load_everything=load_everything)


@pytest.mark.parametrize(
    ("simulator", "config", "stalls"),
    [
        # Icarus takes seconds for what Verilator does in one: there one kind of pauses for each quick tile.
        tier(simulator, config, stalls, quick=simulator != "icarus" or stalls == STALLS[number % len(STALLS)])
        for number, (simulator, config) in enumerate(TILES)
        for stalls in STALLS
    ],
)
def test_random_programs_equal_golden(pool: EnginePool, simulator: str, config: TileConfig, stalls: float) -> None:
    stalled = []

    @random_settings(examples(simulator, config.array))
    @given(seed=SEEDS)
    def property_holds(seed: int) -> None:
        engine = pool.get(config, simulator, stalls, seed)
        stalled.append(compare(engine, job_of(config, seed), GoldenTile(config, seed)).counters["cycles.stall"])

    property_holds()
    assert any(stalled) == bool(stalls)


@pytest.mark.parametrize(("simulator", "array"), PLACES)
def test_state_persists_from_program_to_program(pool: EnginePool, simulator: str, array: str) -> None:
    config = TINY[array]

    @random_settings(max(examples(simulator, array) // 3, 2))
    @given(seed=SEEDS, stalls=st.sampled_from(STALLS))
    def property_holds(seed: int, stalls: float) -> None:
        engine, golden = pool.get(config, simulator, stalls, seed), GoldenTile(config, seed)
        compare(engine, job_of(config, seed, 4), golden)
        for following in range(1, 4):
            compare(engine, job_of(config, seed + following, 6, load_everything=False), golden)

    property_holds()


@pytest.mark.parametrize(("simulator", "config"), [tier(*tile) for tile in TILES])
def test_reset_in_mid_instruction(pool: EnginePool, simulator: str, config: TileConfig) -> None:
    moments = set()

    @random_settings(max(examples(simulator, config.array) // 2, 3))
    @given(seed=SEEDS, stalls=st.sampled_from(STALLS), moment=st.floats(0, 1, exclude_max=True))
    def property_holds(seed: int, stalls: float, moment: float) -> None:
        engine = pool.get(config, simulator, stalls, seed)
        broken_off = job_of(config, seed)
        cycles = GoldenTile(config, seed).run(broken_off).cycles
        engine.reset_after = 1 + int(moment * (cycles - 1))
        moments.add(engine.reset_after)
        outcome = engine.run(broken_off)
        assert engine.last_message is not None
        assert engine.last_message.was_reset
        assert set(outcome.counters.values()) == {0}
        engine.reset_after = 0
        compare(engine, job_of(config, seed + 1), GoldenTile(config, seed))

    property_holds()
    assert len(moments) > 1


@pytest.mark.parametrize("simulator", ["icarus", pytest.param("verilator", marks=pytest.mark.slow)])
def test_all_arrays_leave_the_same_planes(pool: EnginePool, simulator: str) -> None:
    @random_settings(4 if simulator == "icarus" else VERILATOR_EXAMPLES)
    @given(seed=SEEDS)
    def property_holds(seed: int) -> None:
        job = job_of(TINY["cells"], seed)
        planes, cycles = {}, {}
        for array in ARRAYS:
            config = TINY[array]
            program = Program.build(job.program.instructions, config)
            outcome = pool.get(config, simulator).run(Job(program, job.planes))
            law = run_law(program, config)
            assert outcome.cycles == sum(value for name, value in law.items() if name.startswith("cycles."))
            planes[array] = outcome.planes
            cycles[array] = outcome.cycles
        for array in ("4r2w", "3r1w"):
            assert len(planes[array]) == len(planes["cells"])
            assert all(np.array_equal(a, b) for a, b in zip(planes[array], planes["cells"], strict=True))
        assert cycles["cells"] == cycles["4r2w"] <= cycles["3r1w"]

    property_holds()


def test_random_programs_on_small(pool: EnginePool) -> None:
    config = CONFIGS["small"]

    @random_settings(25)
    @given(seed=SEEDS, stalls=st.sampled_from(STALLS))
    def property_holds(seed: int, stalls: float) -> None:
        compare(pool.get(config, "verilator", stalls, seed), job_of(config, seed, 25), GoldenTile(config, seed))

    property_holds()


ODD = TileConfig(name="odd", taps=2, outputs=4, columns=24, plane_bits=3, fill_bits=20, total_bits=24, program_depth=32)
SIZES = [
    ODD.replace(name="one-tap", taps=1, outputs=6, columns=24, plane_bits=4, array="4r2w"),
    ODD.replace(name="one-output", taps=6, outputs=1, columns=24, plane_bits=5, array="3r1w"),
    ODD.replace(name="one-row", taps=1, outputs=1, columns=24, plane_bits=1, array="cells"),
    ODD.replace(name="rows-beyond-a-word", taps=5, outputs=13, columns=40, plane_bits=64, array="4r2w"),
    ODD.replace(name="nothing-divides", taps=3, outputs=7, columns=33, plane_bits=4, array="3r1w"),
    ODD.replace(name="plane-in-a-beat", taps=3, outputs=5, columns=31, plane_bits=15, array="cells"),
    ODD.replace(name="bit-by-bit", taps=4, outputs=4, columns=32, plane_bits=1, array="4r2w"),
    ODD.replace(
        name="narrowest-fill", taps=2, outputs=3, columns=24, plane_bits=3, array="4r2w", fill_bits=5, total_bits=6
    ),
    ODD.replace(
        name="widest-totals", taps=2, outputs=3, columns=80, plane_bits=5, array="3r1w", fill_bits=64, total_bits=64
    ),
    ODD.replace(
        name="short-queue", taps=2, outputs=4, columns=24, plane_bits=3, array="4r2w", port_queue=1, loop_depth=1
    ),
    ODD.replace(
        name="deep-loops", taps=2, outputs=4, columns=24, plane_bits=3, array="4r2w", port_queue=7, loop_depth=5
    ),
    ODD.replace(name="no-activity", taps=2, outputs=4, columns=24, plane_bits=3, array="3r1w", activity=False),
]


QUICK_SIZES = ("one-row", "nothing-divides", "short-queue")


@pytest.mark.parametrize(
    "config",
    [pytest.param(size, id=size.name, marks=() if size.name in QUICK_SIZES else pytest.mark.slow) for size in SIZES],
)
def test_odd_sizes(config: TileConfig) -> None:
    pool = EnginePool()

    @random_settings(3)
    @given(seed=SEEDS, stalls=st.sampled_from(STALLS))
    def property_holds(seed: int, stalls: float) -> None:
        compare(pool.get(config, "icarus", stalls, seed), job_of(config, seed), GoldenTile(config, seed))

    try:
        property_holds()
    finally:
        pool.close()


ENDLESS = (1 << 32) - 1
COPIES = 16  # of an instruction in a loop, so that hardly a cycle belongs to anything else


def endless_job(op: Instruction, config: TileConfig) -> Job:
    """An instruction again and again, on a tile full of zeros."""
    columns = range(0, config.columns, MAXIMUM_PLANES)
    clears = [
        Instruction(Opcode.FILL, d=first, d_width=min(MAXIMUM_PLANES, config.columns - first)) for first in columns
    ]
    loop = [Instruction(Opcode.LOOP, constant=ENDLESS), *[op] * COPIES, Instruction(Opcode.END)]
    program = Program.build([*clears, Instruction(Opcode.INIT), *loop, Instruction(Opcode.HALT)], config)
    loads = 1000 // op.d_width + 1 if op.opcode == Opcode.LOAD else 0
    return Job(program, [np.zeros((op.d_width, plane_size(op, config)), np.uint8)] * loads)


def interrupt(engine: VerilogEngine, op: Instruction, rng: np.random.Generator) -> None:
    """Reset the tile while it executes an instruction."""
    config = engine.config
    engine.reset_after = 2 * config.columns + 60 + int(rng.integers(300))
    outcome = engine.run(endless_job(op, config))
    engine.reset_after = 0
    assert engine.last_message is not None
    assert engine.last_message.was_reset
    assert set(outcome.counters.values()) == {0}
    COVERAGE.note(op, config, stalled=bool(engine.stall_probability), reset=True)


def instruction_for(place: Bin, maker: ProgramMaker) -> Instruction:
    """A random instruction that fills a bin."""
    return maker.random_instruction(
        Opcode[place.opcode],
        WIDTH_CLASSES.get(place.width),
        lambda op: (width_class(op), is_signed(op)) == (place.width, place.signed),
    )


@pytest.mark.parametrize("stalls", [0.0, 0.3])
@pytest.mark.parametrize(
    "array", [array if array == "4r2w" else pytest.param(array, marks=pytest.mark.slow) for array in ARRAYS]
)
def test_every_reachable_bin(pool: EnginePool, array: str, stalls: float) -> None:
    """Every instruction with every width class and sign runs, and is interrupted; the next program is fine."""
    config, seed = GRID[array], 31
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    engine, golden = pool.get(config, "verilator", stalls, seed), GoldenTile(config, seed)
    wanted = [place for place in reachable([array]) if place.stalled == bool(stalls)]
    bodies = [place for place in rng.permutation(len(wanted)) if Opcode[wanted[place].opcode] not in MOMENTARY]
    for first in range(0, len(bodies), 8):
        maker = ProgramMaker(rng, config)
        maker.load_everything()
        for place in (wanted[index] for index in bodies[first : first + 8]):
            op = instruction_for(place, maker)
            if place.reset:
                interrupt(engine, op, rng)
            else:
                maker.append_valid(op)
        maker.open_loop()
        maker.close_loops()
        maker.store_everything()
        program = Program.build(maker.instructions, config)
        compare(engine, Job(program, random_planes(rng, program, config)), golden)
    missing = [place for place in wanted if not COVERAGE.counts[place]]
    assert not missing


def test_coverage_is_merged_over_processes(tmp_path: Path) -> None:
    first, second = Coverage(), Coverage()
    add = Instruction(Opcode.ADD, a_width=5, b_width=9, a_signed=True)
    first.note(add, TINY["cells"], stalled=True)
    second.note(add, TINY["cells"], stalled=True)
    first.save(tmp_path)
    (tmp_path / "other").mkdir()
    second.save(tmp_path / "other")
    (tmp_path / "other" / f"{os.getpid()}.json").rename(tmp_path / "other.json")
    merged = Coverage.merged(tmp_path)
    place = Bin("ADD", "9-16", signed=True, array="cells", stalled=True, reset=False)
    assert merged.counts == {place: 2}
    assert place not in merged.missing()
    assert set(merged.missing()) == set(reachable()) - {place}


def test_reachable_bins_follow_the_rules() -> None:
    bins = set(reachable())
    assert {place.opcode for place in bins} == {opcode.name for opcode in OPERATIONS}
    assert not any(place.width == "over 32" for place in bins if place.opcode in ("DOT", "MUL", "MULC"))
    assert any(place.width == "over 32" for place in bins if place.opcode == "REDUCE")
    assert not any(place.reset for place in bins if Opcode[place.opcode] in MOMENTARY)
    assert not any(place.signed for place in bins if place.opcode == "COPY")


def test_seeds_repeat_unless_told_otherwise() -> None:
    drawn: list[list[int]] = []
    for _ in range(2):
        drawn.append([])

        @random_settings(5)
        @given(seed=SEEDS)
        def collect(seed: int) -> None:
            drawn[-1].append(seed)

        collect()
    assert (drawn[0] == drawn[1]) == (not EXPLORE)
