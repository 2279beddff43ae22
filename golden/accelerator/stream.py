"""The command stream as the accelerator reads it: commands, memories that they fill, and what starts at a *go*."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice

import numpy as np

from golden.accelerator.windows import LARGEST_COUNT, GatherJob
from golden.accelerator.windows import check as gather_fault
from golden.engine import Bits
from hw.accelerator.commands import End, HostCommand, Run, Wait, Write
from hw.accelerator.config import AcceleratorConfig
from hw.accelerator.protocol import (
    ADDRESS_BITS,
    COMMAND_BITS,
    COUNT_BITS,
    REGISTER_BITS,
    UNIT_BITS,
    AcceleratorError,
    Command,
    GatherRegister,
    SenderRegister,
    TileRegister,
    Unit,
    unit_size,
)
from hw.isa import INSTRUCTION_BITS, MAGIC, VERSION, ErrorCode, Instruction, Program

__all__ = [
    "ClusterStart", "Fault", "Memories", "SenderJob", "TileProgram", "TileStart", "UnknownCommand", "bits_of_words",
    "check_command", "parse_words", "read_program", "words_of_bits",
]  # fmt: skip


class Fault(Exception):
    """What stops the accelerator.

    Parameters
    ----------
    code : of the error register.
    cluster : where it arose; the host's number for commands.
    unit : of the cluster, or the one that a WRITE names.
    detail : as ``docs/accelerator.md`` says; :class:`~hw.accelerator.protocol.Waiting` under
        WATCHDOG.
    """

    def __init__(self, code: AcceleratorError, cluster: int, unit: int, detail: int = 0) -> None:
        super().__init__(f"{code.name} in cluster {cluster}, unit 0x{unit:02x}, detail {detail}")
        self.code = code
        self.cluster = cluster
        self.unit = unit
        self.detail = detail


@dataclass(frozen=True)
class UnknownCommand:
    """A command whose opcode the accelerator does not have."""

    opcode: int


def parse_words(words: Iterable[int], config: AcceleratorConfig) -> Iterator[HostCommand | UnknownCommand]:
    """The commands of a stream of F-bit words; ends at an unknown command.

    Raises
    ------
    ValueError
        If the stream ends within a command.
    """
    stream = iter(words)
    while True:
        head = 0
        for position in range(0, COMMAND_BITS, config.flit_bits):
            word = next(stream, None)
            if word is None:
                if position:
                    raise ValueError(f"a command must have {COMMAND_BITS} bits, not {position}")
                return
            head |= word << position
        opcode, head = head & 0xFF, head >> 8
        unit, head = head & ((1 << UNIT_BITS) - 1), head >> UNIT_BITS
        address, head = head & ((1 << ADDRESS_BITS) - 1), head >> ADDRESS_BITS
        count, destinations = head & ((1 << COUNT_BITS) - 1), head >> COUNT_BITS & ((1 << 64) - 1)
        if opcode == Command.WRITE:
            payload = list(islice(stream, count))
            if len(payload) != count:
                raise ValueError(f"a WRITE of {count} words must have as many, not {len(payload)}")
            yield Write(unit, address, payload, destinations)
        elif opcode == Command.RUN:
            yield Run()
        elif opcode == Command.WAIT:
            yield Wait(destinations)
        elif opcode == Command.END:
            yield End()
        else:
            yield UnknownCommand(opcode)
            return


def check_command(command: HostCommand | UnknownCommand, config: AcceleratorConfig) -> None:
    """Raise what the command sequencer raises by itself: OPCODE, BARRIER; DESTINATION, UNIT or ADDRESS of a WRITE.

    Raises
    ------
    Fault
        The first of them.
    """
    if isinstance(command, UnknownCommand):
        raise Fault(AcceleratorError.OPCODE, config.host, 0, command.opcode)
    if isinstance(command, Wait) and command.destinations >> config.clusters:
        raise Fault(AcceleratorError.BARRIER, config.host, 0)
    if not isinstance(command, Write):
        return
    if not command.destinations or command.destinations >> config.clusters:
        raise Fault(AcceleratorError.DESTINATION, config.host, command.unit)
    size = unit_size(command.unit, config)
    if not size:
        raise Fault(AcceleratorError.UNIT, config.host, command.unit)
    if len(command.payload) and command.address + len(command.payload) > size:
        raise Fault(AcceleratorError.ADDRESS, config.host, command.unit, max(command.address, size))


@dataclass(frozen=True)
class TileProgram:
    """What a tile gets at its program port.

    Parameters
    ----------
    program : what follows the header; what the tile never gets is not there.
    error : the code that refuses the header, or NONE.
    complete : every instruction that the header announces arrives.
    """

    program: Program
    error: ErrorCode
    complete: bool


@lru_cache(maxsize=4096)
def read_program(flits: tuple[int, ...], width: int, config_hash: int) -> TileProgram:
    """Read what a slot feeds to a tile whose config has ``config_hash``, as it was written: ``width`` bits at a time.

    Raises
    ------
    ValueError
        If more words follow than the header announces: the tile would take them for a second program.
    """
    parts = max(1, INSTRUCTION_BITS // width)
    words = [
        sum(flit << position * width for position, flit in enumerate(flits[first : first + parts]))
        & ((1 << INSTRUCTION_BITS) - 1)
        for first in range(0, len(flits), parts)
    ]
    if not words:
        return TileProgram(Program((), config_hash), ErrorCode.NONE, False)
    magic, version, length = words[0] & 0xFFFF, words[0] >> 16 & 0xFFFF, words[0] >> 32 & 0xFFFFFFFF
    program = Program(tuple(Instruction.decode(word) for word in words[1:]), words[0] >> 64)
    if magic != MAGIC:
        return TileProgram(program, ErrorCode.MAGIC, True)
    if version != VERSION:
        return TileProgram(program, ErrorCode.VERSION, True)
    if program.config_hash != config_hash:
        return TileProgram(program, ErrorCode.CONFIG, True)
    if len(words) - 1 > length:
        raise ValueError(f"PROGRAM_WORDS must be {length + 1}, header and instructions, not {len(words)}")
    return TileProgram(program, ErrorCode.NONE, len(words) - 1 == length)


@dataclass(frozen=True)
class TileStart:
    """What a tile's slot begins a phase with: its program, and where its taps are."""

    program: TileProgram
    taps_start: int
    taps_words: int


@dataclass(frozen=True)
class SenderJob:
    """What a sender begins a phase with; strides and counts of the innermost loop first."""

    source: int
    destinations: int
    base: int
    strides: tuple[int, int, int]
    counts: tuple[int, int, int]

    @property
    def words(self) -> int:
        """Words that it sends."""
        return self.counts[0] * self.counts[1] * self.counts[2]

    def addresses(self) -> Iterator[int]:
        """The word address of each word, in order, modulo 2^32: a stride may be negative."""
        for outer in range(self.counts[2]):
            for middle in range(self.counts[1]):
                start = self.base + outer * self.strides[2] + middle * self.strides[1]
                for inner in range(self.counts[0]):
                    yield (start + inner * self.strides[0]) % (1 << REGISTER_BITS)


@dataclass(frozen=True)
class ClusterStart:
    """The armed units of a cluster at a go; None, or no entry, where one is not armed."""

    gather: GatherJob | None = None
    sender: SenderJob | None = None
    tiles: dict[int, TileStart] = field(default_factory=dict[int, TileStart])


class Memories:
    """Memories and shadow registers of all clusters.

    Parameters
    ----------
    config : the accelerator.
    seed : of the random bits that gather, taps and program memories start with; None where nothing but programs and
        registers matters: then writes to other memories are checked, but not kept.

    Attributes
    ----------
    gather : of each cluster, bits of shape (gather_words * L * S/F, F).
    taps : of each cluster and tile, bits of shape (taps_words, F).
    """

    def __init__(self, config: AcceleratorConfig, seed: int | None) -> None:
        """Random memories, shadows of 0, nothing armed."""
        self.config = config
        generator = np.random.default_rng(seed)
        self._keeps = seed is not None

        def random_bits(unit: int) -> Bits:
            size = (unit_size(unit, config) if self._keeps else 0, config.flit_bits)
            return generator.integers(0, 2, size, np.uint8)

        def random_words(unit: int) -> list[int]:
            if not self._keeps:
                return [0] * unit_size(unit, config)
            return words_of_bits(random_bits(unit))

        clusters, tiles = range(config.clusters), range(config.tiles)
        self.gather = [random_bits(Unit.GATHER_MEMORY) for _ in clusters]
        self.taps = [[random_bits(Unit.TAPS + tile) for tile in tiles] for _ in clusters]
        self._programs = [[random_words(Unit.PROGRAM + tile) for tile in tiles] for _ in clusters]
        units: list[int] = [Unit.GATHER, Unit.SENDER, *(Unit.TILE + tile for tile in tiles)]
        self._registers = [{unit: [0] * unit_size(unit, config) for unit in units} for _ in clusters]
        self._armed: list[set[int]] = [set() for _ in clusters]

    def write(self, command: Write) -> None:
        """Carry out a WRITE that :func:`check_command` has not refused."""
        size = unit_size(command.unit, self.config)
        first, after = command.address, command.address + len(command.payload)
        group, tile = command.unit & 0xC0, command.unit & 0x3F
        memory = group == Unit.TAPS or command.unit == Unit.GATHER_MEMORY
        if memory and not self._keeps:
            return
        bits = bits_of_words(command.payload, self.config.flit_bits) if memory else None
        for cluster in range(self.config.clusters):
            if not command.destinations >> cluster & 1:
                continue
            if bits is not None:
                (self.taps[cluster][tile] if group == Unit.TAPS else self.gather[cluster])[first:after] = bits
            elif group == Unit.PROGRAM:
                self._programs[cluster][tile][first:after] = command.payload
            else:
                registers = self._registers[cluster][command.unit]
                registers[first:after] = [word & ((1 << REGISTER_BITS) - 1) for word in command.payload]
                if first < after == size:
                    armed = self._armed[cluster]
                    if group == Unit.TILE and not registers[TileRegister.PROGRAM_WORDS]:
                        armed.discard(command.unit)  # a slot of no words has nothing to do
                    else:
                        armed.add(command.unit)

    def go(self) -> list[ClusterStart]:
        """Start every armed unit: what each cluster begins with; afterwards nothing is armed.

        Raises
        ------
        Fault
            DESCRIPTOR.
        ValueError
            As :func:`read_program`.
        """
        starts: list[ClusterStart] = []
        for cluster, armed in enumerate(self._armed):
            registers = self._registers[cluster]
            gather = sender = None
            if Unit.GATHER in armed:
                named = {register.name.lower(): registers[Unit.GATHER][register] for register in GatherRegister}
                gather = GatherJob(**named)
                bad = gather_fault(gather, self.config)
                if bad is not None:
                    raise Fault(AcceleratorError.DESCRIPTOR, cluster, Unit.GATHER, bad)
            if Unit.SENDER in armed:
                sender = self._sender_job(cluster, registers[Unit.SENDER])
            tiles = {
                tile: self._tile_start(cluster, tile, registers[Unit.TILE + tile])
                for tile in range(self.config.tiles)
                if Unit.TILE + tile in armed
            }
            starts.append(ClusterStart(gather, sender, tiles))
        for armed in self._armed:
            armed.clear()
        return starts

    def _sender_job(self, cluster: int, registers: Sequence[int]) -> SenderJob:
        named = {register: registers[register] for register in SenderRegister}
        destinations = named[SenderRegister.DESTINATIONS_HIGH] << REGISTER_BITS | named[SenderRegister.DESTINATIONS_LOW]
        beyond = destinations >> self.config.clusters + 1
        counts = (SenderRegister.COUNT0, SenderRegister.COUNT1, SenderRegister.COUNT2)
        rules = {
            SenderRegister.SOURCE: named[SenderRegister.SOURCE] < self.config.maps,
            SenderRegister.DESTINATIONS_LOW: destinations != 0
            and not beyond & ((1 << max(REGISTER_BITS - self.config.clusters - 1, 0)) - 1),
            SenderRegister.DESTINATIONS_HIGH: not beyond,
            **{register: 0 < named[register] <= LARGEST_COUNT for register in counts},
        }
        for register in sorted(rules):
            if not rules[register]:
                raise Fault(AcceleratorError.DESCRIPTOR, cluster, Unit.SENDER, register)
        strides = (SenderRegister.STRIDE0, SenderRegister.STRIDE1, SenderRegister.STRIDE2)
        return SenderJob(
            named[SenderRegister.SOURCE],
            destinations,
            named[SenderRegister.BASE],
            (named[strides[0]], named[strides[1]], named[strides[2]]),
            (named[counts[0]], named[counts[1]], named[counts[2]]),
        )

    def _tile_start(self, cluster: int, tile: int, registers: Sequence[int]) -> TileStart:
        config, memory = self.config, self._programs[cluster][tile]
        parts, words = config.flits_per_instruction, registers[TileRegister.PROGRAM_WORDS]
        start = registers[TileRegister.PROGRAM_START]
        if start + words > config.program_words:
            raise ValueError(
                f"PROGRAM_START + PROGRAM_WORDS must be at most {config.program_words}, not {start}+{words}"
            )
        fed = tuple(memory[start * parts : (start + words) * parts])
        program = read_program(fed, config.flit_bits, config.tile(tile).hash)
        return TileStart(program, registers[TileRegister.TAPS_START], registers[TileRegister.TAPS_WORDS])


def bits_of_words(words: Sequence[int], width: int) -> Bits:
    """Words of ``width`` bits, a multiple of 8, as 0/1 of shape (words, width), lowest bit first."""
    data = b"".join(int(word).to_bytes(width // 8, "little") for word in words)
    packed = np.reshape(np.frombuffer(data, np.uint8), (len(words), width // 8))
    return np.unpackbits(packed, axis=1, bitorder="little")


def words_of_bits(bits: Bits) -> list[int]:
    """The opposite: 0/1 of shape (words, width) as numbers."""
    packed = np.packbits(bits, axis=1, bitorder="little")
    return [int.from_bytes(row.tobytes(), "little") for row in packed]
