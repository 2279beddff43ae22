"""Beats of the gather unit against their definition, one bit at a time; storing of maps."""

from __future__ import annotations

from dataclasses import fields, replace
from random import Random

import numpy as np
import pytest

from golden.accelerator.windows import GatherJob, beats, check, load_map, memory_bits, rows_log2, store_map
from golden.engine import Bits
from hw.accelerator.config import ACCELERATORS, AcceleratorConfig
from hw.accelerator.protocol import GatherRegister
from tests.gather import LARGEST, SHAPES, SMALL_JOB, TINY, WRONG, random_job, random_memory

SEED = 41
MESH = ACCELERATORS["mesh2x2"]


def beats_by_definition(job: GatherJob, memory: Bits, config: AcceleratorConfig) -> list[list[int]]:
    """The loops of docs/accelerator.md, with the addresses of its section about maps."""
    lanes, size = config.lanes, config.outputs

    def pixel(y: int, x: int, channel: int, b: int) -> int:
        if not (0 <= y < job.height and 0 <= x < job.width):
            return job.pad_value >> b & 1
        set_rows = 1 << job.rows_log2
        address = job.base * lanes + ((y // set_rows) * job.planes + b) * job.channel_groups * lanes + channel
        return int(memory[address // lanes, address % lanes, (y % set_rows) * job.width + x])

    result: list[list[int]] = []
    groups = [
        (ky, kx, channel)
        for ky in range(job.kernel_height)
        for kx in range(job.kernel_width)
        for channel in range(job.groups)
    ]
    for output_set in range(job.sets):
        row0 = job.first_row + output_set * job.out_rows
        for turn in range(job.rounds):
            first = job.first_group + turn * job.group_step
            for tile in range(job.tiles):
                for b in range(job.planes):
                    for k in range(config.beats):
                        beat = [0] * (lanes * size)
                        if tile * config.beats + k < len(groups):
                            ky, kx, channel = groups[tile * config.beats + k]
                            for lane, j, ox in np.ndindex(lanes, job.out_rows, job.out_width):
                                beat[lane * size + j * job.out_width + ox] = pixel(
                                    (row0 + j) * job.stride_y + ky - job.pad_top,
                                    ox * job.stride_x + kx - job.pad_left,
                                    (first + channel) * lanes + lane,
                                    b,
                                )
                        result.append(beat)
    return result


@pytest.mark.parametrize("shape", SHAPES)
def test_beats_are_windows_of_the_map(shape: str) -> None:
    config, random = SHAPES[shape], Random(SEED)
    print(f"seed {SEED}")
    memory = random_memory(np.random.default_rng(SEED), config)
    for _ in range(60):
        job = random_job(random, config, rows=600)
        assert beats(job, memory, config).tolist() == beats_by_definition(job, memory, config), job


def test_planes_of_a_stored_map_come_back_as_numbers() -> None:
    """A convolution of 3 x 3 over 8 channels: the taps of all tiles, put together, are the windows of the map."""
    rng = np.random.default_rng(SEED)
    print(f"seed {SEED}")
    u = rng.integers(0, 32, (7, 10, 8))
    memory = memory_bits(store_map(u, 5, 11, MESH), MESH)
    job = GatherJob(
        base=11, width=10, height=7, rows_log2=2, planes=5, channel_groups=2, kernel_height=3, kernel_width=3,
        stride_y=2, stride_x=2, pad_top=1, pad_left=1, pad_value=9, out_width=5, out_rows=4, first_row=0, sets=1,
        rounds=1, first_group=0, group_step=0, groups=2, tiles=5, receivers=1,
    )  # fmt: skip
    assert check(job, MESH) is None
    planes = np.reshape(beats(job, memory, MESH), (5, 5, MESH.taps, MESH.outputs)).astype(np.int64)
    taps = np.reshape((planes << np.arange(5)[:, None, None]).sum(axis=1), (5 * MESH.taps, MESH.outputs))
    padded = np.pad(u, ((1, 1), (1, 1), (0, 0)), constant_values=9)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (0, 1))[::2, ::2]
    expected = windows.transpose(3, 4, 2, 0, 1).reshape(72, 20)
    assert np.array_equal(taps[:72, :20], expected)
    assert not taps[72:].any()
    assert not taps[:, 20:].any()


def test_every_wrong_register_is_named() -> None:
    assert check(SMALL_JOB, TINY) is None
    for changes, register in WRONG:
        assert check(replace(SMALL_JOB, **changes), TINY) is register, changes
    named = {register for _, register in WRONG}
    assert named == set(GatherRegister) - {GatherRegister.PAD_VALUE}
    for changes in LARGEST:
        assert check(replace(SMALL_JOB, **changes), TINY) is None, changes


def test_fields_of_a_job_are_the_registers() -> None:
    assert [field.name.upper() for field in fields(GatherJob)] == [register.name for register in GatherRegister]
    assert SMALL_JOB.registers[GatherRegister.STRIDE_X] == SMALL_JOB.stride_x
    assert (SMALL_JOB.stored_sets, SMALL_JOB.beat_count(TINY)) == (2, 2 * 9 * 2 * 2)


def test_beats_of_a_wrong_job() -> None:
    memory = random_memory(np.random.default_rng(SEED), TINY)
    with pytest.raises(ValueError, match="STRIDE_X of a gather unit is out of its range: 5"):
        beats(replace(SMALL_JOB, stride_x=5), memory, TINY)


@pytest.mark.parametrize(
    ("shape", "bits", "log2"),
    [
        ((8, 8, 4), 1, 3),
        ((7, 5, 9), 3, 3),
        ((1, 1, 1), 8, 6),
        ((3, 64, 5), 9, 0),
        ((5, 33, 2), 4, 0),
        ((9, 21, 3), 2, 1),
    ],
)
def test_maps_are_stored_and_loaded(shape: tuple[int, int, int], bits: int, log2: int) -> None:
    u = np.random.default_rng(SEED).integers(0, 1 << bits, shape)
    words = store_map(u, bits, 6, MESH)
    assert rows_log2(shape[1], MESH) == log2
    assert np.array_equal(load_map(words, shape, bits, 6, MESH), u)
    # Sets, planes and channel groups lie one after the other; channels that are not there have no words.
    sets, groups = -(-shape[0] >> log2), -(-shape[2] // MESH.lanes)
    assert len(words) == sets * bits * shape[2]
    assert min(words) == 6 * MESH.lanes
    assert max(words) == (6 + sets * bits * groups - 1) * MESH.lanes + (shape[2] - 1) % MESH.lanes


def test_one_pixel_of_a_stored_map() -> None:
    u = np.zeros((8, 16, 6), np.int64)
    u[5, 3, 4] = 4
    words = store_map(u, 3, 10, MESH)
    # Sets of four rows: row 5 is row 1 of set 1; plane 2 of three; channel 4 is lane 0 of group 1 of two.
    address = (10 + (1 * 3 + 2) * 2 + 1) * 4 + 0
    assert {where: word for where, word in words.items() if word} == {address: 1 << (16 + 3)}


@pytest.mark.parametrize(
    ("shape", "bits", "base", "text"),
    [
        ((2, 65, 1), 1, 0, "a feature map must be 1 to 64 columns wide, not 65"),
        ((2, 2, 1), 33, 0, "numbers of a feature map must have 1 to 32 bits, not 33"),
        ((2, 2, 1), 2, 0, r"numbers of a feature map must fit 2 bits, not 4 \.\. 4"),
        ((8, 64, 4), 8, 1000, r"a feature map must end within 1024 words of a bank, not at 1000 \.\. 1064"),
        ((1, 1, 1), 3, -1, r"a feature map must end within 1024 words of a bank, not at -1 \.\. 2"),
    ],
)
def test_maps_that_cannot_be_stored(shape: tuple[int, int, int], bits: int, base: int, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        store_map(np.full(shape, 4), bits, base, MESH)
