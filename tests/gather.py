"""What the tests of the gather unit share: random jobs, and the judgement of what a unit did in each cycle."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

import numpy as np

from golden.accelerator.gather_law import GatherClock
from golden.accelerator.windows import GatherJob, beats, check
from golden.engine import Bits
from hw.accelerator.config import ACCELERATORS, AcceleratorConfig
from hw.accelerator.gather import GatherUnit
from hw.accelerator.protocol import GatherRegister
from hw.hierarchy import design_text

TINY = ACCELERATORS["meshtiny"]
"""Two lanes of 32 outputs, two beats a plane, a queue of two beats."""


def shaped(name: str, *, taps: int, outputs: int, lanes: int, **changes: Any) -> AcceleratorConfig:
    """The tiny accelerator with tiles of another shape."""
    tiles = {
        kind: getattr(TINY, kind).replace(taps=taps, outputs=outputs, plane_bits=lanes * outputs)
        for kind in ("cap", "map")
    }
    return TINY.replace(name=name, **(tiles | changes))


WIDE = shaped("wide", taps=16, outputs=64, lanes=4, flit_bits=64, gather_words=96, gather_queue=8)
"""Four lanes of 64 outputs, as the named meshes have them."""

SHAPES = {
    "tiny": TINY,
    "two-flits": shaped("two-flits", taps=4, outputs=64, lanes=2, gather_queue=3),
    "three-flits": shaped("three-flits", taps=8, outputs=96, lanes=1, gather_words=48, gather_queue=4),
    "four-lanes": shaped("four-lanes", taps=4, outputs=32, lanes=4, gather_words=40, caps=3, maps=3),
}
"""Words of one, two and three flits; one, two and four lanes; one, two and eight beats a plane; queues of 2 to 4."""


WRONG: list[tuple[dict[str, int], GatherRegister]] = [
    *(({name: value}, GatherRegister[name.upper()]) for name, values in {
        "base": (53, 64, 1 << 16, (1 << 32) - 1), "width": (0, 33, 1 << 31), "height": (0, 1 << 16, 1 << 31),
        "rows_log2": (3, 6, 32, 1 << 31), "planes": (0, 33, 1 << 31), "channel_groups": (0, 65, 1 << 31),
        "kernel_height": (0, 16, 1 << 31), "kernel_width": (0, 16, 1 << 31), "stride_y": (0, 5, 1 << 31),
        "stride_x": (0, 5, 1 << 31), "pad_top": (16, 1 << 31), "pad_left": (16, 1 << 31), "out_width": (0, 33, 1 << 31),
        "out_rows": (0, 7, 33, 1 << 31), "first_row": (1 << 16, 1 << 31), "sets": (0, 21846, 1 << 16, 1 << 31),
        "rounds": (0, 1 << 16, 1 << 31), "first_group": (64, 1 << 31), "group_step": (64, 1 << 31),
        "groups": (0, 4, 65, 1 << 31), "tiles": (0, 1 << 16, 1 << 31), "receivers": (0, 8, 1 << 31),
    }.items() for value in values),
    ({"height": 65535}, GatherRegister.BASE),
    ({"base": 5, "height": 40}, GatherRegister.BASE),
    ({"width": 32}, GatherRegister.ROWS_LOG2),
    ({"width": 9}, GatherRegister.ROWS_LOG2),
    ({"out_width": 11}, GatherRegister.OUT_ROWS),
    ({"first_row": 65531}, GatherRegister.SETS),
    ({"first_group": 1}, GatherRegister.GROUPS),
    ({"channel_groups": 2}, GatherRegister.GROUPS),
    ({"rounds": 2, "group_step": 1}, GatherRegister.GROUPS),
    ({"rounds": 65535, "group_step": 63}, GatherRegister.GROUPS),
    ({"width": 0, "height": 0}, GatherRegister.WIDTH),
    ({"base": 53, "groups": 0}, GatherRegister.GROUPS),
    ({"sets": 0, "receivers": 0}, GatherRegister.SETS),
    ({"width": 9, "groups": 4}, GatherRegister.ROWS_LOG2),
]  # fmt: skip
"""Changes of the small job on the tiny accelerator, and the register that is wrong then."""

LARGEST: list[dict[str, int]] = [
    {"base": 52},
    {"base": 4, "height": 40},
    {"width": 1, "rows_log2": 5},
    {"width": 32, "rows_log2": 0, "height": 3},
    {"planes": 32, "channel_groups": 1, "groups": 1, "height": 4, "tiles": 1, "sets": 1},
    {"base": 0, "channel_groups": 64, "groups": 64, "planes": 1, "height": 4, "tiles": 10},
    {"kernel_height": 15, "kernel_width": 15, "stride_y": 4, "stride_x": 4, "pad_top": 15, "pad_left": 15, "tiles": 40},
    {"out_width": 32, "out_rows": 1},
    {"out_width": 1, "out_rows": 32, "tiles": 2},
    {"first_row": 65530},
    {"sets": 21845},
    {"sets": 65535, "out_rows": 1},
    {"rounds": 65535},
    {"rounds": 2, "group_step": 63, "groups": 1, "channel_groups": 64, "planes": 1, "height": 4, "base": 0, "tiles": 2},
    {"group_step": 63},
    {"tiles": 65535},
    {"receivers": 7},
    {"pad_value": (1 << 32) - 1},
]
"""Changes of the small job on the tiny accelerator up to the ends of ranges."""


def unit_verilog(config: AcceleratorConfig) -> str:
    """Verilog of a gather unit, its top module ``gather``."""
    return design_text(GatherUnit(config), "gather")


def number(bits: Bits) -> int:
    """Bits as one number, the first one lowest."""
    return int.from_bytes(np.packbits(bits, bitorder="little").tobytes(), "little")


SMALL_JOB = GatherJob(
    base=3, width=5, height=6, rows_log2=2, planes=2, channel_groups=3, kernel_height=3, kernel_width=2, stride_y=1,
    stride_x=1, pad_top=1, pad_left=1, pad_value=2, out_width=5, out_rows=3, first_row=0, sets=2, rounds=1,
    first_group=0, group_step=0, groups=3, tiles=9, receivers=1,
)  # fmt: skip
"""Windows of 3 x 2 of a map of 6 x 5 pixels and six channels of two bits, in sets of four rows, padded by 2."""


def random_memory(rng: np.random.Generator, config: AcceleratorConfig) -> Bits:
    """A gather memory full of random bits, also where no map lies."""
    return rng.integers(0, 2, (config.gather_words, config.lanes, config.outputs), np.uint8)


def memory_flits(memory: Bits, config: AcceleratorConfig) -> Iterator[tuple[int, int]]:
    """Addresses and payloads of the flits that fill a gather memory."""
    for index, word in enumerate(np.reshape(memory, (-1, config.outputs))):
        for part in range(config.flits_per_word):
            first = part * config.flit_bits
            yield index * config.flits_per_word + part, number(word[first : first + config.flit_bits])


def random_job(random: Random, config: AcceleratorConfig, rows: int = 600) -> GatherJob:
    """A job that is in its ranges and forms at most so many output rows."""
    while True:
        size = config.outputs
        width = random.choice([1, 2, 3, 5, 7, 8, size // 2, size - 1, size, random.randint(1, size)])
        out_width = random.choice([1, 2, 3, 5, 7, 8, size, random.randint(1, size)])
        rounds = random.choice([1, 1, 2, 3])
        groups = random.randint(1, 4)
        step = random.choice([0, 1, groups])
        first = random.randint(0, 2)
        job = GatherJob(
            base=random.randint(0, 8),
            width=width,
            height=random.choice([1, 2, 3, 5, 8, 9, 13, 20]),
            rows_log2=(size // width).bit_length() - 1,
            planes=random.choice([1, 1, 2, 3, 4, 8, 9]),
            channel_groups=first + (rounds - 1) * step + groups + random.randint(0, 1),
            kernel_height=random.choice([1, 2, 3, 3, 4, 5, 7]),
            kernel_width=random.choice([1, 2, 3, 3, 4, 5, 7]),
            stride_y=random.choice([1, 1, 2, 3, 4]),
            stride_x=random.choice([1, 1, 2, 3, 4]),
            pad_top=random.choice([0, 1, 2, 3, 15]),
            pad_left=random.choice([0, 1, 2, 3, 15]),
            pad_value=random.getrandbits(9),
            out_width=out_width,
            out_rows=random.randint(1, min(size // out_width, 9)),
            first_row=random.choice([0, 0, 1, 4]),
            sets=random.randint(1, 3),
            rounds=rounds,
            first_group=first,
            group_step=step,
            groups=groups,
            tiles=random.choice([1, 2, 3, 20]),
            receivers=random.randint(1, (1 << config.tiles) - 1),
        )
        if check(job, config) is None and job.beat_count(config) * job.out_rows <= rows:
            return job


@dataclass(frozen=True)
class Cycle:
    """Ports of a gather unit in one cycle."""

    beat: int
    """0 where none is shown."""
    beat_valid: int
    beat_taken: int
    idle: int
    working: int
    blocked: int
    error: int


@dataclass
class Judge:
    """Compares a unit, cycle by cycle from its *go* on, with the golden beats and with the clock.

    ``finished`` once it was seen idle again. Raises AssertionError at the first difference.
    """

    job: GatherJob
    memory: Bits
    config: AcceleratorConfig
    finished: bool = False
    worked: int = 0
    blocked: int = 0
    cycle: int = 0
    _beat: int = 0
    _taken: int = 0
    _clock: GatherClock = field(init=False)
    _expected: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self._expected = [number(beat) for beat in beats(self.job, self.memory, self.config)]
        self._clock = GatherClock(0, self.job.out_rows, self.config.gather_queue)

    def see(self, seen: Cycle) -> None:
        """The next cycle."""
        where = f"cycle {self.cycle}, beat {self._beat} of {len(self._expected)}, {self.job}"
        more = self._beat < len(self._expected)
        assert not seen.error, f"error in {where}"
        assert seen.idle == (self.cycle == 0 or not more), f"idle {seen.idle} in {where}"
        shows = more and self.cycle >= self._clock.shown(self._beat)
        valid = self.job.receivers & ~self._taken if shows else 0
        assert seen.beat_valid == valid, f"beat_valid {seen.beat_valid:#x}, not {valid:#x}, in {where}"
        if shows:
            expected = self._expected[self._beat]
            assert seen.beat == expected, f"beat {seen.beat:#x}, not {expected:#x}, in {where}"
            self._taken |= seen.beat_taken & valid
            if self._taken == self.job.receivers:
                self._clock.popped(self._beat, self.cycle)
                self._beat, self._taken = self._beat + 1, 0
        assert not (seen.working and seen.blocked), where
        self.worked += seen.working
        self.blocked += seen.blocked
        if not more:
            assert self.worked == len(self._expected) * self.job.out_rows, f"{self.worked} rows in {where}"
            assert self.blocked == self._clock.blocked, f"blocked {self.blocked}, not {self._clock.blocked} in {where}"
            self.finished = True
        self.cycle += 1


def take_patterns(random: Random, tiles: int) -> Iterator[int]:
    """For each cycle the tiles that would take a beat: always, seldom, in bursts, or the tiles by turns."""
    everything = (1 << tiles) - 1
    while True:
        kind, length = random.randrange(5), random.randint(5, 60)
        for index in range(length):
            if kind == 0:
                yield everything
            elif kind == 1:
                yield random.getrandbits(tiles)
            elif kind == 2:
                yield random.getrandbits(tiles) & random.getrandbits(tiles) & random.getrandbits(tiles)
            elif kind == 3:
                yield 1 << index % tiles
            else:
                yield everything if index % 16 < 4 else 0
