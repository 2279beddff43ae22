"""Expressions of Yosys's Verilog written as people write them: what goes into what, and what must not."""

from __future__ import annotations

import pytest

from hw.short_verilog import LONGEST, shortened

SIGNALS = "  input a;\n  input b;\n  input c;\n  input [3:0] p;\n  input [3:0] q;\n  output y;\n  output [3:0] z;\n"


def short(*lines: str) -> list[str]:
    """What a module of these lines has after its ports, without declarations."""
    text = shortened(f"module m(a);\n{SIGNALS}" + "".join(f"  {line}\n" for line in lines) + "endmodule\n")
    body = text.removeprefix(f"module m(a);\n{SIGNALS}").removesuffix("endmodule\n")
    return [line.strip() for line in body.splitlines()]


def statements(*lines: str) -> list[str]:
    return [line for line in short(*lines) if not line.startswith("wire")]


@pytest.mark.parametrize(
    ("inner", "outer", "joined"),
    [
        ("a & b", "_1_ | c", "(a & b) | c"),
        ("a ^ b", "c ^ _1_", "c ^ (a ^ b)"),
        ("~ a", "_1_ & b", "~a & b"),
        ("~ p[2]", "_1_ & b", "~p[2] & b"),
        ("a & b", "~ _1_", "~(a & b)"),
        ("a & b", "_1_ ? b : c", "(a & b) ? b : c"),
        ("a ? b : c", "b & _1_", "b & (a ? b : c)"),
        ("p == q", "_1_ & b", "(p == q) & b"),
        ("p < 3'h4", "a ? _1_ : b", "a ? (p < 3'h4) : b"),
        ("| p", "_1_ | b", "(| p) | b"),
        ("! p[3:1]", "_1_ & b", "(! p[3:1]) & b"),
    ],
)
def test_wires_of_a_bit_go_where_they_are_read(inner: str, outer: str, joined: str) -> None:
    assert short("wire _1_;", f"assign _1_ = {inner};", f"assign y = {outer};") == [f"assign y = {joined};"]


@pytest.mark.parametrize("inner", ["p & q", "p ^ 4'h3", "~ p", "a ? p : q", "p | { 3'h0, a }"])
def test_wires_of_equal_width_go_where_they_are_read(inner: str) -> None:
    lines = ("wire [3:0] _1_;", f"assign _1_ = {inner};", "assign z = _1_ & q;")
    wanted = f"({inner}) & q" if inner[0] != "~" else "~p & q"
    assert short(*lines) == (list(lines) if "{" in inner else [f"assign z = {wanted};"])


@pytest.mark.parametrize(
    "lines",
    [
        # An inner expression would be extended to the width of the outer one, or the other way round.
        ("wire _1_;", "assign _1_ = a & b;", "assign z = _1_ & p;"),
        ("wire _1_;", "assign _1_ = ~ a;", "assign z = _1_ | p;"),
        ("wire [3:0] _1_;", "assign _1_ = p & 2'h3;", "assign z = _1_ & q;"),
        ("wire _1_;", "assign _1_ = p & q;", "assign y = _1_ & b;"),
        ("wire [3:0] _1_;", "assign _1_ = ~ a;", "assign z = _1_ & q;"),
        ("wire [3:0] _1_;", "assign _1_ = ~ p;", "assign y = _1_;  // more than y"),
        # A carry or a sign beyond the result would be there in a wider context.
        ("wire [3:0] _1_;", "assign _1_ = p + q;", "assign z = _1_ & p;"),
        ("wire [3:0] _1_;", "assign _1_ = p - q;", "assign z = ~ _1_;"),
        ("wire [3:0] _1_;", "assign _1_ = p << q;", "assign z = _1_ | p;"),
        ("wire _1_;", "assign _1_ = p + q;", "assign y = _1_ & a;"),
        ("wire [3:0] _1_;", "assign _1_ = $signed(p) >>> q;", "assign z = _1_ & p;"),
        # Operands of comparisons and of additions have the width of the widest one.
        ("wire [3:0] _1_;", "assign _1_ = ~ p;", "assign y = _1_ == q;"),
        ("wire [3:0] _1_;", "assign _1_ = ~ p;", "assign z = _1_ + q;"),
        ("wire _1_;", "assign _1_ = ~ a;", "assign y = _1_ < b;"),
        ("wire [3:0] _1_;", "assign _1_ = p ^ q;", "assign y = ^ _1_;"),
        ("wire [3:0] _1_;", "assign _1_ = p ^ q;", "assign z = { _1_[0], _1_[3:1] };"),
        ("wire _1_;", "assign _1_ = a ^ b;", "assign z = { _1_, p[3:1] };"),
        # A select of several bits is true if any is set.
        ("wire [3:0] _1_;", "assign _1_ = p ^ q;", "assign y = _1_ ? a : b;"),
        # A part of a wire is no expression.
        ("wire [3:0] _1_;", "assign _1_ = p ^ q;", "assign y = _1_[2] & a;"),
    ],
)
def test_what_could_mean_something_else_stays(lines: tuple[str, ...]) -> None:
    assert [line.replace("~ ", "~") for line in short(*lines)] == [line.replace("~ ", "~") for line in lines]


def test_wires_that_are_read_twice_stay() -> None:
    lines = ("wire _1_;", "assign _1_ = a & b;", "assign y = _1_ | c;", "assign z[0] = _1_;")
    assert short(*lines) == list(lines)


def test_wires_with_names_stay() -> None:
    lines = ("wire named;", "assign named = a & b;", "assign y = named | c;")
    assert short(*lines) == list(lines)


def test_wires_without_a_reader_stay() -> None:
    lines = ("wire _1_;", "assign _1_ = a & b;", "assign y = c;")
    assert short(*lines) == list(lines)


def test_expressions_grow_up_to_a_length() -> None:
    signal = "s" * (LONGEST // 2 - 4)
    fits, too_long = f"a & {signal}_{signal}", f"a & {signal}_{signal}_longer"
    assert len(fits) <= LONGEST < len(too_long)
    for inner, goes in ((fits, True), (too_long, False)):
        name = inner.removeprefix("a & ")
        found = statements(f"wire {name};", "wire _1_;", f"assign _1_ = {inner};", "assign y = _1_ | b;")
        assert found[-1] == (f"assign y = ({inner}) | b;" if goes else "assign y = _1_ | b;")


def test_chains_become_one_expression() -> None:
    lines = ("wire _3_;", "wire _2_;", "wire _1_;", "assign _1_ = p == q;", "assign _2_ = ~ _1_;")
    assert short(*lines, "assign _3_ = _2_ & a;", "assign y = b ? _3_ : c;") == [
        "assign y = b ? ((~(p == q)) & a) : c;"
    ]


def test_order_of_lines_does_not_matter() -> None:
    assert short("wire _2_;", "wire _1_;", "assign y = _2_ | c;", "assign _2_ = ~ _1_;", "assign _1_ = a & b;") == [
        "assign y = (~(a & b)) | c;"
    ]


@pytest.mark.parametrize(
    ("line", "after"),
    [
        ("if (_1_) begin", "if (a & b) begin"),
        ("end else if (_1_) begin", "end else if (a & b) begin"),
        ("y = _1_;", "y = a & b;"),
        ("y <= _1_;", "y <= a & b;"),
    ],
)
def test_conditions_and_statements_take_expressions(line: str, after: str) -> None:
    assert statements("wire _1_;", "assign _1_ = a & b;", f"  {line}") == [after]


def test_connections_of_instances_take_expressions() -> None:
    found = statements("wire [3:0] _1_;", "assign _1_ = p & q;", "part n (", "  .x(_1_),", "  .y(a)", ");")
    assert found == ["part n (", ".x(p & q),", ".y(a)", ");"]


@pytest.mark.parametrize("line", ["z <= _1_;", "z[2] <= _1_;", "if (_1_ == p) begin"])
def test_statements_of_another_width_do_not(line: str) -> None:
    assert statements("wire _1_;", "assign _1_ = ~ a;", f"  {line}")[-1] == line


def test_equal_wires_become_one() -> None:
    lines = ("wire _1_;", "wire _2_;", "assign _1_ = p + q;", "assign _2_ = p + q;", "assign y = _1_ & _2_;")
    assert short(*lines) == ["wire _1_;", "assign _1_ = p + q;", "assign y = _1_ & _1_;"]


def test_what_is_equal_only_then_becomes_one_as_well() -> None:
    lines = [f"wire _{number}_;" for number in range(1, 5)]
    lines += ["assign _1_ = p < q;", "assign _2_ = p < q;", "assign _3_ = _1_ ^ a;", "assign _4_ = _2_ ^ a;"]
    assert statements(*lines, "assign y = _3_ == _4_;")[1:] == [
        "assign _3_ = (p < q) ^ a;",
        "assign y = _3_ == _3_;",
    ] or (statements(*lines, "assign y = _3_ == _4_;") == ["assign _3_ = (p < q) ^ a;", "assign y = _3_ == _3_;"])


def test_equal_texts_of_other_widths_are_two_wires() -> None:
    lines = ("wire [3:0] _1_;", "wire [4:0] _2_;", "assign _1_ = p + q;", "assign _2_ = p + q;")
    assert short(*lines, "assign z = _1_ ^ _2_[4:1];") == [*lines, "assign z = _1_ ^ _2_[4:1];"]


def test_copies_of_a_signal_are_called_as_it_is() -> None:
    assert short("wire [3:0] _1_;", "assign _1_ = p;", "assign z = _1_ + q;") == ["assign z = p + q;"]


def test_copies_of_another_width_stay() -> None:
    lines = ("wire [4:0] _1_;", "assign _1_ = p;", "assign z = _1_ + q;")
    assert short(*lines) == list(lines)
