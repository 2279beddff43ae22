"""A router with all that a proof needs to say about it, for a solver.

Two flits that come one after the other at one input, at any time, among any others, are marked. What leaves is
compared with what is known of them. ``holds`` says that nothing is wrong, and what is needed to show, from one cycle to
the next, that nothing ever will be (an inductive invariant). The queues keep their flits in registers here, so that the
invariant can speak of them; all else is the router itself.
"""

import subprocess
import tempfile
from functools import reduce
from itertools import combinations
from operator import and_, or_
from pathlib import Path
from typing import Any

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from hw.accelerator.config import AcceleratorConfig
from hw.accelerator.layouts import flit_layout
from hw.accelerator.router import PORTS, TURNS, FlitBuffer, Router
from hw.component import Component
from hw.hierarchy import joined_text
from sim.synthesis import find_yosys

__all__ = ["RouterProof", "bound", "proof_verilog", "prove", "prove_departure"]

FIRST, SECOND = 1, 2
"""Marks of the two flits: the payload's low bits; all other flits have 0 there."""


class VisibleBuffer(FlitBuffer):
    """The queue, with registers for a memory."""

    def __init__(self, config: AcceleratorConfig):
        super().__init__(config)
        self.slots = [Signal(self.layout, name=f"slot_{index}") for index in range(config.buffer_flits)]

    def _store(self, m: Module, push: Value) -> Value:
        for index, slot in enumerate(self.slots):
            with m.If(push & (self.next == index)):
                m.d.sync += slot.eq(self.flits_in.payload)
        return Array(Value.cast(slot) for slot in self.slots)[self.first]


class VisibleRouter(Router):
    """A router whose queues were made before."""

    def __init__(self, config: AcceleratorConfig):
        super().__init__(config)
        self.made = {port: VisibleBuffer(config) for port in PORTS}
        rest = iter(self.made.values())
        self.buffer: Any = lambda _: next(rest)


class RouterProof(Component):
    """A router, an environment that may do anything allowed, and what must hold.

    Members
    -------
    column, row : place of the router; ``assumed`` keeps them.
    port : the input of the marked flits, a constant, too.
    mark : this cycle's flit at that input is marked, if it may be.
    valid, ready : bits of the streams, in the order of the ports.
    north, east, .. : flits that come.
    assumed : the environment does what it may.
    holds : nothing is wrong. Inductive.
    waits : the first marked flit has been taken and not all of its copies have left.
    """

    def __init__(self, config: AcceleratorConfig):
        self.config, self.layout = config, flit_layout(config)
        self.router = VisibleRouter(config)
        super().__init__(
            {
                "column": In(self.router.column.shape()),
                "row": In(self.router.row.shape()),
                "port": In(3),
                "mark": In(1),
                "valid": In(len(PORTS)),
                "ready": In(len(PORTS)),
                **{port: In(config.clusters + 1) for port in PORTS},
                "assumed": Out(1),
                "holds": Out(1),
                "waits": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.router = router = self.router
        config = self.config
        m.d.comb += [router.column.eq(self.column), router.row.eq(self.row)]
        regions = self._regions(m)

        # Flits that come have nothing but destinations and a mark.
        marked, accepted = Signal(2), {port: Signal(name=f"{port}_accepted") for port in PORTS}
        here = {port: Signal(name=f"{port}_here") for port in PORTS}
        for index, port in enumerate(PORTS):
            arriving, leaving = getattr(router, f"{port}_in"), getattr(router, f"{port}_out")
            mark = Mux(here[port] & self.mark & (marked != SECOND), marked + 1, 0)
            m.d.comb += [
                here[port].eq(self.port == index),
                arriving.valid.eq(self.valid[index]),
                arriving.payload.destinations.eq(getattr(self, port)),
                arriving.payload.payload.eq(mark),
                leaving.ready.eq(self.ready[index]),
                accepted[port].eq(arriving.valid & arriving.ready),
            ]

        # What is known of the marked flits: destinations, and outputs that their copies left by.
        came = reduce(or_, (accepted[port] & here[port] for port in PORTS)) & self.mark
        masks = {FIRST: Signal(config.clusters + 1, name="first_mask"), SECOND: Signal(config.clusters + 1)}
        gone = {FIRST: Signal(len(PORTS), name="first_gone"), SECOND: Signal(len(PORTS), name="second_gone")}
        arriving_mask = reduce(or_, (Mux(here[port], getattr(self, port), 0) for port in PORTS))
        with m.If(came & (marked != SECOND)):
            m.d.sync += marked.eq(marked + 1)
        for mark, mask in masks.items():
            with m.If(came & (marked == mark - 1)):
                m.d.sync += mask.eq(arriving_mask)
        wanted = {mark: Cat((mask & regions[port]).any() for port in PORTS) for mark, mask in masks.items()}

        facts: dict[str, Value] = {}
        for index, port in enumerate(PORTS):
            leaving = getattr(router, f"{port}_out")
            copy, taken = leaving.payload, leaving.valid & leaving.ready
            for mark in (FIRST, SECOND):
                leaves = taken & (copy.payload == mark)
                with m.If(leaves):
                    m.d.sync += gone[mark][index].eq(1)
                # Only what came leaves, once, where it is due, with its part of the destinations.
                right = (marked >= mark) & ~gone[mark][index] & wanted[mark][index]
                right &= copy.destinations == masks[mark] & regions[port]
                if mark == SECOND:
                    right &= gone[FIRST][index] | ~wanted[FIRST][index]
                facts[f"copy_{mark}_{port}"] = ~leaves | right
            facts |= self._stable(m, port)

        self._invariant(m, facts, regions, marked, masks, gone, wanted)
        m.d.comb += [
            self.holds.eq(reduce(and_, facts.values())),
            self.waits.eq((marked != 0) & (wanted[FIRST] & ~gone[FIRST]).any()),
            self.assumed.eq(self._allowed(m, regions)),
        ]
        return m

    def _regions(self, m: Module) -> dict[str, Signal]:
        """What lies behind each output, from its definition."""
        config = self.config
        regions = {port: Signal(config.clusters + 1, name=f"{port}_behind") for port in PORTS}
        for node in range(config.clusters + 1):
            row, column = divmod(node, config.width) if node != config.host else (-1, 0)
            m.d.comb += [
                regions["east"][node].eq(self.column < column),
                regions["west"][node].eq(self.column > column),
                regions["north"][node].eq((self.column == column) & (self.row > row)),
                regions["south"][node].eq((self.column == column) & (self.row < row)),
                regions["local"][node].eq((self.column == column) & (self.row == row)),
            ]
        return regions

    def _allowed(self, m: Module, regions: dict[str, Signal]) -> Value:
        """Places are constant and inside; no flit asks for a turn that there is not."""
        allowed = [(self.column < self.config.width) & (self.row < self.config.height) & (self.port < len(PORTS))]
        began = Signal()
        m.d.sync += began.eq(1)
        for value in (self.column, self.row, self.port):
            before = Signal(value.shape())
            m.d.sync += before.eq(value)
            allowed.append(~began | (value == before))
        for port in PORTS:
            for output, inputs in TURNS.items():
                if port not in inputs:
                    allowed.append((getattr(self, port) & regions[output]) == 0)
        return reduce(and_, allowed)

    def _stable(self, m: Module, port: str) -> dict[str, Value]:
        """What is offered and not taken is offered again."""
        leaving = getattr(self.router, f"{port}_out")
        waited, before = Signal(name=f"{port}_waited"), Signal(self.layout, name=f"{port}_before")
        m.d.sync += [waited.eq(leaving.valid & ~leaving.ready), before.eq(leaving.payload)]
        same = leaving.valid & (Value.cast(leaving.payload) == Value.cast(before))
        return {f"stable_{port}": ~waited | same, f"kept_{port}": waited == self.router.kept[port].any()}

    def _invariant(
        self,
        m: Module,
        facts: dict[str, Value],
        regions: dict[str, Signal],
        marked: Signal,
        masks: dict[int, Signal],
        gone: dict[int, Signal],
        wanted: dict[int, Any],
    ) -> None:
        """What is true of the registers of a router in every cycle."""
        router, depth = self.router, self.config.buffer_flits
        facts["marks"] = marked <= SECOND
        asks: dict[str, Value] = {}
        inside = {mark: [] for mark in (FIRST, SECOND)}
        for port, buffer in router.made.items():
            here, taken = self.port == PORTS.index(port), router.taken[port]
            # The ring.
            facts[f"ring_{port}"] = (
                (buffer.count <= depth)
                & (buffer.first < depth)
                & (buffer.next == (buffer.first + buffer.count) % depth)
            )
            # Copies of the head that left are some of those that it asks for, never all.
            queue = []
            for place in range(depth):
                flit = Signal(self.layout, name=f"{port}_flit_{place}")
                slots = Array(Value.cast(slot) for slot in buffer.slots)
                m.d.comb += Value.cast(flit).eq(slots[(buffer.first + place) % depth])
                queue.append(flit)
            asked = Cat((queue[0].destinations & regions[output]).any() for output in PORTS)
            waits = buffer.count != 0
            asks[port] = asked & ~taken & waits.replicate(len(PORTS))
            facts[f"taken_{port}"] = (taken == 0) | (waits & ((taken & ~asked) == 0) & ((asked & ~taken) != 0))
            # A flit came with a turn that there is.
            for place, flit in enumerate(queue):
                for output, inputs in TURNS.items():
                    if port not in inputs:
                        facts[f"turn_{port}_{place}_{output}"] = (buffer.count <= place) | (
                            (flit.destinations & regions[output]) == 0
                        )
                # A marked flit in the queue is as it came; its copies left if it is the head and they were taken.
                for mark in (FIRST, SECOND):
                    is_marked = (buffer.count > place) & (flit.payload == mark)
                    left = taken if place == 0 else 0
                    facts[f"marked_{port}_{place}_{mark}"] = ~is_marked | (
                        here & (marked >= mark) & (flit.destinations == masks[mark]) & (gone[mark] == left)
                    )
                    inside[mark].append(is_marked)
            # The second one is behind the first.
            for place, later in combinations(range(depth), 2):
                facts[f"order_{port}_{place}_{later}"] = ~(
                    (buffer.count > later) & (queue[place].payload == SECOND) & (queue[later].payload == FIRST)
                )
        # Nothing is lost: until all copies have left, a marked flit is in a queue, once.
        for mark in (FIRST, SECOND):
            count = sum(inside[mark], start=Value.cast(0))
            done = (marked >= mark) & (gone[mark] == wanted[mark])
            facts[f"once_{mark}"] = Mux(marked < mark, (count == 0) & (gone[mark] == 0), count <= 1)
            facts[f"lost_{mark}"] = (marked < mark) | (count == 1) | done
        facts["order"] = ~(reduce(or_, inside[FIRST]) & (marked == SECOND) & ~reduce(or_, inside[SECOND]))
        # Arbitration.
        for index, (output, inputs) in enumerate(TURNS.items()):
            requests = Cat(asks[port][index] for port in inputs)
            turn, kept = router.turn[output], router.kept[output]
            facts[f"turn_{output}"] = (turn != 0) & ((turn & (turn - 1)) == 0)
            facts[f"grant_{output}"] = ((kept & ~requests) == 0) & ((kept & (kept - 1))[: len(inputs)] == 0)


def bound(config: AcceleratorConfig) -> int:
    """Cycles in which a flit leaves by all of its outputs if these take what they are offered.

    Each flit that is before it, and itself, waits for at most one flit of each other input.
    """
    return config.buffer_flits * max(map(len, TURNS.values()))


def proof_verilog(config: AcceleratorConfig) -> str:
    """The Verilog of a router with what is to be proven; its top module is ``proof``."""
    return joined_text(RouterProof(config), "proof")


def prove(verilog: str) -> bool:
    """Whether ``holds`` is true after a reset and, where it is true, true in the next cycle; so for ever."""
    return _solve(verilog, "-tempinduct -maxsteps 1 -prove holds 1")


def prove_departure(verilog: str, cycles: int) -> bool:
    """Whether the first marked flit is gone after so many cycles in which all outputs take, wherever it was before."""
    return _solve(
        verilog,
        f"-seq {cycles + 1} -prove-skip {cycles} -set-at 1 holds 1 -set mark 0 -set ready {2 ** len(PORTS) - 1} "
        "-prove waits 0",
        "setattr -unset init w:*",
    )


def _solve(verilog: str, question: str, *before: str) -> bool:
    """Ask Yosys's solver; no reset, and an environment that does what it may."""
    script = [
        "read_verilog proof.v",
        "hierarchy -top proof",
        "proc",
        "flatten",
        "opt -full",
        *before,
        f"sat -verify -set rst 0 -set assumed 1 {question}",
    ]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "proof.v").write_text(verilog, encoding="utf-8")
        (Path(folder) / "proof.ys").write_text("\n".join(script), encoding="utf-8")
        command = [find_yosys(), "-q", "proof.ys"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode and "proof did fail" not in done.stdout + done.stderr:
        raise AssertionError(f"Yosys: {done.stdout}{done.stderr}")
    return not done.returncode
