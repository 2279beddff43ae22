"""The test bench of an accelerator in Icarus, and the commands that it plays."""

from __future__ import annotations

from pathlib import Path

import pytest

from golden.accelerator.machine import GoldenAccelerator
from golden.accelerator.timing import law
from hw.accelerator.commands import Run
from hw.accelerator.config import ACCELERATORS
from sim.verilog.accelerator_bench import accelerator_test_bench
from sim.verilog.accelerator_vectors import Access, accelerator_vectors, chain
from sim.verilog_cache import cached_accelerator_verilog
from tests.sim.verilog.benches import STEM, compile_bench, simulate, write

MESH = ACCELERATORS["meshtiny"]


@pytest.mark.parametrize("name", ACCELERATORS)
def test_commands_use_every_cluster(name: str) -> None:
    config = ACCELERATORS[name]
    commands = chain(config)
    assert commands is not None
    outcome = GoldenAccelerator(config).run(commands)
    assert not outcome.error
    assert law(commands, config).contended == []
    assert sum(isinstance(command, Run) for command in commands) == config.clusters
    for cluster, phase in enumerate(outcome.phases):
        assert len(phase.tiles[cluster]) > 1
        assert len(phase.host[cluster]) > 0
    assert len(set(outcome.words)) > 2


def test_no_commands_where_memories_are_too_small() -> None:
    small = MESH.replace(program_words=8)
    assert chain(small) is None
    assert accelerator_vectors(small) is None


def test_steps_end() -> None:
    vectors = accelerator_vectors(MESH)
    assert vectors is not None
    numbers = vectors.files["steps"].split()
    assert len(numbers) == vectors.words["steps"]
    assert numbers[0] == f"{Access.SAY:x}"
    assert numbers[-4] == f"{Access.END:x}"


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bench")
    vectors = accelerator_vectors(MESH)
    assert vectors is not None
    files = {f"{STEM}_tb_{name}.hex": text for name, text in vectors.files.items()}
    files[f"{STEM}.v"] = cached_accelerator_verilog(MESH)
    files[f"{STEM}_tb.v"] = accelerator_test_bench(MESH, vectors, STEM)
    write(folder, files)
    done = compile_bench(folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_passes(compiled: Path) -> None:
    status, lines = simulate(compiled)
    assert status == 0
    assert lines[-1].startswith("PASS: accelerator, config meshtiny, 4 runs, ")
    assert lines[2] == "run 2: streams that stall: begins"


@pytest.mark.parametrize(
    ("file", "place", "said"),
    [("out", 3, "a word for the host differs"), ("steps", 6, "a register differs")],
)
def test_fails_where_something_is_altered(compiled: Path, tmp_path: Path, file: str, place: int, said: str) -> None:
    write(tmp_path, {path.name: path.read_text() for path in compiled.glob("*.hex")})
    altered = tmp_path / f"{STEM}_tb_{file}.hex"
    lines = altered.read_text().splitlines()
    lines[place] = f"{int(lines[place], 16) ^ 1:x}"
    altered.write_text("\n".join(lines) + "\n")
    status, lines = simulate(compiled, f"+vectors={tmp_path}")
    assert status == 1
    assert any(said in line for line in lines), lines
    assert lines[-1].startswith("FAIL: accelerator, config meshtiny, ")
