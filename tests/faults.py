"""Faults seeded in the Verilog of small tiles, each in one place of it.

A fault names a module and a pattern that must occur exactly once in it, so that a Verilog of another shape makes the
test fail loudly instead of testing nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from hw.passes import LONGEST, tables
from hw.step_table import STEP
from tests.rtl import FASTER, TINY

TILES = {"plain": TINY["cells"], "full": FASTER["two-tags-2d"]}
"""The tiny tile, and one with vertical lines, a second tag register and a search for zero planes."""


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
    tile : which of :data:`TILES` it is seeded in.
    """

    module: str
    edit: Edit
    caught_by: str
    tile: str = "plain"


def seed(verilog: str, fault: Fault) -> str:
    """The Verilog with the fault in it."""
    name = "_".join(("tile", *filter(None, fault.module.split("."))))
    found = re.search(rf"^module {name}\(.*?^endmodule", verilog, re.MULTILINE | re.DOTALL)
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


def _flip_step(text: str, tile: str, table: str, index: int, output: str, bit: str) -> str:
    field = STEP[output]
    slots = {"write_mask": "ycf", "write_key": "ycf"}.get(output, "xycf")
    flipped = field.offset + (slots.index(bit) if field.width > 1 else 0)
    place = LONGEST * list(tables(TILES[tile].passes)).index(table) + index
    pattern = rf"^( +\d+'h0*{place:x}:\n +step = {STEP.size}'h)([0-9a-f]+);$"
    found = re.search(pattern, text, re.MULTILINE)
    if found is None:
        raise FaultNotSeeded(f"table {table} has no step {index}")
    return _replaced(text, pattern, rf"\g<1>{int(found[2], 16) ^ 1 << flipped:x};")


def step_bit(table: str, index: int, output: str, bit: str = "1", tile: str = "plain") -> Edit:
    """Flip one bit of what a step table says of a step."""
    return partial(_flip_step, tile=tile, table=table, index=index, output=output, bit=bit)


def other_table(chosen: str, instead: str, tile: str = "plain") -> Edit:
    """The key logic chooses another table where it chooses this one."""
    names = list(tables(TILES[tile].passes))
    return replaced(rf"number = 6'h{names.index(chosen):02x};", rf"number = 6'h{names.index(instead):02x};")


def bit_of_view(bit: int, value: str) -> Edit:
    """Give one bit of a structure, assigned in a process, another value."""
    return replaced(rf"^( +\w+\[{bit}\] <= )(?!\d)[^;]+;$", rf"\g<1>{value};")


def signal_becomes(name: str, value: str) -> Edit:
    """Give a signal, set in one state of a machine, a constant value there."""
    return replaced(rf"^( +{name} = )(?!\d)[^;]+;$", rf"\g<1>{value};")


def counter_stuck(name: str) -> Edit:
    """A counter adds 0."""
    return replaced(rf"^(  assign \S+ = {name} \+ )\S+;$", r"\g<1>1'h0;")


FAULTS: dict[str, Fault] = {
    # The step tables.
    "key-of-a-pass": Fault("sequencer.steps", step_bit("add", 0, "key", "y"), "sums"),
    "mask-of-a-pass": Fault("sequencer.steps", step_bit("subtract", 2, "mask", "c"), "differences"),
    "write-key-of-a-pass": Fault("sequencer.steps", step_bit("copy_if", 1, "write_key", "y"), "extremes"),
    "write-mask-of-a-pass": Fault("sequencer.steps", step_bit("add_1", 1, "write_mask", "c"), "constants"),
    "pass-that-is-never-the-last": Fault("sequencer.steps", step_bit("copy", 2, "last"), "copies"),
    "second-compare-starts-anew": Fault("sequencer.steps", step_bit("xor", 1, "add"), "copies"),
    "compare-adds-instead-of-removing": Fault("sequencer.steps", step_bit("less", 1, "remove"), "comparisons"),
    "default-in-tagged-rows-only": Fault("sequencer.steps", step_bit("negate", 2, "all_rows"), "signs"),
    "result-in-the-operand": Fault("sequencer.steps", step_bit("and", 2, "result"), "logic"),
    "entry-of-the-top-bits": Fault("sequencer.steps", step_bit("add_signs", 1, "write_key", "c"), "reductions"),
    "entry-of-a-sum-beside": Fault("sequencer.steps", step_bit("rdiff", 4, "key", "c"), "sums_beside"),
    "second-tags-take-the-first-ones-rows": Fault(
        "sequencer.steps", step_bit("add", 2, "second", tile="full"), "sums_with_two_tags", "full"
    ),
    # The key logic.
    "extension-not-known": Fault("sequencer.key_logic", other_table("diff_0", "diff"), "sums_beside"),
    "top-bit-not-known": Fault("sequencer.key_logic", other_table("absolute_top", "absolute"), "signs"),
    "top-bits-not-known": Fault("sequencer.key_logic", other_table("add_signs", "add"), "reductions"),
    "place-of-the-lowest-one": Fault(
        "sequencer.lowest", replaced(r"(assign place\[0\] = )\S+;", r"\g<1>1'h0;"), "products_by_constants"
    ),
    # The tags.
    "tags-not-removed": Fault("tags", replaced(r"= tag & (?:_\d+_|~match);", "= tag;"), "comparisons"),
    "tags-not-kept": Fault("tags", replaced(r"= tag \| match;", "= match;"), "logic"),
    "tags-shifted-by-a-row-too-few": Fault(
        "tags", replaced(r"\{ tag\[11:0\], 4'h0 \}", "{ tag[12:0], 3'h0 }"), "moves"
    ),
    "second-tags-not-written": Fault(
        "tags", replaced(r"^(  assign rows = ).*;$", r"\g<1>tag;"), "sums_with_two_tags", "full"
    ),
    # The vertical lines, and where a REDUCE stands.
    "bound-of-the-active-blocks": Fault(
        "array.vertical", replaced(r"place_2 < control\[12:10\]", "place_2 <= control[12:10]"), "pairs", "full"
    ),
    "bound-of-the-partners": Fault(
        "array.vertical", replaced(r"place_1 < control\[15:13\]", "place_1 <= control[15:13]"), "segments", "full"
    ),
    "distance-of-the-lines": Fault(
        "array.vertical", replaced(r"\{ 10'h000, column\[34:10\] \}", "{ 5'h00, column[34:5] }"), "segments", "full"
    ),
    "one-segment-only": Fault(
        "sequencer.tree", replaced(r"^( +segment <= )\{ [^}]+ \};$", r"\g<1>3'h7;"), "segments", "full"
    ),
    "a-level-too-few": Fault("sequencer.tree", replaced("distance == 1'h1", "distance == 2'h2"), "reductions"),
    "a-pair-too-many": Fault("sequencer.tree", replaced(r"== distance\)", "== segment)"), "pairs", "full"),
    "words-do-not-grow": Fault("sequencer", replaced(r"bits_to_walk \+ 1'h1", "bits_to_walk + 1'h0"), "reductions"),
    # The search for zero planes.
    "search-gives-up-early": Fault(
        "sequencer", replaced(r"\(! top_plane\)", "(top_plane == 1'h1)"), "searches", "full"
    ),
    "skipped-planes-not-counted": Fault("sequencer", signal_becomes("skipped", "1'h0"), "searches", "full"),
    # The sequencer.
    "carry-not-cleared": Fault("sequencer", signal_becomes(r"operation_write_mask\[1\]", "1'h0"), "sums"),
    "borrow-not-set": Fault("sequencer", signal_becomes(r"operation_write_key\[1\]", "1'h0"), "differences"),
    "low-bound-of-a-clamp-twice": Fault("sequencer", replaced(r"running\[122:99\]", "running[98:75]"), "extremes"),
    "compares-not-gathered": Fault("sequencer", signal_becomes("operation_keep", "1'h0"), "comparisons"),
    "equal-rows-not-marked": Fault("sequencer", signal_becomes("operation_ones", "1'h0"), "comparisons"),
    "multiplier-bit-not-compared": Fault("sequencer", replaced(r"operation_mask\[3\] = 1'h1;", ""), "products"),
    "predicate-inverted": Fault("sequencer", replaced(r"operation_key\[3\] = 1'h1;", ""), "predicates"),
    "diagonal-not-doubled": Fault("sequencer", signal_becomes("new_diagonal", "1'h0"), "dot_products"),
    "fill-of-the-dot-before-kept": Fault("sequencer", replaced(r"(<= )first_pair;", r"\g<1>1'h0;"), "dot_products"),
    "sign-plane-added": Fault("sequencer", bit_of_view(3, "1'h0"), "signed_dot_products"),
    "snapshot-never-taken": Fault("sequencer", signal_becomes("snapshot", "1'h0"), "totals_out"),
    "moved-by-a-block-too-few": Fault("sequencer", replaced("blocks_left == 1'h1", "blocks_left == 2'h2"), "moves"),
    "never-shifted-down": Fault("sequencer", signal_becomes("shift_tag_down", "1'h0"), "moves"),
    "sync-never-waits": Fault(
        "sequencer", replaced(r"outstanding > instruction\[110:75\]", "outstanding > 3'h7"), "loads_and_stores"
    ),
    # The responder counters.
    "segment-edge": Fault(
        "responders", replaced(r"tag\[3:0\] \^ tag\[7:4\]", "tag[3:0] ^ { tag[7:5], tag[8] }"), "dot_products"
    ),
    "total-not-sign-extended": Fault("responders", replaced("load_index <= 5'h1f", "load_index == 5'h1f"), "totals_in"),
    "overflow-not-noticed": Fault(
        "responders", replaced(r"^  assign overflow = .*;$", "  assign overflow = 1'h0;"), "overflow"
    ),
    # The tile, its program buffer, decoder, plane port and counters.
    "goes-on-when-a-plane-is-not-taken": Fault(
        "", replaced(r"^(  assign run = .*) & \(~plane_out__valid \| plane_out__ready\);$", r"\1;"), "pauses"
    ),
    "loop-runs-once-too-few": Fault("program_buffer", replaced(r"(loop_end & \(\w+ != )1'h1", r"\g<1>2'h2"), "loops"),
    "foreign-config-accepted": Fault(
        "program_buffer", replaced("header_error = 4'h3", "header_error = 4'h0"), "header"
    ),
    "overlap-accepted": Fault("sequencer.decoder", replaced("error = 4'h8", "error = 4'h0"), "refusals"),
    "beats-of-a-plane-swapped": Fault(
        "plane_port", replaced(r"(\? plane_in__payload : )beat_0;", r"\g<1>beat_1;"), "loads_and_stores"
    ),
    "compares-not-counted": Fault("counters", counter_stuck("events_compares"), "sums"),
    "rows-not-counted": Fault("counters", counter_stuck("activity_rows_matched"), "dot_products"),
    "stalls-not-counted": Fault("counters", counter_stuck("cycles_stall"), "pauses"),
}
"""Faults by name."""
