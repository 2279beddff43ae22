"""What the tests of the Verilog share: tiles, a pool of simulators, and the comparison with the golden tile."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings

from golden.engine import Job, Outcome
from golden.laws import run_law
from golden.tile import GoldenTile
from hw.config import ARRAYS, CONFIGS, TileConfig
from hw.isa import ErrorCode, Instruction, Opcode, Program, StoreKind
from sim.rtl_engine import RtlEngine
from sim.tools import SIMULATORS
from sim.turbo.engine import TurboEngine
from tests.coverage import COVERAGE

EXPLORE = int(os.environ.get("BFIMNA_EXPLORE", "0"))
"""Examples for each random test, drawn anew each time; 0 for the same few as everywhere."""

TINY = {array: CONFIGS["tiny"].replace(array=array, name=f"tiny-{array}") for array in ARRAYS}
"""The tiny tile with each array."""

COMPACT = {
    array: TileConfig(
        name=f"compact-{array}", taps=3, outputs=5, columns=68, plane_bits=4, array=array, program_depth=32,
    )
    for array in ARRAYS
}  # fmt: skip
"""Few rows, none of whose numbers divides another, and columns for operands of 32 bits; for Icarus."""

VERTICAL = {
    array: TINY[array].replace(name=f"tiny-2d-{array}", vertical=True, taps=7, outputs=5, plane_bits=7)
    for array in ARRAYS
}
"""The tiny tile as a 2D tile, of a number of row blocks that is no power of two."""

FASTER = {
    "merged": TINY["4r2w"].replace(name="tiny-merged", passes="merged"),
    "two-tags": TINY["4r2w"].replace(name="tiny-two-tags", passes="two_tags"),
    "zero-skip": TINY["4r2w"].replace(name="tiny-zero-skip", zero_skip=True),
    "merged-2d": VERTICAL["3r1w"].replace(name="tiny-merged-2d", passes="merged", zero_skip=True),
    "two-tags-2d": VERTICAL["cells"].replace(name="tiny-two-tags-2d", passes="two_tags", zero_skip=True),
}
"""Tiles with what makes additions and DOTs faster, alone and together with the vertical lines."""

_FULL = TileConfig(
    name="full", taps=16, outputs=16, columns=132, plane_bits=256, array="4r2w", fill_bits=64, total_bits=64,
    activity=False, vertical=True, zero_skip=True,
)  # fmt: skip
_FEW_ROWS = _FULL.replace(taps=7, outputs=2, plane_bits=14, activity=True)

GRID = {
    "cells": _FEW_ROWS.replace(name="full-cells", array="cells"),
    "4r2w": _FULL.replace(name="full-4r2w"),
    "3r1w": _FEW_ROWS.replace(name="full-3r1w", array="3r1w"),
    "merged": _FULL.replace(name="full-merged", array="3r1w", passes="merged"),
    "two_tags": _FULL.replace(name="full-two-tags", passes="two_tags"),
}
"""Tiles with every unit that a config may leave out, and columns for products of 64 bits; for Verilator.

Three have a row for every pair of numbers of four bits.
"""

WAYS = (*SIMULATORS, "turbo")
"""How Verilog is run: in each simulator under cocotb, and compiled into this process."""

VerilogEngine = RtlEngine | TurboEngine

PLACES = [
    pytest.param(
        simulator,
        array,
        id=f"{simulator}-{array}",
        marks=() if simulator == "icarus" or array == "4r2w" else pytest.mark.slow,
    )
    for simulator in WAYS
    for array in ARRAYS
]
"""Every way with every array; in the quick tier every array in one simulator, as each is a build of Verilator."""


def random_settings(examples: int) -> settings:
    """Settings of a property-based test: repeatable, unless ``BFIMNA_EXPLORE`` asks for so many other examples.

    A failure prints the seed of its random program; ``@example(seed=...)`` repeats it. It is not shrunk, as a smaller
    seed is no smaller program.
    """
    return settings(
        max_examples=EXPLORE or examples,
        derandomize=not EXPLORE,
        database=None,
        deadline=None,
        print_blob=True,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


class EnginePool:
    """Simulators by config and name, each started once.

    Parameters
    ----------
    verilog : gives the text of a tile; without it the tile's own Verilog is simulated.
    """

    def __init__(self, verilog: Callable[[TileConfig], str] | None = None) -> None:
        self._verilog = verilog
        self._engines: dict[tuple[int, str], VerilogEngine] = {}

    def get(self, config: TileConfig, simulator: str, stall_probability: float = 0.0, seed: int = 0) -> VerilogEngine:
        """The tile in a simulator or compiled, with pauses at the same places whatever it did before."""
        key = (config.hash, simulator)
        if key not in self._engines or self._engines[key].closed:
            text = self._verilog(config) if self._verilog else None
            turbo = simulator == "turbo"
            self._engines[key] = (
                TurboEngine(config, verilog=text) if turbo else RtlEngine(config, simulator, verilog=text)
            )
        engine = self._engines[key]
        engine.stall_probability = stall_probability
        engine.reset_after = 0
        engine.seed, engine.jobs = seed, 0
        return engine

    def close(self) -> None:
        engines, self._engines = list(self._engines.values()), {}
        for engine in engines:
            engine.close()


@dataclass(frozen=True)
class EditedProgram(Program):
    """A program whose header is another one."""

    header: int = 0

    @property
    def words(self) -> list[int]:
        return [self.header, *super().words[1:]]

    @cached_property
    def image(self) -> bytes:
        return b"".join(word.to_bytes(16, "little") for word in self.words)


def program(*instructions: Instruction, config: TileConfig) -> Program:
    """A program that nobody checked."""
    return Program(instructions, config.hash)


def store_program(config: TileConfig) -> Program:
    """Shows every column, the tags and the totals, and changes nothing."""
    return Program.build(
        [
            Instruction(Opcode.STORE, a=0, a_width=min(64, config.columns)),
            *(
                Instruction(Opcode.STORE, a=first, a_width=min(64, config.columns - first))
                for first in range(64, config.columns, 64)
            ),
            Instruction(Opcode.STORE, kind=StoreKind.TAG, a_width=1),
            Instruction(Opcode.STORE, kind=StoreKind.TOTAL, a_width=config.total_bits),
            Instruction(Opcode.HALT),
        ],
        config,
    )


def differences(ours: Outcome, expected: Outcome) -> list[str]:
    """In what two runs differ, stalls and identity excepted."""
    found: list[str] = []
    if ours.error is not expected.error:
        found.append(f"error {ours.error.name} at {ours.address}, not {expected.error.name} at {expected.address}")
    elif ours.address != expected.address:
        found.append(f"{ours.error.name} at {ours.address}, not at {expected.address}")
    names = {name for name in (*ours.counters, *expected.counters) if not name.startswith("identity.")}
    # With passes that share writes the golden tile counts no activity.
    names -= {name for name in names if name.startswith("activity.") and name not in expected.counters}
    for name in sorted(names - {"cycles.stall"}):
        if ours.counters.get(name) != expected.counters.get(name):
            found.append(f"{name} {ours.counters.get(name)}, not {expected.counters.get(name)}")
    if expected.error is not ErrorCode.NONE:
        return found  # what was stored before an error is not looked at
    if len(ours.planes) != len(expected.planes):
        found.append(f"{len(ours.planes)} STOREs, not {len(expected.planes)}")
    for index, (our, other) in enumerate(zip(ours.planes, expected.planes, strict=False)):
        if not np.array_equal(our, other):
            planes = np.flatnonzero((our != other).any(axis=1)).tolist()
            found.append(f"STORE {index}: planes {planes} of {len(other)}")
    return found


def compare(engine: VerilogEngine, job: Job, golden: GoldenTile) -> Outcome:
    """Run a job on the Verilog and on the golden tile, and assert that they, and the law, agree."""
    ours, expected = engine.run(job), golden.run(job)
    found = differences(ours, expected)
    assert not found, f"{engine.simulator}: " + "; ".join(found)
    if not engine.stall_probability:
        assert ours.counters["cycles.stall"] == 0
    if expected.error is ErrorCode.NONE:
        law = run_law(job.program, engine.config, golden.skipped_planes)
        names = law.keys() - {"cycles.stall", "identity.config"}
        assert {name: ours.counters[name] for name in names} == {name: law[name] for name in names}
        COVERAGE.note_program(job.program, engine.config, stalled=bool(engine.stall_probability))
    return ours
