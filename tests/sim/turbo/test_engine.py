"""The compiled engine: the same as the simulator under cocotb, run by run; refusals, endings, interrupts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from golden.engine import Job, TileError
from golden.tile import GoldenTile
from hw.config import CONFIGS, TileConfig
from hw.isa import ErrorCode, Instruction, LoadKind, Opcode, Program, StoreKind
from sim.engines import create_engine
from sim.rtl_engine import RtlEngine
from sim.turbo.engine import TurboEngine
from sim.verilog_cache import cached_tile_verilog
from tests.programs import random_program
from tests.rtl import TINY, compare, store_program

CONFIG = TINY["4r2w"]
HALT = Instruction(Opcode.HALT)
LOAD = Instruction(Opcode.LOAD, d=0, d_width=2)
PLANES = np.ones((2, CONFIG.rows), np.uint8)
ENDLESS = Program.build(
    [
        Instruction(Opcode.LOOP, constant=(1 << 32) - 1),
        Instruction(Opcode.FILL, d=0, d_width=20),
        Instruction(Opcode.END),
        HALT,
    ],
    CONFIG,
)

INTERRUPTED = """
import sys
from golden.engine import Job
from sim.turbo.engine import TurboEngine
from tests.sim.turbo.test_engine import CONFIG, ENDLESS

engine = TurboEngine(CONFIG, timeout_cycles=10**15)
print("runs", flush=True)
try:
    engine.run(Job(ENDLESS))
except KeyboardInterrupt:
    print("interrupted", engine.closed)
"""


def program(*instructions: Instruction) -> Program:
    return Program.build([*instructions, HALT], CONFIG)


@pytest.fixture
def engine() -> Iterator[TurboEngine]:
    with TurboEngine(CONFIG) as made:
        yield made


def test_everything_equals_the_simulator(engine: TurboEngine) -> None:
    with RtlEngine(CONFIG, "icarus") as reference:
        for seed in range(6):
            job = random_program(np.random.default_rng(seed), CONFIG, 10)
            ours, theirs = engine.run(job), reference.run(job)
            assert ours.counters == theirs.counters
            assert (ours.error, ours.address) == (theirs.error, theirs.address)
            assert len(ours.planes) == len(theirs.planes) > 0
            for our, their in zip(ours.planes, theirs.planes, strict=True):
                assert np.array_equal(our, their)
                assert our.dtype == their.dtype
        assert engine.last_message is not None
        assert reference.last_message is not None
        assert engine.last_message.counters == reference.last_message.counters


@pytest.mark.slow
@pytest.mark.parametrize("plane_bits", [1, 3, 8, 9, 16, 17, 32, 33, 64, 65, 120])
def test_ports_of_any_width(plane_bits: int) -> None:
    config = TileConfig(
        name=f"port{plane_bits}", taps=8, outputs=15, columns=20, plane_bits=plane_bits, fill_bits=12, total_bits=18,
        program_depth=16,
    )  # fmt: skip
    with TurboEngine(config, stall_probability=0.1) as engine:
        for seed in range(8):
            compare(engine, random_program(np.random.default_rng(seed), config, 8), GoldenTile(config, seed))


def test_wrong_hardware_is_refused_with_both_hashes() -> None:
    other = CONFIG.replace(port_queue=2)
    with TurboEngine(other, verilog=cached_tile_verilog(CONFIG)) as engine:
        for _ in range(2):
            with pytest.raises(
                TileError, match=rf"^the hardware must have config hash {other.hash_text}, not {CONFIG.hash_text}$"
            ):
                engine.run(Job(store_program(other)))


def test_planes_that_no_load_takes(engine: TurboEngine) -> None:
    with pytest.raises(TileError, match=r"^the tile left 4 of 8 beats of plane_in untaken$"):
        engine.run(Job(program(LOAD), [PLANES, PLANES]))
    assert engine.run(Job(program(LOAD), [PLANES])).cycles == 6


def test_run_that_takes_too_long_is_given_up(engine: TurboEngine) -> None:
    engine.timeout_cycles = 500
    golden = GoldenTile(CONFIG)
    for job in (Job(ENDLESS), Job(program(LOAD), [PLANES[:1]])):  # the second one waits for a plane that never comes
        with pytest.raises(
            TileError, match=rf"^the tile did not end a program of {len(job.program.instructions)} "
            r"instructions within 500 cycles$",
        ):  # fmt: skip
            engine.run(job)
    engine.timeout_cycles = 100_000
    everything = Instruction(Opcode.LOAD, d=0, d_width=CONFIG.columns)
    tag = Instruction(Opcode.LOAD, kind=LoadKind.TAG, d_width=1)
    planes = [np.eye(CONFIG.columns, CONFIG.rows, dtype=np.uint8), np.ones((1, CONFIG.rows), np.uint8)]
    compare(engine, Job(program(everything, tag, Instruction(Opcode.INIT, constant=-4)), planes), golden)
    compare(engine, Job(store_program(CONFIG)), golden)


@pytest.mark.slow
def test_counters_that_wrap() -> None:
    config = CONFIG.replace(counter_bits=16, activity=False, name="short-counters")
    fill = Instruction(Opcode.FILL, d=0, d_width=20)
    rounds = [(1 << 16) // 22 - 1, (1 << 16) // 22 + 1]  # a FILL and an END in 22 cycles
    fits, wraps = (
        Job(Program.build([Instruction(Opcode.LOOP, constant=n), fill, Instruction(Opcode.END), HALT], config))
        for n in rounds
    )
    with TurboEngine(config) as engine:
        cycles = engine.run(fits).cycles
        assert 65_000 < cycles < 1 << 16
        with pytest.raises(TileError, match=r"^the run must fit counters of 16 bits, but one of them wrapped$"):
            engine.run(wraps)
        assert engine.run(fits).cycles == cycles


def test_error_of_the_tile_is_an_outcome(engine: TurboEngine) -> None:
    wrong = Program((Instruction(Opcode.FILL, d=CONFIG.columns - 1, d_width=2), HALT), CONFIG.hash)
    outcome = engine.run(Job(wrong))
    assert (outcome.error, outcome.address, list(outcome.planes)) == (ErrorCode.COLUMN, 0, [])
    assert engine.run(Job(program())).cycles == 1


def test_closing(engine: TurboEngine) -> None:
    assert engine.run(Job(program())).cycles == 1
    assert not engine.closed
    for _ in range(2):
        engine.close()
        assert engine.closed
    with pytest.raises(TileError, match=r"^the simulation was closed or ended before$"):
        engine.run(Job(program()))


def test_engines_do_not_meet() -> None:
    fill = Instruction(Opcode.FILL, d=0, d_width=CONFIG.columns, constant=-1)
    clear = Instruction(Opcode.FILL, d=0, d_width=CONFIG.columns)
    store = Instruction(Opcode.STORE, kind=StoreKind.PLANES, a=0, a_width=CONFIG.columns)
    with TurboEngine(CONFIG, seed=3) as one, TurboEngine(CONFIG, seed=3) as other:
        one.run(Job(program(fill)))
        other.run(Job(program(clear)))
        assert one.run(Job(program(store))).planes[0].all()
        assert not other.run(Job(program(store))).planes[0].any()


def test_engines_run_in_threads_at_once() -> None:
    jobs = [random_program(np.random.default_rng(seed), CONFIG, 12) for seed in range(4)]
    wanted = [GoldenTile(CONFIG, 0).run(job) for job in jobs]
    found: dict[int, list[int]] = {}

    def work(number: int) -> None:
        with TurboEngine(CONFIG, seed=number) as engine:
            found[number] = [engine.run(job).cycles for job in jobs]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: [outcome.cycles for outcome in wanted] for number in range(3)}


def test_stalls_depend_on_the_seed_alone(engine: TurboEngine) -> None:
    job = random_program(np.random.default_rng(1), CONFIG, 12)
    engine.stall_probability = 0.3
    stalls: list[int] = []
    for seed in (5, 5, 6):
        engine.seed, engine.jobs = seed, 0
        stalls.append(engine.run(job).counters["cycles.stall"])
    assert stalls[0] == stalls[1] != stalls[2]


@pytest.mark.parametrize("probability", [-0.1, 1.0])
def test_stalls_in_every_cycle(probability: float) -> None:
    with pytest.raises(ValueError, match=rf"^stall probability must be at least 0 and below 1, not {probability}$"):
        TurboEngine(CONFIG, stall_probability=probability)


def test_made_by_name() -> None:
    engine = create_engine("turbo", CONFIGS["tiny"].replace(array="4r2w", name="x"), seed=2)
    assert isinstance(engine, TurboEngine)
    assert engine.seed == 2
    engine.close()


def test_interrupt_in_mid_program() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "runs\n"
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        text, _ = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert text == "interrupted True\n"
