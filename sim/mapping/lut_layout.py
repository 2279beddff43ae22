"""How the work of a convolution is shared out over passes and jobs in mode ``lut``; the cheapest way is chosen."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from golden.laws import body_cycles, run_law
from hw.config import TileConfig
from hw.counter_map import total_cycles
from hw.isa import Instruction, Opcode, reduce_levels
from sim.mapping.builder import Builder, equal_parts
from sim.mapping.errors import MappingError
from sim.mapping.lut_tiling import Pass, Tiling
from sim.mapping.requantize import Immediates, check_operand, check_totals, emit_requantize, layout, minimum_columns
from sim.mapping.shapes import ConvShape

__all__ = ["LutLayout", "arrangements", "candidates", "tilings"]


@dataclass(frozen=True)
class LutLayout:
    """How the units of a layer are shared out over passes and jobs.

    Parameters
    ----------
    tiling : of the windows.
    at_once : residents and items of a pass, which meet each other; None: units in order, as many as there are segments.
    passes : of a job, whose sums are requantised together.
    """

    tiling: Tiling
    at_once: tuple[int, int] | None
    passes: int

    @property
    def units_per_pass(self) -> int:
        """Units of a full pass."""
        return self.tiling.segments if self.at_once is None else self.at_once[0] * self.at_once[1]

    @property
    def units_per_job(self) -> int:
        """Units of a full job."""
        return min(self.tiling.config.taps, self.passes * self.units_per_pass)

    def jobs(self) -> Iterator[list[Pass]]:
        """The passes of each job."""
        tiling = self.tiling
        if self.at_once is None:
            units = itertools.product(range(tiling.residents), range(tiling.items))
            while job := tuple(itertools.islice(units, self.units_per_job)):
                yield [job[first : first + self.units_per_pass] for first in range(0, len(job), self.units_per_pass)]
            return
        residents, items = (
            equal_parts(count, -(-count // most))
            for count, most in zip((tiling.residents, tiling.items), self.at_once, strict=True)
        )
        passes = (tuple(itertools.product(run, part)) for run in residents for part in items)
        while some := list(itertools.islice(passes, self.passes)):
            yield some

    @property
    def counts(self) -> tuple[int, int, int]:
        """Jobs, passes, and loads of resident tap tiles."""
        tiling = self.tiling
        if self.at_once is None:
            jobs, rest = divmod(tiling.residents * tiling.items, self.units_per_job)
            passes = jobs * -(-self.units_per_job // self.units_per_pass) + -(-rest // self.units_per_pass)
            return jobs + (rest > 0), passes, passes * tiling.tiles
        residents, items = (
            -(-count // most) for count, most in zip((tiling.residents, tiling.items), self.at_once, strict=True)
        )
        passes = residents * items
        jobs = -(-passes // self.passes)
        # A job and a run of passes with the same residents begin together at common multiples of their lengths.
        starts = sum(1 for job in range(jobs) if job * self.passes % items) + residents
        return jobs, passes, starts * tiling.tiles + (passes - starts) * max(0, tiling.tiles - tiling.slots)

    def cycles(self, job_cycles: int) -> int:
        """About how many cycles the layer takes, when each job takes ``job_cycles`` once its sums are formed."""
        tiling = self.tiling
        jobs, passes, loads = self.counts
        units = tiling.residents * tiling.items
        formed = passes * tiling.pass_cycles + loads * tiling.resident_cycles + units * tiling.move_cycles
        return formed + jobs * job_cycles


def candidates(shape: ConvShape, config: TileConfig) -> list[LutLayout]:
    """All useful layouts, those first that take the fewest cycles by an estimate, from shapes only; at least one.

    Raises
    ------
    MappingError
        If the layer does not fit the tile.
    """
    cuts = tilings(shape, config)
    _check(shape, config, cuts)
    job_cycles = {on_pixels: _job_cycles(shape, config, spread=on_pixels) for on_pixels in (True, False)}
    layouts = [layout for tiling in cuts if tiling.needed_columns <= config.columns for layout in arrangements(tiling)]
    return sorted(layouts, key=lambda layout: layout.cycles(job_cycles[layout.tiling.on_pixels]))


def tilings(shape: ConvShape, config: TileConfig) -> list[Tiling]:
    """Useful ways to cut the windows of a layer, whether they fit the tile's columns or not."""
    return [
        Tiling(shape, config, on_pixels, words)
        for on_pixels in ((True,) if shape.depthwise else (True, False))
        for words in _words(shape.reduction, config.taps)
    ]


def _words(reduction: int, taps: int) -> list[int]:
    """Useful numbers of taps of a tap tile: they fill segments, or leave room for a last one that is cut short."""
    found: set[int] = set()
    most_levels = reduce_levels(min(reduction, taps))
    for levels in range(min(1, most_levels), most_levels + 1):
        stride = 1 << levels
        for most in (min(stride, taps), taps % stride):
            if most > stride // 2:
                found.add(-(-reduction // -(-reduction // most)))  # no more than all tap tiles need
    return sorted(found, reverse=True)


def arrangements(tiling: Tiling) -> Iterator[LutLayout]:
    """Ways to share units out; those whose passes share residents come first."""
    taps, segments = tiling.config.taps, tiling.segments
    seen: set[tuple[int, int]] = set()
    for most in range(1, min(segments, tiling.residents) + 1):
        residents = -(-tiling.residents // -(-tiling.residents // most))
        room = min(tiling.items, segments // residents)
        at_once = residents, -(-tiling.items // -(-tiling.items // room))
        if at_once not in seen:
            seen.add(at_once)
            yield LutLayout(tiling, at_once, taps // (at_once[0] * at_once[1]))
    for passes in {taps // segments, -(-taps // segments)}:
        yield LutLayout(tiling, None, passes)


def _job_cycles(shape: ConvShape, config: TileConfig, *, spread: bool) -> int:
    """About how many cycles a full job takes once its sums are formed: bias, requantisation and results."""
    builder, bits = Builder(config), shape.requantize.accumulator_bits
    place = layout(shape.requantize, config, shape.name)
    value = emit_requantize(builder, shape.requantize, place, config.taps, spread=spread, constants=Immediates())
    builder.store_rows(value, shape.requantize.bits, config.taps)
    bias = 3 + bits * config.beats(config.taps if spread else config.rows)
    bias += body_cycles(Instruction(Opcode.ADD, a_width=bits, b_width=bits, d_width=1), config)
    return bias + total_cycles(run_law(builder.finish(None).program, config))


def _check(shape: ConvShape, config: TileConfig, cuts: list[Tiling]) -> None:
    requantize = shape.requantize
    check_operand(requantize, shape.name)
    check_totals(requantize.accumulator_bits, config, shape.name)
    needed = max(minimum_columns(requantize), min(tiling.needed_columns for tiling in cuts))
    if needed > config.columns:
        raise MappingError(
            f"layer {shape.name!r} needs columns of at least {needed} in mode lut, config {config.name} has "
            f"{config.columns}"
        )
