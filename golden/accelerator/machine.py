"""The golden accelerator: what a command stream leaves in memories and tiles, and what comes out to the host.

Function alone: time is in :mod:`golden.accelerator.timing`.  A phase is worked off in the direction of its data: gather
unit, CAPs, MAPs, sender; what a phase reads from a gather memory is what was there at its go.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from golden.accelerator.cluster_law import cluster_times
from golden.accelerator.stream import (
    ClusterStart,
    Fault,
    Memories,
    SenderJob,
    TileProgram,
    TileStart,
    UnknownCommand,
    check_command,
    words_of_bits,
)
from golden.accelerator.windows import beats as gather_beats
from golden.engine import Bits, Job, Outcome
from golden.laws import plane_size
from golden.sequencer import Sequencer
from golden.tile import GoldenTile
from hw.accelerator.commands import HostCommand, Run, Write
from hw.accelerator.config import AcceleratorConfig
from hw.accelerator.protocol import REGISTER_BITS, AcceleratorError, Unit
from hw.config import TileConfig
from hw.isa import ErrorCode, Instruction, LoadKind, Opcode, Program

__all__ = ["AcceleratorOutcome", "GoldenAccelerator", "PhaseOutcome"]


@dataclass(frozen=True)
class PhaseOutcome:
    """What a phase did.

    Parameters
    ----------
    programs : of each cluster, for each tile that ran, its program.
    tiles : of each cluster, for each tile that ran, its outcome: stored planes and the counters of its law.
    host : of each cluster, the F-bit words that its sender sent to the host, in order.
    """

    programs: tuple[dict[int, Program], ...]
    tiles: tuple[dict[int, Outcome], ...]
    host: tuple[list[int], ...]


@dataclass
class AcceleratorOutcome:
    """What a command stream left behind.

    Parameters
    ----------
    words : F-bit words of the host's stream out, phase by phase; where several clusters sent words to the host in one
        phase, cluster by cluster, which is not their order on the stream.
    phases : of every go, in order; that of the one which failed is missing.
    error, cluster, unit, detail : the error register and its place; cluster is the host's number for a command.
    """

    words: list[int] = field(default_factory=list[int])
    phases: list[PhaseOutcome] = field(default_factory=list[PhaseOutcome])
    error: AcceleratorError = AcceleratorError.NONE
    cluster: int = 0
    unit: int = 0
    detail: int = 0


class GoldenAccelerator:
    """An accelerator whose cells, totals and memories persist from phase to phase and from run to run.

    Parameters
    ----------
    config : the accelerator.
    seed : of the random content of cells, tags and memories at the start.

    Attributes
    ----------
    memories : gather, taps and program memories, and registers.
    tiles : of each cluster, its tiles.
    """

    def __init__(self, config: AcceleratorConfig, seed: int = 0) -> None:
        """Fill everything with random bits."""
        self.config = config
        self.memories = Memories(config, seed)
        self.tiles = [
            [GoldenTile(config.tile(tile), seed + 1 + cluster * config.tiles + tile) for tile in range(config.tiles)]
            for cluster in range(config.clusters)
        ]

    def run(self, commands: Iterable[HostCommand | UnknownCommand]) -> AcceleratorOutcome:
        """Run a command stream; an error of the accelerator ends it and is reported, not raised.

        Raises
        ------
        ValueError
            If a slot's program does not fit its words or its memory.
        """
        outcome = AcceleratorOutcome()
        try:
            for command in commands:
                check_command(command, self.config)
                if isinstance(command, Write):
                    self.memories.write(command)
                elif isinstance(command, Run):
                    phase = self._phase(self.memories.go())
                    outcome.phases.append(phase)
                    for words in phase.host:
                        outcome.words.extend(words)
        except Fault as fault:
            outcome.error, outcome.detail = fault.code, fault.detail
            outcome.cluster, outcome.unit = fault.cluster, fault.unit
        return outcome

    def _phase(self, starts: Sequence[ClusterStart]) -> PhaseOutcome:
        # Every cluster reads before any sender writes.
        runs = [_ClusterRun(self, cluster, start) for cluster, start in enumerate(starts)]
        for run in runs:
            run.tiles()
        for cluster, start in enumerate(starts):
            cluster_times(start, 0, cluster, self.config)  # tells what waits for ever
        return PhaseOutcome(
            tuple({tile: slot.program.program for tile, slot in start.tiles.items()} for start in starts),
            tuple(run.outcomes for run in runs),
            tuple(run.send() for run in runs),
        )


@dataclass(frozen=True)
class _PortWork:
    """What a program moves through its tile's port: its LOADs and its STOREs, in order."""

    loads: tuple[Instruction, ...]
    stores: tuple[Instruction, ...]
    error: ErrorCode


@lru_cache(maxsize=4096)
def _port_work(program: TileProgram, config: TileConfig) -> _PortWork:
    sequencer = Sequencer(program.program, config)
    executed = [op for op in sequencer if op.opcode in (Opcode.LOAD, Opcode.STORE)]
    return _PortWork(
        tuple(op for op in executed if op.opcode == Opcode.LOAD),
        tuple(op for op in executed if op.opcode == Opcode.STORE),
        program.error or sequencer.error,
    )


class _Supply:
    """Beats or words in order, as many as are left."""

    def __init__(self, rows: Bits) -> None:
        self.rows = rows
        self.taken = 0

    @property
    def left(self) -> int:
        return len(self.rows) - self.taken

    def take(self, count: int) -> Bits | None:
        """The next ``count`` rows, or None, and then nothing any more, where there are not as many."""
        if count > self.left:
            return None
        rows = self.rows[self.taken : self.taken + count]
        self.taken += count
        return rows


class _ClusterRun:
    """One cluster in one phase."""

    def __init__(self, machine: GoldenAccelerator, cluster: int, start: ClusterStart) -> None:
        self.machine = machine
        self.config = machine.config
        self.cluster = cluster
        self.start = start
        self.outcomes: dict[int, Outcome] = {}
        self.stored: dict[int, Bits] = {}

    def tiles(self) -> None:
        """Run CAPs, then MAPs; a tile that does not get all its planes is left out.

        Raises
        ------
        Fault
            TILE, and ADDRESS for a sender's word.
        """
        config, start = self.config, self.start
        nothing = np.zeros((0, config.outputs), np.uint8)
        beats = np.zeros((0, config.cap.plane_bits), np.uint8)
        if start.gather is not None:
            memory = np.reshape(
                self.machine.memories.gather[self.cluster], (config.gather_words, config.lanes, config.outputs)
            )
            beats = gather_beats(start.gather, memory, config)
        gathered = {
            tile: _Supply(beats if start.gather is not None and start.gather.receivers >> tile & 1 else beats[:0])
            for tile in range(config.tiles)
        }

        # CAPs store to MAPs, each MAP takes one STORE of each of its armed CAPs by turns.
        stores: dict[int, list[Bits]] = {tile: [] for tile in range(config.tiles)}
        for tile in sorted(start.tiles):
            if tile < config.caps:
                stores[tile] = self._tile(tile, gathered[tile], _Supply(nothing))
        for number in range(config.maps):
            caps = [cap for cap in start.tiles if cap < config.caps and config.map_of(cap) == number]
            merged = _by_turns([stores[cap] for cap in sorted(caps)])
            tile = config.caps + number
            if tile in start.tiles:
                stores[tile] = self._tile(tile, gathered[tile], _Supply(np.concatenate([nothing, *merged])))
            self.stored[number] = np.concatenate([nothing, *stores[tile]])
        if start.sender is not None:
            self._check_addresses(start.sender, len(self.stored[start.sender.source]))

    def _tile(self, tile: int, gathered: _Supply, words: _Supply) -> list[Bits]:
        """Run a tile's program on what there is for it; the words of its STOREs, or none if it waits for ever."""
        config = self.config.tile(tile)
        slot = self.start.tiles[tile]
        unit = Unit.TILE + tile
        work = _port_work(slot.program, config)
        if not slot.program.program.instructions or (work.error is ErrorCode.END and not slot.program.complete):
            return []
        if slot.program.error is not ErrorCode.NONE:
            raise Fault(AcceleratorError.TILE, self.cluster, unit, slot.program.error)
        planes: list[Bits] = []
        taps = _Taps(self.machine.memories.taps[self.cluster][tile], slot, config.taps)
        supplies: dict[int, _Taps | _Supply] = {
            LoadKind.TAPS: taps,
            LoadKind.PLANES: gathered,
            LoadKind.BLOCK: words,
        }
        for op in work.loads:
            supply = supplies.get(op.kind)
            rows = None if supply is None else supply.take(op.d_width * config.beats(plane_size(op, config)))
            if rows is None:
                return []
            planes.append(np.reshape(rows, (op.d_width, -1))[:, : plane_size(op, config)])
        outcome = self.machine.tiles[self.cluster][tile].run(Job(slot.program.program, planes))
        if outcome.error is not ErrorCode.NONE:
            raise Fault(AcceleratorError.TILE, self.cluster, unit, outcome.error | outcome.address << 8)
        self.outcomes[tile] = outcome
        size = self.config.outputs
        return [
            np.reshape(np.reshape(stored, (-1, config.beats(stored.shape[1]), min(stored.shape[1], config.plane_bits)))[
                :, :, :size], (-1, size))
            for stored in outcome.planes
        ]  # fmt: skip

    def _check_addresses(self, sender: SenderJob, words: int) -> None:
        config = self.config
        if not sender.destinations & ((1 << config.clusters) - 1):
            return
        for address, _ in zip(sender.addresses(), range(words), strict=False):
            if address >= config.gather_words * config.lanes:
                flit = address * config.flits_per_word % (1 << REGISTER_BITS)
                raise Fault(AcceleratorError.ADDRESS, self.cluster, Unit.SENDER, flit)

    def send(self) -> list[int]:
        """Put the sender's words where they belong; those for the host are returned, F bits each."""
        sender, config = self.start.sender, self.config
        if sender is None:
            return []
        words = self.stored[sender.source]
        addresses = np.fromiter(sender.addresses(), np.int64, sender.words)
        for cluster in range(config.clusters):
            if sender.destinations >> cluster & 1:
                memory = np.reshape(self.machine.memories.gather[cluster], (-1, config.outputs))
                memory[addresses] = words
        if not sender.destinations >> config.host & 1:
            return []
        return words_of_bits(np.reshape(words, (-1, config.flit_bits)))


class _Taps:
    """The planes of a slot's taps, again and again."""

    def __init__(self, memory: Bits, slot: TileStart, taps: int) -> None:
        self.planes = np.reshape(memory, (-1, taps))
        self.first = slot.taps_start * (memory.shape[1] // taps)
        self.period = slot.taps_words
        self.taken = 0

    def take(self, count: int) -> Bits | None:
        if not self.period:
            return None
        indices = self.first + np.arange(self.taken, self.taken + count) % self.period
        self.taken += count
        return self.planes[indices % len(self.planes)]


def _by_turns(stores: Sequence[Sequence[Bits]]) -> list[Bits]:
    """The STOREs as a MAP takes them: the first tile that has no more ends the turns."""
    if not stores:
        return []
    rounds, tile = min((len(own), tile) for tile, own in enumerate(stores))
    return [own[turn] for turn in range(rounds) for own in stores] + [own[rounds] for own in stores[:tile]]
