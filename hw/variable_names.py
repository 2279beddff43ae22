"""What the nameless variables of Yosys's Verilog are for: those that a process drives.

Three kinds have no name in the sources: the next value of a register, the word that a memory has read, and the register
that starts combinational processes in a simulator.
"""

from __future__ import annotations

import re

__all__ = ["variable_names"]

_VARIABLE = re.compile(r"^  reg (?:\[[\d:]+\] )?(?:\\(\$\S+) |(_\d+_))", re.MULTILINE)
_STARTER = "$auto$verilog_backend"
_NEXT = re.compile(r"^ +(?:\\(\S+) |(\w+)) <= \\(\$\d+) ;$", re.MULTILINE)
_READ = re.compile(r"^ +(_\d+_) <= (?:\\(\S+) |(\w+))\s*\[.*\];$", re.MULTILINE)


def variable_names(text: str) -> dict[str, tuple[str, str]]:
    """Return the signal that a nameless variable belongs to and what it is to that, by the variable's name.

    ``("state", "next")`` is the next value of ``state``; a variable of the module as a whole belongs to ``""``.

    Parameters
    ----------
    text : a module as Yosys wrote it; names are given without the backslash and space of an escape.
    """
    variables = dict.fromkeys(escaped or word for escaped, word in _VARIABLE.findall(text))
    purposes = {name: ("", "started") for name in variables if name.startswith(_STARTER)}
    for escaped, word, value in _NEXT.findall(text):
        if value in variables:
            purposes.setdefault(value, (escaped or word, "next"))
    for variable, escaped, word in _READ.findall(text):
        if variable in variables:
            purposes.setdefault(variable, (escaped or word, "read"))
    return purposes
