"""A tile's sequencer and port cycle by cycle, as the contract of the tile describes them."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from golden.laws import body_cycles, port_steps
from hw.config import TileConfig
from hw.isa import Instruction, Opcode, Owner, Program, StoreKind

PORT = (Opcode.LOAD, Opcode.STORE, Opcode.DRAIN, Opcode.RESTORE)
STREAMING = (Opcode.LOAD, Opcode.STORE)


@dataclass
class Cycle:
    """One cycle in which the tile moves.

    ``beat``: the LOAD or STORE that moves a beat, counted from 0, or None; ``last``: its last one; ``wait``: what is at
    the head of the queue, if the sequencer waits.
    """

    beat: int | None = None
    last: bool = False
    wait: Owner | None = None


@dataclass
class Entry:
    """A port operation in the queue."""

    steps: int
    loads: bool
    streaming: int | None
    drains: bool


def cycles(program: Program, config: TileConfig) -> Iterator[Cycle]:
    """The cycles of a run: the sequencer looks at the queue, and its head makes a step if the cycle is open."""
    queue: deque[Entry] = deque()
    streaming = 0

    def step(wait: Owner | None = None) -> Cycle:
        if not queue:
            return Cycle(wait=wait)
        head = queue[0]
        head.steps -= 1
        if not head.steps:
            queue.popleft()
        return Cycle(head.streaming, not head.steps, wait)

    for op in program.executed():
        drains = op.opcode == Opcode.DRAIN or (op.opcode == Opcode.STORE and op.kind == StoreKind.TOTAL)
        while _must_wait(op, drains, queue, config):
            yield step(Owner.LOAD if queue[0].loads else Owner.STORE)
        yield step()
        if op.opcode in PORT:
            number = streaming if op.opcode in STREAMING else None
            streaming += op.opcode in STREAMING
            loads = op.opcode in (Opcode.LOAD, Opcode.RESTORE)
            queue.append(Entry(port_steps(op, config), loads, number, drains))
        else:
            for _ in range(body_cycles(op, config)):
                yield step() if op.opcode == Opcode.DOT else Cycle()


def _must_wait(op: Instruction, drains: bool, queue: deque[Entry], config: TileConfig) -> bool:
    if op.opcode in PORT:
        return len(queue) == config.port_queue or (drains and any(entry.drains for entry in queue))
    if op.opcode == Opcode.SYNC:
        return 0 <= op.constant < len(queue)
    return op.opcode == Opcode.HALT and len(queue) > 0
