"""What nameless variables are for: next values, words that memories read, what starts processes."""

from __future__ import annotations

from hw.variable_names import variable_names


def test_the_next_value_of_a_register() -> None:
    text = "  reg \\$1 ;\n  reg \\$2 ;\n  always @(posedge clk)\n    state <= \\$1 ;\n    \\a.b  <= \\$2 ;\n"
    assert variable_names(text) == {"$1": ("state", "next"), "$2": ("a.b", "next")}


def test_a_value_that_two_registers_take_belongs_to_the_first() -> None:
    text = "  reg [3:0] \\$1 ;\n    one <= \\$1 ;\n    two <= \\$1 ;\n"
    assert variable_names(text) == {"$1": ("one", "next")}


def test_a_wire_is_no_variable() -> None:
    assert variable_names("  wire \\$1 ;\n    state <= \\$1 ;\n") == {}


def test_a_value_with_a_name_keeps_it() -> None:
    assert variable_names("  reg following;\n    state <= following;\n") == {}


def test_the_word_that_a_memory_has_read() -> None:
    text = "  reg [7:0] _0_;\n  reg [7:0] _1_;\n      _0_ <= store[place];\n      _1_ <= \\a.b [\\$3 [1:0]];\n"
    assert variable_names(text) == {"_0_": ("store", "read"), "_1_": ("a.b", "read")}


def test_what_starts_processes() -> None:
    starter = "$auto$verilog_backend.cc:2355:dump_module$4"
    assert variable_names(f"  reg \\{starter}  ;\n  initial \\{starter}  <= 0;\n") == {starter: ("", "started")}


def test_other_variables_stay_nameless() -> None:
    assert variable_names("  reg \\$1 ;\n    \\$1  = a;\n  assign y = \\$1 ;\n") == {}
