"""The cost of layers on a fabric: each layer is divided among clusters in the way that takes the fewest cycles.

A layer is an *exchange*, which brings its input to the gather memories of the clusters that need it, and phases in
which CAPs form sums and MAPs requantise them, or MAPs work alone.  Layers run one after the other.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hw.accelerator.protocol import COMMAND_BITS
from hw.fabric import FabricConfig
from sim.evaluate.cost import Events, LayerCost
from sim.fabric.accounts import Parts, add_parts
from sim.fabric.cap_programs import Sums, plan_sums
from sim.fabric.geometry import MapCut, WindowCut, cut_map
from sim.fabric.map_programs import sum_layout
from sim.fabric.phases import block_events, dot_phase, element_phase, load_phase, pool_phase, sum_events
from sim.fabric.placement import Exchange, Mesh, Placement, exchange, least_words, receive, send_out
from sim.mapping.builder import equal_parts
from sim.mapping.errors import MappingError
from sim.mapping.shapes import (
    AveragePoolShape,
    ConvShape,
    ElementwiseShape,
    LayerShape,
    MaxPoolShape,
    ReorderShape,
    RequantizeShape,
)

__all__ = ["FABRIC_MODES", "FabricRun", "meshes_of"]

FABRIC_MODES = ("count", "lut", "auto")
"""How dot products can be formed on a fabric."""


@dataclass(frozen=True)
class _DotLayer:
    """A convolution, fully connected layer or average pool as sums over windows.

    Parameters
    ----------
    windows : input, output, and the window between them.
    activation_bits, weight_bits, weight_signed : operands.
    reduction : taps of the windows that a block sums over.
    group : output channels that share windows: all, or as many as fit the taps of a tile.
    requantize : what follows.
    """

    shape: LayerShape
    windows: WindowCut
    activation_bits: int
    weight_bits: int
    weight_signed: bool
    reduction: int
    group: int
    requantize: RequantizeShape


@dataclass(frozen=True)
class _Option:
    """A way to run a layer."""

    placement: Placement
    mode: str | None
    cycles: Parts
    moved: Exchange
    events: Events
    utilisation: float | None
    tiles: int
    mapping: str
    weight_flits: int

    @property
    def total(self) -> int:
        return sum(self.cycles.values())


def _some(count: int, thing: str) -> str:
    """A count with its noun."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}{'es' if thing.endswith('ch') else 's'}"


def _grid(placement: Placement) -> str:
    """How a map is divided, for people."""
    return f"{placement.sets} x {placement.channels} clusters (pixels x channels)"


def _touched(run: range, unit: int) -> int:
    """Units of channels of which a run has some."""
    return -(-run.stop // unit) - run.start // unit if run else 0


def _partners(shapes: Sequence[LayerShape]) -> dict[str, set[str]]:
    """For each map that is added to another one, the other ones."""
    partners: dict[str, set[str]] = {}
    for shape in shapes:
        if isinstance(shape, ElementwiseShape):
            for name in shape.inputs:
                partners.setdefault(name, set()).update(set(shape.inputs) - {name})
    return partners


def meshes_of(shapes: Sequence[LayerShape], config: FabricConfig, batch: int) -> tuple[Mesh, ...]:
    """The meshes that a fabric may have: its own, or if clusters are unlimited, twice as many again and again.

    The last one has as many as the layer with the most blocks can use at once.
    """
    own = Mesh(config.width, config.clusters)
    if not config.unlimited:
        return (own,)
    most = 1
    for shape in shapes:
        if isinstance(shape, ConvShape):
            cut = cut_map(shape.output_size, shape.output_bits, config.outputs, batch)
            most = max(most, cut.sets * -(-cut.channels // config.caps))
    meshes, clusters = [own], 2 * own.clusters
    while clusters < 2 * most:
        count = min(clusters, most)
        meshes.append(Mesh(math.isqrt(count - 1) + 1, count))
        clusters *= 2
    return tuple(meshes)


class FabricRun:
    """Layers of a network on a fabric.

    Maps lie where the layer that makes them puts them.  Where that is is chosen once, for layers of given widths, and
    kept for other widths: so the cost of a layer depends on its own shape alone.  Of several meshes that the fabric may
    have, the one on which these layers take the fewest cycles is taken.

    Parameters
    ----------
    config : the fabric.
    shapes : the layers, in order, for which placements are chosen.
    mode : one of :data:`FABRIC_MODES`.
    batch : inputs that go through each layer before the next one.

    Raises
    ------
    MappingError
        If a layer does not fit the tiles, or is of a kind that fabrics do not run.
    ValueError
        If the mode is no mode of fabrics.
    """

    def __init__(self, config: FabricConfig, shapes: Sequence[LayerShape], mode: str = "count", batch: int = 1) -> None:
        if mode not in FABRIC_MODES:
            raise ValueError(f"mode must be one of {', '.join(FABRIC_MODES)} on a fabric, not {mode!r}")
        self.config, self.mode, self.batch = config, mode, batch
        meshes = meshes_of(shapes, config, batch)
        self._place(shapes, meshes[0])
        if len(meshes) > 1:
            self._place(shapes, min(meshes, key=lambda mesh: self._place(shapes, mesh)))

    def _place(self, shapes: Sequence[LayerShape], mesh: Mesh) -> int:
        """Divide all layers among the clusters of a mesh; returns their cycles."""
        self.mesh = mesh
        self._placements: dict[str, Placement] = {}
        partners = _partners(shapes)
        cycles = 0
        for shape in shapes:
            known = [self._placements[name] for name in partners.get(shape.output, ()) if name in self._placements]
            if known and not isinstance(shape, ElementwiseShape):
                self._placements[shape.output] = known[0]  # what is added lies alike
            option = min(self._options(shape), key=lambda option: option.total)
            self._placements[shape.output] = option.placement
            cycles += option.total
        return cycles

    def layer(self, shape: LayerShape, *, before: int = 0, last: bool = False) -> LayerCost:
        """The cost of a layer.

        Parameters
        ----------
        before : cycles of the layer before it, in which streamed weights can come.
        last : its output goes to the host.

        Raises
        ------
        MappingError
            If it does not fit the tiles, or is of a kind that fabrics do not run.
        """
        option = min(self._options(shape), key=lambda option: option.total)
        cycles, events = option.cycles, option.events
        if self.config.weights == "streamed" and option.weight_flits:
            cycles = add_parts(cycles, {"weights": max(0, option.weight_flits - before)})
            events += Events(flit_hops=option.weight_flits * (self.mesh.farthest + option.placement.clusters))
        if last:
            cut = self._cut(shape.output_size, shape.output_bits)
            sent = send_out(cut, option.placement, self.mesh, self.config.flits_per_word)
            cycles = add_parts(cycles, {"store": sent.cycles})
            events += Events(flit_hops=sent.flit_hops)
        cycles = {part: count for part, count in cycles.items() if count}
        tiles = self.mesh.clusters * (self.config.caps + self.config.maps)
        events += Events(tile_cycles=sum(cycles.values()) * tiles, flit_hops=option.moved.flit_hops)
        return LayerCost(
            name=shape.name,
            op=shape.op,
            macs=shape.macs * self.batch,
            activation_bits=shape.activation_bits[0],
            weight_bits=shape.weight_bits,
            mode=option.mode,
            cycles=cycles,
            utilisation=option.utilisation,
            tiles=option.tiles,
            mapping=option.mapping,
            events=events,
        )

    def _cut(self, size: tuple[int, int, int], bits: int) -> MapCut:
        return cut_map(size, bits, self.config.outputs, self.batch)

    def _options(self, shape: LayerShape) -> Iterator[_Option]:
        if isinstance(shape, ConvShape):
            yield from self._dots(self._convolution(shape))
        elif isinstance(shape, AveragePoolShape):
            yield from self._dots(self._average(shape))
        elif isinstance(shape, MaxPoolShape):
            yield from self._pools(shape)
        elif isinstance(shape, ElementwiseShape):
            yield self._elementwise(shape)
        elif isinstance(shape, ReorderShape):
            yield self._reorder(shape)
        else:
            raise TypeError(f"layer {shape.name!r} must have a shape of sim.mapping.shapes, not {type(shape).__name__}")

    # --- windows ----------------------------------------------------------------------------------------------------

    def _windows(
        self,
        shape: LayerShape,
        kernel: tuple[int, int],
        stride: tuple[int, int],
        padding: tuple[int, int],
        operand: int = 0,
    ) -> WindowCut:
        source = self._cut(shape.input_size, shape.activation_bits[operand])
        return WindowCut(source, self._cut(shape.output_size, shape.output_bits), kernel, stride, padding)

    def _convolution(self, shape: ConvShape) -> _DotLayer:
        if any(step > 1 and size > 1 for step, size in zip(shape.dilation, shape.kernel, strict=True)):
            raise MappingError(f"layer {shape.name!r} must have a dilation of 1 on a fabric, not {shape.dilation}")
        area = shape.kernel[0] * shape.kernel[1]
        reduction, group = area * shape.input_size[2], shape.output_size[2]
        if shape.depthwise:
            channels = min(shape.input_size[2], max(1, self.config.cap.taps // area))
            reduction, group = area * channels, channels * shape.depth_multiplier
        windows = self._windows(shape, shape.kernel, shape.stride, shape.padding)
        bits = shape.activation_bits[0]
        return _DotLayer(shape, windows, bits, shape.kernel_bits, True, reduction, group, shape.requantize)

    def _average(self, shape: AveragePoolShape) -> _DotLayer:
        if len(shape.divisors) > 1:
            raise MappingError(
                f"layer {shape.name!r} must have one divisor on a fabric, not {len(shape.divisors)}: windows that lap "
                "over the edge are not supported"
            )
        area = shape.window[0] * shape.window[1]
        channels = min(shape.input_size[2], max(1, self.config.cap.taps // area))
        windows = self._windows(shape, shape.window, shape.stride, shape.padding)
        bits = shape.activation_bits[0]
        return _DotLayer(shape, windows, bits, 1, False, area * channels, channels, shape.requantize)

    def _divisions(
        self, output: str, cut: MapCut, unit: int, busy: int | None = None
    ) -> list[tuple[Placement, int, int]]:
        """Placements of an output, with the most sets and the most units of channels of a cluster.

        Parameters
        ----------
        unit : channels that are not parted.
        busy : CAPs of a cluster that work on a unit; if None one on each.
        """
        if output in self._placements:
            chosen = self._placements[output]
            units = max(_touched(run, unit) for run in chosen.channel_runs(cut))
            return [(chosen, -(-cut.sets // chosen.sets), units)]
        clusters, units = self.mesh.clusters, -(-cut.channels // unit)
        found: dict[Placement, tuple[Placement, int, int]] = {}
        runs = 1
        while runs <= min(units, clusters):
            most_units = -(-units // runs)
            most_sets = -(-cut.sets // min(cut.sets, clusters // runs))
            maps = -(-(busy or self._busy(most_units)) // self.config.caps_per_map)
            placement = Placement(-(-cut.sets // most_sets), -(-units // most_units), maps, unit)
            found[placement] = (placement, most_sets, most_units)
            runs *= 2
        return list(found.values())

    def _busy(self, channels: int) -> int:
        """CAPs of a cluster that work on so many channels."""
        return min(self.config.caps, channels)

    def _dots(self, layer: _DotLayer) -> Iterator[_Option]:
        shape, cut = layer.shape, layer.windows.target
        refusals: list[MappingError] = []
        modes = ("count", "lut") if self.mode == "auto" else (self.mode,)
        for mode in modes:
            try:
                sums = self._sums(layer, mode)
                group = layer.group if layer.group < cut.channels else 0  # channels that share windows, if not all do
                fixed = self._busy(group) if group else None
                best: tuple[int, Placement, Exchange, int, int] | None = None
                for placement, sets, most in self._divisions(shape.output, cut, group or 1, fixed):
                    blocks = sets * self._rounds(most, group)
                    work, shared = blocks * sums.estimate, group == 0
                    least = least_words(layer.windows, placement) if shared else 0
                    if best is not None and work + least >= best[0]:
                        continue
                    moved = self._moved(shape, layer.windows, placement, local=not shared)
                    if best is None or work + moved.cycles < best[0]:
                        best = (work + moved.cycles, placement, moved, blocks, fixed or self._busy(most))
                assert best is not None
                _, placement, moved, blocks, busy = best
                yield self._dot_option(layer, sums, placement, moved, blocks, busy, group, mode)
            except MappingError as error:
                refusals.append(error)
        if len(refusals) == len(modes):
            raise refusals[0]

    def _rounds(self, units: int, group: int) -> int:
        """Blocks of a set that a CAP makes, of so many channels, or with a ``group`` of so many groups of channels."""
        return units * -(-group // self.config.caps) if group else -(-units // self.config.caps)

    def _sums(self, layer: _DotLayer, mode: str) -> Sums:
        """How dot products are formed: with fewer sums of digits where MAPs have no columns for the first choice."""
        refusal: MappingError | None = None
        most_sums: int | None = None
        while most_sums != 0:
            try:
                sums = plan_sums(
                    layer.shape.name,
                    layer.activation_bits,
                    layer.weight_bits,
                    layer.reduction,
                    layer.requantize.accumulator_bits,
                    self.config.cap,
                    mode,
                    weight_signed=layer.weight_signed,
                    most_sums=most_sums,
                )
            except MappingError as error:
                raise refusal or error from None
            try:
                sum_layout(layer.shape.name, layer.requantize, sums, self.config.map)
            except MappingError as error:
                refusal, most_sums = refusal or error, len(sums.split.sums) - 1
            else:
                return sums
        assert refusal is not None
        raise refusal

    def _dot_option(
        self,
        layer: _DotLayer,
        sums: Sums,
        placement: Placement,
        moved: Exchange,
        blocks: int,
        busy: int,
        group: int,
        mode: str,
    ) -> _Option:
        """``blocks``: of the CAP that has the most; ``busy``: CAPs of a cluster that work."""
        config, windows = self.config, layer.windows
        cut, plane = windows.target, windows.plane_cycles
        maps = -(-busy // config.caps_per_map)
        caps = -(-busy // maps)
        most = config.map.taps // caps
        if not most:
            raise MappingError(
                f"layer {layer.shape.name!r} needs a MAP with a row block for each of its {caps} CAPs, config "
                f"{config.name} has {config.map.taps}"
            )
        phases = [
            dot_phase(sums, layer.requantize, config.map, len(part), caps, plane, config.gather_queue)
            for part in equal_parts(blocks, -(-blocks // most))
        ]
        cycles = add_parts({"movement": moved.cycles}, *(phase.cycles for phase in phases))
        rest, load = sum_events(layer.requantize, sums, config.map)
        events = (block_events(sums) + load) * cut.blocks
        gathered = halts = batches = 0
        for run in placement.channel_runs(cut):
            rounds = self._rounds(_touched(run, group or 1), group)
            gathered += cut.sets * rounds
            for sets in placement.set_parts(cut):
                count = -(-len(sets) * rounds // most)
                halts += count * min(busy, len(run))
                batches += count * min(maps, len(run))
        planes = gathered * sums.window_planes
        events += rest * batches + Events(memory_bits=planes * config.cap.rows, instructions=halts)
        utilisation = None
        if layer.shape.macs:
            slots = config.cap.rows * config.caps * self.mesh.clusters * blocks * sums.tiles
            utilisation = layer.shape.macs * self.batch / slots
        split = "" if sums.split.whole else f"; {sums.split}"
        mapping = (
            f"{_grid(placement)}, {_some(busy, 'CAP')} in each, {_some(blocks, 'block')} of "
            f"{_some(sums.tiles, 'tap tile')} for each CAP{split}"
        )
        flits = math.ceil(cut.channels * sums.weight_planes * config.flits_per_taps_plane)
        tiles = placement.clusters * (busy + maps)
        return _Option(placement, mode, cycles, moved, events, utilisation, tiles, mapping, flits)

    def _moved(
        self, shape: LayerShape, windows: WindowCut, target: Placement, operand: int = 0, *, local: bool
    ) -> Exchange:
        """What brings an operand of a layer to the clusters that need it; ``local`` as in :func:`exchange`."""
        source = self._placements.get(shape.inputs[operand])
        flits = self.config.flits_per_word
        if source is None:  # the host has it
            return receive(windows, target, self.mesh, flits, -(-COMMAND_BITS // self.config.flit_bits))
        return exchange(windows, source, target, self.mesh, flits, local=local)

    # --- MAPs alone -------------------------------------------------------------------------------------------------

    def _pools(self, shape: MaxPoolShape) -> Iterator[_Option]:
        config = self.config
        windows = self._windows(shape, shape.window, shape.stride, shape.padding)
        cut = windows.target
        taps = config.map.taps
        for placement, sets, units in self._divisions(shape.output, cut, taps, 1):
            phase = pool_phase(shape, config.map, sets * units, windows.plane_cycles, config.gather_queue)
            moved = self._moved(shape, windows, placement, local=True)
            cycles = add_parts({"movement": moved.cycles}, phase.cycles)
            planes = shape.window[0] * shape.window[1] * shape.activation_bits[0]
            batches = cut.sets * sum(_touched(run, taps) for run in placement.channel_runs(cut))
            one = pool_phase(shape, config.map, 1, windows.plane_cycles, config.gather_queue).map
            events = (one + Events(memory_bits=planes * config.map.rows)) * batches
            mapping = (
                f"{_grid(placement)}, {_some(sets * units, 'batch')} of {shape.window[0]} x {shape.window[1]} window "
                "positions in one MAP of each"
            )
            yield _Option(placement, None, cycles, moved, events, None, placement.clusters, mapping, 0)

    def _elementwise(self, shape: ElementwiseShape) -> _Option:
        config = self.config
        cut = self._cut(shape.output_size, shape.output_bits)
        placements = [self._placements.get(name) for name in shape.inputs]
        placement = next((one for one in placements if one is not None), Placement(1, 1, 1))
        moved, cycles, events = Exchange(0, 0, 0), Parts(), Events()
        parts, runs = placement.set_parts(cut), placement.channel_runs(cut)
        for operand, other in enumerate(placements):
            if other != placement:
                # It comes through the gather units, as windows of one element.
                windows = self._windows(shape, (1, 1), (1, 1), (0, 0), operand)
                moved += self._moved(shape, windows, placement, operand, local=True)
                bits = shape.activation_bits[operand]
                count = max(map(len, parts)) * max(-(-len(run) // config.map.taps) for run in runs)
                phase = load_phase(bits, config.map, count, windows.plane_cycles, config.gather_queue)
                cycles = add_parts(cycles, phase.cycles)
                loads = cut.sets * sum(-(-len(run) // config.map.taps) for run in runs)
                one = load_phase(bits, config.map, 1, windows.plane_cycles, config.gather_queue).map
                events += (one + Events(memory_bits=bits * config.map.rows)) * loads
        part = "residual" if len(shape.inputs) > 1 else "requantise"
        batches = [
            -(-len(sets) * len(channels) // config.map.taps)
            for sets in parts
            for run in runs
            for channels in equal_parts(len(run), placement.maps)
        ]
        cycles = add_parts(cycles, element_phase(shape, config.map, max(batches), part).cycles)
        cycles = add_parts({"movement": moved.cycles}, cycles)
        for count, maps in Counter(batches).items():
            events += element_phase(shape, config.map, count, part).map * maps if count else Events()
        tiles = sum(map(bool, batches))
        where = f"{_some(placement.clusters, 'cluster')}, {_some(tiles, 'MAP')}, {_some(max(batches), 'batch')}"
        mapping = f"where the operands lie: {where}"
        return _Option(placement, None, cycles, moved, events, None, tiles, mapping, 0)

    def _reorder(self, shape: ReorderShape) -> _Option:
        windows = self._windows(shape, (1, 1), (1, 1), (0, 0))
        placement = self._placements.get(shape.inputs[0]) or Placement(1, 1, 1)
        same = shape.input_size == shape.output_size and len(shape.inputs) == 1
        everything = WindowCut(windows.source, windows.source, (1, 1), (1, 1), (0, 0))
        moved = Exchange(0, 0, 0) if same else self._moved(shape, everything, placement, local=False)
        mapping = "nothing moves" if same else "the whole map is sent once"
        return _Option(placement, None, {"movement": moved.cycles}, moved, Events(), None, 0, mapping, 0)
