"""The test bench of an accelerator: plain Verilog-2005 that plays a host and checks what it reads and gets.

What does not depend on the config is in ``sim/data/verilog/accelerator_tb.v``.
"""

from __future__ import annotations

from hw.accelerator.config import AcceleratorConfig
from hw.accelerator.register_map import MAP_BYTES
from sim.verilog.accelerator_vectors import WATCHDOG, Access
from sim.verilog.test_bench import bench_text
from sim.verilog.vectors import Vectors

__all__ = ["accelerator_test_bench"]

TOP = "accelerator"
LIMIT_CYCLES, LIMIT_FACTOR = 4 * WATCHDOG, 10
"""Cycles after which a step is given up, and how many more for each word of the command stream."""


def accelerator_test_bench(config: AcceleratorConfig, vectors: Vectors, stem: str) -> str:
    """Verilog of the test bench of an accelerator; parameters as :func:`sim.verilog.test_bench.tile_test_bench`."""
    constants = {
        "ADDRESS_BITS": (MAP_BYTES - 1).bit_length(),
        "FLIT_BITS": config.flit_bits,
        **{f"{name.upper()}_WORDS": words for name, words in vectors.words.items()},
        **{access.name: int(access) for access in Access},
        "RUNS": len(vectors.names),
        "LIMIT": LIMIT_CYCLES + LIMIT_FACTOR * vectors.words["in"],
    }
    return bench_text(TOP, config.name, config.hash_text, stem, constants, vectors.names)
