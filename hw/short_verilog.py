"""Expressions of Yosys's Verilog, written as people write them.

Yosys gives every operator a wire of its own.  Here equal ones become one, and a wire that is read once goes into the
expression that reads it, where that cannot change what it means: Verilog extends operands to the width of what is
around them, so widths must be equal, and an expression that is one bit wide may be of any kind.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container
from functools import partial

__all__ = ["LONGEST", "shortened"]

LONGEST = 80
"""Characters of an expression that may go into another one."""

_OPERAND = r"(?:\w+(?:\[\d+(?::\d+)?\])?|\d+'h[0-9a-f]+)"
_SAME_WIDTH = (
    re.compile(rf"(?P<sign>~) (?P<a>{_OPERAND})"),
    re.compile(rf"(?P<a>{_OPERAND}) (?P<sign>[&|^]) (?P<b>{_OPERAND})"),
    re.compile(rf"(?P<select>{_OPERAND}) \? (?P<a>{_OPERAND}) : (?P<b>{_OPERAND})"),
)
_ONE_BIT = (
    re.compile(rf"{_OPERAND} (?:==|!=|<|<=|>|>=) {_OPERAND}"),
    re.compile(rf"[|&^!] {_OPERAND}"),
)

_DECLARATION = re.compile(r"^  (?:input|output|wire|reg) (?:\[(\d+):(\d+)\] )?(\w+)", re.MULTILINE)
_WIRE = re.compile(r"^  wire (?:\[[\d:]+\] )?(_\d+_);\n", re.MULTILINE)
_ASSIGN = re.compile(r"^  assign (_\d+_) = (.*);\n", re.MULTILINE)
_NAMELESS = re.compile(r"\b_\d+_\b")
_ANY_ASSIGN = re.compile(r"^(  assign (\w+) = )(.*);$", re.MULTILINE)
_CONDITION = re.compile(r"^( +(?:end else )?if \()(_\d+_)(\))", re.MULTILINE)
_STATEMENT = re.compile(r"^( +(\w+) <?= )(_\d+_)(;)$", re.MULTILINE)
_CONNECTION = re.compile(r"^(    \.\w+\()(_\d+_)(\))", re.MULTILINE)


def shortened(text: str) -> str:
    """A module of plain names (:mod:`hw.plain_verilog`) with fewer nameless wires, and the same behaviour."""
    return _Module(_with_equal_wires_joined(text)).text()


def _with_equal_wires_joined(text: str) -> str:
    """Nameless wires that are the same function of the same signals become one."""
    widths = _widths(text)
    same = _equal_wires(text, widths)
    while same:
        text = _without(text, same)
        text = _NAMELESS.sub(partial(_replaced, same), text)
        same = _equal_wires(text, widths)
    return text


def _equal_wires(text: str, widths: dict[str, int]) -> dict[str, str]:
    """Wires that another signal can stand for, and which."""
    first: dict[tuple[str, int], str] = {}
    same: dict[str, str] = {}
    assigns: list[tuple[str, str]] = _ASSIGN.findall(text)
    for name, value in assigns:
        copied = widths.get(value) == widths[name]
        kept = same.get(value, value) if copied else first.setdefault((value, widths[name]), name)
        if kept != name:
            same[name] = kept
    return same


def _replaced(names: dict[str, str], found: re.Match[str]) -> str:
    return names.get(found[0], found[0])


def _without(text: str, names: Container[str]) -> str:
    """The module without these wires."""
    text = _WIRE.sub(lambda wire: "" if wire[1] in names else wire[0], text)
    return _ASSIGN.sub(lambda assign: "" if assign[1] in names else assign[0], text)


def _widths(text: str) -> dict[str, int]:
    return {name: int(high) - int(low) + 1 if high else 1 for high, low, name in _DECLARATION.findall(text)}


class _Module:
    """One module while wires go into expressions."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._widths = _widths(text)
        self._values: dict[str, str] = dict(_ASSIGN.findall(text))
        self._uses = Counter(_NAMELESS.findall(text))
        self._known: dict[str, str | None] = {}
        self._gone: set[str] = set()

    def text(self) -> str:
        """The module afterwards."""
        text = _ANY_ASSIGN.sub(self._assign, self._text)
        text = _CONDITION.sub(lambda found: found[1] + self._inside(found[2], 1) + found[3], text)
        text = _CONNECTION.sub(lambda found: found[1] + self._inside(found[2], self._widths[found[2]]) + found[3], text)
        text = _STATEMENT.sub(
            lambda found: found[1] + self._inside(found[3], self._widths.get(found[2], 0)) + found[4], text
        )
        return _without(text, self._gone)

    def _assign(self, found: re.Match[str]) -> str:
        name = found[2]
        known = self._expression(name) if name in self._values else self._parsed(found[3], self._widths[name])
        return f"{found[1]}{known or found[3]};"

    def _inside(self, name: str, width: int) -> str:
        """A wire, or what it is, where something of that width stands alone."""
        taken = self._taken(name, width)
        return name if taken is None else taken

    def _taken(self, name: str, width: int) -> str | None:
        """What a wire is, if it may go to where it is read, where it has that width."""
        if name not in self._values or self._uses[name] != 3 or self._widths[name] != width:
            return None  # a wire that is read once stands in its declaration, its assignment and there
        expression = self._expression(name)
        if expression is None or len(expression) > LONGEST:
            return None
        self._gone.add(name)
        return expression

    def _expression(self, name: str) -> str | None:
        """What a wire is, if that keeps its meaning between operands of its own width."""
        if name not in self._known:
            self._known[name] = None
            self._known[name] = self._parsed(self._values[name], self._widths[name])
        return self._known[name]

    def _parsed(self, value: str, width: int) -> str | None:
        for pattern in _SAME_WIDTH:
            found = pattern.fullmatch(value)
            if found is None:
                continue
            parts = found.groupdict()
            if any(self._width(parts[name]) != width for name in ("a", "b") if name in parts):
                return None
            a, b = (self._operand(parts[name], width) if name in parts else "" for name in ("a", "b"))
            if "select" in parts:
                return f"{self._operand(parts['select'], 1)} ? {a} : {b}"
            return f"{a} {parts['sign']} {b}" if b else f"~{a}"
        if width == 1 and any(pattern.fullmatch(value) for pattern in _ONE_BIT):
            return value
        return None

    def _operand(self, text: str, width: int) -> str:
        taken = self._taken(text, width)
        if taken is None:
            return text
        return taken if re.fullmatch(r"~\w+(?:\[[\d:]+\])?", taken) else f"({taken})"

    def _width(self, operand: str) -> int:
        constant = re.match(r"(\d+)'h", operand)
        if constant:
            return int(constant[1])
        name, _, part = operand.partition("[")
        if not part:
            return self._widths.get(name, 0)
        high, _, low = part.rstrip("]").partition(":")
        return int(high) - int(low) + 1 if low else 1
