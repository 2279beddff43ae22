"""The blocks of a mapped design, by instance path: what each has itself and what is in it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from itertools import groupby
from operator import add, attrgetter
from typing import Any

from sim.synthesis.counts import Counts

__all__ = ["Block", "read_blocks"]

_NUMBER = re.compile(r"_\d+$")


@dataclass(frozen=True)
class Block:
    """A block of a design.

    Parameters
    ----------
    name : of its instance; instances that differ in a number at the end are one block (``bank_0``, ``bank_1``: bank).
    own : what it is made of, without the blocks in it.
    parts : the blocks in it.
    """

    name: str
    own: Counts
    parts: tuple[Block, ...] = ()

    @property
    def counts(self) -> Counts:
        """What it is made of, with the blocks in it."""
        return reduce(add, (part.counts for part in self.parts), self.own)

    def part(self, name: str) -> Block:
        """A block in it; an empty one if there is none of that name."""
        return next((part for part in self.parts if part.name == name), Block(name, Counts()))


def read_blocks(hierarchy: Mapping[str, Any], top: str, own: Mapping[str, Counts]) -> Block:
    """The blocks of a design that Yosys mapped with its hierarchy kept.

    Parameters
    ----------
    hierarchy : what ``write_json`` wrote; of its cells, instances of modules are looked at.
    top : the top module.
    own : what each module is made of, without the modules in it.
    """

    def block(name: str, module: str) -> Block:
        cells: Mapping[str, Any] = hierarchy["modules"][module]["cells"]
        inside = [
            block(_NUMBER.sub("", instance), cell["type"]) for instance, cell in cells.items() if cell["type"] in own
        ]
        return Block(name, own[module], tuple(_joined(inside)))

    return block(top, top)


def _joined(blocks: list[Block]) -> Iterator[Block]:
    """Blocks of one name as one."""
    by_name = attrgetter("name")
    for name, group in groupby(sorted(blocks, key=by_name), key=by_name):
        same = list(group)
        parts = [part for block in same for part in block.parts]
        yield Block(name, reduce(add, (block.own for block in same)), tuple(_joined(parts)))
