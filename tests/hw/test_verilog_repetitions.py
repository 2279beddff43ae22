"""What is repeated in Verilog, as numbers: signals in a row and long constants."""

from __future__ import annotations

import re

import pytest

from hw.config import CONFIGS
from hw.verilog import tile_verilog
from hw.verilog_repetitions import with_repetitions


@pytest.mark.parametrize(
    ("long", "short"),
    [
        ("{ a, a, a, a }", "{4{a}}"),
        ("{ b[3], b[3], b[3], b[3], b }", "{ {4{b[3]}}, b }"),
        ("{ b[3:2], b[3:2], b[3:2], b[3:2] }", "{4{b[3:2]}}"),
        ("{ a, a, a, ab }", "{ a, a, a, ab }"),
        ("{ ba, a, a, a }", "{ ba, a, a, a }"),
        ("{ a, a, a }", "{ a, a, a }"),
        ("16'h0000", "16'h0"),
        ("12'h000", "12'h000"),
        ("16'hffff", "{16{1'h1}}"),
        ("13'h1fff", "{13{1'h1}}"),
        ("14'h1fff", "14'h1fff"),
        ("16'h7fff", "16'h7fff"),
        ("16'hf0ff", "16'hf0ff"),
        # Icarus makes a network of thousands of joints out of {4800{a}}, and one multiplexer out of this.
        ("a ? 16'hffff : 16'h0000", "a ? {16{1'h1}} : 16'h0"),
    ],
)
def test_repetitions(long: str, short: str) -> None:
    assert with_repetitions(f"  assign y = {long};\n") == f"  assign y = {short};\n"


def test_no_long_repetitions_in_a_tile() -> None:
    config = CONFIGS["tiny"].replace(outputs=64)
    text = tile_verilog(config)
    assert "ffffffff" not in text
    assert re.search(r"'h0{5,}\b", text) is None
    assert set(re.findall(rf"{{{config.rows}{{(.*?)}}}}", text)) == {"1'h1"}
