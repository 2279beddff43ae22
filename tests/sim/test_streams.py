"""Stream drivers and their pauses, on designs of a few gates."""

from pathlib import Path

import pytest

from sim.runner import TestsFailed, build, run
from sim.streams import Stalls
from sim.tools import SIMULATORS

BENCH = Path(__file__).with_name("bench_streams.py")

HALF_BUFFER = """
module buffer(input wire clk, input wire rst, input wire [7:0] in__payload, input wire in__valid, output wire in__ready,
  output wire [7:0] out__payload, output wire out__valid, input wire out__ready);
  reg [7:0] data; reg full; reg odd;
  assign in__ready = ~full;
  assign out__valid = full & VALID;
  assign out__payload = data ^ PAYLOAD;
  always @(posedge clk) begin
    odd <= ~odd;
    if (rst) begin full <= 0; odd <= 0; end
    else if (in__valid & in__ready) begin full <= 1; data <= in__payload; end
    else if (out__valid & out__ready) full <= 0;
  end
endmodule
"""
GOOD = HALF_BUFFER.replace("VALID", "1'b1").replace("PAYLOAD", "8'd0")
CHANGING = HALF_BUFFER.replace("VALID", "1'b1").replace("PAYLOAD", "{ 7'd0, odd }")
FALLING = HALF_BUFFER.replace("VALID", "odd").replace("PAYLOAD", "8'd0")
WIRES = """
module buffer(input wire clk, input wire rst, input wire [7:0] in__payload, input wire in__valid, output wire in__ready,
  output wire [7:0] out__payload, output wire out__valid, input wire out__ready);
  assign in__ready = out__ready;
  assign out__valid = in__valid;
  assign out__payload = in__payload;
endmodule
"""

both = pytest.mark.parametrize("simulator", SIMULATORS)


@pytest.mark.parametrize(
    ("simulator", "design"),
    [("icarus", GOOD), ("icarus", WIRES), ("verilator", WIRES)],
    ids=["icarus-half-buffer", "icarus-wires", "verilator-wires"],
)
def test_words_arrive_whatever_the_pauses(simulator: str, design: str, tmp_path: Path) -> None:
    tests = ["words_arrive_whatever_the_pauses", "stop_and_start"]
    run(build(design, "buffer", simulator), BENCH, testcase=tests, folder=tmp_path)


@both
def test_one_word_per_cycle(simulator: str, tmp_path: Path) -> None:
    run(build(WIRES, "buffer", simulator), BENCH, testcase="one_word_per_cycle", folder=tmp_path)


@pytest.mark.parametrize(
    ("design", "text"),
    [
        (CHANGING, r"out__payload changed while it waited: 0x\w+ 0x\w+"),
        (FALLING, "out__valid fell before the word was taken"),
    ],
    ids=["payload-changes", "valid-falls"],
)
def test_sink_notices_a_word_that_does_not_wait(design: str, text: str, tmp_path: Path) -> None:
    with pytest.raises(TestsFailed, match=text):
        run(build(design, "buffer", "icarus"), BENCH, testcase="takes_with_pauses", folder=tmp_path)


def test_sink_takes_words_that_wait(tmp_path: Path) -> None:
    run(build(GOOD, "buffer", "icarus"), BENCH, testcase="takes_with_pauses", folder=tmp_path)


def test_pauses_repeat_with_their_seed() -> None:
    patterns = []
    for seed in (1, 1, 2):
        stalls = Stalls(0.5, seed)
        patterns.append([stalls.pauses() for _ in range(50)])
    assert patterns[0] == patterns[1] != patterns[2]


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.8])
def test_pauses_have_their_probability(probability: float) -> None:
    stalls = Stalls(probability, 4)
    pauses = [stalls.pauses() for _ in range(5000)]
    assert sum(pauses) / (sum(pauses) + len(pauses)) == pytest.approx(probability, abs=0.03)


def test_no_pauses_by_default() -> None:
    stalls = Stalls()
    assert {stalls.pauses() for _ in range(100)} == {0}


@pytest.mark.parametrize("probability", [-0.1, 1.0, 7])
def test_probability_that_is_none(probability: float) -> None:
    with pytest.raises(ValueError, match=rf"^stall probability must be at least 0 and below 1, not {probability}$"):
        Stalls(probability)
