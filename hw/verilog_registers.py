"""Registers of Yosys's Verilog, written as people write them: one clocked process that says when they change.

Yosys gives each register a variable for its next value, which begins as the present one in a process of its own::

    always @(posedge clk)                  always @(posedge clk) begin
      tag <= tag_next;                       if (run) begin
    always @* begin                            tag <= match;
      tag_next = tag;          becomes       end
      if (run) begin                       end
        tag_next = match;
      end
    end

So nobody has to read two processes, and simulators touch a register only in cycles in which it changes.
"""

from __future__ import annotations

import re
from collections import Counter

__all__ = ["with_registers_joined"]

_MODULE = re.compile(r"^module .*?^endmodule$", re.MULTILINE | re.DOTALL)
_CLOCKED = re.compile(r"^  always @\(posedge (\w+)\)\n    (\w+) <= (\w+);\n", re.MULTILINE)
_PROCESS = re.compile(r"^  always @\* begin\n    if \(\w+\) begin end\n(.*?)^  end\n", re.MULTILINE | re.DOTALL)
_ASSIGNED = re.compile(r"^( +)(\w+)((?:\[\d+(?::\d+)?\])?) = ", re.MULTILINE)
_VARIABLE = re.compile(r"^  reg (?:\[\d+:\d+\] )?(\w+);\n", re.MULTILINE)
_STARTER = re.compile(r"^  reg (\w+);\n  initial \1 <= 0;\n", re.MULTILINE)
_WORD = re.compile(r"\b\w+\b")

# Only where a process drives a value in any case is there something that this attribute could say.
_FULL = re.compile(r"^ +\(\* full_case = 32'd1 \*\)\n", re.MULTILINE)


def with_registers_joined(text: str) -> str:
    """The same design in plain names (:mod:`hw.plain_verilog`), with one process for each register."""
    return _MODULE.sub(lambda module: _joined(module[0]), text)


def _joined(text: str) -> str:
    uses = Counter(_WORD.findall(text))
    registers = {following: (clock, register) for clock, register, following in _CLOCKED.findall(text)}
    processes: dict[str, str] = {}
    joined: set[str] = set()
    for process in _PROCESS.finditer(text):
        body = process[1]
        first = _ASSIGNED.search(body)
        following = first[2] if first else ""
        if following not in registers:
            continue
        clock, register = registers[following]
        # A process that drives the value in any case need not begin with the present one.
        body = body.removeprefix(f"    {following} = {register};\n")
        assigned = [found[2] for found in _ASSIGNED.finditer(process[1])]
        # Declared, clocked, and all else are assignments: nobody reads it.
        if set(assigned) == {following} and uses[following] == 2 + len(assigned):
            body = _ASSIGNED.sub(rf"\g<1>{register}\g<3> <= ", _FULL.sub("", body))
            processes[process[0]] = f"  always @(posedge {clock}) begin\n{body}  end\n"
            joined.add(following)
    text = _CLOCKED.sub(lambda found: "" if found[3] in joined else found[0], text)
    text = _PROCESS.sub(lambda found: processes.get(found[0], found[0]), text)
    text = _VARIABLE.sub(lambda found: "" if found[1] in joined else found[0], text)
    # What starts combinational processes goes with the last of them.
    return _STARTER.sub(lambda found: found[0] if f"    if ({found[1]}) begin end\n" in text else "", text)
