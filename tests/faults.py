"""Faults seeded in the Verilog of the tiny tile, each in one place of it.

A fault names a module and a pattern that must occur exactly once in it, so that a Verilog of another shape makes the
test fail loudly instead of testing nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from hw.passes import TABLES


class FaultNotSeeded(AssertionError):
    """The Verilog does not have the place, or has it more than once."""


class Edit(Protocol):
    """Changes the text of one module."""

    def __call__(self, text: str) -> str: ...


@dataclass(frozen=True)
class Fault:
    """One change of the design.

    Parameters
    ----------
    module : name of the module, without the tile's.
    edit : what changes its text.
    caught_by : the name of the check (see ``tests/hw/test_seeded_faults.py``) that must fail.
    """

    module: str
    edit: Edit
    caught_by: str


def seed(verilog: str, fault: Fault) -> str:
    """The Verilog with the fault in it."""
    name = rf"\\tile\.{re.escape(fault.module)}" if fault.module else "tile"
    found = re.search(rf"^module {name} ?\(.*?^endmodule", verilog, re.MULTILINE | re.DOTALL)
    if found is None:
        raise FaultNotSeeded(f"the Verilog has no module {fault.module or 'tile'}")
    changed = fault.edit(found[0])
    if changed == found[0]:
        raise FaultNotSeeded("the text must change")
    return verilog[: found.start()] + changed + verilog[found.end() :]


def _replaced(text: str, pattern: str, replacement: str) -> str:
    changed, count = re.subn(pattern, replacement, text, flags=re.MULTILINE)
    if count != 1:
        raise FaultNotSeeded(f"{pattern!r} must occur once, not {count} times")
    return changed


def replaced(pattern: str, replacement: str) -> Edit:
    """Replace what a pattern matches."""
    return partial(_replaced, pattern=pattern, replacement=replacement)


PASS_OUTPUTS = ("mask", "key", "write_mask", "write_key")
PASS_BITS = {"mask": "xycf", "key": "xycf", "write_mask": "ycf", "write_key": "ycf"}


def _flip_pass(text: str, table: str, index: int, output: str, slot: str) -> str:
    ports = re.findall(r"^  assign \\port\$(\d+)\$0  = (\S+) ;$", text, re.MULTILINE)
    if len(ports) != len(PASS_OUTPUTS):
        raise FaultNotSeeded(f"the pass tables must have {len(PASS_OUTPUTS)} outputs, not {len(ports)}")
    signals = [signal for _, signal in sorted(ports, key=lambda port: int(port[0]))]
    signal = signals[PASS_OUTPUTS.index(output)]
    place = 4 * list(TABLES).index(table) + index
    bits = PASS_BITS[output]
    pattern = rf"^( +7'h{place:02x}:\n +{re.escape(signal)}  = {len(bits)}'h)([0-9a-f]);$"
    found = re.search(pattern, text, re.MULTILINE)
    if found is None:
        raise FaultNotSeeded(f"pass {index} of table {table} has no {output}")
    flipped = int(found[2], 16) ^ 1 << bits.index(slot)
    return _replaced(text, pattern, rf"\g<1>{flipped:x};")


def pass_bit(table: str, index: int, output: str, slot: str) -> Edit:
    """Flip the bit of one slot in one output of one pass."""
    return partial(_flip_pass, table=table, index=index, output=output, slot=slot)


def _never_last(text: str, table: str) -> str:
    place = 4 * list(TABLES).index(table) + len(TABLES[table]) - 1
    return _replaced(text, rf"^( +7'h{place:02x}:\n +last = )1'h1;$", r"\g<1>1'h0;")


def never_last(table: str) -> Edit:
    """The last pass of a table is not marked as such."""
    return partial(_never_last, table=table)


def bit_of_view(bit: int, value: str) -> Edit:
    """Give one bit of a structure, assigned in a process, another value."""
    return replaced(rf"^( +\\\$\d+ \[{bit}\] = )\\\$\d+ ;$", rf"\g<1>{value};")


def signal_becomes(name: str, value: str) -> Edit:
    """Give a signal, set in one state of a machine, a constant value there."""
    return replaced(rf"^( +{name} = )\\\$\d+ ;$", rf"\g<1>{value};")


def counter_stuck(name: str) -> Edit:
    """A counter adds 0."""
    return replaced(rf"^(  assign \S+  = {name} \+ )\S+ ;$", r"\g<1>1'h0;")


FAULTS: dict[str, Fault] = {
    # The pass tables.
    "key-of-a-pass": Fault("sequencer.passes", pass_bit("add", 1, "key", "y"), "sums"),
    "mask-of-a-pass": Fault("sequencer.passes", pass_bit("subtract", 0, "mask", "c"), "differences"),
    "write-key-of-a-pass": Fault("sequencer.passes", pass_bit("maximum", 3, "write_key", "y"), "extremes"),
    "write-mask-of-a-pass": Fault("sequencer.passes", pass_bit("add_1", 0, "write_mask", "c"), "constants"),
    "pass-that-is-never-the-last": Fault("sequencer.passes", never_last("copy"), "copies"),
    # The sequencer.
    "carry-not-cleared": Fault("sequencer", signal_becomes(r"operation_write_mask\[1\]", "1'h0"), "sums"),
    "multiplier-bit-not-compared": Fault("sequencer", replaced(r"operation_mask\[3\] = 1'h1;", ""), "products"),
    "predicate-inverted": Fault("sequencer", replaced(r"operation_key\[3\] = 1'h1;", ""), "predicates"),
    "diagonal-not-doubled": Fault("sequencer", signal_becomes("new_diagonal", "1'h0"), "dot_products"),
    "fill-of-the-dot-before-kept": Fault("sequencer", signal_becomes("first_pair", "1'h0"), "dot_products"),
    "sign-plane-added": Fault("sequencer", bit_of_view(3, "1'h0"), "signed_dot_products"),
    "snapshot-never-taken": Fault("sequencer", signal_becomes("snapshot", "1'h0"), "totals_out"),
    "moved-by-a-block-too-few": Fault("sequencer", replaced("blocks_left == 1'h1", "blocks_left == 2'h2"), "moves"),
    "never-shifted-down": Fault("sequencer", signal_becomes("shift_tag_down", "1'h0"), "moves"),
    "sync-never-waits": Fault(
        "sequencer", replaced(r"outstanding > instruction\[110:75\]", "outstanding > 3'h7"), "loads_and_stores"
    ),
    # The responder counters.
    "segment-edge": Fault(
        "responders", replaced(r"tag\[7:0\] \^ tag\[15:8\]", "tag[7:0] ^ { tag[15:9], tag[16] }"), "dot_products"
    ),
    "total-not-sign-extended": Fault("responders", replaced("load_index <= 5'h1f", "load_index == 5'h1f"), "totals_in"),
    "overflow-not-noticed": Fault(
        "responders", replaced(r"^  assign overflow = .*;$", "  assign overflow = 1'h0;"), "overflow"
    ),
    # The tile, its program buffer, decoder, plane port and counters.
    "tags-shifted-by-a-row-too-few": Fault(
        "", replaced(r"\{ 7'h00, bus__tag, 8'h00 \}", "{ 8'h00, bus__tag, 7'h00 }"), "moves"
    ),
    "goes-on-when-a-plane-is-not-taken": Fault(
        "", replaced(r"^  assign run = (\S+)  & \S+ ;$", r"  assign run = \1 ;"), "pauses"
    ),
    "loop-runs-once-too-few": Fault(
        "program_buffer", replaced(r"^(  assign \S+  = \\\$5  != )1'h1;$", r"\g<1>2'h2;"), "loops"
    ),
    "foreign-config-accepted": Fault(
        "program_buffer", replaced("header_error = 4'h3", "header_error = 4'h0"), "header"
    ),
    "overlap-accepted": Fault("sequencer.decoder", replaced("error = 4'h8", "error = 4'h0"), "refusals"),
    "beats-of-a-plane-swapped": Fault(
        "plane_port", replaced(r"(\? plane_in__payload : )beat_1;", r"\g<1>beat_0;"), "loads_and_stores"
    ),
    "compares-not-counted": Fault("counters", counter_stuck("events_compares"), "sums"),
    "rows-not-counted": Fault("counters", counter_stuck("activity_rows_matched"), "dot_products"),
    "stalls-not-counted": Fault("counters", counter_stuck("cycles_stall"), "pauses"),
}
"""Faults by name."""
