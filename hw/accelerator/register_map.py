"""The registers of an accelerator as one table: hardware, documents, C header and driver are made from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hw.accelerator.config import ARCHITECTURE, AcceleratorConfig

__all__ = [
    "IDENTITY", "LOG_ENTRIES", "MAP_BYTES", "MAP_VERSION", "REGISTERS", "STREAM_IN", "STREAM_OUT",
    "WATCHDOG_CYCLES", "Access", "Field", "Register", "constants", "register",
]  # fmt: skip

Access = Literal["ro", "rw", "wo"]

MAP_BYTES = 1 << 12
"""What the port decodes; ``docs/registers.md`` says how an access to a place without a register is answered."""

MAP_VERSION = 1
"""Counts changes of this table."""

IDENTITY = 0x4246_4D41
"""What the first register of every accelerator holds."""

WATCHDOG_CYCLES = 1 << 20
"""The watchdog after a reset."""

LOG_ENTRIES = 1 << 10
"""Phases whose first cycle is kept."""

STREAM_IN, STREAM_OUT = 0xF0, 0xF1
"""Stand for a unit's number where the host port waits for the host."""


@dataclass(frozen=True)
class Field:
    """Some bits of a register: name, lowest bit, number of bits, and what they mean."""

    name: str
    low: int
    width: int
    meaning: str

    @property
    def mask(self) -> int:
        """Ones at the field's place."""
        return ((1 << self.width) - 1) << self.low

    def of(self, value: int) -> int:
        """The field in a register's value."""
        return (value & self.mask) >> self.low


@dataclass(frozen=True)
class Register:
    """One register of 32 bits.

    Parameters
    ----------
    name : in capitals; a pair of registers ending in ``_LOW`` and ``_HIGH`` is one number of 64 bits.
    offset : in bytes.
    access : ``"ro"``, ``"rw"`` or ``"wo"``.
    meaning : what it holds or does.
    fields : its parts; none where all 32 bits are one number.
    reset : value of a register that can be written, after a reset.
    """

    name: str
    offset: int
    access: Access
    meaning: str
    fields: tuple[Field, ...] = ()
    reset: int = 0

    @property
    def mask(self) -> int:
        """Bits that it has."""
        return sum(field.mask for field in self.fields) if self.fields else 0xFFFF_FFFF

    def field(self, name: str) -> Field:
        """A field by its name."""
        return next(field for field in self.fields if field.name == name)

    def packed(self, **values: int) -> int:
        """The register's value with some fields set, the others 0."""
        return sum(value << self.field(name).low for name, value in values.items())


REGISTERS: tuple[Register, ...] = (
    # Who it is.
    Register("IDENTITY", 0x000, "ro", f"always {IDENTITY:#010x}"),
    Register(
        "VERSION", 0x004, "ro", "versions of the hardware",
        (Field("map", 0, 16, "of this table"), Field("architecture", 16, 16, "of what commands do")),
    ),
    Register("CONFIG_LOW", 0x008, "ro", "hash of the config, lower half"),
    Register("CONFIG_HIGH", 0x00C, "ro", "hash of the config, upper half"),
    Register(
        "SIZES", 0x010, "ro", "sizes of the mesh and of a cluster",
        (
            Field("clusters", 0, 8, "clusters"),
            Field("width", 8, 6, "clusters in a row"),
            Field("height", 14, 6, "clusters in a column"),
            Field("caps", 20, 6, "CAPs of a cluster"),
            Field("maps", 26, 6, "MAPs of a cluster"),
        ),
    ),
    # A run.
    Register(
        "CONTROL", 0x020, "wo", "does what the bits that are written as 1 say",
        (
            Field("start", 0, 1, "begin a run; nothing while one runs, or after an error"),
            Field("stop", 1, 1, "reset everything but the registers that can be written"),
            Field("snapshot", 2, 1, "keep the counters of all clusters as they are now"),
        ),
    ),
    Register(
        "STATUS", 0x024, "ro", "how the run stands",
        (
            Field("running", 0, 1, "commands are taken"),
            Field("done", 1, 1, "the last run ended with END"),
            Field("error", 2, 1, "ERROR holds an error"),
            Field("idle", 3, 1, "no unit is at work, no flit in a router, no word waiting for the host"),
        ),
    ),
    Register(
        "ERROR", 0x028, "ro", "the first error, kept until a stop",
        (
            Field("code", 0, 8, "what happened, 0 for nothing"),
            Field("cluster", 8, 8, "where; the number of clusters stands for the host port"),
            Field("unit", 16, 8, f"unit of it; {STREAM_IN:#x} is the host's stream in, {STREAM_OUT:#x} the one out"),
        ),
    ),
    Register("ERROR_DETAIL", 0x02C, "ro", "detail of the first error"),
    Register(
        "WATCHDOG", 0x030, "rw", "cycles of a run without progress after which it is an error; 0 for never",
        reset=WATCHDOG_CYCLES,
    ),
    Register("PACKET_WORDS", 0x034, "rw", "words to the host after each of which TLAST is set; 0 for never"),
    # Its time.
    Register("CYCLES_LOW", 0x040, "ro", "cycles of the run so far, and of all of it once it is done; lower half"),
    Register("CYCLES_HIGH", 0x044, "ro", "upper half"),
    Register("PHASES", 0x048, "ro", "phases of the run that have begun"),
    Register(
        "PHASE_SELECT", 0x04C, "rw", f"phase of PHASE_CYCLE, modulo {LOG_ENTRIES}",
        (Field("phase", 0, LOG_ENTRIES.bit_length() - 1, "number of the phase, from 0"),),
    ),
    Register("PHASE_CYCLE_LOW", 0x050, "ro", "cycle of the run, from 0, in which the phase began; lower half"),
    Register("PHASE_CYCLE_HIGH", 0x054, "ro", "upper half"),
    # The host's streams.
    Register("WORDS_IN", 0x060, "ro", "words of the command stream that were taken in this run, modulo 2^32"),
    Register("WORDS_OUT", 0x064, "ro", "words that the host took in this run, modulo 2^32"),
    Register("WAITING_IN", 0x068, "ro", "cycles of the run in which the next word of the command stream was missing"),
    Register("WAITING_OUT", 0x06C, "ro", "cycles of the run in which the host did not take a word"),
    # Counters of clusters and links.
    Register(
        "COUNTER_CLUSTER", 0x080, "rw", "cluster of COUNTER",
        (Field("cluster", 0, 8, "its number; COUNTER is 0 where there is none"),),
    ),
    Register(
        "COUNTER_SELECT", 0x084, "rw", "which counter of the cluster", (Field("counter", 0, 16, "its number"),)
    ),
    Register("COUNTER_LOW", 0x088, "ro", "the counter at the last snapshot, lower half"),
    Register("COUNTER_HIGH", 0x08C, "ro", "upper half"),
    Register(
        "LINK_SELECT", 0x090, "rw", "link of LINK_FLITS and LINK_STALLS",
        (
            Field("router", 0, 8, "the router, numbered as its cluster; the counts are 0 where there is none"),
            Field("port", 8, 3, "its output: north 0, east 1, south 2, west 3, local 4"),
        ),
    ),
    Register("LINK_FLITS", 0x094, "ro", "flits that left by the link in this run, modulo 2^32"),
    Register("LINK_STALLS", 0x098, "ro", "cycles of the run in which a flit was not taken there, modulo 2^32"),
)  # fmt: skip
"""Every register, by offset."""

_BY_NAME = {entry.name: entry for entry in REGISTERS}


def register(name: str) -> Register:
    """A register by its name."""
    return _BY_NAME[name]


def constants(config: AcceleratorConfig) -> dict[str, int]:
    """What the registers that never change hold, by name."""
    version, sizes = register("VERSION"), register("SIZES")
    return {
        "IDENTITY": IDENTITY,
        "VERSION": version.packed(map=MAP_VERSION, architecture=ARCHITECTURE),
        "CONFIG_LOW": config.hash & 0xFFFF_FFFF,
        "CONFIG_HIGH": config.hash >> 32,
        "SIZES": sizes.packed(
            clusters=config.clusters, width=config.width, height=config.height, caps=config.caps, maps=config.maps
        ),
    }
