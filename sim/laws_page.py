"""The page ``docs/laws.md``, written from the laws themselves, so that it cannot tell another story."""

from __future__ import annotations

import dataclasses

from golden.laws import LAWS, events
from hw.config import CONFIGS, TileConfig
from hw.isa import OPERATIONS, Instruction, Opcode, Role

__all__ = ["COMMAND", "PORT_STEPS", "laws_page"]

COMMAND = "python scripts/laws_page.py"
"""Writes the page anew."""

PORT_STEPS = {
    Opcode.LOAD: "D * ceil(n/P)",
    Opcode.STORE: "A * ceil(n/P)",
    Opcode.DRAIN: "D",
    Opcode.RESTORE: "A",
}
"""Steps of the plane port, as formulas of the widths; n is what :func:`golden.laws.plane_size` gives."""

_WIDTH = 8

_HEAD = f"""\
# Cycle laws

*This page is generated from `golden/laws.py` by `{COMMAND}`; a test fails when it is stale.*

How many cycles an instruction takes, exactly. `A`, `B`, `D` are the widths `a_width`, `b_width`, `d_width` in bits;
`a_signed` and `predicated` are 0 or 1; P is `plane_bits`. A body depends on nothing else: not on the data, not on the
number of rows. What the instructions do is in [isa.md](isa.md). An empty cell is 0.

    cycles of a run = sum of (decode + body) over executed instructions + waits for the plane port + stalls

- *Decode* is the cycle in which an instruction is checked. *Body* holds for the arrays `cells` and `4r2w`; `3r1w` takes
  the next column on top.
- *Port steps* happen beside the sequencer, one in each cycle that is no pass: every decode cycle, every cycle of a DOT.
  A plane has n = R bits (LOAD and STORE of planes and tags), S (blocks and totals) or G (taps). Waits happen at SYNC,
  HALT and a full queue; the section "Time" of [isa.md](isa.md) says when, `golden.laws.Timeline` computes it.
- *Stalls* are cycles in which the tile stood still for a stream. They are counted apart and are no part of the law.

| instruction | decode | body | `3r1w` adds | port steps |
| --- | ---: | --- | --- | --- |
"""

_EVENTS = f"""
## Schedule events

What a body does with its cycles: each has a compare, a write, or neither. *Columns* add up how many columns the
compares look at and the writes write. The table is for {_WIDTH}-bit operands on `4r2w` (a constant or a distance of 1;
CLEAR and SET are FILL); a second line shows a signed or predicated form where it differs.

| instruction | body | compares | compared columns | writes | written columns | neither |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |
"""


def laws_page() -> str:
    """Return the text of the page."""
    rows = [
        f"| {opcode.name} | 1 | {_code(law.body)} | {_code(law.extra)} | {_code(PORT_STEPS.get(opcode, '0'))} |"
        for opcode, law in LAWS.items()
    ]
    return _HEAD + "\n".join(rows) + "\n" + _EVENTS + "\n".join(_event_rows(CONFIGS["small"])) + "\n"


def _code(formula: str) -> str:
    return "" if formula == "0" else f"`{formula}`"


def _event_rows(config: TileConfig) -> list[str]:
    rows: list[str] = []
    for opcode, rule in OPERATIONS.items():
        plain = Instruction(opcode, a_width=_WIDTH, b_width=_WIDTH, d_width=_WIDTH, constant=1)
        forms = {"": plain}
        if rule.a is not Role.UNUSED:
            forms[", `a_signed`"] = dataclasses.replace(plain, a_signed=True)
        if rule.predicate:
            forms[", predicated"] = dataclasses.replace(plain, predicated=True)
        shown: set[tuple[int, ...]] = set()
        for suffix, instruction in forms.items():
            schedule = events(instruction, config)
            if schedule.cycles and tuple(schedule) not in shown:
                shown.add(tuple(schedule))
                numbers = " | ".join(f"{number:,}" for number in (schedule.cycles, *schedule))
                rows.append(f"| {opcode.name}{suffix} | {numbers} |")
    return rows
