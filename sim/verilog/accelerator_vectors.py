"""Vectors of an accelerator's test bench: accesses and commands of a host, and what the golden accelerator sends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np

from golden.accelerator.machine import AcceleratorOutcome, GoldenAccelerator
from golden.accelerator.stream import UnknownCommand
from golden.accelerator.timing import RunLaw, law
from hw.accelerator.commands import End, HostCommand, Run, Wait, Write, command_word, stream_words
from hw.accelerator.config import AcceleratorConfig
from hw.accelerator.counters import cluster_counters
from hw.accelerator.protocol import COMMAND_BITS, GatherRegister, Unit, unit_size
from hw.accelerator.register_map import MAP_BYTES, constants, register
from hw.accelerator.router import PORTS
from hw.isa import Instruction, LoadKind, Opcode, Program, StoreKind
from sim.verilog.vectors import Vectors, numbers

__all__ = ["Access", "accelerator_vectors", "chain"]

PACKET_WORDS = 3
WATCHDOG = 1000
UNKNOWN_OPCODE = 0x7F
PLANES = 2
"""Bits of activations and of weights."""


class Access(IntEnum):
    """What the test bench does in a step; a step is an access, an address, a value and a mask."""

    END = 0
    """The last step."""
    WRITE = 1
    READ = 2
    """The bits of the mask must be those of the value."""
    POLL = 3
    """Likewise, at last."""
    REFUSED = 4
    """A read that must be answered with an error."""
    STREAM = 5
    """So many words of the command stream more, with pauses of both streams where the mask is not 0."""
    TAKEN = 6
    """All words of the stream were taken, and all expected ones have come."""
    DROP = 7
    """The words that are left of the command stream are not sent."""
    SAY = 8
    """Print the name of a run."""


def chain(config: AcceleratorConfig, seed: int = 1) -> list[HostCommand] | None:
    """Commands that use every cluster, one after the other; None where memories or columns are too few for them.

    In phase k the CAPs of one MAP of cluster k form dot products of windows of a map with weights; the MAP's words go
    to the host, and are the map of the next cluster.
    """
    rng = np.random.default_rng(seed)
    caps_of_map = config.caps // config.maps
    width = min(4, config.cap.columns - 2 * PLANES, config.map.columns // caps_of_map)
    tiles = -(-3 // config.beats)
    cap = [
        Instruction(Opcode.INIT),
        Instruction(Opcode.LOOP, constant=tiles),
        Instruction(Opcode.LOAD, d=0, d_width=PLANES, kind=LoadKind.PLANES),
        Instruction(Opcode.LOAD, d=PLANES, d_width=PLANES, kind=LoadKind.TAPS),
        Instruction(Opcode.SYNC),
        Instruction(Opcode.DOT, a=0, a_width=PLANES, b=PLANES, b_width=PLANES, b_signed=True),
        Instruction(Opcode.END),
        Instruction(Opcode.DRAIN, d=2 * PLANES, d_width=width),
        Instruction(Opcode.SYNC),
        Instruction(Opcode.STORE, a=2 * PLANES, a_width=width, kind=StoreKind.BLOCK),
        Instruction(Opcode.HALT),
    ]
    places = range(0, caps_of_map * width, width) if width > 0 else range(0)
    map_ = [
        *(Instruction(Opcode.LOAD, d=place, d_width=width, kind=LoadKind.BLOCK) for place in places),
        Instruction(Opcode.SYNC),
        *(Instruction(Opcode.STORE, a=place, a_width=width, kind=StoreKind.BLOCK) for place in places),
        Instruction(Opcode.HALT),
    ]
    taps_planes = tiles * PLANES
    taps_words = -(-taps_planes // config.planes_per_flit)
    everywhere = (1 << config.clusters) - 1
    map_words = PLANES * config.lanes * config.flits_per_word
    sent = len(places) * width
    sizes = {
        Unit.GATHER_MEMORY: max(map_words, sent * config.flits_per_word),
        Unit.TAPS: taps_words,
        Unit.PROGRAM: (max(len(cap), len(map_)) + 1) * config.flits_per_instruction,
    }
    if (
        width < 1
        or len(cap) > config.cap.program_depth
        or any(size > unit_size(unit, config) for unit, size in sizes.items())
    ):
        return None

    def words(count: int) -> list[int]:
        return [int.from_bytes(rng.bytes(config.flit_bits // 8), "little") for _ in range(count)]

    commands: list[HostCommand] = [Write(Unit.GATHER_MEMORY, 0, words(map_words), everywhere)]
    for tile in range(config.tiles):
        program = Program.build(cap if tile < config.caps else map_, config.tile(tile)).words
        parts = config.flits_per_instruction
        payload = [part for word in program for part in _parts(word, config.flit_bits, parts)]
        commands.append(Write(Unit.PROGRAM + tile, 0, payload, everywhere))
        if tile < config.caps:
            commands.append(Write(Unit.TAPS + tile, 0, words(taps_words), everywhere))
    for cluster in range(config.clusters):
        here = 1 << cluster
        following = 1 << (cluster + 1) % config.clusters if config.clusters > 1 else 0
        source = cluster % config.maps
        caps = [cap for cap in range(config.caps) if config.map_of(cap) == source]
        for tile in (*caps, config.caps + source):
            length = len(cap if tile < config.caps else map_) + 1
            planes = taps_planes if tile < config.caps else 0
            commands.append(Write(Unit.TILE + tile, 0, [0, planes, 0, length], here))
        destinations = following | 1 << config.host
        commands += [
            Write(Unit.GATHER, 0, _gather(config, tiles, caps), here),
            Write(
                Unit.SENDER, 0, [source, destinations & 0xFFFF_FFFF, destinations >> 32, 0, 1, sent, 0, 1, 0, 1], here
            ),
            Run(),
            Wait(everywhere),  # what is written meets no word on its way, so all cycles are those of the law
        ]  # fmt: skip
    return [*commands, End()]


def _parts(word: int, width: int, count: int) -> list[int]:
    return [word >> part * width & ((1 << width) - 1) for part in range(count)]


def _gather(config: AcceleratorConfig, tiles: int, receivers: Sequence[int]) -> list[int]:
    """Windows of three pixels in a row, over one row of as many pixels as a word has bits."""
    ones = ("HEIGHT", "CHANNEL_GROUPS", "KERNEL_HEIGHT", "STRIDE_Y", "STRIDE_X", "PAD_LEFT", "OUT_ROWS", "SETS",
            "ROUNDS", "GROUPS")  # fmt: skip
    values = dict.fromkeys((register.name for register in GatherRegister), 0) | dict.fromkeys(ones, 1)
    values |= {
        "WIDTH": config.outputs,
        "OUT_WIDTH": config.outputs,
        "PLANES": PLANES,
        "KERNEL_WIDTH": 3,
        "TILES": tiles,
        "RECEIVERS": sum(1 << tile for tile in receivers),
    }
    return [values[register.name] for register in GatherRegister]


@dataclass
class _Script:
    """Steps of the bench, words that the host sends, and words that it must get."""

    config: AcceleratorConfig
    steps: list[tuple[int, int, int, int]] = field(default_factory=list[tuple[int, int, int, int]])
    sent: list[int] = field(default_factory=list[int])
    expected: list[int] = field(default_factory=list[int])
    names: list[str] = field(default_factory=list[str])

    def step(self, access: Access, address: int = 0, value: int = 0, mask: int = 0xFFFF_FFFF) -> None:
        self.steps.append((int(access), address, value, mask))

    def write(self, name: str, value: int) -> None:
        self.step(Access.WRITE, register(name).offset, value)

    def read(self, name: str, value: int, access: Access = Access.READ, mask: int = 0xFFFF_FFFF) -> None:
        self.step(access, register(name).offset, value, mask)

    def read_long(self, name: str, value: int) -> None:
        self.read(f"{name}_LOW", value & 0xFFFF_FFFF)
        self.read(f"{name}_HIGH", value >> 32)

    def control(self, name: str) -> None:
        self.write("CONTROL", register("CONTROL").field(name).mask)

    def begin(self, name: str, words: Sequence[int], *, stalls: bool = False) -> None:
        """Reset all but the registers, and start a run of a command stream."""
        self.step(Access.SAY, value=len(self.names))
        self.names.append(name)
        self.control("stop")
        self.write("WATCHDOG", WATCHDOG)
        self.write("PACKET_WORDS", PACKET_WORDS)
        self.step(Access.STREAM, value=len(words), mask=int(stalls))
        self.sent += words
        self.control("start")

    def expect(self, words: Sequence[int]) -> None:
        """Words of the run, the last one of each packet with a bit above it."""
        for number, word in enumerate(words, 1):
            last = number % PACKET_WORDS == 0
            self.expected.append(int(last) << self.config.flit_bits | word)

    def ends(self, status: dict[str, int]) -> None:
        """Wait for done or an error, and look at the status."""
        fields = register("STATUS")
        ended = next(name for name in ("done", "error") if status[name])
        self.read("STATUS", fields.field(ended).mask, Access.POLL, fields.field(ended).mask)
        self.read("STATUS", fields.packed(**status), mask=sum(fields.field(name).mask for name in status))


def accelerator_vectors(config: AcceleratorConfig) -> Vectors | None:
    """The vectors of an accelerator's test bench; None where the accelerator is too small for its commands."""
    commands = chain(config)
    if commands is None:
        return None
    script, golden = _Script(config), GoldenAccelerator(config)
    script.step(Access.SAY)
    script.names.append("registers that never change")
    for name, value in constants(config).items():
        script.read(name, value)
    script.step(Access.REFUSED, MAP_BYTES - 4)
    words = list(stream_words(commands, config))
    for name, stalls in (("every cluster, one after the other", False), ("streams that stall", True)):
        outcome, expected = golden.run(commands), law(commands, config)
        assert not outcome.error
        assert not expected.contended
        script.begin(name, words, stalls=stalls)
        script.expect(outcome.words)
        script.ends({"running": 0, "done": 1, "error": 0, "idle": 1})
        script.step(Access.TAKEN)
        script.read("WORDS_IN", len(words))
        script.read("WORDS_OUT", len(outcome.words))
        script.read("PHASES", config.clusters)
        if not stalls:
            _read_times(script, expected)
        _read_counters(script, expected, outcome)
    _refused(script, golden)
    script.step(Access.END)
    memories = {
        "steps": [number for step in script.steps for number in step],
        "in": script.sent,
        "out": script.expected,
    }
    return numbers(script.names, {name: [("", values)] for name, values in memories.items()})


def _read_times(script: _Script, expected: RunLaw) -> None:
    """The run's cycles are those of the law."""
    script.read_long("CYCLES", expected.end)
    for number, go in enumerate(expected.goes):
        script.write("PHASE_SELECT", number)
        script.read_long("PHASE_CYCLE", go)
    script.read("WAITING_IN", 0)
    script.read("WAITING_OUT", 0)


def _read_counters(script: _Script, expected: RunLaw, outcome: AcceleratorOutcome) -> None:
    """Flits of every link, and events of every tile."""
    config, select = script.config, register("LINK_SELECT")
    for router in range(config.clusters):
        for port, name in enumerate(PORTS):
            script.write("LINK_SELECT", select.packed(router=router, port=port))
            script.read("LINK_FLITS", expected.link_flits[router, name])
    script.control("snapshot")
    names = [counter.name for counter in cluster_counters(config)]
    first = names.index("sender.blocked") + 1
    for cluster in range(config.clusters):
        script.write("COUNTER_CLUSTER", cluster)
        for tile, ran in outcome.phases[cluster].tiles[cluster].items():
            size = (len(names) - first) // config.tiles
            for index in range(size):
                counter = names[first + tile * size + index]
                value = next((ran.counters[own] for own in ran.counters if counter.endswith(own)), None)
                if value is None or not _is_event(counter):
                    continue
                script.write("COUNTER_SELECT", first + tile * size + index)
                script.read_long("COUNTER", value)


def _is_event(name: str) -> bool:
    return "events." in name


def _refused(script: _Script, golden: GoldenAccelerator) -> None:
    """A command that is none."""
    config = script.config
    outcome = golden.run([UnknownCommand(UNKNOWN_OPCODE)])
    words = _parts(command_word(UNKNOWN_OPCODE), config.flit_bits, COMMAND_BITS // config.flit_bits or 1)
    script.begin("refused: an unknown command", words)
    script.ends({"running": 0, "done": 0, "error": 1})
    error = register("ERROR").packed(code=int(outcome.error), cluster=outcome.cluster, unit=outcome.unit)
    script.read("ERROR", error)
    script.read("ERROR_DETAIL", outcome.detail)
    script.step(Access.DROP)
    script.control("stop")
    script.read("ERROR", 0)
