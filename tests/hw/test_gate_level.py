"""The regression of the Verilog, run on netlists of the tiny tile: gates, and cells of an iCE40 with Yosys's models.

The tests are those of the Verilog itself, with other text in the simulator. All are in the slow tier.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pytest

from golden.engine import TileError
from golden.tile import GoldenTile
from hw.config import TileConfig
from hw.isa import OPERATIONS, ErrorCode, Opcode
from sim.runner import SimulationError
from sim.synthesis import find_yosys
from sim.synthesis.netlist import netlist_verilog
from sim.tools import ToolError
from tests.hw import test_cycle_laws_rtl, test_errors_rtl, test_tile_random
from tests.programs import random_program
from tests.rtl import TINY, EnginePool, VerilogEngine, compare

SIMULATOR = "icarus"
CONFIG = TINY["cells"]
GATES = {
    "gates": re.compile(r"(?<= = )\S+(?: \[\d+\])? & [^;]+(?=;)"),
    "ice40": re.compile(r"(?<=LUT_INIT\(16'h)[0-9a-f]{4}(?=\))"),
}
"""Where a netlist has gates: AND gates, or the tables of LUTs."""


def has_yosys() -> bool:
    try:
        find_yosys()
    except ToolError:
        return False
    return True


pytestmark = [pytest.mark.slow, pytest.mark.skipif(not has_yosys(), reason="no Yosys makes the netlist")]


@pytest.fixture(scope="module", params=GATES)
def target(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def netlist(target: str) -> str:
    return netlist_verilog(CONFIG, target)


@pytest.fixture(scope="module")
def gates(netlist: str) -> Iterator[EnginePool]:
    """The netlist in a simulator, wherever a test wants the tile."""

    def text(config: TileConfig) -> str:
        assert config == CONFIG
        return netlist

    pool = EnginePool(text)
    yield pool
    pool.close()


def inverted(netlist: str, target: str) -> str:
    """The netlist with one of its gates inverted, the one in the middle of those that a tag goes to."""
    gates = GATES[target].finditer(netlist)
    found = [gate for gate in gates if r"\tags.tag [" in netlist[gate.start() : netlist.index(";", gate.end())]]
    gate = found[len(found) // 2]
    text = f"~({gate[0]})" if target == "gates" else f"{int(gate[0], 16) ^ 0xFFFF:04x}"
    return netlist[: gate.start()] + text + netlist[gate.end() :]


def run_programs(engine: VerilogEngine) -> None:
    """Random programs of all operations, and of dot products, which random programs seldom have."""
    for opcodes in (tuple(OPERATIONS), (Opcode.DOT, Opcode.DRAIN)):
        for seed in (1, 2):
            job = random_program(np.random.default_rng(seed), CONFIG, 12, opcodes=opcodes)
            compare(engine, job, GoldenTile(CONFIG, seed))


@pytest.mark.parametrize("stalls", test_tile_random.STALLS)
def test_random_programs(gates: EnginePool, stalls: float) -> None:
    test_tile_random.test_random_programs_equal_golden(gates, SIMULATOR, CONFIG, stalls)


def test_state_persists(gates: EnginePool) -> None:
    test_tile_random.test_state_persists_from_program_to_program(gates, SIMULATOR, CONFIG.array)


def test_reset_in_mid_instruction(gates: EnginePool) -> None:
    test_tile_random.test_reset_in_mid_instruction(gates, SIMULATOR, CONFIG)


def test_errors(gates: EnginePool) -> None:
    test_errors_rtl.test_errors(gates, SIMULATOR, CONFIG.array)
    test_errors_rtl.test_lowest_code_wins(gates, SIMULATOR)


@pytest.mark.parametrize("code", test_errors_rtl.HEADERS, ids=lambda code: code.name)
def test_header_errors(gates: EnginePool, code: ErrorCode) -> None:
    test_errors_rtl.test_header_errors(gates, SIMULATOR, code)


def test_longest_loop_body(gates: EnginePool) -> None:
    test_errors_rtl.test_longest_loop_body_runs(gates, SIMULATOR)


def test_law_of_every_operation(gates: EnginePool) -> None:
    walk = next(walk for walk in test_cycle_laws_rtl.WALKS if (walk.simulator, walk.config) == (SIMULATOR, CONFIG))
    test_cycle_laws_rtl.test_spread_of_the_grid(gates, walk)


def test_an_inverted_gate_is_found(netlist: str, target: str) -> None:
    pool = EnginePool(lambda _: inverted(netlist, target))
    try:
        engine = pool.get(CONFIG, SIMULATOR)
        engine.timeout_cycles = 10_000
        with pytest.raises((AssertionError, TileError, SimulationError)) as found:
            run_programs(engine)
        print(str(found.value).splitlines()[0])
    finally:
        pool.close()
