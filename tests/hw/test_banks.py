"""The cells of an array in banks: the same tile however many there are, and modules that a flow can replace."""

from __future__ import annotations

import functools
import re

import numpy as np
import pytest

from golden.tile import GoldenTile
from hw.banks import CamBank, ColumnBank, bank_count
from hw.config import ARRAYS, ConfigError, TileConfig
from hw.hierarchy import Hierarchy
from hw.verilog import tile_verilog
from sim.rtl_engine import RtlEngine
from sim.tools import SIMULATORS
from tests.programs import random_program
from tests.rtl import TINY, compare
from tests.verilog_proof import modules

SEED = 6
BANKS = (2, *(pytest.param(count, marks=pytest.mark.slow) for count in (1, 4)))

PORTS = {
    "cells": {
        "mask": 32, "key": 32, "match": -8, "write_mask": 32, "write_key": 32, "write_rows": 8, "port_column": 5,
        "port_data": -8, "port_write": 1, "port_blocks": 2, "port_planes": 8, "clk": 1,
    },
    "4r2w": {
        **{f"{name}_address": 5 for name in ("x", "y", "c", "f", "low", "high")},
        **{f"{name}_data": -8 for name in ("x", "y", "c", "f")},
        **{f"{name}_data": 8 for name in ("low", "high")},
        **{f"{name}_enable": 1 for name in ("low", "high")},
        "clk": 1,
    },
    "3r1w": {
        **{f"{name}_address": 5 for name in ("x", "y", "port", "write")},
        **{f"{name}_data": -8 for name in ("x", "y", "port")},
        "write_data": 8, "write_enable": 1, "clk": 1,
    },
}  # fmt: skip
"""Ports of a bank of 8 rows and 32 columns and their bits, outputs as negative numbers."""

NAMES = {"cells": "cam_bank_8x32", "4r2w": "column_bank_8x32_4r2w", "3r1w": "column_bank_8x32_3r1w"}


made = functools.cache(tile_verilog)


def ports(module: str) -> dict[str, int]:
    found = re.findall(r"^  (input|output) (?:\[(\d+):0\] )?(\w+);$", module, re.MULTILINE)
    return {name: (1 if way == "input" else -1) * (int(high or 0) + 1) for way, high, name in found}


@pytest.mark.parametrize("array", ARRAYS)
def test_a_bank_has_the_ports_that_it_documents_and_no_reset(array: str) -> None:
    found = modules(made(TINY[array], 2))
    assert ports(found[NAMES[array]]) == PORTS[array]
    documented = CamBank.__doc__ if array == "cells" else ColumnBank.__doc__
    assert documented is not None
    for name in set(PORTS[array]) - {"clk"}:
        assert re.search(rf"\b({name}|NAME_{name.rpartition('_')[2]})\b", documented), name


@pytest.mark.slow
@pytest.mark.parametrize("array", ARRAYS)
def test_a_2d_tile_reads_another_column(array: str) -> None:
    found = modules(tile_verilog(TINY[array].replace(vertical=True), 2))
    more = {"partner_column": 5, "partner_data": -8} if array == "cells" else {}
    assert ports(found[NAMES[array]]) == PORTS[array] | more


@pytest.mark.parametrize("banks", BANKS)
@pytest.mark.parametrize("array", ARRAYS)
def test_banks_are_instances_of_one_module(array: str, banks: int) -> None:
    text = made(TINY[array], banks)
    kinds = [name for name in modules(text) if "_bank_" in name]
    assert len(kinds) == 1
    assert f"_bank_{16 // banks}x32" in kinds[0]
    assert re.findall(rf"^  {kinds[0]} (\w+) \($", text, re.MULTILINE) == [f"bank_{number}" for number in range(banks)]


@pytest.mark.parametrize("banks", BANKS)
def test_cells_are_in_banks_only(banks: int) -> None:
    for array in ARRAYS:
        for name, text in modules(made(TINY[array], banks)).items():
            if name == "tile_program_buffer":
                continue
            held = re.findall(r"^  reg \[\d+:0\] (?:store \[31:0\]|column_\d+ = \S+);$", text, re.MULTILINE)
            wanted = 32 if array == "cells" else 1
            assert len(held) == (wanted if "_bank_" in name else 0), name


@pytest.mark.parametrize("banks", [-1, 0, 3, 8])
def test_banks_divide_the_taps(banks: int) -> None:
    with pytest.raises(ConfigError, match=rf"^banks must be a divisor of the taps \(4\), not {banks}$"):
        bank_count(TINY["cells"], Hierarchy(banks))


@pytest.mark.parametrize("array", ["cells", *(pytest.param(name, marks=pytest.mark.slow) for name in ARRAYS[1:])])
def test_a_tile_has_no_other_number_of_banks(array: str) -> None:
    with pytest.raises(ConfigError, match=r"^banks must be a divisor of the taps \(4\), not 3$"):
        tile_verilog(TINY[array], 3)


@pytest.mark.slow
def test_default_is_one_bank() -> None:
    assert tile_verilog(TINY["cells"]) == tile_verilog(TINY["cells"], 1)


RUNS = [
    pytest.param(
        simulator,
        array,
        banks,
        id=f"{simulator}-{array}-{banks}",
        marks=() if (simulator, array, banks) == ("icarus", "3r1w", 2) else pytest.mark.slow,
    )
    for simulator in SIMULATORS
    for array in ARRAYS
    for banks in (2, 4)
]


@pytest.mark.parametrize(("simulator", "array", "banks"), RUNS)
def test_random_programs_equal_golden(simulator: str, array: str, banks: int) -> None:
    config: TileConfig = TINY[array]
    rng = np.random.default_rng(SEED)
    golden = GoldenTile(config)
    with RtlEngine(config, simulator, stall_probability=0.1, verilog=made(config, banks)) as engine:
        for _ in range(5):
            compare(engine, random_program(rng, config, 12), golden)
