"""Registers with one process each: what is joined, what must not be, and that nothing of it is lost."""

from __future__ import annotations

import pytest

from hw.config import CONFIGS
from hw.verilog import tile_verilog
from hw.verilog_registers import with_registers_joined

HEAD = "module m(a);\n  input a;\n  reg started;\n  reg [3:0] following;\n  reg [3:0] tag = 4'h0;\n"
CLOCKED = "  always @(posedge clk)\n    tag <= following;\n"


def process(*lines: str, present: str = "tag") -> str:
    """The process of a register's next value."""
    begun = f"  always @* begin\n    if (started) begin end\n    following = {present};\n"
    return begun + "".join(f"    {line}\n" for line in lines) + "  end\n"


def test_a_register_is_written_where_it_changes() -> None:
    body = process("if (run) begin", "  following = match;", "  following[1] = a;", "end", "if (rst) begin", "end")
    assert with_registers_joined(f"{HEAD}{CLOCKED}{body}endmodule\n") == (
        HEAD.replace("  reg [3:0] following;\n", "")
        + "  always @(posedge clk) begin\n    if (run) begin\n      tag <= match;\n      tag[1] <= a;\n    end\n"
        "    if (rst) begin\n    end\n  end\nendmodule\n"
    )


def test_a_register_that_need_not_keep_its_value() -> None:
    joined = with_registers_joined(f"{HEAD}{CLOCKED}{process('following[1] = a;', present='zero')}endmodule\n")
    assert "  always @(posedge clk) begin\n    tag <= zero;\n    tag[1] <= a;\n  end\n" in joined


def test_what_starts_processes_goes_with_the_last_of_them() -> None:
    started = HEAD.replace("  reg started;\n", "  reg started;\n  initial started <= 0;\n")
    other = "  always @* begin\n    if (started) begin end\n    y = a;\n  end\n"
    register = CLOCKED + process("following = a;")
    assert "started" not in with_registers_joined(f"{started}{register}endmodule\n")
    assert "  initial started <= 0;\n" in with_registers_joined(f"{started}{register}{other}endmodule\n")


def test_what_every_branch_drives_need_not_be_said() -> None:
    body = process("(* full_case = 32'd1 *)", "if (run) begin", "  following = a;", "end")
    assert "full_case" not in with_registers_joined(f"{HEAD}{CLOCKED}{body}endmodule\n")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (CLOCKED + process("following = following + a;"), "the process reads it"),
        (CLOCKED + process("following = a;") + "  assign y = following;\n", "another one reads it"),
        (CLOCKED + process("following = a;", "other = a;"), "the process drives something else"),
        (process("following = a;"), "no clock"),
        (CLOCKED + CLOCKED.replace("tag", "copy") + process("following = a;"), "two registers"),
    ],
)
def test_others_stay(text: str, why: str) -> None:
    design = f"{HEAD}{text}endmodule\n"
    assert with_registers_joined(design) == design, why


def test_modules_do_not_meet() -> None:
    one = f"{HEAD}{CLOCKED}{process('following = a;')}endmodule\n"
    other = f"module n(a);\n  reg started;\n  reg following;\n{process('following = a;')}endmodule\n"
    assert with_registers_joined(one + other) == with_registers_joined(one) + other


def test_no_register_of_a_tile_has_two_processes() -> None:
    text = tile_verilog(CONFIGS["tiny"])
    assert text.count("always @(posedge clk) begin\n") > 100
    assert "always @(posedge clk)\n" not in text
