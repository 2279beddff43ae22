"""Long constants and repeated signals of Yosys's Verilog, written as people write them: ``{75{run}}``, ``4800'h0``."""

from __future__ import annotations

import re

__all__ = ["FEWEST", "with_repetitions"]

FEWEST = 4
"""Signals in a row, or hexadecimal digits, from which on a number stands for them."""

_ZEROS = re.compile(rf"\b(\d+)'h0{{{FEWEST},}}\b")
_ONES = re.compile(rf"\b(\d+)'h[137f]f{{{FEWEST - 1},}}\b")
_REPEATED = re.compile(rf"(?<=[{{ ])(\w+(?:\[\d+(?::\d+)?\])?)(?:, \1){{{FEWEST - 1},}}(?=,| \}})")
_WHOLE = re.compile(r"\{ (\{\d+\{[^{}]*\}\}) \}")


def with_repetitions(text: str) -> str:
    """The same design with numbers in place of what is repeated."""
    text = _REPEATED.sub(lambda found: f"{{{found[0].count(',') + 1}{{{found[1]}}}}}", text)
    text = _WHOLE.sub(r"\1", text)
    return _ONES.sub(_ones, _ZEROS.sub(r"\1'h0", text))


def _ones(constant: re.Match[str]) -> str:
    value = int(constant[0].partition("h")[2], 16)
    width = int(constant[1])
    return f"{{{width}{{1'h1}}}}" if value == (1 << width) - 1 else constant[0]
