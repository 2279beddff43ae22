"""The engine around the simulator: beats, refusals, endings of all kinds; and nothing that is left behind."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from golden.engine import Job, TileError
from golden.tile import GoldenTile
from hw.config import CONFIGS, TileConfig
from hw.isa import Instruction, LoadKind, Opcode, Program, StoreKind
from sim.beats import plane_bits, to_beats, to_planes
from sim.rtl_engine import RtlEngine
from sim.runner import BuildFailed, SimulatorCrashed, TestsFailed
from sim.tools import ToolError
from sim.verilog_cache import cached_tile_verilog
from tests.rtl import TINY, EditedProgram, compare, store_program

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


def program(*instructions: Instruction) -> Program:
    return Program.build([*instructions, HALT], CONFIG)


@pytest.fixture
def scratch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for temporary files that must be empty at the end; short, as it holds the address of a socket."""
    before = simulations()
    with tempfile.TemporaryDirectory(prefix="t") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)
        assert list(Path(folder).iterdir()) == []
    assert simulations() <= before


@pytest.fixture
def engine(scratch: Path) -> Iterator[RtlEngine]:
    with RtlEngine(CONFIG, "icarus") as made:
        assert len(list(scratch.iterdir())) == 1
        yield made


def simulations() -> set[threading.Thread]:
    """Threads that wait for a simulator, also those of engines that other tests share."""
    return {thread for thread in threading.enumerate() if "_simulate" in thread.name}


@pytest.mark.usefixtures("scratch")
def test_wrong_hardware_is_refused_with_both_hashes() -> None:
    other = CONFIG.replace(port_queue=2)
    with RtlEngine(other, "icarus", verilog=cached_tile_verilog(CONFIG)) as engine:
        for _ in range(2):
            with pytest.raises(
                TileError, match=rf"^the hardware must have config hash {other.hash_text}, not {CONFIG.hash_text}$"
            ):
                engine.run(Job(store_program(other)))


def test_planes_that_no_load_takes(engine: RtlEngine) -> None:
    with pytest.raises(TileError, match=r"^the tile left 4 of 8 beats of plane_in untaken$"):
        engine.run(Job(program(LOAD), [PLANES, PLANES]))
    assert engine.run(Job(program(LOAD), [PLANES])).cycles == 6


def test_run_that_takes_too_long_is_given_up(engine: RtlEngine) -> None:
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
    job = Job(program(everything, tag, Instruction(Opcode.INIT, constant=-4)), planes)
    compare(engine, job, golden)
    compare(engine, Job(store_program(CONFIG)), golden)


def test_closing(scratch: Path) -> None:
    engine = RtlEngine(CONFIG, "icarus")
    assert engine.run(Job(program())).cycles == 1
    assert not engine.closed
    engine.close()
    assert engine.closed
    assert list(scratch.iterdir()) == []
    engine.close()
    with pytest.raises(TileError, match=r"^the simulation was closed or ended before$"):
        engine.run(Job(program()))


def test_error_in_the_test_bench_is_shown(engine: RtlEngine) -> None:
    wide = EditedProgram((HALT,), CONFIG.hash, header=1 << 200)
    with pytest.raises(TestsFailed, match=r"^sim\.tile_server on icarus: 1 of 1 tests failed\nserve: (.|\n)*128"):
        engine.run(Job(wide))
    assert engine.closed
    with pytest.raises(TileError, match=r"^the simulation was closed or ended before$"):
        engine.run(Job(program()))


@pytest.mark.usefixtures("scratch")
def test_simulation_that_does_not_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object, **__: object) -> None:
        raise SimulatorCrashed("the simulator ended with status 7")

    monkeypatch.setattr("sim.simulation.run", crash)
    with pytest.raises(SimulatorCrashed, match=r"^the simulator ended with status 7$"):
        RtlEngine(CONFIG, "icarus")


@pytest.mark.usefixtures("scratch")
def test_simulation_that_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sim.simulation.run", lambda *_, **__: None)
    with pytest.raises(TileError, match=r"^the simulation ended before its first program$"):
        RtlEngine(CONFIG, "icarus")


@pytest.mark.usefixtures("scratch")
def test_design_without_the_ports_of_a_tile() -> None:
    with pytest.raises(
        TestsFailed, match=r"sim\.tile_server on icarus: 1 of 1 tests failed\nserve: (.|\n)*counter_index"
    ):
        RtlEngine(CONFIG, "icarus", verilog="module tile(input clk, input rst); endmodule")
    with pytest.raises(BuildFailed, match=r"^tile does not compile on icarus"):
        RtlEngine(CONFIG, "icarus", verilog="module tile(; endmodule")


def test_simulator_that_is_missing(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(scratch))
    with pytest.raises(ToolError, match=r'^Icarus Verilog \(iverilog\) was not found; install the package "iverilog"$'):
        RtlEngine(CONFIG, "icarus")
    with pytest.raises(ToolError, match=r"^simulator must be one of verilator, icarus, not 'questa'$"):
        RtlEngine(CONFIG, "questa")


SCRIPT = """
import sys, tempfile
from sim.rtl_engine import RtlEngine
from tests.rtl import TINY
from tests.sim.test_rtl_engine import ENDLESS
from golden.engine import Job, TileError
tempfile.tempdir = sys.argv[1]
engine = RtlEngine(TINY["4r2w"], "icarus")
print("ready", flush=True)
try:
    engine.run(Job(ENDLESS))
except KeyboardInterrupt:
    assert engine.closed
    engine.close()
    print("interrupted", flush=True)
"""


def processes_that_know(word: str) -> list[int]:
    """Processes with *word* in their environment."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/environ"):
        try:
            if word.encode() in entry.read_bytes():
                found.append(int(entry.parent.name))
        except OSError:
            continue
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_interrupted_engine_leaves_nothing(sent: signal.Signals) -> None:
    with tempfile.TemporaryDirectory(prefix="t") as folder:
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, folder],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        with process.stdout:
            try:
                assert process.stdout.readline() == "ready\n"
                assert processes_that_know(folder)
                time.sleep(0.3)
                process.send_signal(sent)
                if sent == signal.SIGINT:
                    assert process.communicate(timeout=30)[0] == "interrupted\n"
                    assert process.returncode == 0
                    assert list(Path(folder).iterdir()) == []
                else:
                    assert process.wait(30) == -signal.SIGKILL
                deadline = time.monotonic() + 20
                while processes_that_know(folder):
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
            finally:
                process.kill()
                process.wait()


CONFIG_SIZES = st.builds(
    lambda taps, outputs, plane_bits: TileConfig(
        name="any", taps=taps, outputs=outputs, columns=8, plane_bits=min(plane_bits, taps * outputs)
    ),
    st.integers(1, 9), st.integers(1, 70), st.integers(1, 200),
)  # fmt: skip


@settings(derandomize=True, deadline=None)
@given(config=CONFIG_SIZES, planes=st.integers(1, 6), seed=st.integers(0, 2**32 - 1), data=st.data())
def test_beats_hold_planes(config: TileConfig, planes: int, seed: int, data: st.DataObject) -> None:
    bits = data.draw(st.sampled_from([config.rows, config.outputs, config.taps]))
    before = np.random.default_rng(seed).integers(0, 2, (planes, bits), np.uint8)
    beats = to_beats(before, config)
    assert len(beats) == planes * config.beats(bits)
    assert all(0 <= beat < 1 << config.plane_bits for beat in beats)
    whole = [
        sum(beat << index * config.plane_bits for index, beat in enumerate(beats[first : first + config.beats(bits)]))
        for first in range(0, len(beats), config.beats(bits))
    ]
    assert whole == [sum(int(bit) << position for position, bit in enumerate(plane)) for plane in before]
    assert np.array_equal(to_planes(beats, planes, bits, config), before)


def test_bits_of_a_plane_by_kind() -> None:
    config = CONFIGS["tiny"]
    sizes = {kind: plane_bits(Instruction(Opcode.LOAD, kind=kind), config) for kind in LoadKind}
    assert sizes == dict(zip(LoadKind, (16, 4, 4, 4, 16), strict=True))
    assert {kind: plane_bits(Instruction(Opcode.STORE, kind=kind), config) for kind in StoreKind} == {
        StoreKind.PLANES: 16, StoreKind.BLOCK: 4, StoreKind.TOTAL: 4, StoreKind.TAG: 16
    }  # fmt: skip
