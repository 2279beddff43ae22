"""Waves that a person opens: files that readers take, and a save file that names signals which are there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from vcd.reader import TokenKind, tokenize

from hw.config import CONFIGS
from hw.isa import Opcode
from sim import cli, waves
from sim.assembler import assemble
from sim.commands.wave import operation_text

SIMULATORS = ("icarus", "verilator")


def changes(file: Path, *paths: str) -> dict[str, list[int]]:
    """Read a whole VCD file, and return the values that signals took one after the other, unknown ones left out."""
    codes = {variable.path: variable.code for variable in waves.read_header(file)}
    wanted = {codes[path]: path for path in paths}
    values: dict[str, list[int]] = {path: [] for path in paths}
    times: list[int] = []
    with file.open("rb") as source:
        for token in tokenize(source):
            if token.kind is TokenKind.CHANGE_TIME:
                times.append(token.time_change)
            elif token.kind is TokenKind.CHANGE_VECTOR and token.vector_change.id_code in wanted:
                value = token.vector_change.value
                if isinstance(value, int):
                    values[wanted[token.vector_change.id_code]].append(value)
    assert times == sorted(times)
    return values


def shown(save: str) -> list[tuple[str, int]]:
    """Return the signals of a save file and their widths."""
    found = re.findall(r"^\+\{\w+\} (tile\.[\w.]+)(?:\[(\d+):0\])?$", save, re.MULTILINE)
    return [(name, int(high or 0) + 1) for name, high in found]


def table(text: str) -> dict[int, str]:
    """Return the values and texts of a translation file."""
    rows = (line.split(" ", 1) for line in text.splitlines())
    return {int(value, 16): label for value, label in rows}


@pytest.mark.parametrize(
    "simulator", [pytest.param(name, marks=pytest.mark.slow) if name == "verilator" else name for name in SIMULATORS]
)
def test_waves_of_an_instruction(simulator: str, tmp_path: Path) -> None:
    target = tmp_path / "a.vcd"
    assert cli.main(["wave", "op", "ADD", "--sim", simulator, "--output", str(target)]) == 0
    assert {file.name for file in tmp_path.iterdir()} == {
        "a.vcd", "a.gtkw", "a.instructions.txt", "a.states.txt", "a.owners.txt", "a.errors.txt",
    }  # fmt: skip
    save = (tmp_path / "a.gtkw").read_text()
    assert '[dumpfile] "a.vcd"\n' in save
    assert str(tmp_path) not in save
    assert re.findall(r"@800200\n-(.*)", save) == list(waves.GROUPS)
    recorded = {variable.path: variable.bits for variable in waves.read_header(target)}
    assert not [path for path in recorded if "$" in path or "\\" in path]
    signals = shown(save)
    assert {(path, recorded[path]) for path, _ in signals} == set(signals)
    assert [path for path, _ in signals] == [f"tile.{name}" for names in waves.GROUPS.values() for name in names]
    for name in re.findall(r"^\^\d+ (.+)$", save, re.MULTILINE):
        assert (tmp_path / name).is_file()

    # What the waves hold is the run: every instruction, and the states of an ADD in their order.
    found = changes(
        target, "tile.sequencer.running", "tile.sequencer.state_state", "tile.sequencer.step_index",
        "tile.counters.events_instructions",
    )  # fmt: skip
    instructions = table((tmp_path / "a.instructions.txt").read_text())
    ran = [instructions[word] for word in found["tile.sequencer.running"] if word in instructions]
    assert [text.split()[0] for text in ran if text.startswith("ADD")] == ["ADD"]
    states = table((tmp_path / "a.states.txt").read_text())
    names = [states[state] for state in found["tile.sequencer.state_state"]]
    assert re.search(r"START DECODE SETUP STEP DECODE", " ".join(names))
    assert [found["tile.sequencer.step_index"].count(index) for index in range(1, 8)] == [4] * 7  # steps of 4 bits
    assert found["tile.counters.events_instructions"][-1] == 4


def test_waves_of_a_layer(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "a.vcd"
    command = ["wave", "run", "resnet8", "--layer", "avgpool1", "--output", str(target)]
    assert cli.main(command) == 0
    assert re.fullmatch(
        r"layer avgpool1 of resnet8, its first program on small: [\d,]+ cycles, waves in \S+a\.vcd; "
        r"see: gtkwave \S+a\.gtkw\n",
        capfd.readouterr().out,
    )
    recorded = {variable.path for variable in waves.read_header(target)}
    assert {path for path, _ in shown((tmp_path / "a.gtkw").read_text())} <= recorded
    assert target.stat().st_size < 64 << 20


def test_nothing_is_left_of_waves_that_fail(tmp_path: Path) -> None:
    target = tmp_path / "a.vcd"

    def interrupted() -> None:
        with waves.whole(target) as unfinished:
            unfinished.write_text("half")
            raise KeyError("stop")

    with pytest.raises(KeyError, match=r"^'stop'$"):
        interrupted()
    assert list(tmp_path.iterdir()) == []


HEADER = """\
$timescale 1ps $end
 $scope module $rootio $end
  $var wire 1 ! clk $end
 $upscope $end
 $scope module  $end
  $scope module tile $end
   $var wire 1 ! clk $end
   $var wire 8 " $auto$1 $end
   $var wire 8 # tag [7:0] $end
   $var wire 4 $ \\tag.low [3:0] $end
  $upscope $end
 $upscope $end
$enddefinitions $end
#0
0!
b1 "
b10 #
b1 $
#5
b11 "
#6
1!
"""


def test_tidy(tmp_path: Path) -> None:
    file = tmp_path / "a.vcd"
    file.write_text(HEADER)
    waves.tidy(file)
    assert waves.read_header(file) == [
        waves.Variable("rootio.clk", "!", 1),
        waves.Variable("top.tile.clk", "!", 1),
        waves.Variable("top.tile.tag", "#", 8),
    ]
    assert file.read_text().endswith("$enddefinitions $end\n#0\n0!\nb10 #\n#6\n1!\n")
    assert list(tmp_path.iterdir()) == [file]


def test_save_file_finds_the_tile_wherever_it_is() -> None:
    variables = [waves.Variable("rootio.clk", "!", 1), waves.Variable("top.tile.clk", "!", 1)]
    save = waves.save_file(Path("/somewhere/a.vcd"), variables, {})
    assert "+{clk} top.tile.clk\n" in save
    assert "somewhere" not in save


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
    words = program.words[1:]
    assert set(tables["instructions"]) == set(words)
    for word, instruction in zip(words, program.instructions, strict=True):
        assert tables["instructions"][word].split()[0] == Opcode(instruction.opcode).name
