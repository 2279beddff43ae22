"""The test bench of a tile: plain Verilog-2005 that checks itself against vectors of the golden tile.

What does not depend on the config is in ``sim/data/verilog/tile_tb.v``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum

from hw.config import TileConfig
from hw.counter_map import COUNTERS, counter_index
from hw.isa import ErrorCode, LoadKind, TileState
from sim.models import data_file
from sim.verilog.vectors import RUN_WORDS, Vectors

__all__ = ["bench_name", "bench_text", "tile_test_bench"]

TOP = "tile"
SHOWN = 20
"""Differences that a test bench prints before it only counts them."""

SINCE = 100
"""Cycles for which a run goes on after the first difference."""


def bench_name(top: str) -> str:
    """Name of the test bench of a module."""
    return f"{top}_tb"


def tile_test_bench(config: TileConfig, vectors: Vectors, stem: str) -> str:
    """Verilog of the test bench of a tile.

    Parameters
    ----------
    config : the tile.
    vectors : what it is run on.
    stem : the name of the tile's Verilog file without its suffix; those of the vector files begin with it.
    """
    constants = {
        "PLANE_BITS": config.plane_bits,
        "KIND_BITS": _bits(LoadKind),
        "STATE_BITS": _bits(TileState),
        "ERROR_BITS": _bits(ErrorCode),
        "INDEX_BITS": (len(COUNTERS) - 1).bit_length(),
        "STATE_PROGRAM": int(TileState.PROGRAM),
        **{f"{name.upper()}_WORDS": words for name, words in vectors.words.items()},
        "RUNS": len(vectors.names),
        "COUNTERS": len(COUNTERS),
        "STALL_COUNTER": counter_index("cycles.stall"),
        "ROW_WORDS": len(RUN_WORDS),
        **{name.upper().replace(" ", "_"): place for place, name in enumerate(RUN_WORDS[: -len(COUNTERS)])},
        "FIRST_COUNTER": len(RUN_WORDS) - len(COUNTERS),
    }
    return bench_text(TOP, config.name, config.hash_text, stem, constants, vectors.names)


def bench_text(
    top: str, config: str, config_hash: str, stem: str, constants: Mapping[str, int], runs: Sequence[str]
) -> str:
    """A test bench: its constants, then what ``sim/data/verilog`` has for this top module.

    Parameters
    ----------
    top : module under test.
    config, config_hash : name and hash, 16 hexadecimal digits, of what it was made from.
    stem : as for :func:`tile_test_bench`.
    constants : numbers by the names that the body has for them.
    runs : names of the runs, for the log.
    """
    name = bench_name(top)
    lines = [
        f"// Checks {top}, config {config} ({config_hash}), against vectors of its golden model. Verilog-2005.",
        "//",
        f"//   $ iverilog -g2005 -o {stem}_tb.vvp {stem}.v {stem}_tb.v && vvp -n {stem}_tb.vvp",
        f"//   $ verilator --binary --timing -Wno-fatal --top-module {name} {stem}.v {stem}_tb.v && obj_dir/V{name}",
        "//",
        f"// The files {stem}_tb_*.hex are looked for in the folder that the simulation is started in; in another one",
        "// by +vectors=FOLDER or the macro BFIMNA_VECTORS, a string. +waves=FILE.vcd records all signals.",
        "// The last line begins with PASS or FAIL; after FAIL the status is not 0.",
        "",
        "// verilator lint_off DECLFILENAME",
        "// verilator lint_off WIDTH",
        "`ifndef BFIMNA_VECTORS",
        '`define BFIMNA_VECTORS "."',
        "`endif",
        "",
        f"module {name};",
        f'  localparam TITLE = "{top}, config {config}", NAME = "{stem}_tb";',
        f"  localparam [63:0] CONFIG_HASH = 64'h{config_hash};",
        *(
            f"  localparam {constant} = {value};"
            for constant, value in {**constants, "SHOWN": SHOWN, "SINCE": SINCE}.items()
        ),
        "",
        "  task say(input [8*8-1:0] how);",
        "    case (run)",
        *(f'      {number}: $display("run {number}: {text}: %0s", how);' for number, text in enumerate(runs)),
        "      default: ;",
        "    endcase",
        "  endtask",
        "",
    ]
    return "\n".join(lines) + "\n" + data_file(f"verilog/{name}.v").read_text(encoding="utf-8")


def _bits(codes: type[IntEnum]) -> int:
    """Bits of a port that shows one of these codes."""
    return int(max(codes)).bit_length()
