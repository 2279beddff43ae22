"""Every internal layout of the macro, in one place."""

from typing import Any

from amaranth.lib import data
from amaranth.utils import bits_for

from hw.flexspim.config import MacroConfig
from hw.flexspim.isa import FIELDS, POSITION_BITS, Y_BITS, MacroOpcode
from hw.isa import INSTRUCTION_BITS

__all__ = ["EVENT", "event_walk", "instruction_layout", "layer_layout", "row_operation", "size_bits"]

EVENT = data.StructLayout({"position": POSITION_BITS + 8, "y": Y_BITS + 1})
"""An event: its place in the line, and the line; both may be beyond the input."""


def instruction_layout(opcode: MacroOpcode) -> data.StructLayout:
    """The instruction word of an opcode, field by field."""
    fields = FIELDS[opcode]
    return data.StructLayout({"opcode": 8, **fields, "rest": INSTRUCTION_BITS - 8 - sum(fields.values())})


def row_operation() -> data.StructLayout:
    """What a cycle does with its two rows.

    ``valid``: there is a row operation. ``first_row``, ``last_row``: of the potential. ``weight_row``: the last row of
    the weight; ``beyond``: a row after it. ``zero``: operand a is 0. ``subtract``: operand a holds the complement of
    what is taken away. ``compare``: nothing is written. ``masked``: only operands that spiked are written. ``clip``:
    only operands whose sum left its range are written, with the bound.
    """
    names = (
        "valid", "first_row", "last_row", "weight_row", "beyond", "zero", "subtract", "compare", "masked", "clip",
    )  # fmt: skip
    return data.StructLayout(dict.fromkeys(names, 1))


def size_bits(config: MacroConfig) -> int:
    """Bits of a number of rows; all ones stand for more than the array has."""
    return bits_for(config.rows) + 1


def layer_layout(config: MacroConfig) -> data.StructLayout:
    """What a layer's registers hold: fields of INPUT and OUTPUT, and numbers of rows.

    ``slice_rows``: of all slices of a place and group. ``place_rows``: of a place. ``line_rows``: of a line of places.
    ``tap_rows``, ``tap_line_rows``, ``channel_rows``: weights of a tap, of a line of taps, of an input channel.
    """
    size = size_bits(config)
    sizes: dict[str, Any] = dict.fromkeys(
        ("slice_rows", "place_rows", "line_rows", "tap_rows", "tap_line_rows", "channel_rows"), size
    )
    inputs = dict(FIELDS[MacroOpcode.INPUT])
    outputs = {f"output_{name}": width for name, width in FIELDS[MacroOpcode.OUTPUT].items()}
    return data.StructLayout({**inputs, **outputs, **sizes})


def event_walk(config: MacroConfig) -> data.StructLayout:
    """Where an event's weights and potentials are, and how many places it reaches.

    ``reached``: there is one. ``places``, ``lines``: in a line, and lines of them. ``weight``, ``potential``: first
    rows at the first place.
    """
    row = bits_for(config.rows - 1)
    return data.StructLayout({"reached": 1, "places": 13, "lines": 13, "weight": row, "potential": row})
