"""A network on an accelerator: from an integer graph to the command stream of an input, and from words to a result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden.accelerator.stream import bits_of_words, words_of_bits
from golden.accelerator.windows import GatherJob
from golden.engine import Bits
from golden.graph import AveragePool, Conv, Elementwise, Graph, Integers, Layer, MaxPool, Reorder
from hw.accelerator.commands import HostCommand, Write
from hw.accelerator.config import AcceleratorConfig
from hw.accelerator.protocol import COMMAND_BITS, Unit
from hw.isa import Instruction, Program
from sim.accelerator.choice import choose_placement
from sim.accelerator.command_list import InputWrite, assemble
from sim.accelerator.dot_layers import DotLayer, average_layer, conv_layer
from sim.accelerator.dots import cap_program
from sim.accelerator.exchange import Transfer, rounds, sender_registers, to_host, transfers
from sim.accelerator.layout import MapGeometry, geometry
from sim.accelerator.memory_tile import ElementwiseStep, MapWork, SumStep, send_program
from sim.accelerator.phases import HostWords, Phase, PhaseKind, TileWork
from sim.accelerator.placement import Batch, Placement
from sim.accelerator.pool_layers import PoolLayer, PoolStep, pool_layer
from sim.mapping.bits import from_bits, to_bits
from sim.mapping.errors import MappingError
from sim.mapping.shapes import AveragePoolShape, ConvShape, ElementwiseShape, LayerShape, MaxPoolShape, layer_shape

__all__ = ["AcceleratorNetwork", "PhaseMark", "StoredMap"]


@dataclass(frozen=True)
class PhaseMark:
    """What a phase is for, in the order of the RUN commands."""

    kind: PhaseKind
    layers: tuple[str, ...]


@dataclass(frozen=True)
class StoredMap:
    """Where the MAPs keep a map.

    Parameters
    ----------
    placement : of its blocks.
    columns : first column of its fields.
    first, last : the steps of the network between which it is there.
    """

    placement: Placement
    columns: int
    first: int
    last: int


@dataclass
class _Step:
    """Layers that MAPs work on together: at most one with windows, and what follows in place."""

    windows: DotLayer | PoolLayer | None
    source: str
    elementwise: list[tuple[ElementwiseShape, Elementwise]] = field(
        default_factory=list[tuple[ElementwiseShape, Elementwise]]
    )
    layers: list[str] = field(default_factory=list[str])
    outputs: list[str] = field(default_factory=list[str])


@dataclass
class _Gathered:
    """A map in the gather memories: its base and, of each cluster, the sets that are there."""

    base: int
    sets: list[set[int]]


class AcceleratorNetwork:
    """A network mapped to an accelerator, with its constants prepared; serves any number of inputs.

    Parameters
    ----------
    graph : the network.
    config : the accelerator.

    Attributes
    ----------
    marks : of each phase, in order.
    stored : of each map that MAPs keep, where.
    words : F-bit words of one input by kind: input, weights, constants, programs, registers, commands, result.

    Raises
    ------
    MappingError
        If a layer does not fit the accelerator or is not supported on it.
    """

    def __init__(self, graph: Graph, config: AcceleratorConfig) -> None:
        """Map all layers."""
        self.graph, self.config = graph, config
        self._aliases = _aliases(graph)
        pooled = {self._real(layer.inputs[0]) for layer in graph.layers if isinstance(layer, MaxPool)}
        self._geometries = {
            name: geometry(graph.maps[name], config, whole_tiles=name in pooled)
            for name in dict.fromkeys(
                self._real(name) for layer in graph.layers for name in (*layer.inputs, layer.output)
            )
        }
        self._steps = self._make_steps()
        if not any(self._real(graph.output) in step.outputs for step in self._steps):
            raise MappingError(f"network {graph.name!r} must have layers that an accelerator works on")
        self.stored = self._columns(self._placements())
        # What any layer works in lies above the maps.
        self._reserved = max(
            place.columns + place.placement.fields * place.placement.geometry.bits for place in self.stored.values()
        )
        self._gathered: dict[str, _Gathered] = {}
        self._phases: list[Phase] = []
        self._programs: dict[int, tuple[tuple[Instruction, ...], tuple[int, ...]]] = {}
        for step in self._steps:
            self._add_step(step)
        self._results = self._add_result()
        assembled = assemble(self._phases, config)
        self._commands = assembled.commands
        self.marks = tuple(PhaseMark(phase.kind, phase.layers) for phase in self._phases)
        self.words = self._count(assembled.words)

    # What a run needs.

    @property
    def phases(self) -> tuple[Phase, ...]:
        """What happens between two goes, in order; :attr:`marks` says what for."""
        return tuple(self._phases)

    def commands(self, values: NDArray[np.integer[Any]]) -> list[HostCommand]:
        """The commands of a run for one input of stored numbers, (height, width, channels).

        Raises
        ------
        ValueError
            If the input has another shape or numbers out of range.
        """
        source = self.graph.maps[self.graph.input]
        if values.shape != source.shape:
            raise ValueError(f"input {source.name!r} must have shape {source.shape}, not {values.shape}")
        if values.size and not 0 <= int(values.min()) <= int(values.max()) < 1 << source.bits:
            raise ValueError(
                f"input {source.name!r} must have stored numbers from 0 to {(1 << source.bits) - 1}, not "
                f"{values.min()} to {values.max()}"
            )
        words = self._input_words(to_bits(values.astype(np.int64), source.bits))
        result: list[HostCommand] = []
        for command in self._commands:
            if isinstance(command, InputWrite):
                place, size = command.words, self._input_size()
                payload = words[place.sets.start * size : place.sets.stop * size]
                address = place.first * self.config.flits_per_word + place.sets.start * size
                result.append(Write(Unit.GATHER_MEMORY, address, payload, place.destinations))
            else:
                result.append(command)
        return result

    def result(self, words: Sequence[int]) -> Integers:
        """The network's output, stored numbers of (height, width, channels), from the words that came to the host.

        Raises
        ------
        ValueError
            If there are too few words or too many.
        """
        if len(words) != self.words["result"]:
            raise ValueError(f"a result must have {self.words['result']} words, not {len(words)}")
        shape = self._geometries[self._real(self.graph.output)]
        bits = np.zeros((shape.sets * shape.rows, shape.width, shape.channels, shape.bits), np.uint8)
        planes = bits_of_words(words, self.config.flit_bits).reshape(-1, self.config.outputs)
        planes = planes[:, : shape.rows * shape.width].reshape(-1, shape.bits, shape.rows, shape.width)
        for (number, channel), block in zip(self._results, planes, strict=True):
            bits[number * shape.rows : (number + 1) * shape.rows, :, channel] = block.transpose(1, 2, 0)
        stored = from_bits(bits[: shape.height])
        return stored.reshape(self.graph.maps[self.graph.output].shape)

    def read_map(self, name: str, cells: Sequence[Sequence[Bits]]) -> Integers:
        """A stored map from the cells of the MAPs, ``cells[cluster][number]`` of shape (columns, rows)."""
        place = self.stored[self._real(name)]
        placement, size = place.placement, self.config.outputs
        shape = placement.geometry
        bits = np.zeros((shape.sets * shape.rows, shape.width, shape.channels, shape.bits), np.uint8)
        for (cluster, number), blocks in placement.places.items():
            for (position, channel), (batch, row) in blocks.items():
                column = place.columns + batch * shape.bits
                block = cells[cluster][number][column : column + shape.bits, row * size : (row + 1) * size]
                block = block[:, : shape.rows * shape.width].reshape(shape.bits, shape.rows, shape.width)
                bits[position * shape.rows : (position + 1) * shape.rows, :, channel] = block.transpose(1, 2, 0)
        return from_bits(bits[: shape.height])

    # From layers to steps.

    def _real(self, name: str) -> str:
        """The map that a name stands for, where a reshape changes nothing."""
        while name in self._aliases:
            name = self._aliases[name]
        return name

    def _make_steps(self) -> list[_Step]:
        """Layers in order; an element-wise layer goes with the windows that it follows."""
        steps: list[_Step] = []
        for layer in self.graph.layers:
            if layer.output in self._aliases:
                continue
            shape = layer_shape(layer, self.graph)
            if isinstance(shape, ElementwiseShape) and isinstance(layer, Elementwise):
                for name in layer.inputs:
                    if self._real(name) == self._real(self.graph.input):
                        raise MappingError(
                            f"layer {layer.name!r} must not work on the network's input on an accelerator, whose MAPs "
                            "do not hold it"
                        )
                if not steps or not any(self._real(name) in steps[-1].outputs for name in layer.inputs):
                    steps.append(_Step(None, ""))
                steps[-1].elementwise.append((shape, layer))
            else:
                steps.append(_Step(self._window_layer(shape, layer), self._real(layer.inputs[0])))
            steps[-1].layers.append(layer.name)
            steps[-1].outputs.append(self._real(layer.output))
        return steps

    def _window_layer(self, shape: LayerShape, layer: Layer) -> DotLayer | PoolLayer:
        source = self._geometries[self._real(layer.inputs[0])]
        target = self._geometries[self._real(layer.output)]
        if isinstance(shape, ConvShape) and isinstance(layer, Conv):
            return conv_layer(shape, layer, source, target, self.config)
        if isinstance(shape, AveragePoolShape) and isinstance(layer, AveragePool):
            return average_layer(shape, layer, source, target, self.config)
        if isinstance(shape, MaxPoolShape) and isinstance(layer, MaxPool):
            return pool_layer(shape, layer, source, target, self.config)
        raise MappingError(f"layer {layer.name!r} of kind {shape.kind!r} is not supported on an accelerator")

    # From steps to places.

    def _placements(self) -> dict[str, Placement]:
        """Of each map that MAPs keep; operands and outputs of element-wise layers lie alike."""
        parent = {name: name for step in self._steps for name in step.outputs}

        def root(name: str) -> str:
            while parent[name] != name:
                name = parent[name]
            return name

        for step in self._steps:
            for _, layer in step.elementwise:
                for name in layer.inputs:
                    parent[root(self._real(name))] = root(self._real(layer.output))
        placements: dict[str, Placement] = {}
        for top in {root(name): None for name in parent}:
            members = [name for name in parent if root(name) == top]
            layers = [step.windows for step in self._steps if step.windows is not None and step.outputs[0] in members]
            count = sum(self._real(layer.output) in members for step in self._steps for _, layer in step.elementwise)
            chosen = choose_placement(self._geometries[members[0]], layers, count, self.config)
            for name in members:
                shape = self._geometries[name]
                placements[name] = Placement(
                    shape, self.config, chosen.split, chosen.sets, chosen.channels, chosen.items
                )
        return placements

    def _map_work(self, step: _Step) -> MapWork:
        def column(name: str) -> int:
            return self.stored[self._real(name)].columns

        windows = None
        layer = step.windows
        if isinstance(layer, PoolLayer):
            windows = PoolStep(layer, column(step.outputs[0]))
        elif layer is not None:
            biased = self.stored[step.outputs[0]].placement.split.channel_groups > 1
            windows = SumStep(
                layer.requantize, layer.rescale, layer.entries, layer.bias if biased else None, column(step.outputs[0])
            )
        elementwise = [
            ElementwiseStep(shape, layer, tuple(map(column, layer.inputs)), column(layer.output))
            for shape, layer in step.elementwise
        ]
        return MapWork(self.config, step.layers[0], windows, elementwise, self._reserved)

    def _columns(self, placements: dict[str, Placement]) -> dict[str, StoredMap]:
        """Columns for every map, from the step that makes it to the last one that reads it."""
        last = {name: index for index, step in enumerate(self._steps) for name in step.outputs}
        for index, step in enumerate(self._steps):
            read = [self._real(name) for _, layer in step.elementwise for name in layer.inputs]
            for name in (step.source, *read):
                if name in last:
                    last[name] = max(index, last[name])
        last[self._real(self.graph.output)] = len(self._steps)
        stored: dict[str, StoredMap] = {}
        for index, step in enumerate(self._steps):
            for name in step.outputs:
                placement = placements[name]
                size = placement.fields * placement.geometry.bits
                taken = sorted(
                    (place.columns, place.columns + place.placement.fields * place.placement.geometry.bits)
                    for place in stored.values()
                    if place.last >= index
                )
                column = 0
                for first, end in taken:
                    if column + size <= first:
                        break
                    column = max(column, end)
                stored[name] = StoredMap(placement, column, index, last[name])
        return stored

    # From places to phases.

    def _add_step(self, step: _Step) -> None:
        if step.windows is None:
            self._add_elementwise(step)
            return
        placement = self.stored[step.outputs[0]].placement
        needed = [set(step.windows.input_sets(sets)) for sets in placement.sets]
        base, host = self._bring(step, needed)
        for number, part in enumerate(self._parts(step, placement)):
            phase = self._compute(step, placement, part, base, placement.clusters)
            self._phases.append(Phase(phase.kind, phase.layers, phase.tiles, phase.gather, host=() if number else host))

    def _bring(self, step: _Step, needed: list[set[int]]) -> tuple[int, tuple[HostWords, ...]]:
        """See to it that the gather memories hold what a step needs: exchanges, and words from the host."""
        name, config = step.source, self.config
        shape = self._geometries[name]
        if name not in self._gathered:
            self._gathered[name] = _Gathered(self._room(step, shape), [set() for _ in range(config.clusters)])
        gathered = self._gathered[name]
        self._gathered[name] = self._gathered.pop(name)  # the latest one
        missing = [wanted - there for wanted, there in zip(needed, gathered.sets, strict=True)]
        gathered.sets = [there | new for there, new in zip(gathered.sets, missing, strict=True)]
        first = gathered.base * config.lanes
        if name == self._real(self.graph.input):
            masks = [
                sum(1 << cluster for cluster, sets in enumerate(missing) if number in sets)
                for number in range(shape.sets)
            ]
            host: list[HostWords] = []
            for number, mask in enumerate(masks):
                if host and host[-1].destinations == mask and host[-1].sets.stop == number:
                    host[-1] = HostWords(range(host[-1].sets.start, number + 1), mask, first)
                elif mask:
                    host.append(HostWords(range(number, number + 1), mask, first))
            return gathered.base, tuple(host)
        for together in rounds(transfers(self.stored[name].placement, missing), config):
            self._phases.append(self._send(PhaseKind.EXCHANGE, tuple(step.layers[:1]), name, together, first))
        return gathered.base, ()

    def _room(self, step: _Step, shape: MapGeometry) -> int:
        """Addresses for a map in the gather memories; the maps used longest ago make room."""
        config = self.config
        if shape.bank_words > config.gather_words:
            raise MappingError(
                f"layer {step.layers[0]!r} needs gather_words of at least {shape.bank_words} for its input, config "
                f"{config.name} has {config.gather_words}"
            )
        while True:
            base = 0
            for name, other in sorted(self._gathered.items(), key=lambda item: item[1].base):
                if base + shape.bank_words <= other.base:
                    break
                base = max(base, other.base + self._geometries[name].bank_words)
            if base + shape.bank_words <= config.gather_words:
                return base
            del self._gathered[next(iter(self._gathered))]

    def _send(
        self, kind: PhaseKind, layers: tuple[str, ...], name: str, together: Sequence[Transfer], first: int
    ) -> Phase:
        place = self.stored[name]
        shape = place.placement.geometry
        tiles: dict[tuple[int, int], TileWork] = {}
        for transfer in together:
            places = place.placement.places[transfer.cluster, transfer.number]
            blocks = [
                (place.columns + batch * shape.bits, row) for batch, row in (places[block] for block in transfer.blocks)
            ]
            tile = self.config.caps + transfer.number
            tiles[transfer.cluster, tile] = self._tile_work(tile, send_program(self.config, blocks, shape.bits))
        senders = {transfer.cluster: sender_registers(transfer, shape, first) for transfer in together}
        return Phase(kind, layers, tiles, senders=senders)

    def _add_elementwise(self, step: _Step) -> None:
        placement = self.stored[step.outputs[0]].placement
        work = self._map_work(step)
        tiles: dict[tuple[int, int], TileWork] = {}
        for cluster in placement.clusters:
            for number in range(self.config.maps):
                tile = self.config.caps + number
                program, _ = work.program(placement, cluster, number, 0, placement.batches(cluster))
                tiles[cluster, tile] = self._tile_work(tile, program)
        self._phases.append(Phase(PhaseKind.ELEMENTWISE, tuple(step.layers), tiles))

    def _parts(self, step: _Step, placement: Placement) -> list[_Part]:
        """The parts of a layer that are phases of their own: as much as half of the memories hold."""
        together, turns = placement.batches_of_sets
        sets = max(len(own) for own in placement.sets)
        whole = range(placement.rounds)
        for share in (2, 1):
            count = -(-sets // together) * together
            while True:
                parts = [_Part(range(first, first + count), whole) for first in range(0, sets, count)]
                use = self._use(step, placement, parts[0])
                if use * share <= 1:
                    return parts
                if count == together:
                    break
                count = max(together, min(count - together, int(count / use / share) // together * together))
            if len(turns) > 1 or share == 1:
                break
        for share in (2, 1):
            for size in range(len(turns) - 1, 0, -1):
                chunks: list[tuple[tuple[int, ...], ...]] = [
                    turns[first : first + size] for first in range(0, len(turns), size)
                ]
                parts = [
                    _Part(range(first, first + together), range(chunk[0][0], chunk[-1][-1] + 1))
                    for first in range(0, sets, together)
                    for chunk in chunks
                ]
                if max(self._use(step, placement, part) for part in parts[: len(chunks)]) * share <= 1:
                    return parts
        return [
            _Part(range(first, first + together), range(turn[0], turn[-1] + 1))
            for first in range(0, sets, together)
            for turn in turns
        ]

    def _use(self, step: _Step, placement: Placement, part: _Part) -> float:
        """The part of a program or taps memory that a phase takes."""
        config = self.config
        largest = max(
            placement.clusters, key=lambda cluster: (len(placement.sets[cluster]), len(placement.channels[cluster]))
        )
        works = self._compute(step, placement, part, 0, [largest]).tiles.values()
        return max(max(len(work.program) / config.program_words, len(work.taps) / config.taps_words) for work in works)

    def _compute(self, step: _Step, placement: Placement, part: _Part, base: int, clusters: Iterable[int]) -> Phase:
        """The phase in which clusters work on some sets and rounds of a layer."""
        layer, config = step.windows, self.config
        assert layer is not None
        work = self._map_work(step)
        tiles: dict[tuple[int, int], TileWork] = {}
        gather: dict[int, GatherJob] = {}
        # Windows of dot products go to all CAPs, those of a max pool to the MAP that keeps the output.
        receivers = 1 << config.caps if isinstance(layer, PoolLayer) else (1 << config.caps) - 1
        memory_tiles = 1 if isinstance(layer, PoolLayer) else config.maps
        for cluster in clusters:
            sets = placement.sets[cluster][part.sets.start : part.sets.stop]
            turns = [turn for turn in part.turns if turn < len(placement.channels[cluster])]
            if not sets or not turns:
                continue
            group = placement.channels[cluster][turns[0]]
            lowest = min((channel for channels in group for channel in channels), default=0)
            gather[cluster] = layer.gather_job(base, sets, len(turns), lowest, receivers)
            batches = placement.batches(cluster)
            first, own = part.batches(batches)
            biased = work.sums is not None and work.sums.bias is not None
            if isinstance(layer, DotLayer):
                for cap in range(config.caps):
                    tiles[cluster, cap] = self._cap_work(layer, placement, cluster, cap, turns, own, biased=biased)
            for number in range(memory_tiles):
                program, planes = work.program(placement, cluster, number, first, own)
                tile = config.caps + number
                tiles[cluster, tile] = self._tile_work(tile, program, planes)
        return Phase(PhaseKind.COMPUTE, tuple(step.layers), tiles, gather)

    def _cap_work(
        self,
        layer: DotLayer,
        placement: Placement,
        cluster: int,
        cap: int,
        turns: Sequence[int],
        batches: Sequence[Batch],
        *,
        biased: bool,
    ) -> TileWork:
        config = self.config
        caps = placement.caps
        number, own = divmod(cap, caps)
        sets = sum(len(batch.units) for batch in batches) // len(turns)

        def channel(turn: int, item: int) -> int:
            """The output channel, -1 where there is none."""
            channels = placement.channels[cluster][turns[turn % len(turns)]][number]
            position = item * caps + own
            return channels[position] if position < len(channels) else -1

        items = tuple(tuple(placement.items[unit.turn] for unit in batch.units) for batch in batches)
        bias: tuple[int, ...] | None = None
        if not biased:
            sums = [channel(turn, item) for turn in range(len(turns)) for item in range(placement.items[turns[turn]])]
            bias = tuple(int(layer.bias[found]) if found >= 0 else 0 for found in sums) * sets
        program, uses = cap_program(config, layer.dots, items, bias)
        zero = np.zeros(layer.weights.shape[2:], np.uint8)
        planes = [
            layer.weights[found, use.tile] if found >= 0 else zero
            for use in uses[: len(uses) // sets]
            for found in (channel(use.turn, use.item),)
        ]
        return self._tile_work(cap, program, np.concatenate(planes))

    def _tile_work(self, tile: int, instructions: tuple[Instruction, ...], planes: Bits | None = None) -> TileWork:
        config = self.config.tile(tile)
        known = self._programs.get(id(instructions))
        if known is None or known[0] is not instructions:
            known = (instructions, tuple(Program.build(instructions, config).words))
            self._programs[id(instructions)] = known
        program = known[1]
        if planes is None or not len(planes):
            return TileWork(program, (), 0)
        each = self.config.planes_per_flit
        missing = -len(planes) % each
        padded = np.pad(planes, [(0, missing), (0, 0)]).reshape(-1, self.config.flit_bits)
        return TileWork(program, tuple(words_of_bits(padded)), len(planes))

    # Result and input.

    def _add_result(self) -> list[tuple[int, int]]:
        """Phases that send the output to the host; returns the order of its blocks."""
        name = self._real(self.graph.output)
        order: list[tuple[int, int]] = []
        for transfer in to_host(self.stored[name].placement):
            self._phases.append(self._send(PhaseKind.RESULT, (self.graph.layers[-1].name,), name, [transfer], 0))
            order += transfer.blocks
        return order

    def _input_size(self) -> int:
        """F-bit words of a set of the input."""
        shape = self._geometries[self._real(self.graph.input)]
        return shape.word(1, 0, 0) * self.config.flits_per_word

    def _input_words(self, bits: Bits) -> list[int]:
        """The input as F-bit words, set by set: bits of shape (height, width, channels, planes)."""
        shape, config = self._geometries[self._real(self.graph.input)], self.config
        lanes = shape.stored_groups * config.lanes
        padded = np.zeros((shape.sets * shape.rows, shape.width, lanes, shape.bits), np.uint8)
        padded[: shape.height, :, : shape.channels] = bits
        blocks = padded.reshape(shape.sets, shape.rows * shape.width, lanes, shape.bits).transpose(0, 3, 2, 1)
        words = np.zeros((shape.sets, shape.bits, lanes, config.outputs), np.uint8)
        words[..., : blocks.shape[-1]] = blocks
        return words_of_bits(words.reshape(-1, config.flit_bits))

    def _count(self, words: Counter[str]) -> dict[str, int]:
        shape = self._geometries[self._real(self.graph.output)]
        heads = sum(isinstance(command, InputWrite) for command in self._commands)
        words["commands"] += heads * (COMMAND_BITS // min(self.config.flit_bits, COMMAND_BITS))
        words["input"] = sum(
            len(command.words.sets) * self._input_size()
            for command in self._commands
            if isinstance(command, InputWrite)
        )
        words["result"] = len(self._results) * shape.bits * self.config.flits_per_word
        return {kind: words[kind] for kind in _KINDS}


_KINDS = ("input", "weights", "constants", "programs", "registers", "commands", "result")


@dataclass(frozen=True)
class _Part:
    """A part of a layer: sets of each cluster's share, and rounds."""

    sets: range
    turns: range

    def batches(self, batches: Sequence[Batch]) -> tuple[int, Sequence[Batch]]:
        """The number of its first batch out of all of a cluster, and its batches."""
        own = [
            number
            for number, batch in enumerate(batches)
            if batch.units[0].number in self.sets and batch.units[0].turn in self.turns
        ]
        return own[0], batches[own[0] : own[-1] + 1]


def _aliases(graph: Graph) -> dict[str, str]:
    """Maps that are other maps under another name."""
    aliases: dict[str, str] = {}
    for layer in graph.layers:
        if isinstance(layer, Reorder):
            source, target = graph.maps[layer.inputs[0]], graph.maps[layer.output]
            if layer.channels or source.shape != target.shape:
                raise MappingError(
                    f"layer {layer.name!r} must leave numbers where they are on an accelerator; it makes "
                    f"{target.shape} of {source.shape}"
                )
            aliases[layer.output] = layer.inputs[0]
    return aliases
