"""A master of an AXI4-Lite port for cocotb, as plain as a driver on a board: one access at a time."""

from __future__ import annotations

from typing import Any

from cocotb.triggers import RisingEdge

__all__ = ["AxiError", "AxiLiteMaster"]

_OKAY = 0


class AxiError(Exception):
    """An access that was answered with an error; the text names it."""


class AxiLiteMaster:
    """Reads and writes registers of 32 bits.

    Parameters
    ----------
    clock, dut, prefix : the clock's handle, the design, and what the names of the port's signals begin with.
    """

    def __init__(self, clock: Any, dut: Any, prefix: str = "s_axi_"):
        self._edge = RisingEdge(clock)
        self._signal = {
            name: getattr(dut, prefix + name)
            for name in (
                "awaddr", "awprot", "awvalid", "awready", "wdata", "wstrb", "wvalid", "wready", "bresp", "bvalid",
                "bready", "araddr", "arprot", "arvalid", "arready", "rdata", "rresp", "rvalid", "rready",
            )
        }  # fmt: skip
        for name in ("awaddr", "awprot", "awvalid", "wdata", "wstrb", "wvalid", "bready", "araddr", "arprot", "arvalid",
                     "rready"):  # fmt: skip
            self._signal[name].value = 0

    async def write(self, address: int, value: int) -> None:
        """Write a register; raises :class:`AxiError` where the slave refuses."""
        signal = self._signal
        signal["awaddr"].value, signal["wdata"].value, signal["wstrb"].value = address, value, 0b1111
        signal["awvalid"].value = signal["wvalid"].value = signal["bready"].value = 1
        waiting = {"aw", "w"}
        while waiting:
            await self._edge
            for channel in tuple(waiting):
                if signal[f"{channel}ready"].value:
                    signal[f"{channel}valid"].value = 0
                    waiting.remove(channel)
        while not signal["bvalid"].value:
            await self._edge
        response = int(signal["bresp"].value)
        await self._taken("b")
        if response != _OKAY:
            raise AxiError(f"a write of {value:#x} to register {address:#x} was answered with {response}")

    async def read(self, address: int) -> int:
        """Read a register; raises :class:`AxiError` where the slave refuses."""
        signal = self._signal
        signal["araddr"].value = address
        signal["arvalid"].value = signal["rready"].value = 1
        await self._edge
        while not signal["arready"].value:
            await self._edge
        signal["arvalid"].value = 0
        while not signal["rvalid"].value:
            await self._edge
        value, response = int(signal["rdata"].value), int(signal["rresp"].value)
        await self._taken("r")
        if response != _OKAY:
            raise AxiError(f"a read of register {address:#x} was answered with {response}")
        return value

    async def _taken(self, channel: str) -> None:
        """The response moves at this edge, as its ready was up all the time."""
        self._signal[f"{channel}ready"].value = 0
