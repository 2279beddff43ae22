"""Blocks as modules: each once in the text, and the same to a simulator as ordinary submodules."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import cocotb
import pytest
from amaranth.hdl import Module, Signal, Value
from amaranth.lib import data, memory, stream
from amaranth.lib.wiring import In, Out, connect, flipped
from cocotb.clock import Clock
from cocotb.triggers import ReadOnly, RisingEdge

from hw.component import Component
from hw.hierarchy import Hierarchy, ModuleNameError, design_text, joined_text
from sim.runner import build, run

PAIR = data.StructLayout({"low": 3, "high": 5})
CYCLES = 60


class Scaler(Component):
    """Adds a constant to the high part, a cycle later."""

    def __init__(self) -> None:
        super().__init__({"x": In(stream.Signature(PAIR)), "y": Out(stream.Signature(PAIR)), "moved": Out(8)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        moved = Signal(8)
        m.d.comb += [self.x.ready.eq(~self.y.valid | self.y.ready), self.moved.eq(moved)]
        with m.If(self.x.ready):
            m.d.sync += [self.y.valid.eq(self.x.valid), self.y.payload.low.eq(self.x.payload.low)]
            m.d.sync += self.y.payload.high.eq(self.x.payload.high + 3)
        with m.If(self.y.valid & self.y.ready):
            m.d.sync += moved.eq(moved + 1)
        return m


class Pipeline(Component):
    """Two scalers, one after the other."""

    def __init__(self) -> None:
        super().__init__({"x": In(stream.Signature(PAIR)), "y": Out(stream.Signature(PAIR)), "moved": Out(9)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.first = first = Scaler()
        m.submodules.second = second = Scaler()
        connect(m, flipped(self.x), first.x)
        connect(m, first.y, second.x)
        connect(m, second.y, flipped(self.y))
        m.d.comb += self.moved.eq(first.moved + second.moved)
        return m


class Twice(Component):
    """Two pipelines, one after the other."""

    def __init__(self) -> None:
        super().__init__({"x": In(stream.Signature(PAIR)), "y": Out(stream.Signature(PAIR)), "moved": Out(9)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.first = first = Pipeline()
        m.submodules.second = second = Pipeline()
        connect(m, flipped(self.x), first.x)
        connect(m, first.y, second.x)
        connect(m, second.y, flipped(self.y))
        # Memories that begin with zeros, and one that does not: read before the first write.
        words: list[Value] = []
        for depth, first in ((300, 0), (90, 0), (70, 1)):
            m.submodules[f"store_{depth}"] = store = memory.Memory(shape=5, depth=depth, init=[first] * depth)
            write, read = store.write_port(), store.read_port(domain="comb")
            m.d.comb += [write.en.eq(self.x.valid), write.addr.eq(self.x.payload), write.data.eq(self.x.payload.high)]
            m.d.comb += read.addr.eq(self.y.payload)
            words.append(read.data)
        m.d.comb += self.moved.eq(second.moved + words[0] + words[1] + words[2])
        return m


class Same(Component):
    """Its module has the same name whoever uses it, and so whatever it is."""

    block = "same"
    shared = True

    def __init__(self, bits: int) -> None:
        self.bits = bits
        super().__init__({"a": In(bits), "b": Out(bits)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.b.eq(~self.a)
        return m


class Several(Component):
    """Components of one class, some of them equal."""

    def __init__(self) -> None:
        super().__init__({"a": In(4), "b": Out(4)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        value = self.a
        for name, bits in (("one", 4), ("two", 3), ("three", 4)):
            m.submodules[name] = part = Same(bits)
            m.d.comb += part.a.eq(value)
            value = part.b
        m.d.comb += self.b.eq(value)
        return m


def hierarchical() -> str:
    return design_text(Twice(), "twice")


def names(text: str) -> list[str]:
    return re.findall(r"^module (\S+?) ?\(", text, re.MULTILINE)


def test_each_module_once() -> None:
    text = hierarchical()
    assert names(text) == ["twice", "twice_pipeline", "twice_pipeline_scaler"]
    assert len(re.findall(r"^  twice_pipeline_scaler ", text, re.MULTILINE)) == 2
    assert len(re.findall(r"^  twice_pipeline ", text, re.MULTILINE)) == 2
    assert len(text) < len(joined_text(Twice(), "twice"))


def test_components_that_differ_are_modules_that_differ() -> None:
    text = design_text(Several(), "several")
    assert names(text) == ["several", "same", "same_2"]
    assert re.findall(r"^  (same\w*) (\w+) \(", text, re.MULTILINE) == [
        ("same", "one"), ("same", "three"), ("same_2", "two"),
    ]  # fmt: skip


def test_modules_have_a_clock_and_a_reset_where_they_have_registers() -> None:
    assert "clk" not in design_text(Several(), "several")
    assert re.search(r"input clk;.*input rst;", design_text(Scaler(), "scaler"), re.DOTALL)


def test_every_module_says_what_it_is() -> None:
    sentences = re.findall(r"^// (.*)\nmodule (\w+)\(", hierarchical(), re.MULTILINE)
    assert sentences == [
        ("Two pipelines, one after the other.", "twice"),
        ("Two scalers, one after the other.", "twice_pipeline"),
        ("Adds a constant to the high part, a cycle later.", "twice_pipeline_scaler"),
    ]


def test_ports_of_what_is_used_say_whose_they_are() -> None:
    assert ".x__ready(second_x__ready)" not in hierarchical()
    assert re.search(r"wire \[7:0\] pipeline_moved", hierarchical()) is None
    assert re.search(r"wire \[8:0\] pipeline_moved", hierarchical())


def test_memories_of_zeros_are_short() -> None:
    text = hierarchical()
    loops = re.findall(r"for \(place = 0; place < (\d+); place = place \+ 1\) \S+ = (.*);", text)
    assert sorted(loops) == [("300", "5'h0"), ("90", "5'h0")]
    assert len(re.findall(r"^    \S+\[\d+\] = 5'h01;$", text, re.MULTILINE)) == 70


def test_ports_are_flat_vectors() -> None:
    scaler = design_text(Scaler(), "scaler")
    for port in ("input [7:0] x__payload;", "output [7:0] y__payload;", "input y__ready;", "input clk;", "input rst;"):
        assert f"  {port}\n" in scaler


def test_the_same_text_elsewhere(tmp_path: Path) -> None:
    script = "import sys\nfrom test_hierarchy import hierarchical\nsys.stdout.write(hierarchical())\n"
    paths = [str(Path(__file__).parent), *filter(None, sys.path)]
    made = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONHASHSEED": "5"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert made.stdout == hierarchical()
    assert re.search(r"(?<![\w.])/(home|tmp|work|usr|root|opt|Users)\b", made.stdout) is None


def test_names_must_differ() -> None:
    hierarchy = Hierarchy()
    hierarchy.write(Scaler(), "scaler")
    with pytest.raises(ModuleNameError, match=r"^modules of a design must have different names, not 'scaler' twice$"):
        hierarchy.write(Same(3), "scaler")


class Patchwork(Component):
    """Has a part without a name."""

    def __init__(self) -> None:
        super().__init__({"b": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.part = part = Module()
        part.d.sync += self.b.eq(~self.b)
        return m


def test_parts_must_be_components() -> None:
    with pytest.raises(ModuleNameError, match=r"^parts of module 'patchwork' must be components, not plain modules$"):
        design_text(Patchwork(), "patchwork")


INTERRUPTED = """
from amaranth.hdl import Module
from hw.component import Component
from hw.hierarchy import design_text

class Part(Component):
    def elaborate(self, platform):
        return Module()

class Interrupted(Component):
    def elaborate(self, platform):
        m = Module()
        m.submodules.part = Part({})
        raise KeyboardInterrupt

try:
    design_text(Interrupted({}), "interrupted")
except KeyboardInterrupt:
    print("interrupted")
"""


def test_an_interrupt_says_nothing_of_parts_that_were_not_reached() -> None:
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("interrupted\n", "")


def test_simulates_as_in_amaranths_own_hierarchy() -> None:
    traces: list[str] = []
    for text in (hierarchical(), joined_text(Twice(), "twice")):
        result = run(build(text, "twice", "icarus"), __file__, seed=3, timeout=60)
        traces.append((result.folder / "trace.txt").read_text(encoding="utf-8"))
    assert traces[0] == traces[1]
    assert len(set(traces[0].splitlines())) > CYCLES // 2


@cocotb.test()
async def writes_a_trace(dut: Any) -> None:
    """The outputs of every cycle under inputs drawn from the seed."""
    rng, lines = cocotb.RANDOM_SEED, list[str]()
    Clock(dut.clk, 2, "ns").start(start_high=False)
    dut.rst.value = 0
    for cycle in range(CYCLES):
        rng = rng * 1103515245 + 12345 & 0x7FFFFFFF
        dut.x__payload.value, dut.x__valid.value, dut.y__ready.value = rng >> 8 & 0xFF, rng >> 18 & 1, rng >> 20 & 1
        await ReadOnly()
        lines.append(f"{cycle} {dut.x__ready.value} {dut.y__valid.value} {dut.y__payload.value} {dut.moved.value}")
        await RisingEdge(dut.clk)
    Path("trace.txt").write_text("\n".join(lines), encoding="utf-8")
