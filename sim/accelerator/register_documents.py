"""What is made from the table of registers: a page of the documents, and a C header for board software."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

from hw.accelerator.protocol import (
    AcceleratorError,
    Command,
    GatherRegister,
    SenderRegister,
    TileRegister,
    Unit,
    Waiting,
)
from hw.accelerator.register_map import (
    IDENTITY,
    LOG_ENTRIES,
    MAP_BYTES,
    MAP_VERSION,
    REGISTERS,
    STREAM_IN,
    STREAM_OUT,
    Register,
)

__all__ = ["c_header", "register_page"]

PREFIX = "BFIMNA"

ACCESSES = {"ro": "read", "rw": "read, write", "wo": "write"}

INTRODUCTION = f"""\
# Registers of the accelerator

Made by `python scripts/register_map.py` from the table in `hw/accelerator/register_map.py`, as are the hardware's
decoder, the driver in `sim/accelerator/driver.py` and the C header [bfimna_registers.h](bfimna_registers.h). What
commands, units and errors mean is in [accelerator.md](accelerator.md).

## Ports

`clk` and `rst`, a synchronous reset of everything, serve all ports.

**`s_axi_*`** is an AXI4-Lite slave with data of 32 bits and {MAP_BYTES} bytes of addresses. It takes one read and one
write at a time. SLVERR answers, without any effect: an address that is no multiple of 4, or at which there is no
register; a write to what can only be read, a read of what can only be written; a write with less than all four strobes.
The protection bits are not looked at. Bits that a register does not have read as 0.

A number of 64 bits is read lower half first: this keeps the upper half, which the next read of a `_HIGH` gives.

**`s_axis_*`** is an AXI4-Stream slave of F bits, the command stream. Words are taken while a run is under way. TLAST is
not looked at, as commands say how long they are.

**`m_axis_*`** is an AXI4-Stream master of F bits, the words for the host. TLAST comes with every `PACKET_WORDS`-th word
since the last reset or stop, and never where that is 0; write it while no run is under way.

## A run

1. Write 1 to `start`. The cycle after the write acts is cycle 0 of the run: words are taken, and `CYCLES` counts.
2. END makes `done` 1, and `CYCLES` stands. The next `start` begins a new run, and its counts begin with 0.
3. An error ends a run as well, and keeps any other from beginning until a `stop`. `stop` takes one cycle and empties
   units, routers and queues; a word that waited for the host is lost. What can be written keeps its value, memories
   keep theirs. `start` and `stop` in one write are a `stop`.

The watchdog counts the cycles of a run in which no word and no flit moves and no unit works. A host that does not send,
or does not take, is seen by it too. The place of its error is a unit that waits, of the first cluster that has one; its
detail says what for: {", ".join(f"{state.value} {state.name}" for state in Waiting)}.

## Table
"""


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """A table in Markdown."""
    heads = list(heads)
    return [f"| {' | '.join(row)} |" for row in (heads, ["---"] * len(heads), *rows)]


def _rows(entry: Register) -> list[list[str]]:
    """A register and its fields."""
    meaning = entry.meaning + (f"; {entry.reset} after a reset" if entry.access == "rw" else "")
    first = [f"{entry.offset:#05x}", f"`{entry.name}`", ACCESSES[entry.access], "", meaning]
    return [first] + [
        ["", f"`{field.name}`", "", _bits(field.low, field.width), field.meaning] for field in entry.fields
    ]


def _bits(low: int, width: int) -> str:
    return str(low) if width == 1 else f"{low + width - 1}..{low}"


def register_page() -> str:
    """``docs/registers.md``."""
    rows = [row for entry in REGISTERS for row in _rows(entry)]
    lines = _table(("offset", "name", "access", "bits", "meaning"), rows)
    errors = _table(("code", "error"), [[str(code.value), code.name] for code in AcceleratorError])
    return "\n".join([INTRODUCTION, *lines, "", "## Error codes", "", *errors, ""])


def c_header() -> str:
    """``docs/bfimna_registers.h``: offsets, fields, and the numbers of errors, commands, units and their registers."""
    lines = [
        "/* Registers of the bfimna accelerator. Made by scripts/register_map.py; see registers.md. */",
        f"#ifndef {PREFIX}_REGISTERS_H",
        f"#define {PREFIX}_REGISTERS_H",
    ]
    for entry in REGISTERS:
        lines += ["", f"/* {entry.meaning} ({ACCESSES[entry.access]}) */"]
        lines.append(_define(entry.name, entry.offset))
        for field in entry.fields:
            lines.append(_define(f"{entry.name}_{field.name.upper()}_SHIFT", field.low, decimal=True))
            lines.append(_define(f"{entry.name}_{field.name.upper()}_MASK", field.mask))
    lines += ["", "/* constants */"]
    values = {
        "IDENTITY_VALUE": IDENTITY,
        "MAP_BYTES": MAP_BYTES,
        "MAP_VERSION": MAP_VERSION,
        "LOG_ENTRIES": LOG_ENTRIES,
        "STREAM_IN": STREAM_IN,
        "STREAM_OUT": STREAM_OUT,
    }
    lines += [_define(name, value) for name, value in values.items()]
    groups: dict[str, tuple[str, type[IntEnum]]] = {
        "ERROR_CODE": ("codes of ERROR", AcceleratorError),
        "WAITS_FOR": ("detail of a watchdog's error", Waiting),
        "COMMAND": ("opcodes of the command stream", Command),
        "UNIT": ("units of a cluster", Unit),
        "TILE": ("registers of a tile's slot", TileRegister),
        "GATHER": ("registers of a gather unit", GatherRegister),
        "SENDER": ("registers of a sender", SenderRegister),
    }
    for prefix, (meaning, members) in groups.items():
        lines += ["", f"/* {meaning} */"]
        lines += [_define(f"{prefix}_{member.name}", member.value) for member in members]
    return "\n".join([*lines, "", f"#endif /* {PREFIX}_REGISTERS_H */", ""])


def _define(name: str, value: int, *, decimal: bool = False) -> str:
    """One constant."""
    return f"#define {PREFIX}_{name} {value if decimal else f'{value:#x}'}u"
