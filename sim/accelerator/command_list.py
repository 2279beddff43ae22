"""From phases to a command stream: where programs and taps lie, when they are written, what is written only once.

A phase's programs and taps are written while the phase before it runs, where there is room; no word is written while
an exchange runs.  What a memory still holds is not written again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from hw.accelerator.commands import End, HostCommand, Run, Wait, Write
from hw.accelerator.config import AcceleratorConfig
from hw.accelerator.protocol import COMMAND_BITS, Unit
from sim.accelerator.phases import HostWords, Phase
from sim.mapping.errors import MappingError

__all__ = ["CommandList", "InputWrite", "assemble"]


@dataclass(frozen=True)
class InputWrite:
    """The place of a WRITE of the network's input, whose payload is not known yet."""

    words: HostWords


@dataclass
class CommandList:
    """The commands of a run.

    Parameters
    ----------
    commands : in order; the network's input is still missing.
    words : F-bit words that the host sends, by kind: weights, constants, programs, registers and commands.
    """

    commands: list[HostCommand | InputWrite] = field(default_factory=list[HostCommand | InputWrite])
    words: Counter[str] = field(default_factory=Counter[str])


@dataclass(frozen=True)
class _Region:
    """Words of a memory that hold ``content`` until phase ``last`` has ended."""

    start: int
    size: int
    content: object
    last: int


class _Memory:
    """What one memory of all clusters holds; addresses are the same in all of them."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.regions: list[_Region] = []

    def place(self, content: object, size: int, running: int, phase: int) -> tuple[int, bool] | None:
        """Room for what ``phase`` needs, written while ``running`` (or nothing before it) runs.

        Returns the address, and whether the content is there already; None where there is no room.
        """
        for index, region in enumerate(self.regions):
            if region.content == content:
                self.regions[index] = _Region(region.start, region.size, content, max(phase, region.last))
                return region.start, True
        kept = [region for region in self.regions if region.last >= running]
        gaps = self._gaps(kept)
        starts = [start for first, end in gaps if end - first >= size for start in (first, end - size)]
        if not starts:
            return None

        def rest(start: int) -> tuple[int, bool, int]:
            """The largest gap that would be left; then an end of the memory; then what is overwritten should be old."""
            left = self._gaps([*kept, _Region(start, size, None, phase)])
            latest = max((region.last for region in self._overlapping(start, size)), default=-1)
            largest = max((end - first for first, end in left), default=0)
            return largest, start in (0, self.size - size), -latest

        start = max(starts, key=rest)
        for region in self._overlapping(start, size):
            self.regions.remove(region)
        self.regions.append(_Region(start, size, content, phase))
        return start, False

    def _gaps(self, regions: Sequence[_Region]) -> list[tuple[int, int]]:
        """What is left beside some regions."""
        gaps: list[tuple[int, int]] = []
        end = 0
        for region in sorted(regions, key=lambda region: region.start):
            if region.start > end:
                gaps.append((end, region.start))
            end = max(end, region.start + region.size)
        return [*gaps, (end, self.size)] if end < self.size else gaps

    def _overlapping(self, start: int, size: int) -> list[_Region]:
        return [region for region in self.regions if region.start < start + size and start < region.start + region.size]


def assemble(phases: Sequence[Phase], config: AcceleratorConfig) -> CommandList:
    """The commands that run phases one after the other.

    Raises
    ------
    MappingError
        If a program or a phase's taps do not fit their memory.
    """
    return _Assembler(phases, config).assemble()


class _Assembler:
    def __init__(self, phases: Sequence[Phase], config: AcceleratorConfig) -> None:
        self.phases, self.config = phases, config
        self.result = CommandList()
        self.programs = [_Memory(config.program_words) for _ in range(config.tiles)]
        self.taps = [_Memory(config.taps_words) for _ in range(config.tiles)]
        self.addresses: dict[tuple[int, int, int], tuple[int, int]] = {}  # phase, cluster, tile: program, taps
        self.written: set[tuple[int, int]] = set()  # phase, tile

    def assemble(self) -> CommandList:
        everyone = (1 << self.config.clusters) - 1
        for number, phase in enumerate(self.phases):
            if number and self.phases[number - 1].kind.quiet:
                self._command(Wait(everyone))
            self._memories(number, running=number - 1 if self._overlaps(number) else number)
            if phase.host and self._overlaps(number):
                self._command(Wait(everyone))  # what runs may read where the input is written
            for words in phase.host:
                self.result.commands.append(InputWrite(words))
            self._registers(number)
            self._command(Run())
            if not phase.kind.quiet:
                self._ahead(number)
        self._command(End())
        return self.result

    def _overlaps(self, number: int) -> bool:
        """Whether what is written right before phase ``number`` is written while the phase before it runs."""
        return number > 0 and not self.phases[number - 1].kind.quiet

    def _ahead(self, number: int) -> None:
        """While phase ``number`` runs, write for the following ones up to the next that can hide words itself."""
        for later in range(number + 1, len(self.phases)):
            self._memories(later, running=number, optional=True)
            if not self.phases[later].kind.quiet:
                break

    def _memories(self, number: int, *, running: int, optional: bool = False) -> None:
        """Write the programs and taps of a phase that are not there yet."""
        phase, config = self.phases[number], self.config
        for tile in sorted({tile for _, tile in phase.tiles} - {tile for of, tile in self.written if of == number}):
            works = {cluster: work for (cluster, own), work in sorted(phase.tiles.items()) if own == tile}
            programs = {cluster: work.program for cluster, work in works.items()}
            taps = {cluster: work.taps for cluster, work in works.items()}
            size = max(map(len, programs.values()))
            taps_size = max(map(len, taps.values()))
            place = self._place(self.programs[tile], programs, size, running, number)
            if place is None and not optional:
                self._command(Wait((1 << config.clusters) - 1))
                running = number
                place = self._place(self.programs[tile], programs, size, running, number)
            if place is None:
                if optional:
                    return
                raise MappingError(
                    f"layer {phase.layers[0]!r} needs program_words of at least {size}, config {config.name} has "
                    f"{config.program_words}"
                )
            taps_place = self._place(self.taps[tile], taps, taps_size, running, number) if taps_size else (0, True)
            if taps_place is None and not optional:
                self._command(Wait((1 << config.clusters) - 1))
                taps_place = self._place(self.taps[tile], taps, taps_size, number, number)
            if taps_place is None:
                if optional:
                    self._write_programs(tile, programs, place)
                    return
                raise MappingError(
                    f"layer {phase.layers[0]!r} needs taps_words of at least {taps_size}, config {config.name} has "
                    f"{config.taps_words}"
                )
            self._write_programs(tile, programs, place)
            if not taps_place[1]:
                kind = "weights" if tile < config.caps else "constants"
                for mask, words in _alike(taps):
                    self._write(kind, Unit.TAPS + tile, taps_place[0], words, mask)
            for cluster in works:
                self.addresses[number, cluster, tile] = (place[0], taps_place[0])
            self.written.add((number, tile))

    def _place(
        self, memory: _Memory, content: dict[int, tuple[int, ...]], size: int, running: int, number: int
    ) -> tuple[int, bool] | None:
        return memory.place(tuple(sorted(content.items())), size, running, number)

    def _write_programs(self, tile: int, programs: dict[int, tuple[int, ...]], place: tuple[int, bool]) -> None:
        if place[1]:
            return
        parts, width = self.config.flits_per_instruction, self.config.flit_bits
        mask = (1 << width) - 1
        for destinations, words in _alike(programs):
            flits = [word >> part * width & mask for word in words for part in range(parts)]
            self._write("programs", Unit.PROGRAM + tile, place[0] * parts, flits, destinations)

    def _registers(self, number: int) -> None:
        """Write and arm the registers of everything that takes part in a phase."""
        phase = self.phases[number]
        units: dict[int, dict[int, tuple[int, ...]]] = {}
        for (cluster, tile), work in sorted(phase.tiles.items()):
            program, taps = self.addresses[number, cluster, tile]
            values = (taps, work.planes, program, len(work.program))
            units.setdefault(Unit.TILE + tile, {})[cluster] = values
        for cluster, job in sorted(phase.gather.items()):
            units.setdefault(Unit.GATHER, {})[cluster] = job.registers
        for cluster, registers in sorted(phase.senders.items()):
            units.setdefault(Unit.SENDER, {})[cluster] = registers
        for unit, values in sorted(units.items()):
            for mask, payload in _alike(values):
                self._write("registers", unit, 0, payload, mask)

    def _write(self, kind: str, unit: int, address: int, payload: Sequence[int], destinations: int) -> None:
        self._command(Write(unit, address, tuple(payload), destinations))
        self.result.words[kind] += len(payload)

    def _command(self, command: HostCommand) -> None:
        self.result.commands.append(command)
        self.result.words["commands"] += COMMAND_BITS // min(self.config.flit_bits, COMMAND_BITS)


def _alike(values: dict[int, tuple[int, ...]]) -> Iterable[tuple[int, tuple[int, ...]]]:
    """Clusters with the same words together, as a mask of them."""
    masks: dict[tuple[int, ...], int] = {}
    for cluster, words in values.items():
        masks[words] = masks.get(words, 0) | 1 << cluster
    return [(mask, words) for words, mask in masks.items()]
