"""Drivers and monitors of valid/ready streams for cocotb: a source, a sink, and the stalls that a test may ask for.

Sampling rule, used everywhere: right after ``RisingEdge(clock)`` one reads the values *before* the edge, so a word
moved at that edge exactly when valid and ready are both read as 1.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

import cocotb
from cocotb.task import Task
from cocotb.triggers import RisingEdge

__all__ = ["AXI", "Stalls", "StreamSink", "StreamSource"]

AMARANTH = ("__payload", "__valid", "__ready")
AXI = ("_tdata", "_tvalid", "_tready")
"""How the ports of a stream are called after its name: in Amaranth's Verilog, and in AXI4-Stream."""


class Stalls:
    """A seeded random pattern: each cycle a stream pauses with a given probability, 0.0 for never.

    The pattern depends on the seed only, so that a failing run can be repeated.
    """

    def __init__(self, probability: float = 0.0, seed: int = 0):
        if not 0.0 <= probability < 1.0:
            raise ValueError(f"stall probability must be at least 0 and below 1, not {probability}")
        self.probability = probability
        self._random = random.Random(seed)

    def pauses(self) -> int:
        """Cycles to pause before the next word."""
        if not self.probability:
            return 0
        cycles = 0
        while self._random.random() < self.probability:
            cycles += 1
        return cycles


class StreamSource:
    """Drives words into a stream.

    Parameters
    ----------
    clock, dut, name : the clock's handle, the design, and the stream's name (ports ``<name>__payload`` and so on).
    stalls : when to leave ``valid`` low although a word is there.
    ports : what the names of its ports end in.
    """

    def __init__(
        self,
        clock: Any,
        dut: Any,
        name: str,
        stalls: Stalls | None = None,
        ports: tuple[str, str, str] = AMARANTH,
    ):
        self.clock = clock
        self.payload, self.valid, self.ready = (getattr(dut, name + port) for port in ports)
        self.stalls = stalls or Stalls()
        self.sent = 0
        self._task: Task[None] | None = None
        self.payload.value = 0
        self.valid.value = 0

    def start(self, words: Iterable[int]) -> None:
        """Send words one after the other, in the background."""
        if self._task is not None:
            raise RuntimeError("a stream source must be stopped before it is started again")
        self.sent = 0
        self._task = cocotb.start_soon(self._send(words))

    def stop(self) -> None:
        """Send nothing more."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self.valid.value = 0

    @property
    def finished(self) -> bool:
        """Whether every word was taken."""
        return self._task is None or self._task.done()

    async def _send(self, words: Iterable[int]) -> None:
        edge, ready_rises = RisingEdge(self.clock), RisingEdge(self.ready)
        for word in words:
            pauses = self.stalls.pauses()
            if pauses:
                self.valid.value = 0
                for _ in range(pauses):
                    await edge
            self.payload.value = word
            self.valid.value = 1
            await edge
            while not self.ready.value:
                await ready_rises
                await edge
            self.sent += 1
        self.valid.value = 0


class StreamSink:
    """Takes words from a stream and keeps them in :attr:`words`.

    Asserts that a word that is offered stays the same until it is taken.
    """

    def __init__(
        self,
        clock: Any,
        dut: Any,
        name: str,
        stalls: Stalls | None = None,
        ports: tuple[str, str, str] = AMARANTH,
    ):
        self.clock = clock
        self.payload, self.valid, self.ready = (getattr(dut, name + port) for port in ports)
        self.stalls = stalls or Stalls()
        self.words: list[int] = []
        self._task: Task[None] | None = None
        self.ready.value = 0

    def start(self) -> None:
        """Take words in the background from now on."""
        if self._task is not None:
            raise RuntimeError("a stream sink must be stopped before it is started again")
        self.words = []
        self._task = cocotb.start_soon(self._take())

    def stop(self) -> None:
        """Take nothing more."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self.ready.value = 0

    async def _take(self) -> None:
        edge, valid_rises = RisingEdge(self.clock), RisingEdge(self.valid)
        while True:
            pauses = self.stalls.pauses()
            self.ready.value = 0 if pauses else 1
            held: int | None = None
            while pauses:
                await edge
                if self.valid.value:
                    offered = int(self.payload.value)
                    assert held in (None, offered), (
                        f"{self.payload._name} changed while it waited: {held:#x} {offered:#x}"
                    )
                    held = offered
                elif held is not None:
                    raise AssertionError(f"{self.valid._name} fell before the word was taken")
                pauses -= 1
            self.ready.value = 1
            await edge
            while not self.valid.value:
                await valid_rises
                await edge
            self.words.append(int(self.payload.value))
