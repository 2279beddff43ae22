"""The compiled runtime of Verilator is kept once and brought into new builds."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from sim.runner import build, run
from sim.runtime_objects import RuntimeObjects

COUNTER = """
module counter(input [7:0] more, output [7:0] count);
  assign count = more + {start};
endmodule
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BFIMNA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_kept_once_and_brought_back(cache: Path, tmp_path: Path) -> None:
    made, other = tmp_path / "made", tmp_path / "other"
    made.mkdir()
    other.mkdir()
    objects = RuntimeObjects({"flags": 1})
    assert objects.bring(other) == 0
    (made / "verilated.o").write_bytes(b"first")
    (made / "Vtop.o").write_bytes(b"design")
    objects.keep(made)
    (made / "verilated.o").write_bytes(b"second")
    objects.keep(made)
    assert objects.bring(other) == 1
    assert {file.name: file.read_bytes() for file in other.iterdir()} == {"verilated.o": b"first"}
    assert RuntimeObjects({"flags": 2}).bring(tmp_path / "other") == 0
    assert [path.name for path in (cache / "runtime").iterdir()] == [objects.folder.name]


@pytest.mark.usefixtures("cache")
def test_bringing_them_is_using_them(tmp_path: Path) -> None:
    (tmp_path / "verilated.o").touch()
    objects = RuntimeObjects({"flags": 1})
    objects.keep(tmp_path)
    os.utime(objects.folder, (1, 1))
    assert objects.bring(tmp_path) == 1
    assert time.time() - objects.folder.stat().st_mtime < 60


@pytest.mark.usefixtures("cache")
def test_those_that_go_in_the_middle_are_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("verilated.o", "verilated_vpi.o"):
        (tmp_path / name).touch()
    objects = RuntimeObjects({"flags": 1})
    objects.keep(tmp_path)
    copy = shutil.copyfile

    def copy_and_remove(source: Path, target: Path) -> None:
        copy(source, target)
        shutil.rmtree(objects.folder)

    monkeypatch.setattr(shutil, "copyfile", copy_and_remove)
    other = tmp_path / "other"
    other.mkdir()
    assert objects.bring(other) == 1
    assert [file.name for file in other.iterdir()] == ["verilated.o"]


@pytest.mark.slow
def test_a_second_design_does_not_compile_it(cache: Path) -> None:
    def compiled(start: int) -> set[str]:
        built = build(COUNTER.format(start=start), "counter", "verilator")
        log = (built.folder / "build.log").read_text()
        return {name for name in ("verilated.o", "verilated_vpi.o") if f"-o {name}" in log}

    assert compiled(1) == {"verilated.o", "verilated_vpi.o"}
    assert len(list((cache / "runtime").iterdir())) == 1
    assert compiled(2) == set()
    # What was built that way runs.
    built = build(COUNTER.format(start=2), "counter", "verilator")
    assert built.reused
    bench = cache / "bench_two.py"
    bench.write_text(
        "import cocotb\nfrom cocotb.triggers import Timer\n\n\n@cocotb.test()\nasync def adds(dut):\n"
        "    dut.more.value = 5\n    await Timer(1, unit='ns')\n    assert dut.count.value.to_unsigned() == 7\n"
    )
    run(built, bench)
