"""Waves that a person opens: files that readers take, a save file that names what is there, and true passes."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from vcd.reader import TokenKind, tokenize

from golden.cam import Cam
from hw.config import CONFIGS
from hw.passes import tables
from sim import cli, waves
from sim.commands import wave
from tests.sim.waves.test_gtkwave import table

SIMULATORS = ("icarus", "verilator")
SMALL = CONFIGS["small"]

FIGURE = Path(__file__).parents[3] / "docs" / "figures" / "addition.svg"

ELSEWHERE = {
    "array.bank_0.key", "array.bank_0.write_key", "array.mask", "array.write_mask", "tags.other",
    "counters.events_skipped_planes",
}  # fmt: skip
"""Signals of other configs."""

ADD_SHOWS = {
    "clock", "passes", "key", "mask", "tags", "touched columns", "sequencer", "streams", "plane port", "status",
    "counters",
}  # fmt: skip


def changes(file: Path) -> dict[str, list[tuple[int, int | str]]]:
    """Read a whole VCD file, and return for each signal the times and values that it took one after the other."""
    paths: dict[str, list[str]] = {}
    for variable in waves.read_header(file):
        paths.setdefault(variable.code, []).append(variable.path)
    found: dict[str, list[tuple[int, int | str]]] = {path: [] for names in paths.values() for path in names}
    times = [0]
    with file.open("rb") as source:
        for token in tokenize(source):
            if token.kind is TokenKind.CHANGE_TIME:
                times.append(token.time_change)
                continue
            if token.kind is TokenKind.CHANGE_VECTOR:
                code, value = token.vector_change
            elif token.kind is TokenKind.CHANGE_SCALAR:
                code, value = token.scalar_change
                value = int(value) if value in "01" else value
            elif token.kind is TokenKind.CHANGE_STRING:
                code, value = token.string_change
                value = value.replace(r"\x20", " ")
            else:
                continue
            for path in paths[code]:
                found[path].append((times[-1], value))
    assert times == sorted(times)
    return found


def values(found: Mapping[str, list[tuple[int, int | str]]], path: str) -> list[int]:
    """Return the values of a signal, unknown ones left out."""
    return [value for _, value in found[path] if isinstance(value, int)]


def at(found: Mapping[str, list[tuple[int, int | str]]], path: str, time: int) -> int | str:
    """Return what a signal is from a time on."""
    return [value for when, value in found[path] if when <= time][-1]


def shown(save: str) -> list[tuple[str, int]]:
    """Return the signals of a save file and their widths."""
    found = re.findall(r"^\+\{\w+\} ((?:tile|passes)\.[\w.]+)(?:\[(\d+):0\])?$", save, re.MULTILINE)
    assert len(found) == save.count("+{")
    return [(name, int(high or 0) + 1) for name, high in found]


@pytest.mark.parametrize(
    "simulator", [pytest.param(name, marks=pytest.mark.slow) if name == "verilator" else name for name in SIMULATORS]
)
def test_waves_of_an_addition(simulator: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "a.vcd"
    command = ["wave", "op", "ADD", "--config", "small", "--sim", simulator, "--output", str(target)]
    assert cli.main(command) == 0
    assert re.fullmatch(
        r"ADD on small: 69 cycles, waves in \S+a\.vcd; see: gtkwave \S+a\.gtkw\n", capfd.readouterr().out
    )
    assert {file.name for file in tmp_path.iterdir()} == {
        "a.vcd", "a.gtkw", *(f"a.{name}.txt" for name in waves.TRANSLATED.values()),
    }  # fmt: skip
    assert target.stat().st_size < 200_000

    # The save file names what is there, and everything in every group.
    save = (tmp_path / "a.gtkw").read_text()
    assert '[dumpfile] "a.vcd"\n' in save
    assert str(tmp_path) not in save
    assert re.findall(r"@800200\n-(.*)", save) == list(waves.GROUPS)
    assert set(waves.GROUPS) == ADD_SHOWS
    recorded = {variable.path: variable.bits for variable in waves.read_header(target)}
    assert not [path for path in recorded if "$" in path or "\\" in path]
    signals = shown(save)
    assert {(path, recorded[path]) for path, _ in signals} == set(signals)
    named = [name for names in waves.GROUPS.values() for name in names]
    seen = [path.removeprefix("tile.") for path, _ in signals]
    assert seen == [name for name in named if name in seen]
    assert set(named) - set(seen) <= ELSEWHERE
    for name in re.findall(r"^\^\d+ (.+)$", save, re.MULTILINE):
        assert (tmp_path / name).is_file()
    markers = re.findall(r"^\[markername\] [A-Z](.*)$", save, re.MULTILINE)
    assert markers[:4] == ["LOAD", "SYNC", "ADD", "ADD pass 1"]
    assert markers[4:] == [*(f"ADD pass {2 + 2 * place}" for place in range(16)), "HALT"]

    # What the waves hold is the run: every instruction, and the states of an ADD in their order.
    found = changes(target)
    instructions, states = (table((tmp_path / f"a.{name}.txt").read_text()) for name in ("instructions", "states"))
    ran = [instructions[word] for word in values(found, "tile.sequencer.running") if word in instructions]
    assert [text.split()[0] for text in ran] == ["LOAD", "SYNC", "ADD", "HALT"]
    names = [states[state] for state in values(found, "tile.sequencer.state_state")]
    assert re.search(r"START DECODE SETUP STEP DECODE", " ".join(names))
    [index] = [path for path in found if re.fullmatch(r"tile\.sequencer\.steps?_index", path)]
    assert [values(found, index).count(step) for step in range(1, 8)] == [4] * 7
    assert values(found, "tile.counters.events_instructions")[-1] == 4
    check_addition(found)


def check_addition(found: Mapping[str, list[tuple[int, int | str]]]) -> None:
    """Compare an addition in waves with passes that come from the truth table, on a memory that knows no waves."""
    planes = np.random.default_rng(1).integers(0, 2, (8, SMALL.rows)).astype(np.uint8)
    cells = np.zeros((SMALL.columns, SMALL.rows), np.uint8)
    cells[:8] = planes
    cam = Cam(cells)
    texts = [(time, str(text)) for time, text in found["passes.kind"]]
    [begin] = [time for time, text in found["passes.instruction"] if str(text).startswith("ADD")]
    period = begin - [time for time, _ in found["tile.clk"] if time < begin][-2]

    def number(plane: np.ndarray) -> int:
        return int("".join(map(str, plane[::-1].astype(int).tolist())), 2)

    def check(place: int, kind: str, rows: int) -> None:
        """The cycle of one pass, and the tags after it."""
        time = begin + place * period
        assert at(found, "passes.number", time) == place
        assert [text for when, text in texts if when <= time][-1] == kind
        assert at(found, "passes.rows", time) == rows
        assert at(found, "tile.tags.tag", time + period) == number(cam.tags[0])

    cam.write({8: 0}, all_rows=True)
    check(1, "write", SMALL.rows)
    place = 1
    for bit in range(4):
        slots = {"x": bit, "y": 4 + bit, "c": 8}
        for step in tables("classical")["add"]:
            place += 1
            key = {slots[slot]: value for slot, value in step.compare.items()}
            if key:
                seen = {slot: number(cam.cells[column]) for slot, column in slots.items()}
                matched = cam.compare(key)
                assert at(found, "tile.array.bus__match", begin + place * period) == number(matched)
                for slot, column in slots.items():
                    assert at(found, f"passes.slot_{slot}", begin + place * period) == column
                for slot, plane in seen.items():
                    assert at(found, f"passes.column_{slot}", begin + place * period) == plane
            else:
                matched = cam.write({slots[slot]: value for slot, value in step.write.items()})
            check(place, "compare" if key else "write", int(matched.sum()))
    weights = 1 << np.arange(5)
    sums = weights[:4] @ planes[:4].astype(int) + weights[:4] @ planes[4:].astype(int)
    assert np.array_equal(weights @ cam.cells[4:9].astype(int), sums)
    assert at(found, "passes.key", begin + 2 * period) == "a[0]=0 b[0]=0 carry=1"
    assert at(found, "passes.written", begin + 3 * period) == "b[0]=1 carry=0"
    assert at(found, "passes.number", begin + 60 * period) == 33
    assert at(found, "passes.kind", begin + 60 * period) == ""


def test_full_waves_have_every_signal_with_a_name(tmp_path: Path) -> None:
    target = tmp_path / "a.vcd"
    assert cli.main(["wave", "op", "FILL", "--full", "--output", str(target)]) == 0
    paths = {variable.path for variable in waves.read_header(target)}
    assert {"tile.responders.total_0", "tile.sequencer.decoder.error", "passes.kind"} <= paths
    assert not [path for path in paths if re.search(r"[$\\]|\b_\d+_$", path)]
    assert {path for path, _ in shown((tmp_path / "a.gtkw").read_text())} <= paths


def test_waves_of_a_layer(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "a.vcd"
    command = ["wave", "run", "resnet8", "--layer", "avgpool1", "--fill", "0", "--output", str(target)]
    assert cli.main(command) == 0
    assert re.fullmatch(
        r"layer avgpool1 of resnet8, program 0 of 0 to 0 on small: [\d,]+ cycles, waves in \S+a\.vcd; "
        r"see: gtkwave \S+a\.gtkw\n",
        capfd.readouterr().out,
    )
    recorded = {variable.path for variable in waves.read_header(target)}
    assert {path for path, _ in shown((tmp_path / "a.gtkw").read_text())} <= recorded
    assert target.stat().st_size < 4 << 20


@pytest.mark.slow
def test_programs_of_a_layer_are_those_of_the_layer() -> None:
    """Each program alone, on a tile that ran none before, stores what it stores after those before it."""
    from golden.tile import GoldenTile

    tile = GoldenTile(SMALL)
    for number in range(3):
        what, job = wave.layer_job("resnet8", "conv1", number, SMALL, seed=1)
        assert what == f"layer conv1 of resnet8, program {number} of 0 to 63"
        together, alone = tile.run(job), GoldenTile(SMALL, seed=7).run(job)
        assert len(together.planes) == len(alone.planes) > 0
        assert all(map(np.array_equal, together.planes, alone.planes))


def test_pictures(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Each picture is written, without waves where none are asked for; the document's picture is what it shows."""
    files = {option: tmp_path / f"a.{option}" for option in ("svg", "png", "html")}
    options = [text for option, file in files.items() for text in (f"--{option}", str(file))]
    command = ["wave", "op", "ADD a=0:2 b=2:2 d=4", *options, "--wavedrom", "-", "--passes", "1-17"]
    assert cli.main(command) == 0
    assert set(tmp_path.iterdir()) == set(files.values())
    captured = capfd.readouterr()
    assert json.loads(captured.out)["head"]["text"] == "ADD a=0:2 b=2:2 d=4 on tiny"
    assert captured.err.startswith("ADD a=0:2 b=2:2 d=4 on tiny: 37 cycles, svg in ")
    assert files["svg"].read_text() == FIGURE.read_text(), f"bfimna {shlex.join(command[:3])} --svg {FIGURE.name}"
    assert files["png"].read_bytes().startswith(b"\x89PNG")
    assert "<html" in files["html"].read_text()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("vcd2fst") is None, reason="GTKWave's vcd2fst is not installed")
def test_waves_as_fst(tmp_path: Path) -> None:
    target = tmp_path / "a.fst"
    assert cli.main(["wave", "op", "ADD", "--output", str(target)]) == 0
    assert '[dumpfile] "a.fst"\n' in (tmp_path / "a.gtkw").read_text()
    assert not list(tmp_path.glob("*.vcd"))
    back = tmp_path / "back.vcd"
    back.write_bytes(subprocess.run(["fst2vcd", str(target)], capture_output=True, check=True).stdout)
    assert {path for path, _ in shown((tmp_path / "a.gtkw").read_text())} <= {
        variable.path for variable in waves.read_header(back)
    }


SCRIPT = """\
set count [gtkwave::getTotalNumTraces]
for {set place 0} {$place < $count} {incr place} { puts "trace [gtkwave::getTraceNameFromIndex $place]" }
puts "markers [gtkwave::getNamedMarker 0] [gtkwave::getNamedMarker 1] [gtkwave::getNamedMarker 2]"
gtkwave::/File/Quit
"""


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which("gtkwave") is None or shutil.which("xvfb-run") is None, reason="gtkwave or xvfb-run is not installed"
)
@pytest.mark.parametrize("suffix", ["vcd", "fst"])
def test_gtkwave_opens_the_save_file(suffix: str, tmp_path: Path) -> None:
    target = tmp_path / f"a.{suffix}"
    assert cli.main(["wave", "op", "ADD", "--output", str(target)]) == 0
    script = tmp_path / "a.tcl"
    script.write_text(SCRIPT)
    done = subprocess.run(
        ["xvfb-run", "-a", "gtkwave", "-r", "/dev/null", "-S", script.name, "a.gtkw"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    save = (tmp_path / "a.gtkw").read_text()
    traces = re.findall(r"^trace (.*)$", done.stdout, re.MULTILINE)
    # GTKWave leaves out what it does not find in the waves.
    assert traces == [title or alias for title, alias in re.findall(r"^(?:-(.+)|\+\{(\w+)\}.*)$", save, re.MULTILINE)]
    assert re.search(r"^markers 40000 210000 220000$", done.stdout, re.MULTILINE)
    assert "error" not in done.stderr.lower()
