"""Save files and translation files of GTKWave."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hw.config import CONFIGS
from hw.isa import Opcode
from sim import waves
from sim.assembler import assemble
from sim.commands.wave import operation_text
from sim.waves.gtkwave import MARKERS, Marker, instruction_texts


def table(text: str) -> dict[int, str]:
    """Return the values and texts of a translation file."""
    rows = (line.split(" ", 1) for line in text.splitlines())
    return {int(value, 16): label for value, label in rows}


def test_save_file_finds_the_tile_wherever_it_is() -> None:
    variables = [waves.Variable("rootio.clk", "!", 1), waves.Variable("top.tile.clk", "!", 1)]
    save = waves.save_file(Path("/somewhere/a.vcd"), variables, {})
    assert "+{clk} top.tile.clk\n" in save
    assert "somewhere" not in save


def test_markers() -> None:
    """The first 26 are shown; the view begins a cycle before the first pass, with 140 pixels for a cycle."""
    variables = [waves.Variable("tile.clk", "!", 1)]
    markers = [
        Marker(100, "LOAD", of_pass=False),
        *(Marker(400 + 10 * i, f"pass {i}", of_pass=True) for i in range(40)),
    ]
    lines = waves.save_file(Path("a.vcd"), variables, {}, markers).splitlines()
    assert "[timestart] 390" in lines
    [view] = [line for line in lines if line.startswith("*")]
    assert view == "*-3.836501 -1 100 " + " ".join(str(400 + 10 * i) for i in range(MARKERS - 1))
    named = [line for line in lines if line.startswith("[markername]")]
    assert named[:2] == ["[markername] ALOAD", "[markername] Bpass 0"]
    assert len(named) == MARKERS
    [one] = [
        line for line in waves.save_file(Path("a.vcd"), variables, {}, markers[:1]).splitlines() if line.startswith("*")
    ]
    assert one.split()[1:] == ["-1", "100", *["-1"] * (MARKERS - 1)]


def test_translations() -> None:
    config = CONFIGS["tiny"]
    program = assemble(operation_text("DOT"), config)
    tables: Mapping[str, dict[int, str]] = {
        name: table(text) for name, text in waves.translations(config, program).items()
    }
    assert set(tables) == set(waves.TRANSLATED.values())
    assert tables["owners"] == {0: "LOAD", 1: "COMPUTE", 2: "REDUCE", 3: "REQUANTIZE", 4: "STORE"}
    assert {"IDLE", "DECODE", "DOT", "ERROR"} <= set(tables["states"].values())
    assert tables["errors"][0] == "NONE"
    assert tables["kinds"] == {0: "PLANES", 1: "BLOCK", 2: "TAPS", 3: "TOTAL", 4: "TAG"}
    assert tables["tile_states"] == {0: "IDLE", 1: "BUSY", 2: "PLANES", 3: "ROOM", 4: "PROGRAM"}
    words = program.words[1:]
    assert set(tables["instructions"]) == set(words)
    for word, instruction in zip(words, program.instructions, strict=True):
        assert tables["instructions"][word].split()[0] == Opcode(instruction.opcode).name
    assert tuple(tables["instructions"][word] for word in words) == instruction_texts(program)
