"""A proof by Yosys that plain Verilog means what Yosys wrote."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from hw import hierarchy
from hw.component import Component
from hw.plain_verilog import plain
from sim.synthesis.yosys import run_yosys

__all__ = ["modules", "prove", "texts"]

_REGISTER = re.compile(r"^(?:  output .*;\n)?  reg (?:\[[\d:]+\] )?(\\\S+ |\w+)( [^;]*)?;", re.MULTILINE)

_STARTER = "$auto$verilog_backend"
_NEXT = re.compile(r"^    (?:\\\S+ |\w+) <= (\\\$\d+ |\w+_next(?:_\d+)?);$", re.MULTILINE)
_CONSTANT = re.compile(r"(?P<width>\d+)'(?P<base>[hd])(?P<digits>[0-9a-f]+)|\{(?P<ones>\d+)\{1'h1\}\}")


def texts(top: Component, name: str, patch: pytest.MonkeyPatch) -> tuple[str, str]:
    """A design as Yosys wrote it, and as it is given to users."""
    written: list[str] = []

    def keep(text: str, summaries: dict[str, str]) -> str:
        written.append(text)
        return plain(text, summaries)

    patch.setattr(hierarchy, "plain", keep)
    made = hierarchy.design_text(top, name)
    return written[0], made


def modules(text: str) -> dict[str, str]:
    """The modules of a text by their names."""
    return {found[1]: found[0] for found in re.finditer(r"^module (\w+) ?\(.*?^endmodule$", text, re.M | re.S)}


def prove(raw: str, made: str, names: Sequence[str], place: Path) -> None:
    """Prove that modules have equal outputs, next states, and inputs of what they use, in every state.

    Raises
    ------
    AssertionError, sim.tools.ToolError
        If they have other registers or initial values, or Yosys finds no proof.
    """
    wanted, given = modules(raw), modules(made)
    assert wanted.keys() == given.keys()
    lines = ["read_verilog both.v"]
    for name in names:
        lines += [f"proc -norom raw_{name} {name}", f"memory_collect raw_{name} {name}", f"opt_clean raw_{name} {name}"]
        lines += [f"equiv_make raw_{name} {name} proof_{name}", f"cd proof_{name}"]
        lines += ["equiv_struct", "equiv_simple", "equiv_induct", "equiv_status -assert", "cd .."]
    text = "\n".join(_named_alike(wanted[name], given[name]).replace("module ", "module raw_", 1) for name in names)
    (place / "both.v").write_text(f"{text}\n{made}", encoding="utf-8")
    run_yosys("\n".join(lines), place, "a proof")


def _named_alike(raw: str, made: str) -> str:
    """The raw module with its registers called as in the plain one, in whose order they are."""
    registers, named = _registers(raw), _registers(made)
    assert [value for _, value in registers] == [value for _, value in named]
    for (old, _), (new, _) in zip(registers, named, strict=True):
        raw = raw.replace(old, f"{new} ") if old.startswith("\\") else re.sub(rf"\b{old}\b", new, raw)
    return raw


def _registers(text: str) -> list[tuple[str, str]]:
    """Registers and other variables and what they begin with, without next values and what starts processes."""
    other = {*_NEXT.findall(text), "started"}
    return [
        (name, _CONSTANT.sub(_plain_constant, value))
        for name, value in _REGISTER.findall(text)
        if name not in other and _STARTER not in name
    ]


def _plain_constant(constant: re.Match[str]) -> str:
    if constant["ones"]:
        return f"{constant['ones']}: {(1 << int(constant['ones'])) - 1}"
    return f"{constant['width']}: {int(constant['digits'], 16 if constant['base'] == 'h' else 10)}"
