"""Responder counters: how many rows of each output are tagged, weighted and summed over a DOT.

Everything is bit-sliced: a number per output is a list of S-bit planes, so that counting is a tree of full adders over
whole planes (of few outputs, sums are an adder for each)::

    tag (G planes of S bits) -> full adders -> count -> +- -> fill (doubled at each anti-diagonal) -> + -> total
"""

from collections import deque
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from amaranth.hdl import Cat, Const, EnableInserter, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from hw.component import RUN, Component, all_ones
from hw.config import TileConfig
from hw.layouts import count_control

__all__ = ["Responders"]

Planes = Sequence[Value]

WORDS = 8
"""Up to so many outputs have an adder each, which an FPGA's carry chain is; more of them share full adders of planes,
which a simulator works out faster."""


class Responders(Component):
    """Counts, fills and totals of all outputs, and the snapshot that the plane port drains.

    **Latency**: a DOT's compare is counted one cycle after its tags were set; with ``last`` the totals take the fill in
    that same cycle. **Throughput**: one compare per cycle.

    Members
    -------
    run : ``In(1)``, anything changes in this cycle.
    tag : ``In(R)``, the tag register.
    control : ``In(count_control)``, what to do with the tags of this cycle.
    count : ``Out(S * count_bits)``, plane by plane, responders of each output.
    set : ``In(1)``, every total becomes ``constant``.
    constant : ``In(total_bits)``
    load : ``In(1)``, plane ``load_index`` and all above of the totals become ``load_plane`` (ascending indices
        leave a sign-extended number).
    load_index, load_plane : ``In(...)``, ``In(S)``
    snapshot : ``In(1)``, the drain register takes the totals.
    drain : ``In(1)``, its next plane moves to ``drain_plane``.
    drain_plane : ``Out(S)``, the lowest plane that was not drained yet.
    overflow : ``Out(1)``, in a cycle with ``last``: a total does not fit ``total_bits``.
    """

    def __init__(self, config: TileConfig):
        self.config = config
        super().__init__(
            {
                "run": RUN,
                "tag": In(config.rows),
                "control": In(count_control()),
                "count": Out(config.outputs * config.count_bits),
                "set": In(1),
                "constant": In(config.total_bits),
                "load": In(1),
                "load_index": In(bits_for(config.total_bits - 1)),
                "load_plane": In(config.outputs),
                "snapshot": In(1),
                "drain": In(1),
                "drain_plane": Out(config.outputs),
                "overflow": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Any:
        m = Module()
        config, control, size = self.config, self.control, self.config.outputs
        ones = all_ones(size)

        count = self._count(m)
        m.d.comb += [self.count[i * size : (i + 1) * size].eq(plane) for i, plane in enumerate(count)]

        # fill = (2 * fill or 0) +- count, in two's complement.
        fill = [Signal(size, name=f"fill_{bit}", reset_less=True) for bit in range(config.fill_bits)]
        negative = Mux(control.negative, ones, Const(0, size))
        addend = [plane ^ negative for plane in count] + [negative] * (config.fill_bits - len(count))
        doubled = [
            Mux(control.shift, below, plane) for below, plane in zip([Const(0, size), *fill], fill, strict=False)
        ]
        base = [Mux(control.first, Const(0, size), plane) for plane in doubled]
        filled, _ = self._add(m, base, addend, negative)
        with m.If(control.valid):
            m.d.sync += [plane.eq(new) for plane, new in zip(fill, filled, strict=True)]

        # total += fill, sign-extended, in the cycle of the last count.
        total = [Signal(size, name=f"total_{bit}", reset_less=True) for bit in range(config.total_bits)]
        extended = [*filled] + [filled[-1]] * (config.total_bits - config.fill_bits)
        summed, overflows = self._add(m, total, extended, Const(0, size))
        last = control.valid & control.last
        m.d.comb += self.overflow.eq(last & overflows.any())
        if size <= WORDS:
            self._write_totals(m, total, summed, last)
        else:
            # A case for each, so that a simulator works out no more than one.
            with m.If(last):
                m.d.sync += [plane.eq(new) for plane, new in zip(total, summed, strict=True)]
            with m.Elif(self.set):
                m.d.sync += [plane.eq(self.constant[bit].replicate(size)) for bit, plane in enumerate(total)]
            with m.Elif(self.load):
                for bit, plane in enumerate(total):
                    with m.If(self.load_index <= bit):
                        m.d.sync += plane.eq(self.load_plane)

        # The snapshot is drained while the totals already serve the next output.
        drained = [Signal(size, name=f"drained_{bit}", reset_less=True) for bit in range(config.total_bits)]
        m.d.comb += self.drain_plane.eq(drained[0])
        with m.If(self.snapshot):
            m.d.sync += [plane.eq(now) for plane, now in zip(drained, total, strict=True)]
        with m.Elif(self.drain):
            m.d.sync += [plane.eq(above) for plane, above in pairwise(drained)]
        return EnableInserter(self.run)(m)

    def _write_totals(self, m: Module, total: Sequence[Signal], summed: Planes, last: Value) -> None:
        """The totals take sums, a constant or a plane: one function of four inputs behind an enable for each plane."""
        size = self.config.outputs
        for bit, (plane, sums) in enumerate(zip(total, summed, strict=True)):
            given = Signal(size, name=f"given_{bit}")
            m.d.comb += given.eq(Mux(self.set, self.constant[bit].replicate(size), self.load_plane))
            with m.If(last | self.set | (self.load & (self.load_index <= bit))):
                m.d.sync += plane.eq(Mux(last, sums, given))

    def _count(self, m: Module) -> Planes:
        """Add the G planes of the tags: full adders take three planes of a weight to one, and carry one up."""
        size = self.config.outputs
        waiting: deque[Value] = deque(self.tag[i * size : (i + 1) * size] for i in range(self.config.taps))
        result: list[Value] = []
        while waiting:
            carried: deque[Value] = deque()
            while len(waiting) > 1:
                a, b = waiting.popleft(), waiting.popleft()
                c: Value = waiting.popleft() if waiting else Const(0, size)
                total, carry = self._full_adder(m, a, b, c)
                waiting.append(total)
                carried.append(carry)
            result.append(waiting[0])
            waiting = carried
        return result[: self.config.count_bits]  # a carry beyond the greatest count is always 0

    def _full_adder(self, m: Module, a: Value, b: Value, c: Value) -> tuple[Signal, Signal]:
        total, carry = Signal(self.config.outputs, name=""), Signal(self.config.outputs, name="")
        half = Signal(self.config.outputs, name="")
        m.d.comb += [half.eq(a ^ b), total.eq(half ^ c), carry.eq((a & b) | (half & c))]
        return total, carry

    def _add(self, m: Module, left: Planes, right: Planes, carry: Value) -> tuple[Planes, Value]:
        """Sum of two numbers of each output and a carry into each, and which of the sums overflow."""
        if self.config.outputs <= WORDS:
            return self._chains(m, left, right, carry)
        total: list[Value] = []
        carries: list[Value] = [carry]
        for a, b in zip(left, right, strict=True):
            bit, carry = self._full_adder(m, a, b, carry)
            total.append(bit)
            carries.append(carry)
        return total, carries[-1] ^ carries[-2]

    def _chains(self, m: Module, left: Planes, right: Planes, carry: Value) -> tuple[Planes, Value]:
        """The same by an adder for each output."""
        size = self.config.outputs
        words = [Signal(len(left) + 1, name="") for _ in range(size)]
        for output, word in enumerate(words):
            # The carry comes from a sum with 1 below the lowest bit.
            a, b = (Cat(plane[output] for plane in planes) for planes in (left, right))
            m.d.comb += word.eq(Cat(carry[output], a) + Cat(Const(1, 1), b))
        total = [Cat(word[bit + 1] for word in words) for bit in range(len(left))]
        return total, (left[-1] ^ total[-1]) & (right[-1] ^ total[-1])
