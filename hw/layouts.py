"""Every internal layout of the tile, in one place."""

from typing import Any

from amaranth.lib import data
from amaranth.utils import bits_for

from hw.config import TileConfig
from hw.isa import FIELDS

__all__ = [
    "HEADER", "INSTRUCTION", "SLOT_MASK", "WRITE_MASK", "count_control", "micro_operation",
    "port_request", "vertical_control",
]  # fmt: skip

INSTRUCTION = data.StructLayout(dict(FIELDS))
"""One instruction word, field by field as :data:`hw.isa.FIELDS`."""

HEADER = data.StructLayout({"magic": 16, "version": 16, "length": 32, "config": 64})
"""The first word of a program."""

SLOT_MASK = data.StructLayout({"x": 1, "y": 1, "c": 1, "f": 1})
"""One bit per slot of a compare (see :mod:`hw.passes`)."""

WRITE_MASK = data.StructLayout({"y": 1, "c": 1, "f": 1})
"""One bit per slot of a write."""


def micro_operation(config: TileConfig) -> data.StructLayout:
    """What the sequencer asks of the array and of the tags in one cycle.

    ``x``, ``y``, ``c``, ``f`` name the columns of the slots; ``mask`` and ``key`` hold the pattern of a compare;
    ``write_mask`` and ``write_key`` what a write puts into the tagged rows, or into all rows.  ``keep``, ``ones`` and
    ``remove`` say how the matches of a compare join the tags (see :class:`hw.tag_unit.TagUnit`), ``second`` which tag
    register is meant.  The last four act on the latched columns of the ``3r1w`` array and are 0 elsewhere.  A tile
    with ``vertical`` has the control of its vertical lines as well.
    """
    column = bits_for(config.columns - 1)
    fields: dict[str, Any] = {
        "x": column,
        "y": column,
        "c": column,
        "f": column,
        "compare": 1,
        "mask": SLOT_MASK,
        "key": SLOT_MASK,
        "keep": 1,
        "ones": 1,
        "remove": 1,
        "second": 1,
        "write": 1,
        "write_mask": WRITE_MASK,
        "write_key": WRITE_MASK,
        "all_rows": 1,
        "fetch_f": 1,
        "clear_c": 1,
        "spill_c": 1,
        "spill_f": 1,
    }
    if config.vertical:
        fields["vertical"] = vertical_control(config)
    return data.StructLayout(fields)


def vertical_control(config: TileConfig) -> data.StructLayout:
    """How the vertical lines join row blocks in a compare.

    ``on``: slot x is read ``distance`` (a power of two) row blocks further up, and only row blocks take part whose
    number, masked by ``segment``, is from ``first`` to ``limit`` - 1; from ``partners`` on slot x is 0.
    """
    block = bits_for(config.taps - 1)
    return data.StructLayout(
        {
            "on": 1,
            "distance": block,
            "segment": block,
            "first": block,
            "limit": bits_for(config.taps),
            "partners": bits_for(config.taps),
        }
    )


def count_control() -> data.StructLayout:
    """How the responder counters take the tags of a DOT's compare.

    ``first`` starts a fill, ``shift`` doubles it before counting (a new anti-diagonal), ``negative`` subtracts (a sign
    plane), ``last`` adds the fill to the totals.
    """
    return data.StructLayout({"valid": 1, "first": 1, "shift": 1, "negative": 1, "last": 1})


def port_request(config: TileConfig) -> data.StructLayout:
    """One operation in the queue of the plane port: what it moves, first column, planes and row block."""
    return data.StructLayout(
        {
            "to_array": 1,  # LOAD or DRAIN: the array, totals or tags are written
            "stream": 1,  # LOAD or STORE: beats of a stream; otherwise DRAIN or RESTORE
            "kind": 3,
            "column": bits_for(config.columns - 1),
            "planes": 7,
            "block": bits_for(config.taps - 1),
        }
    )
