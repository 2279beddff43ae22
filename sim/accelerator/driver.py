"""Drives an accelerator through its registers, on a board or in a simulation.

The streams are not its business: on a board a DMA engine moves them.
"""

from __future__ import annotations

import mmap
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from hw.accelerator.config import AcceleratorConfig
from hw.accelerator.protocol import AcceleratorError, Unit, Waiting
from hw.accelerator.register_map import (
    IDENTITY,
    LOG_ENTRIES,
    MAP_VERSION,
    STREAM_IN,
    STREAM_OUT,
    register,
)
from hw.isa import ErrorCode

__all__ = [
    "AcceleratorDriver", "AcceleratorFailed", "Device", "DeviceTimeout", "LinkCounts", "MappedRegisters", "RunStatus",
    "WrongDevice", "describe_error",
]  # fmt: skip


class WrongDevice(Exception):
    """What answers is no accelerator, or not the one that is expected."""


class AcceleratorFailed(Exception):
    """The accelerator reports an error; the text names it and its place in one line."""


class DeviceTimeout(Exception):
    """A run did not end in the time that it was given."""


class Device(Protocol):
    """Registers of 32 bits by their offset in bytes."""

    def read32(self, offset: int) -> int:
        """Read a register."""
        ...

    def write32(self, offset: int, value: int) -> None:
        """Write a register."""
        ...


class MappedRegisters:
    """A :class:`Device` over memory that is mapped: an :class:`mmap.mmap`, or any writable buffer.

    Parameters
    ----------
    memory : what the registers are in; kept until the object is deleted.
    base : their offset in it, a multiple of 4.
    """

    def __init__(self, memory: bytearray | memoryview | mmap.mmap, base: int = 0):
        if base % 4:
            raise ValueError(f"base of mapped registers must be a multiple of 4, not {base}")
        # A view of 32-bit numbers makes each access a single one, as registers need.
        self._words = memoryview(memory).cast("B").cast("I")
        self._first = base // 4

    def read32(self, offset: int) -> int:
        """Read a register."""
        return self._words[self._first + offset // 4]

    def write32(self, offset: int, value: int) -> None:
        """Write a register."""
        self._words[self._first + offset // 4] = value


@dataclass(frozen=True)
class RunStatus:
    """How a run stands: the bits of the status register."""

    running: bool
    done: bool
    error: bool
    idle: bool


@dataclass(frozen=True)
class LinkCounts:
    """What went over a link in a run: flits, and cycles in which one was not taken."""

    flits: int
    stalls: int


class AcceleratorDriver:
    """An accelerator behind its registers.

    Parameters
    ----------
    device : how registers are read and written.
    config : what it must be.

    Raises
    ------
    WrongDevice
        If the identity, the version of the registers or the config's hash is another one.
    """

    def __init__(self, device: Device, config: AcceleratorConfig):
        self.device = device
        self.config = config
        self.check()

    def read(self, name: str) -> int:
        """A register by its name; the name of a pair, without ``_LOW``, gives its 64 bits."""
        try:
            return self.device.read32(register(name).offset)
        except KeyError:
            low = self.device.read32(register(f"{name}_LOW").offset)
            return low | self.device.read32(register(f"{name}_HIGH").offset) << 32

    def write(self, name: str, value: int) -> None:
        """Write a register by its name."""
        self.device.write32(register(name).offset, value)

    def check(self) -> None:
        """Refuse a device that is not what the config says."""
        identity, version = self.read("IDENTITY"), register("VERSION").field("map").of(self.read("VERSION"))
        if identity != IDENTITY:
            raise WrongDevice(f"the identity of an accelerator must be {IDENTITY:#010x}, not {identity:#010x}")
        if version != MAP_VERSION:
            raise WrongDevice(f"the version of the registers must be {MAP_VERSION}, not {version}")
        found = self.read("CONFIG")
        if found != self.config.hash:
            raise WrongDevice(
                f"the config hash of the hardware must be {self.config.hash_text} "
                f"(config {self.config.name}), not {found:016x}"
            )

    def start(self, watchdog: int | None = None) -> None:
        """Begin a run; the command stream is taken from now on. ``watchdog`` sets its cycles, 0 for never."""
        if watchdog is not None:
            self.write("WATCHDOG", watchdog)
        self._control("start")

    def stop(self) -> None:
        """Reset everything but the registers that can be written: after an error, or to give up."""
        self._control("stop")

    def snapshot(self) -> None:
        """Keep the counters of all clusters as they are, for :meth:`counters`."""
        self._control("snapshot")

    def status(self) -> RunStatus:
        """How the run stands."""
        value = self.read("STATUS")
        return RunStatus(**{field.name: bool(field.of(value)) for field in register("STATUS").fields})

    def poll(self) -> bool:
        """Whether the run is done; raises :class:`AcceleratorFailed` after an error."""
        status = self.status()
        if status.error:
            raise AcceleratorFailed(describe_error(self.read("ERROR"), self.read("ERROR_DETAIL"), self.config))
        return status.done

    def wait(self, seconds: float = 60.0, interval: float = 0.001, clock: Callable[[], float] = time.monotonic) -> None:
        """Wait until the run is done.

        Raises
        ------
        AcceleratorFailed
            After an error.
        DeviceTimeout
            If it is not done after so many seconds.
        """
        end = clock() + seconds
        while not self.poll():
            if clock() >= end:
                raise DeviceTimeout(
                    f"a run must end within {seconds:g} s, not go on after {self.read('CYCLES')} cycles "
                    f"and {self.read('PHASES')} phases"
                )
            time.sleep(interval)

    def counters(self, count: int) -> list[list[int]]:
        """The first ``count`` counters of every cluster at the last snapshot."""
        values: list[list[int]] = []
        for cluster in range(self.config.clusters):
            self.write("COUNTER_CLUSTER", cluster)
            values.append([])
            for index in range(count):
                self.write("COUNTER_SELECT", index)
                values[-1].append(self.read("COUNTER"))
        return values

    def links(self, ports: int = 5) -> list[list[LinkCounts]]:
        """What went over each output of each router."""
        fields = register("LINK_SELECT")
        counts: list[list[LinkCounts]] = []
        for router in range(self.config.clusters):
            counts.append([])
            for port in range(ports):
                self.write("LINK_SELECT", fields.packed(router=router, port=port))
                counts[-1].append(LinkCounts(self.read("LINK_FLITS"), self.read("LINK_STALLS")))
        return counts

    def phase_log(self) -> list[int]:
        """The cycle of the run in which each phase began, for the last :data:`LOG_ENTRIES` of them, oldest first."""
        phases = self.read("PHASES")
        cycles: list[int] = []
        for phase in range(max(0, phases - LOG_ENTRIES), phases):
            self.write("PHASE_SELECT", phase % LOG_ENTRIES)
            cycles.append(self.read("PHASE_CYCLE"))
        return cycles

    def _control(self, name: str) -> None:
        self.write("CONTROL", register("CONTROL").field(name).mask)


def describe_error(error: int, detail: int, config: AcceleratorConfig) -> str:
    """One line that says what the error registers hold: what happened, where, and the detail.

    Parameters
    ----------
    error, detail : values of ERROR and ERROR_DETAIL.
    config : of the accelerator, which tells tiles from each other.
    """
    fields = register("ERROR")
    code, cluster, unit = (fields.field(name).of(error) for name in ("code", "cluster", "unit"))
    if code not in set(AcceleratorError):
        return f"unknown error {code} of cluster {cluster}, unit {unit:#04x}, detail {detail:#x}"
    kind, at_host = AcceleratorError(code), cluster == config.host
    if kind is AcceleratorError.WATCHDOG:
        if at_host:
            return f"WATCHDOG: {_STREAMS.get(unit, f'host port, unit {unit:#04x}: gets no further')}"
        return f"WATCHDOG: {_place(cluster, unit, config)}: {_WAITS.get(detail, 'gets no further')}"
    place = "host port" if at_host else _place(cluster, unit, config)
    return f"{kind.name}: {place}: {_explain(kind, unit, detail, at_host, config)}"


_STREAMS = {
    STREAM_IN: "host's stream in: the next word of the command stream is missing",
    STREAM_OUT: "host's stream out: a word for the host is not taken",
}

_WAITS: dict[int, str] = {
    Waiting.PLANES: "waits for planes to come in",
    Waiting.ROOM: "waits for planes to be taken",
    Waiting.PROGRAM: "waits for an instruction",
    Waiting.TILES: "waits for a tile to take its beat",
    Waiting.WORDS: "waits for a word of its MAP",
    Waiting.MESH: "waits for its flit to be taken",
}


def _place(cluster: int, unit: int, config: AcceleratorConfig) -> str:
    return f"cluster {cluster}, {_unit_name(unit, config)}"


def _unit_name(unit: int, config: AcceleratorConfig) -> str:
    """CAP 1, MAP 0, gather unit: how people call a unit."""
    named = {Unit.GATHER_MEMORY: "gather memory", Unit.GATHER: "gather unit", Unit.SENDER: "sender"}
    if unit in named:
        return named[Unit(unit)]
    for first, what in ((Unit.TAPS, "taps of "), (Unit.PROGRAM, "program of "), (Unit.TILE, "")):
        tile = unit - first
        if 0 <= tile < config.tiles:
            return what + (f"CAP {tile}" if tile < config.caps else f"MAP {tile - config.caps}")
    return f"unit {unit:#04x}"


def _explain(kind: AcceleratorError, unit: int, detail: int, at_host: bool, config: AcceleratorConfig) -> str:
    """What the detail of an error means."""
    name = _unit_name(unit, config)
    if kind is AcceleratorError.ADDRESS:
        return f"a word for {name} at address {detail}, past its end" if at_host else f"a word for address {detail}"
    if kind is AcceleratorError.TILE:
        code = detail & 0xFF
        what = ErrorCode(code).name if code in set(ErrorCode) else f"unknown code {code}"
        return f"{what} at instruction {detail >> 8}"
    texts = {
        AcceleratorError.NONE: "no error",
        AcceleratorError.OPCODE: f"a command of opcode {detail:#04x}",
        AcceleratorError.DESTINATION: f"a WRITE to {name} of no cluster, or of one that is not there",
        AcceleratorError.UNIT: f"a WRITE to {name}, which is not there",
        AcceleratorError.BARRIER: "a WAIT for a cluster that is not there",
        AcceleratorError.DESCRIPTOR: f"register {detail} out of its range",
    }
    return texts[kind]
