"""The counters of a cluster: names, meaning and unit, in the order of their index at the counter port."""

from amaranth.hdl import Module, Signal
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from hw.accelerator.config import AcceleratorConfig
from hw.component import Component
from hw.counter_map import COUNTER_BITS, COUNTERS, Counter
from hw.isa import TileState

__all__ = ["COUNTED_STATES", "CounterBank", "cluster_counters", "cluster_events"]

COUNTED_STATES = (TileState.BUSY, TileState.PLANES, TileState.ROOM, TileState.PROGRAM)
"""States of a tile whose cycles are counted; what is missing from all cycles is IDLE."""

_MEANINGS = {
    TileState.BUSY: "decoded or worked",
    TileState.PLANES: "waited for planes to come in",
    TileState.ROOM: "waited for planes to go out",
    TileState.PROGRAM: "waited for an instruction",
}


def tile_name(tile: int, config: AcceleratorConfig) -> str:
    """``cap0``, ``cap1`` .. ``map0`` .. for the number of a tile in its cluster."""
    return f"cap{tile}" if tile < config.caps else f"map{tile - config.caps}"


def cluster_events(config: AcceleratorConfig) -> tuple[Counter, ...]:
    """What a cluster itself counts, since its reset: each counter goes up by at most one in a cycle."""
    return (
        *(
            Counter(
                f"{tile_name(tile, config)}.{state.name.lower()}",
                "cycle",
                f"{tile_name(tile, config)} {_MEANINGS[state]}",
            )
            for tile in range(config.tiles)
            for state in COUNTED_STATES
        ),
        Counter("gather.working", "cycle", "the gather unit formed an output row"),
        Counter("gather.blocked", "cycle", "the gather unit waited for room in its queue"),
        Counter("sender.flits", "flit", "flits that the sender's router took"),
        Counter("sender.blocked", "cycle", "a flit of the sender was not taken"),
    )


def cluster_counters(config: AcceleratorConfig) -> tuple[Counter, ...]:
    """All counters of a cluster: :func:`cluster_events`, then those of every tile (:data:`hw.counter_map.COUNTERS`).

    The latter are of the program that the tile ran last.
    """
    return (
        *cluster_events(config),
        *(
            Counter(f"{tile_name(tile, config)}.{counter.name}", counter.unit, counter.description)
            for tile in range(config.tiles)
            for counter in COUNTERS
        ),
    )


class CounterBank(Component):
    """Counters that each go up by one in a cycle, and copies of them all, taken at once.

    **Latency**: a copy is shown in the cycle in which its index is applied; it holds what happened before the cycle of
    the snapshot. **Throughput**: a snapshot in any cycle.

    Parameters
    ----------
    counters : how many.

    Members
    -------
    events : which counters go up.
    snapshot : all copies take their counters.
    index, value : the port; 0 beyond the last counter.
    """

    block = "counters"

    def __init__(self, counters: int):
        self.counters = counters
        super().__init__(
            {
                "events": In(counters),
                "snapshot": In(1),
                "index": In(bits_for(counters - 1)),
                "value": Out(COUNTER_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for index in range(self.counters):
            counter = Signal(COUNTER_BITS, name=f"counter_{index}")
            copy = Signal(COUNTER_BITS, name=f"copy_{index}")
            with m.If(self.events[index]):
                m.d.sync += counter.eq(counter + 1)
            with m.If(self.snapshot):
                m.d.sync += copy.eq(counter)
            with m.If(self.index == index):
                m.d.comb += self.value.eq(copy)
        return m
