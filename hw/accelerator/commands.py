"""The command stream of an accelerator: commands as objects, and as the words that a host sends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from hw.accelerator.config import AcceleratorConfig
from hw.accelerator.protocol import ADDRESS_BITS, COMMAND_BITS, COUNT_BITS, UNIT_BITS, Command

__all__ = ["End", "HostCommand", "Run", "Wait", "Write", "command_word", "stream_words"]


@dataclass(frozen=True)
class Write:
    """Write ``payload``, words of F bits, to consecutive addresses of a unit in every cluster of ``destinations``.

    ``destinations`` has a bit for each cluster.
    """

    unit: int
    address: int
    payload: Sequence[int]
    destinations: int


@dataclass(frozen=True)
class Run:
    """Wait until all is idle, then start every armed unit: a phase begins."""


@dataclass(frozen=True)
class Wait:
    """Wait until the clusters of ``destinations`` are idle and the mesh is empty."""

    destinations: int


@dataclass(frozen=True)
class End:
    """Wait until all is idle; the run is done."""


HostCommand = Write | Run | Wait | End
"""One command of the stream."""


def command_word(opcode: int, unit: int = 0, address: int = 0, count: int = 0, destinations: int = 0) -> int:
    """A command as a number of :data:`~hw.accelerator.protocol.COMMAND_BITS` bits.

    Raises
    ------
    ValueError
        If a field does not fit its bits.
    """
    fields = (
        ("opcode", opcode, 8),
        ("unit", unit, UNIT_BITS),
        ("address", address, ADDRESS_BITS),
        ("count", count, COUNT_BITS),
        ("destinations", destinations, 64),
    )
    word, position = 0, 0
    for name, value, width in fields:
        if not 0 <= value < 1 << width:
            raise ValueError(f"{name} of a command must fit {width} bits, not {value}")
        word |= value << position
        position += width
    return word


def stream_words(commands: Iterable[HostCommand], config: AcceleratorConfig) -> Iterator[int]:
    """The words of ``config.flit_bits`` bits that a host sends, in order."""
    width = config.flit_bits
    for item in commands:
        if isinstance(item, Write):
            head = command_word(Command.WRITE, item.unit, item.address, len(item.payload), item.destinations)
        elif isinstance(item, Wait):
            head = command_word(Command.WAIT, destinations=item.destinations)
        else:
            head = command_word(Command.RUN if isinstance(item, Run) else Command.END)
        for position in range(0, COMMAND_BITS, width):
            yield head >> position & ((1 << width) - 1)
        if isinstance(item, Write):
            yield from item.payload
