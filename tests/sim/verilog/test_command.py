"""``bfimna verilog``: files beside the Verilog, the same each time; mistakes in one line; nothing half-written."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hw.accelerator.config import ACCELERATORS
from hw.config import CONFIGS
from hw.flexspim.config import MACROS
from sim import cli
from sim.commands import verilog
from sim.verilog.constraints import CONSTRAINTS, PERIOD_NS
from sim.verilog.parts import PARTS, Part
from tests.sim.verilog.benches import STEM

Refuses = Callable[..., None]
VECTORS = [f"{STEM}_tb_{name}.hex" for name in ("program", "in", "out", "runs")]
FILES = {f"{STEM}.{suffix}" for suffix in ("v", "json", "sdc", "pcf", "lpf", "xdc", "core")}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Verilog without Amaranth."""
    monkeypatch.setattr(Part, "verilog", lambda part: f"module {part.top} (clk);\nendmodule\n")


@pytest.fixture
def refuses(capfd: pytest.CaptureFixture[str], folder: Path) -> Refuses:
    """Return a check of a command line: status 2, one line that matches as a whole, no file made."""

    def check(text: str, *arguments: str) -> None:
        before = sorted(folder.rglob("*"))
        assert cli.main(["verilog", *arguments]) == 2
        captured = capfd.readouterr()
        assert re.fullmatch(f"bfimna: error: {text}\n", captured.err), captured.err
        assert captured.out == ""
        assert sorted(folder.rglob("*")) == before

    return check


@pytest.mark.usefixtures("quick")
def test_files_of_a_tile(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["verilog", "--config", "tiny", "-o", "x.v", "--period", "20"]) == 0
    assert {file.name for file in folder.iterdir()} == FILES | {"x_tb.v", *VECTORS}
    out = capfd.readouterr().out
    assert out.startswith("x.v: 2 lines of Verilog, tile of config tiny 85ceb9d33399971a\nx.json: its description\n")
    assert "to check it, in its folder: iverilog -g2005 -o x_tb.vvp x.v x_tb.v && vvp -n x_tb.vvp\n" in out
    assert "set period 20.000" in (folder / "x.sdc").read_text()
    assert json.loads((folder / "x.json").read_text())["config_hash"] == CONFIGS["tiny"].hash_text
    for file in folder.iterdir():
        text = file.read_text()
        assert str(folder) not in text
        assert not re.search(r"(?<![\w.])/(home|tmp|work|usr|root|opt)\b|\b20\d\d-\d\d-\d\d\b|\d\d:\d\d:\d\d", text)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("part", PARTS[2:])
def test_files_of_parts(part: str, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["verilog", "--config", "meshtiny", "--part", part, "-o", "x.v"]) == 0
    names = {file.name for file in folder.iterdir()}
    benched = part == "accelerator"
    assert names == FILES | ({"x_tb.v", "x_tb_steps.hex", "x_tb_in.hex", "x_tb_out.hex"} if benched else set())
    said = capfd.readouterr().out.splitlines()[-1]
    assert said.startswith("to check it") if benched else said == f"no test bench is written for part {part} alone"
    assert json.loads((folder / "x.json").read_text())["part"] == part


@pytest.mark.usefixtures("quick")
def test_standard_output_and_description(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["verilog", "--config", "tiny", "--json", "d.json"]) == 0
    assert capfd.readouterr().out == "module tile (clk);\nendmodule\n"
    assert [file.name for file in folder.iterdir()] == ["d.json"]
    assert cli.main(["verilog", "--config", "tiny", "-o", "x.v", "--json", "-"]) == 0
    assert json.loads(capfd.readouterr().out)["top"] == "tile"
    assert not (folder / "x.json").exists()


@pytest.mark.parametrize("period", ["0", "-1", "nan", "x", "1e9"])
def test_period(period: str, refuses: Refuses) -> None:
    refuses(f"--period must be a number of ns from 0.001 to 1000000, not '{period}'.*", "--period", period)


@pytest.mark.usefixtures("quick")
def test_mistakes(refuses: Refuses, folder: Path) -> None:
    tiny = ("--config", "tiny")
    refuses("--part must be one of tile for config tiny, not 'cluster'", *tiny, "--part", "cluster")
    refuses("--part must be one of tile for config tiny, not 'til'; the nearest is 'tile'", *tiny, "--part", "til")
    refuses(
        "--part must be one of accelerator, cluster, cap, map for config mesh1x1, not 'clustr'; the nearest is "
        "'cluster'", "--config", "mesh1x1", "--part", "clustr",
    )  # fmt: skip
    refuses(
        "--banks is for a tile's array, not for part accelerator of config mesh1x1",
        *("--config", "mesh1x1", "--banks", "2"),
    )
    refuses(r"--banks must be a divisor of the taps \(4\), not 3", *tiny, "--banks", "3")
    refuses("--banks must be an integer from 1 to 4096, not '0'.*", *tiny, "--banks", "0")
    refuses("config must be one of tiny, .*not 'tinny'.*", "--config", "tinny", "-o", "x.v")
    refuses("--output file must end in .v and be named by .*, not 'x.txt'", *tiny, "-o", "x.txt")
    refuses("--output file must end in .v and be named by .*, not 'a b.v'", *tiny, "-o", "a b.v")
    refuses("--output file none/x.v cannot be written: folder .*none does not exist", *tiny, "-o", "none/x.v")
    refuses("--json and --output must be two files, not both x.v", *tiny, "-o", "x.v", "--json", "x.v")
    refuses("--json and --output must not both be standard output", *tiny, "--json", "-")
    (folder / "x.sdc").mkdir()
    refuses("--output file x.sdc must be a file, it is a folder", *tiny, "-o", "x.v")
    (folder / "x.sdc").rmdir()
    refuses("--output files must be different files, not x.core twice", *tiny, "-o", "x.v", "--json", "x.core")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folder_that_is_not_writable(refuses: Refuses, folder: Path) -> None:
    (folder / "locked").mkdir(mode=0o500)
    refuses("--output file locked/x.v cannot be written: permission denied", "--config", "tiny", "-o", "locked/x.v")


def test_macro(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "mine.json").write_text(json.dumps(MACROS["flexspim-tiny"].replace(rows=32).as_dict()))
    assert cli.main(["verilog", "--config", "mine.json", "-o", "x.v"]) == 0
    assert "macro of config flexspim-tiny" in capfd.readouterr().out
    assert "module row_bank_32x16" in (folder / "x.v").read_text()
    assert json.loads((folder / "x.json").read_text())["config"]["rows"] == 32


def test_report_mistakes(refuses: Refuses) -> None:
    refuses(
        "--report must be one of ice40, ecp5, xilinx, gates, not 'ice4'; the nearest is 'ice40'", "--report", "ice4"
    )
    refuses("--report writes no Verilog: leave out --output x.v, .*", "--report", "ice40", "-o", "x.v")
    refuses(
        "--report is for tiles and macros, not for accelerator config mesh1x1; give the config of a tile",
        *("--config", "mesh1x1", "--report", "gates"),
    )


def test_report(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], folder: Path) -> None:
    class Found:
        def as_dict(self) -> dict[str, int]:
            return {"luts": 7}

    monkeypatch.setattr("sim.synthesis.report", lambda config, target: (config.name, target) and Found())
    monkeypatch.setattr("sim.synthesis.print_report", lambda found, stream: stream.write(f"{found.as_dict()}\n"))
    assert cli.main(["verilog", "--config", "tiny", "--report", "ice40", "--json", "r.json"]) == 0
    assert capfd.readouterr().out == "{'luts': 7}\n"
    assert json.loads((folder / "r.json").read_text()) == {"luts": 7}
    assert cli.main(["verilog", "--config", "tiny", "--report", "gates", "--json", "-"]) == 0
    assert json.loads(capfd.readouterr().out) == {"luts": 7}


def test_what_is_written_twice_is_the_same() -> None:
    from sim.synthesis import TARGETS

    assert verilog.PERIOD_NS == PERIOD_NS
    assert set(verilog.REPORTS) == set(TARGETS)
    assert all(f"x.{suffix}" in verilog.FILES for suffix in CONSTRAINTS)


@pytest.mark.usefixtures("quick")
def test_nothing_is_left_when_interrupted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_part: Part, _text: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sim.verilog.description.describe", interrupted)
    assert cli.main(["verilog", "--config", "tiny", "-o", "x.v"]) == 130
    assert list(folder.iterdir()) == []


def environment(seed: str) -> dict[str, str]:
    """That of a process with other hashes, in another time zone."""
    path = os.pathsep.join([str(Path(__file__).parents[3]), *filter(None, sys.path)])
    return {**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": seed, "TZ": "Asia/Tokyo"}


def written(folder: Path, seed: str, *arguments: str) -> tuple[dict[str, bytes], float]:
    """All files that a process of its own writes, and its seconds."""
    folder.mkdir()
    start = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "sim", "verilog", *arguments, "-o", "x.v"],
        cwd=folder,
        env=environment(seed),
        check=True,
        capture_output=True,
    )
    return {file.name: file.read_bytes() for file in folder.iterdir()}, time.monotonic() - start


SCRIPT = """
import sys
from hw.config import CONFIGS
from hw.flexspim.config import MACROS
from sim.verilog.package import make_package
from sim.verilog.parts import Part, find_part
Part.verilog = lambda part: "module tile (clk);"
package = make_package(find_part(CONFIGS["tiny"]), "x", 10.0)
sys.stdout.write(repr((package.files, package.description)))
"""


def test_same_text_in_another_process_and_folder(folder: Path) -> None:
    texts: list[str] = []
    for seed in ("1", "2"):
        (folder / seed).mkdir()
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT], cwd=folder / seed, env=environment(seed), check=True, capture_output=True,
            text=True,
        )  # fmt: skip
        texts.append(done.stdout)
    assert texts[0] == texts[1]
    assert "x_tb_in.hex" in texts[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tiny", "small", *ACCELERATORS])
def test_same_bytes_of_other_configs(name: str, folder: Path) -> None:
    first, second = (written(folder / seed, seed, "--config", name)[0] for seed in ("1", "2"))
    assert first == second


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cap", "cap16"])
def test_large_tiles_are_written_in_time(name: str, folder: Path) -> None:
    files, seconds = written(folder / name, "1", "--config", name)
    assert seconds < 10
    assert len(files["x.v"]) < 500_000


@pytest.mark.parametrize("part", [None, "cap"])
def test_nothing_is_said_about_unused_components(part: str | None, folder: Path) -> None:
    """Amaranth warns of components that were made and never elaborated, at the end of a process."""
    config = "tiny" if part is None else "meshtiny"
    script = (
        "from hw.accelerator.named import load_system\nfrom sim.verilog.parts import find_part\n"
        f"from sim.verilog.ports import ports\nports(find_part(load_system({config!r}), {part!r}).component)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, env=environment("1"), check=True, capture_output=True, text=True
    )
    assert done.stderr == ""
