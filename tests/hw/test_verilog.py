"""The text of the Verilog: the same everywhere, without traps for simulators, and clean under Verilator's lint."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hw.config import ARRAYS, CONFIGS, TileConfig
from hw.verilog import CAM_ROWS, TOP, tile_verilog, usual_banks
from sim.verilog_cache import cached_tile_verilog
from tests.rtl import TINY
from tests.verilog_lint import WAIVED, lint
from tests.verilog_proof import modules

SCRIPT = """
import sys
from hw.verilog import tile_verilog
from tests.rtl import TINY
sys.stdout.write(tile_verilog(TINY[sys.argv[1]]))
"""


@pytest.fixture(scope="module", params=ARRAYS)
def verilog(request: pytest.FixtureRequest) -> tuple[str, str]:
    return request.param, cached_tile_verilog(TINY[request.param])


few = pytest.mark.parametrize(
    "verilog", ["4r2w", *(pytest.param(array, marks=pytest.mark.slow) for array in ("cells", "3r1w"))], indirect=True
)


@few
def test_same_text_twice_and_in_another_process(verilog: tuple[str, str], tmp_path: Path) -> None:
    array, text = verilog
    assert tile_verilog(TINY[array]) == text
    elsewhere = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONHASHSEED": "99", "TZ": "Asia/Tokyo"}
    made = subprocess.run(
        [sys.executable, "-c", SCRIPT, array],
        cwd=tmp_path,
        env={**os.environ, **elsewhere},
        capture_output=True,
        text=True,
        check=True,
    )
    assert made.stdout == text


def test_another_config_is_another_text() -> None:
    texts = {cached_tile_verilog(config) for config in TINY.values()}
    assert len(texts | {tile_verilog(TINY["4r2w"].replace(plane_bits=4))}) == len(ARRAYS) + 1


def test_name_of_a_config_is_not_in_the_text() -> None:
    assert cached_tile_verilog(TINY["4r2w"]) == tile_verilog(TINY["4r2w"].replace(name="another"))


def test_no_path_and_no_date(verilog: tuple[str, str]) -> None:
    text = verilog[1]
    assert re.search(r"(?<![\w.])/(home|tmp|work|usr|root|opt|Users)\b|[A-Za-z]:\\\\", text) is None
    assert re.search(r"\b(19|20)\d\d-\d\d-\d\d\b|\b\d\d:\d\d:\d\d\b", text) is None
    assert re.search(r"\bsrc = ", text) is None


def test_no_process_without_an_event(verilog: tuple[str, str]) -> None:
    text = verilog[1]
    # Icarus never runs `always @* X = CONST;`, so X would be unknown for ever.
    assert re.findall(r"always @\*\s+\S+\s+=\s+\d+'\w+;", text) == []
    # Every other combinational process looks at the register of its module that starts it, and that changes.
    for module in modules(text).values():
        processes = re.findall(r"always @\* begin\n\s+(.*)\n", module)
        assert len(processes) == module.count("always @*")
        assert set(processes) <= {"if (started) begin end"}
        for line in ("  reg started;", "  initial started <= 0;"):
            assert module.count(f"\n{line}\n") == bool(processes)


def test_no_latch_and_no_loop_under_lint(verilog: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / "tile.v").write_text(verilog[1])
    assert lint(tmp_path / "tile.v", TOP).keys() <= WAIVED.keys()


@pytest.mark.parametrize(
    ("code", "body"),
    [
        ("LATCH", "reg q; always @* if (a) q = b; assign y = q;"),
        ("UNOPTFLAT", "wire [1:0] q; assign q = {q[0] & a, q[1] | b}; assign y = q[0];"),
        ("MULTIDRIVEN", "reg q; always @(posedge a) q <= b; always @(posedge b) q <= a; assign y = q;"),
    ],
)
def test_lint_would_find(code: str, body: str, tmp_path: Path) -> None:
    (tmp_path / "tile.v").write_text(f"module {TOP}(input a, input b, output y);\n{body}\nendmodule\n")
    found = lint(tmp_path / "tile.v", TOP)
    assert code in found
    assert code not in WAIVED


@few
def test_what_a_config_does_not_have_leaves_nothing_behind(verilog: tuple[str, str]) -> None:
    array, plain = verilog
    full = tile_verilog(TINY[array].replace(vertical=True, passes="two_tags", zero_skip=True))
    for trace in (r"^module tile_array_vertical\b", r"\bpair\b", r"\bother\b", r"any_match = \|"):
        assert not re.search(trace, plain, re.MULTILINE), trace
        assert re.search(trace, full, re.MULTILINE), trace


def test_banks_of_cells_have_few_rows() -> None:
    cam = CONFIGS["cap16"]
    assert (usual_banks(cam), usual_banks(TINY["cells"]), usual_banks(CONFIGS["cap"])) == (15, 1, 1)
    for taps in range(1, 76):
        tile = cam.replace(taps=taps, plane_bits=64)
        banks = usual_banks(tile)
        assert taps % banks == 0
        assert tile.rows // banks <= CAM_ROWS
        assert all(taps % count or tile.rows // count > CAM_ROWS for count in range(1, banks))


def test_a_row_block_is_not_divided() -> None:
    wide: TileConfig = CONFIGS["cap16"].replace(taps=2, outputs=CAM_ROWS * 2, plane_bits=64)
    assert usual_banks(wide) == 2


def test_usual_banks_are_those_of_the_text() -> None:
    cam = TINY["cells"].replace(taps=4, outputs=256, plane_bits=32)
    assert tile_verilog(cam) == tile_verilog(cam, 2)
