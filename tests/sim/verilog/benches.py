"""Runs generated test benches in Icarus, as a user without Python would."""

from __future__ import annotations

import subprocess
from pathlib import Path

STEM = "x"


def write(folder: Path, files: dict[str, str]) -> None:
    """Put files into a folder."""
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")


def compile_bench(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Compile the Verilog and its test bench in a folder."""
    return subprocess.run(
        ["iverilog", "-g2005", *options, "-o", "bench.vvp", f"{STEM}.v", f"{STEM}_tb.v"],
        cwd=folder, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


def simulate(folder: Path, *options: str, cwd: Path | None = None) -> tuple[int, list[str]]:
    """Run what was compiled; the exit status, and the lines that it printed."""
    done = subprocess.run(
        ["vvp", "-n", str(folder / "bench.vvp"), *options],
        cwd=cwd or folder, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    return done.returncode, done.stdout.splitlines()
