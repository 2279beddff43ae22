"""Wave files: what is kept of them, what is read of them, and that there is no half of one."""

from __future__ import annotations

from pathlib import Path

import pytest

from sim import waves
from sim.waves.recording import tile_scope

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
   $var wire 1 % _12_ $end
   $scope module tags $end
    $var wire 8 # tag [7:0] $end
   $upscope $end
  $upscope $end
 $upscope $end
$enddefinitions $end
#0
0!
b1 "
b10 #
b1 $
1%
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
        waves.Variable("top.tile.tags.tag", "#", 8),
    ]
    assert file.read_text().endswith("$enddefinitions $end\n#0\n0!\nb10 #\n#6\n1!\n")
    assert list(tmp_path.iterdir()) == [file]


def test_tidy_keeps_what_is_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "a.vcd"
    file.write_text(HEADER)
    waves.tidy(file, {"tags.tag"})
    assert waves.read_header(file) == [waves.Variable("top.tile.tags.tag", "#", 8)]
    assert file.read_text().endswith("$enddefinitions $end\n#0\nb10 #\n#6\n")


def test_tile_scope() -> None:
    def scope(*paths: str) -> str:
        return tile_scope([waves.Variable(path, "!", 1) for path in paths])

    assert scope("tile.clk", "tile.sequencer.clk") == "tile"
    assert scope("rootio.clk", "top.tile.clk") == "top.tile"
    assert scope("tile.clk", "outer.tile.sequencer.clk") == "outer.tile"
    assert scope("clk") == "tile"


def test_nothing_is_left_of_waves_that_fail(tmp_path: Path) -> None:
    target = tmp_path / "a.vcd"

    def interrupted() -> None:
        with waves.whole(target) as unfinished:
            unfinished.write_text("half")
            unfinished.with_suffix(".other").write_text("half")
            raise KeyError("stop")

    with pytest.raises(KeyError, match=r"^'stop'$"):
        interrupted()
    assert list(tmp_path.iterdir()) == []
