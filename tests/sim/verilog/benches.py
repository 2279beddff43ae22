"""Runs generated test benches in Icarus, as a user without Python would."""

from __future__ import annotations

import subprocess
from pathlib import Path

from golden.engine import Job
from golden.tile import GoldenTile
from hw.config import TileConfig
from hw.isa import Instruction, Opcode, Program
from sim.verilog.test_bench import tile_test_bench
from sim.verilog.vectors import Run, tile_vectors
from sim.verilog_cache import cached_tile_verilog

STEM = "x"


def write(folder: Path, files: dict[str, str]) -> None:
    """Put files into a folder."""
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")


def few_runs(config: TileConfig, job: Job) -> list[Run]:
    """What a bench does with runs: with and without stalls, a reset, an error, once more."""
    tile = GoldenTile(config)
    refused = Job(Program((Instruction(Opcode.COUNT),), config.hash))
    return [
        Run("few", job, tile.run(job)),
        Run("reset", job, tile.run(job), reset_after=40),
        Run("stalls", job, tile.run(job), stalls=True),
        Run("refused", refused, tile.run(refused)),
        Run("again", job, tile.run(job)),
    ]


def prepare(folder: Path, config: TileConfig, runs: list[Run], verilog: str | None = None, *others: str) -> None:
    """Write and compile a test bench, with other files that are in the folder already."""
    vectors = tile_vectors(config, runs)
    files = {f"{STEM}_tb_{name}.hex": text for name, text in vectors.files.items()}
    files[f"{STEM}.v"] = cached_tile_verilog(config) if verilog is None else verilog
    files[f"{STEM}_tb.v"] = tile_test_bench(config, vectors, STEM)
    write(folder, files)
    done = compile_bench(folder, *others)
    assert done.returncode == 0, done.stderr


def compile_bench(folder: Path, *others: str) -> subprocess.CompletedProcess[str]:
    """Compile the Verilog and its test bench in a folder."""
    return subprocess.run(
        ["iverilog", "-g2005", "-o", "bench.vvp", *others, f"{STEM}.v", f"{STEM}_tb.v"],
        cwd=folder, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


def simulate(folder: Path, *options: str, cwd: Path | None = None) -> tuple[int, list[str]]:
    """Run what was compiled; the exit status, and the lines that it printed."""
    done = subprocess.run(
        ["vvp", "-n", str(folder / "bench.vvp"), *options],
        cwd=cwd or folder, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    return done.returncode, done.stdout.splitlines()
