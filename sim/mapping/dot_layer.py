"""Layers that are dot products followed by a requantisation: one job for each batch of blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from golden.graph import Integers, Rescale
from hw.config import TileConfig
from sim.mapping.bits import Alphabet, Symbols, to_bits
from sim.mapping.builder import Builder, JobPlan, Routine
from sim.mapping.dot import DotShape, Segment, batches, emit_batch
from sim.mapping.errors import MappingError
from sim.mapping.requantize import (
    MAXIMUM_PART,
    ConstantLoad,
    Immediates,
    Layout,
    check_operand,
    check_totals,
    emit_requantize,
    immediates,
    layout,
    minimum_columns,
)
from sim.mapping.shapes import RequantizeShape

__all__ = ["Blocks", "check_columns", "constant_planes", "dot_jobs"]

Blocks = tuple[tuple[int, int], ...]
"""The work of a job: (resident set, broadcast item) of every row block."""


def check_columns(shape: RequantizeShape, dots: Sequence[DotShape], config: TileConfig, name: str) -> list[DotShape]:
    """Those ways of forming the dot products that fit a tile.

    Raises
    ------
    MappingError
        If there are none, or sums or constants are too wide for the tile; the text says what would do.
    """
    check_operand(shape, name)
    check_totals(shape.accumulator_bits, config, name)
    fill = min(dot.resident_bits + dot.broadcast_bits for dot in dots) + config.count_bits + 1
    if fill > config.fill_bits:
        raise MappingError(
            f"layer {name!r} needs fill_bits of at least {fill}, config {config.name} has {config.fill_bits}"
        )
    needed = max(minimum_columns(shape), min(dot.minimum_columns for dot in dots))
    if needed > config.columns:
        raise MappingError(
            f"layer {name!r} needs columns of at least {needed}, config {config.name} has {config.columns}"
        )
    return [
        dot
        for dot in dots
        if dot.minimum_columns <= config.columns
        and max(dot.resident_bits, dot.broadcast_bits) <= MAXIMUM_PART
        and dot.resident_bits + dot.broadcast_bits + config.count_bits + 1 <= config.fill_bits
    ]


def estimate(
    shape: RequantizeShape, dot: DotShape, residents: int, blocks: int, *, spread: bool, config: TileConfig
) -> int:
    """About how many cycles a layer takes: what array and port need, whichever is more, and the requantisations.

    ``residents`` resident sets make ``blocks`` blocks in all; ``spread`` as in :func:`dot_jobs`.
    """
    uses = blocks * dot.tiles
    whole, single = config.beats(config.rows), config.beats(config.outputs)
    array = uses * (dot.resident_bits * dot.broadcast_bits + 3) + 2 * blocks
    array += blocks * (dot.accumulator_bits + 1) if dot.bias_planes else 0
    tile = [min(whole, used * single) * dot.resident_bits for used in dot.used_taps]
    port = residents * sum(tile) + uses * dot.broadcast_bits * config.beats(config.taps) + blocks * dot.accumulator_bits
    multiply = (4 if shape.uniform else 8) * shape.operand_bits * shape.factor_bits
    count = -(-blocks // config.taps)
    rows = min(blocks, config.taps)
    step = config.beats(config.taps) if spread else min(whole, rows * single)
    constants = 0 if shape.uniform else 2 * shape.operand_bits * step
    return max(array, port) + count * (tile[0] + multiply + constants + min(whole, rows * single) * shape.bits)


def dot_jobs(
    shape: RequantizeShape,
    dot: DotShape,
    segments: Sequence[Segment],
    config: TileConfig,
    name: str,
    *,
    spread: bool,
    bias: Callable[[int, int], int] | None,
    rescale: Rescale | None,
) -> tuple[JobPlan, ...]:
    """The jobs of a layer; ``work`` of each are its :data:`Blocks`.

    ``spread``: constants are one number per row block, else one per row.  ``bias`` and ``rescale`` give immediate
    constants (0 without them).
    """
    place = layout(shape, config, name)
    constants = immediates(shape, rescale)
    jobs: list[JobPlan] = []
    for batch in batches(segments, config.taps):
        blocks: Blocks = tuple((segment.resident, item) for segment in batch for item in segment.items)
        counts = tuple(len(segment.items) for segment in batch)
        routine = _routine(shape, dot, counts, config, place, constants, spread=spread)
        starts = () if bias is None or dot.bias_planes else tuple(bias(resident, item) for resident, item in blocks)
        jobs.append(JobPlan(routine, blocks, starts))
    return tuple(jobs)


@lru_cache(maxsize=128)
def _routine(
    shape: RequantizeShape,
    dot: DotShape,
    counts: tuple[int, ...],
    config: TileConfig,
    place: Layout,
    constants: Immediates,
    *,
    spread: bool,
) -> Routine:
    """The routine of a batch: the same for all batches with as many blocks in their segments, in any layer."""
    builder = Builder(config)
    emit_batch(builder, dot, counts)
    result = emit_requantize(builder, shape, place, sum(counts), spread=spread, constants=constants)
    builder.store_rows(result, shape.bits, sum(counts))
    return builder.routine()


def constant_planes(
    source: ConstantLoad, rescale: Rescale, entries: Integers, bits: int, config: TileConfig, alphabet: Alphabet
) -> Symbols:
    """Planes of requantisation constants; ``entries`` names the entry of each row block, or of each row (-1: none)."""
    size = config.taps if source.spread else config.rows
    planes = np.zeros((len(source.names), bits, size), np.uint8)
    known = entries >= 0
    for plane, constant in zip(planes, source.names, strict=True):
        numbers = getattr(rescale, constant)[entries[known]]
        plane[:, : len(entries)][:, known] = to_bits(numbers, bits).T
    planes = planes.reshape(-1, size)
    if source.block is not None:
        planes = planes[:, source.block * config.outputs : (source.block + 1) * config.outputs]
    return alphabet.encode(planes)
