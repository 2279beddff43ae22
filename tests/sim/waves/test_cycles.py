"""Clock cycles of wave files: values are those just before the next rising edge."""

from __future__ import annotations

from pathlib import Path

from sim.waves.cycles import Cycle, clock_cycles

WAVES = """\
$timescale 1ps $end
$scope module tile $end
$var wire 1 ! clk $end
$scope module tags $end
$var wire 4 " tag [3:0] $end
$upscope $end
$scope module sequencer $end
$var wire 4 " same [3:0] $end
$var wire 1 # counted $end
$upscope $end
$upscope $end
$enddefinitions $end
#0
0!
bx "
x#
#5
1!
b1 "
#8
b10 "
1#
#10
0!
#15
1!
b1x1 "
#20
0!
#21
b111 "
#25
1!
b0 "
#30
b1 "
"""


def test_clock_cycles(tmp_path: Path) -> None:
    file = tmp_path / "a.vcd"
    file.write_text(WAVES)
    found = list(clock_cycles(file, ["tags.tag", "sequencer.same", "sequencer.counted", "sequencer.absent"]))
    assert found == [
        Cycle(5, {"clk": 0, "tags.tag": 2, "sequencer.same": 2, "sequencer.counted": 1, "sequencer.absent": 0}),
        Cycle(15, {"clk": 0, "tags.tag": 7, "sequencer.same": 7, "sequencer.counted": 1, "sequencer.absent": 0}),
    ]


def test_bits_that_are_not_known_are_0(tmp_path: Path) -> None:
    file = tmp_path / "a.vcd"
    file.write_text(WAVES.replace('#21\nb111 "\n', ""))
    assert [cycle.values["tags.tag"] for cycle in clock_cycles(file, ["tags.tag"])] == [2, 5]
