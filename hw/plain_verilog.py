"""Yosys's Verilog made plain: what a person would have left out is left out, and names need no escape.

Nameless wires, which Yosys calls ``$12``, become ``_12_``; parts of a structure, ``operation.mask``, become
``operation_mask``; what would then be called like something else gets a number, ``operation_mask_2``.  What a process
drives is called after what it is for (:mod:`hw.variable_names`).  Second names that nothing uses go, and so do
attributes; the values of an enumeration become a comment.
"""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Mapping

from hw.short_verilog import shortened
from hw.variable_names import variable_names

__all__ = ["plain", "started"]

_MODULE = re.compile(r"^module (\\?\S+?) ?\(.*?^endmodule$", re.MULTILINE | re.DOTALL)
_PORTS = re.compile(r"\A(module \w+)\(([^)]*)\);")
_ESCAPED = re.compile(r"\\(\S+) ")
_WORD = re.compile(r"(?<![\\\w$'.])[A-Za-z_]\w*")
_NAME = re.compile(r"\\\S+ |(?<![\\\w$'.])[A-Za-z_]\w*")
_NUMBERED = re.compile(r"\$\d+")
_NUMBERED_WORD = re.compile(r"\b_\d+_\b")

# A wire and what it is, in the line of its declaration and in that of its assignment.
_WIRE = re.compile(r"^  wire (?:\[[\d:]+\] )?(\\\S+ |\w+);\n", re.MULTILINE)
_EMPTY = re.compile(r"^  wire \[-1:0\] (\\\S+ |\w+);\n", re.MULTILINE)
_DECLARED = re.compile(r"^  (?:wire|reg) (\[[\d:]+\] )?(\\\S+ |\w+)", re.MULTILINE)
_NAMELESS_REGISTER = re.compile(r"^  reg (?:\[[\d:]+\] )?(\\\$\S+ )", re.MULTILINE)
_PORT = re.compile(r"^  (?:input|output) (?:\[[\d:]+\] )?(\\\S+ |\w+);\n", re.MULTILINE)
_ALIAS = re.compile(r"^  assign (\\\S+ |\w+) = (.*);\n", re.MULTILINE)
_SECOND_NAME = re.compile(r"(?:\\\S+ |\w+)(?:\[[\d:]+\])?|\d+'h[\da-f]+")

# The values of an enumeration, before the declaration of each signal that has them.
_ENUMERATION = re.compile(
    r'^  \(\* enum_base_type = "(\w+)" \*\)\n((?:  \(\* enum_value_[01]+ = "\w+" \*\)\n)+)(.*)$', re.MULTILINE
)
_VALUE = re.compile(r'enum_value_([01]+) = "(\w+)"')
_ATTRIBUTE = re.compile(r"^  \(\*.*\*\)\n", re.MULTILINE)

# Yosys gives each module a register that is 0 and in the sensitivity of every combinational process.
_STARTER = re.compile(r"^  reg (\\\$auto\$verilog_backend\S+) += 0;$", re.MULTILINE)

# How Yosys writes that a memory begins with zeros: a line for each of its words.
_ZEROS = re.compile(r"^  initial begin\n((?:    (\S+)\[\d+\] = (\d+)'[hd]0+;\n){4,})  end\n", re.MULTILINE)


def plain(text: str, summaries: Mapping[str, str]) -> str:
    """The same design in names without escapes.

    Parameters
    ----------
    text : Verilog that Yosys wrote.
    summaries : a sentence for each module that is to be commented, in the order in which modules are wanted; those
        that are not among them, parts of a module in Amaranth's own hierarchy, follow the one that they are part of.
    """
    found = {match[1].lstrip("\\"): match[0] for match in _MODULE.finditer(text)}
    order = {name: place for place, name in enumerate(summaries)}
    names = sorted(found, key=lambda name: (order.get(name.partition(".")[0], len(order)), name.count("."), name))
    return "\n\n".join(_comment(summaries.get(name, "")) + _module(found[name]) for name in names) + "\n"


def started(text: str) -> str:
    """Yosys's Verilog, in which all processes run at the start.

    Set where it is declared, the starter makes no event: in Icarus a process whose inputs stay as they began would
    never run, and its output be X. Set at the end of the first time step, it starts them all.
    """
    return _STARTER.sub(r"  reg \1 ;\n  initial \1  <= 0;", text)


def _comment(sentence: str) -> str:
    return textwrap.fill(sentence, 120, initial_indent="// ", subsequent_indent="// ") + "\n" if sentence else ""


def _module(text: str) -> str:
    text = _ATTRIBUTE.sub("", _ENUMERATION.sub(_values, started(text)))
    text = _without_second_names(text)
    names = _names(text)
    text = _NUMBERED_WORD.sub(lambda match: names.get(match[0], match[0]), text)
    text = _ZEROS.sub(_loop, _ESCAPED.sub(lambda match: names[match[1]], text))
    return _PORTS.sub(_wrapped, shortened(text), count=1)


def _values(enumeration: re.Match[str]) -> str:
    """The declaration with the names of its values behind it."""
    values = ", ".join(f"{int(bits, 2)} {name}" for bits, name in _VALUE.findall(enumeration[2]))
    return f"{enumeration[3]} // {enumeration[1]}: {values}"


def _without_second_names(text: str) -> str:
    """Leave out wires that are a part or a copy of another signal, or have no bits, and that nothing reads."""
    text = _by_own_names(text)
    wires = set(_WIRE.findall(text))
    aliases = {
        name: value
        for name, value in _ALIAS.findall(text)
        if name in wires and ("." in name or _SECOND_NAME.fullmatch(value))
    }
    uses = Counter(_NAME.findall(text))
    gone: set[str] = set()
    waiting = [name for name in aliases if uses[name] == 2]
    while waiting:
        name = waiting.pop()
        gone.add(name)
        for source in _NAME.findall(aliases[name]):
            uses[source] -= 1
            if source in aliases and uses[source] == 2:
                waiting.append(source)
    text = _EMPTY.sub(lambda wire: "" if uses[wire[1]] == 1 else wire[0], text)
    text = _WIRE.sub(lambda wire: "" if wire[1] in gone else wire[0], text)
    return _ALIAS.sub(lambda alias: "" if alias[1] in gone else alias[0], text)


def _by_own_names(text: str) -> str:
    """Let a signal that goes to an instance be called as the module calls it: ``run``, not ``buffer_run``.

    A nameless register is called as the wire that stands for all of it.
    """
    wires = set(_WIRE.findall(text)) - set(_PORT.findall(text))
    widths = {name: width for width, name in _DECLARED.findall(text)}
    registers = set(_NAMELESS_REGISTER.findall(text))
    own: dict[str, str] = {}
    for name, value in _ALIAS.findall(text):
        if name not in wires or value in own or value in own.values():
            continue
        nameless = value in registers and "." not in name and not name.startswith("\\$")
        if (nameless and widths[name] == widths[value]) or (value in wires and value.endswith(f"_{name}")):
            own[value] = name
    gone = own.keys() - registers | {own[register] for register in registers & own.keys()}
    text = _ALIAS.sub(lambda alias: "" if own.get(alias[2]) == alias[1] else alias[0], text)
    text = _WIRE.sub(lambda wire: "" if wire[1] in gone else wire[0], text)
    return _NAME.sub(lambda name: own.get(name[0], name[0]), text)


def _wrapped(ports: re.Match[str]) -> str:
    lines = textwrap.wrap(" ".join(ports[2].split()), 112, break_on_hyphens=False, break_long_words=False)
    return ports[1] + "(\n    " + "\n    ".join(lines) + "\n);"


def _names(text: str) -> dict[str, str]:
    """Plain names for all escaped ones of a module, and for registers that only have a number."""
    taken = set(_WORD.findall(text))
    escaped = dict.fromkeys(_ESCAPED.findall(text))
    # Registers at the ports of memories are _1_ and so on already.
    numbers = [int(name[1:]) for name in escaped if _NUMBERED.fullmatch(name)]
    numbers += [int(name[1:-1]) for name in taken if re.fullmatch(r"_\d+_", name)]
    following = max(numbers, default=0)
    names: dict[str, str] = {}
    for name in escaped:
        if not name.startswith("$"):
            base = re.sub(r"\W", "_", _NUMBERED.sub("", name))
            # A name that is escaped though there is nothing odd in it is a word of Verilog's own.
            names[name] = _free(f"{base}_" if base == name else base, taken)
    for name, (part, purpose) in variable_names(text).items():
        if not part.startswith("$"):
            names[name] = _free("_".join(filter(None, (names.get(part, part), purpose))), taken)
    for name in escaped:
        if name not in names:
            names[name] = f"_{name[1:]}_"
            if not _NUMBERED.fullmatch(name) or names[name] in taken:
                following += 1
                names[name] = f"_{following}_"
    return names


def _free(word: str, taken: set[str]) -> str:
    """A word, with a number if it is taken; it is from now on."""
    candidate, number = word, 1
    while candidate in taken:
        number += 1
        candidate = f"{word}_{number}"
    taken.add(candidate)
    return candidate


def _loop(zeros: re.Match[str]) -> str:
    """The same in three lines, which simulators compile in no time."""
    words, block = zeros[1].count("\n"), zeros[2]
    return (
        f"  initial begin : zeros_of_{block}\n    integer place;\n"
        f"    for (place = 0; place < {words}; place = place + 1) {block}[place] = {zeros[3]}'h0;\n  end\n"
    )
