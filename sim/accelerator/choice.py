"""How maps are shared out: the split that takes the fewest cycles by an estimate from shapes alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hw.accelerator.config import AcceleratorConfig
from sim.accelerator.dot_layers import DotLayer
from sim.accelerator.dots import cap_program
from sim.accelerator.layout import MapGeometry
from sim.accelerator.placement import Placement, Split, make_placement
from sim.accelerator.pool_layers import PoolLayer
from sim.mapping.errors import MappingError

__all__ = ["choose_placement", "estimate"]

_SUM_CYCLES = 300  # of the requantisation of a batch, besides its multiplication
_ELEMENTWISE_CYCLES = 1500  # of an element-wise layer for each batch
_MAXIMUM_CYCLES = 6  # of the larger of two numbers, for each bit
_HALO = 1.5  # what it takes to send sets to some clusters, by what it takes to send them to all


def choose_placement(
    geometry: MapGeometry, layers: Sequence[DotLayer | PoolLayer], elementwise: int, config: AcceleratorConfig
) -> Placement:
    """The placement of maps that must lie alike, made by ``layers`` and ``elementwise`` element-wise layers.

    Raises
    ------
    MappingError
        If a round of a layer needs more program memory than there is, or its channels more row blocks, or if layers
        among max pools cannot lie as these do.
    """
    dots = [layer for layer in layers if isinstance(layer, DotLayer)]
    whole = len(dots) < len(layers)
    if whole:
        granule, items = config.taps, _whole_items(layers, dots, config)
    else:
        granule = _granule(dots, config)
        items = min(_items(layer, granule, config) for layer in dots)
    splits = _splits(geometry, granule, items, config, whole=whole)
    placements = [make_placement(geometry, split, config) for split in splits]
    return min(
        placements,
        key=lambda placement: sum(estimate(layer, placement, elementwise) for layer in layers),
    )


def estimate(layer: DotLayer | PoolLayer, placement: Placement, elementwise: int = 0) -> int:
    """About the cycles of a layer with its exchange: what CAPs, gather units and MAPs need, whichever is most."""
    if isinstance(layer, PoolLayer):
        return _pool(layer, placement, elementwise) + _exchange(layer, placement)
    config, dots, shape = placement.config, layer.dots, layer.requantize
    sets = max(len(own) for own in placement.sets)
    windows = sets * placement.rounds * dots.tiles * dots.window_bits * config.beats * dots.out_rows
    array = sets * sum(placement.items) * dots.tiles * dots.cycles
    multiply = (4 if shape.uniform else 8) * shape.operand_bits * shape.factor_bits
    batch = multiply + _SUM_CYCLES + elementwise * _ELEMENTWISE_CYCLES
    together, parts = placement.batches_of_sets
    blocks = min(sets, together) * max(sum(map(placement.width, part)) for part in parts)
    batch += blocks * (shape.accumulator_bits + 1)
    return max(windows, array, placement.fields * batch) + batch + _exchange(layer, placement)


def _pool(layer: PoolLayer, placement: Placement, elementwise: int) -> int:
    """What the gather unit or the MAP needs for a max pool."""
    config, bits = placement.config, layer.source.bits
    position = max(bits * config.beats * layer.target.set_rows, _MAXIMUM_CYCLES * bits)
    return placement.fields * (layer.positions * position + elementwise * _ELEMENTWISE_CYCLES)


def _exchange(layer: DotLayer | PoolLayer, placement: Placement) -> int:
    """What it takes to bring the input."""
    config, source = placement.config, layer.source
    needed = [len(layer.input_sets(own)) for own in placement.sets if own]
    words = max(needed) * source.channels * source.bits * config.flits_per_word
    return words if min(needed) == source.sets else int(words * _HALO)


def _granule(layers: Sequence[DotLayer], config: AcceleratorConfig) -> int:
    """Channels that stay together in all layers."""
    granules = {layer.granule for layer in layers} - {0} or {0}
    if len(granules) > 1:
        raise MappingError(
            f"layers {', '.join(repr(layer.name) for layer in layers)} must have the same depth multiplier, as their "
            "outputs are added"
        )
    granule = granules.pop()
    if granule > config.taps * config.maps:
        raise MappingError(
            f"layer {layers[0].name!r} needs taps of at least {-(-granule // config.maps)} for the channels of "
            f"{config.lanes} lanes, config {config.map.name} has {config.taps}"
        )
    return granule


def _whole_items(layers: Sequence[DotLayer | PoolLayer], dots: Sequence[DotLayer], config: AcceleratorConfig) -> int:
    """Channels of a round in each CAP of the first MAP where outputs lie as those of max pools."""
    caps = config.caps // config.maps
    if any(layer.granule for layer in dots) or (dots and config.taps % caps):
        raise MappingError(
            f"layers {', '.join(repr(layer.name) for layer in layers)} must be max pools and convolutions that are not "
            f"depthwise, by CAPs of a MAP in a number that divides taps, as their outputs are added; config "
            f"{config.name} has {caps} CAPs for {config.taps} taps"
        )
    for layer in dots:
        _items(layer, config.taps * config.maps, config)
    return config.taps // caps


def _items(layer: DotLayer, granule: int, config: AcceleratorConfig) -> int:
    """The most channels of a round in a CAP whose program fits half of the memory, or at least all of it."""
    caps = config.caps // config.maps
    if caps > config.taps:
        raise MappingError(
            f"layer {layer.name!r} needs taps of at least the {caps} CAPs of a MAP, config {config.name} has "
            f"{config.taps}"
        )
    parts = -(-granule // config.maps)
    most = -(-parts // caps) if granule else config.taps // caps
    size = 0
    for limit in (config.program_words // 2, config.program_words):
        for items in (most,) if granule else range(most, 0, -1):
            size = len(cap_program(config, layer.dots, ((items,),), None)[0]) + 1
            if size <= limit and items * layer.dots.tiles * layer.dots.weight_bits <= _planes(config):
                return items
    raise MappingError(
        f"layer {layer.name!r} needs program_words of at least {size} and taps_words for "
        f"{layer.dots.tiles * layer.dots.weight_bits} planes, config {config.name} has {config.program_words} and "
        f"{config.taps_words}, which hold {_planes(config)}"
    )


def _planes(config: AcceleratorConfig) -> int:
    """Planes that a taps memory holds."""
    return config.taps_words * config.planes_per_flit


def _splits(
    geometry: MapGeometry, granule: int, items: int, config: AcceleratorConfig, *, whole: bool
) -> Iterator[Split]:
    for pixel_groups in range(1, min(config.clusters, geometry.sets) + 1):
        for channel_groups in range(1, config.clusters // pixel_groups + 1):
            if channel_groups <= -(-geometry.channels // max(1, granule)):
                yield Split(pixel_groups, channel_groups, granule, items, whole)
