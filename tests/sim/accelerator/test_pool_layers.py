"""Max pools on an accelerator: their windows, their programs, their places; networks of them on the golden machine."""

from __future__ import annotations

import numpy as np
import pytest

from golden.accelerator.windows import beats, check, memory_bits, store_map
from golden.graph import FeatureMap
from hw.accelerator.config import ACCELERATORS, AcceleratorConfig
from hw.isa import LoadKind, Opcode
from sim.accelerator.layout import MapGeometry, geometry
from sim.accelerator.memory_tile import MapWork
from sim.accelerator.network import AcceleratorNetwork
from sim.accelerator.phases import PhaseKind
from sim.accelerator.placement import Placement, Split, make_placement
from sim.accelerator.pool_layers import PoolLayer, PoolStep, pool_columns
from sim.mapping.bits import to_bits
from sim.mapping.errors import MappingError
from tests.sim.accelerator.chains import Chain
from tests.sim.accelerator.test_mapping import run_and_compare, run_and_compare_maps
from tests.sim.mapping_graphs import random_input

TINY = ACCELERATORS["meshtiny"]
ONE, TWO, FOUR = (ACCELERATORS[name] for name in ("mesh1x1", "mesh1x2", "mesh2x2"))
PAIRS = ACCELERATORS["mesh2x2-1to1"]


def cut(size: tuple[int, int, int], config: AcceleratorConfig, bits: int = 3) -> MapGeometry:
    return geometry(FeatureMap("map", size, bits, 0, 1.0), config, whole_tiles=True)


def pool(config: AcceleratorConfig, size: tuple[int, int, int], window: tuple[int, int]) -> PoolLayer:
    """A max pool of 3-bit numbers without padding or limits."""
    outputs = (size[0] - window[0] + 1, size[1] - window[1] + 1, size[2])
    return PoolLayer(
        name="pool",
        source=cut(size, config),
        target=cut(outputs, config),
        kernel=window,
        stride=(1, 1),
        padding=(0, 0),
        pad_value=0,
        beats=config.beats,
        low=0,
        high=7,
    )


def test_channel_groups_are_stored_as_whole_tap_tiles() -> None:
    shape = cut((16, 16, 18), FOUR)
    assert (shape.channel_groups, shape.stored_groups) == (5, 8)
    assert shape.bank_words == 4 * 3 * 8
    assert shape.word(1, 2, 17) == (3 + 2) * 8 * 4 + 17
    plain = geometry(FeatureMap("map", (16, 16, 18), 3, 0, 1.0), FOUR)
    assert plain.stored_groups == 5


@pytest.mark.parametrize("config", [TINY, FOUR], ids=lambda config: config.name)
@pytest.mark.parametrize("channels", [1, 5, 9])
def test_a_tap_tile_is_a_window_position_of_all_channels_of_a_round(config: AcceleratorConfig, channels: int) -> None:
    layer = pool(config, (4, 4, channels), (2, 1))
    rounds = -(-channels // config.taps)
    job = layer.gather_job(0, range(1), rounds, 0, 1 << config.caps)
    assert check(job, config) is None
    numbers = np.random.default_rng(channels).integers(0, 8, size=(4, 4, channels))
    padded = np.zeros((4, 4, rounds * config.taps), np.int64)
    padded[..., :channels] = numbers
    formed = beats(job, memory_bits(store_map(padded, 3, 0, config), config), config)
    formed = formed.reshape(rounds, 2, 3, config.taps, config.outputs)[..., : 3 * 4]
    for turn in range(rounds):
        for position in range(2):
            window = padded[position : position + 3, :, turn * config.taps : (turn + 1) * config.taps]
            wanted = to_bits(window.reshape(12, config.taps), 3).transpose(2, 1, 0)
            assert np.array_equal(formed[turn, position], wanted)


def test_the_first_round_of_a_share_begins_at_its_lowest_channel() -> None:
    job = pool(FOUR, (4, 4, 64), (2, 2)).gather_job(0, range(1), 2, 32, 1 << FOUR.caps)
    assert (job.first_group, job.group_step, job.groups, job.tiles) == (8, 4, 4, 4)
    assert check(job, FOUR) is None


@pytest.mark.parametrize("config", [FOUR, PAIRS], ids=lambda config: config.name)
@pytest.mark.parametrize("channels", [3, 16, 37])
def test_the_first_map_of_a_cluster_holds_each_channel_in_the_row_block_of_its_tap(
    config: AcceleratorConfig, channels: int
) -> None:
    placement = make_placement(
        cut((16, 16, channels), config), Split(2, 2 if channels > 16 else 1, 16, 0, True), config
    )
    found = {
        block: row
        for (_, number), blocks in placement.places.items()
        for block, (_, row) in blocks.items()
        if number == 0
    }
    assert found == {(number, channel): channel % 16 for number in range(4) for channel in range(channels)}
    assert not any(blocks for (_, number), blocks in placement.places.items() if number)
    assert all(len(batch.units) == 1 for cluster in placement.clusters for batch in placement.batches(cluster))


def small_placement() -> Placement:
    """Three sets of one round in one cluster."""
    return make_placement(cut((12, 16, 3), ONE), Split(1, 1, 16, 0, whole=True), ONE)


def test_a_map_takes_one_position_while_it_works_on_the_one_before() -> None:
    layer = pool(ONE, (13, 17, 3), (2, 2))
    placement = small_placement()
    work = MapWork(ONE, "pool", PoolStep(layer, 10), [], 40)
    program, planes = work.program(placement, 0, 0, 0, placement.batches(0))
    assert planes.shape == (0, ONE.taps)
    loads = [op for op in program if op.opcode == Opcode.LOAD]
    assert {(op.kind, op.d_width) for op in loads} == {(LoadKind.PLANES, 3)}
    top = ONE.map.columns - 7
    assert [op.d for op in loads[:5]] == [10, top + 3, top, top + 3, 13]
    assert [(op.a, op.b) for op in program if op.opcode == Opcode.MAX] == [
        (buffer, 10 + 3 * batch) for batch in range(3) for buffer in (top + 3, top, top + 3)
    ]

    # A field is not written while it is worked on, and its beats are there when it is.
    under_way: list[int] = []
    for op in program:
        if op.opcode == Opcode.LOAD:
            under_way.append(op.d)
        elif op.opcode == Opcode.SYNC:
            under_way = under_way[len(under_way) - op.constant :]
        elif op.opcode == Opcode.MAX:
            assert not {op.a, op.b} & set(under_way)


def test_columns_that_are_missing_are_named() -> None:
    layer = pool(ONE, (4, 4, 3), (2, 2))
    assert pool_columns(ONE, layer, 633) == 633
    with pytest.raises(MappingError) as error:
        pool_columns(ONE, layer, 634)
    assert str(error.value) == "layer 'pool' needs columns of at least 641, config mesh-map has 640"


@pytest.mark.parametrize("limits", [None, (0, 5), (2, 7), (2, 5)])
def test_limits(limits: tuple[int, int] | None) -> None:
    chain = Chain(np.random.default_rng(0), (5, 6, 3), 3)
    chain.maximum(2, limits=limits)
    run_and_compare(chain.graph, TINY, 0)


def test_windows_outside_of_the_map_hold_the_least_number() -> None:
    chain = Chain(np.random.default_rng(0), (4, 4, 2), 3)
    chain.maximum(2, stride=1, padding=3, limits=(1, 6))
    values = random_input(np.random.default_rng(0), chain.graph)
    run_and_compare_maps(chain.graph, TINY, values)


@pytest.mark.parametrize("config", [TWO, FOUR, PAIRS], ids=lambda config: config.name)
def test_more_channels_than_taps(config: AcceleratorConfig) -> None:
    chain = Chain(np.random.default_rng(0), (9, 9, 3), 3)
    chain.conv(37)
    chain.maximum(3, stride=2)
    chain.maximum(2)
    chain.conv(2)
    run_and_compare_maps(chain.graph, config, random_input(np.random.default_rng(1), chain.graph))


def test_a_max_pool_that_does_not_fit_at_once_becomes_several_phases() -> None:
    chain = Chain(np.random.default_rng(0), (16, 32, 20), 3)
    chain.maximum(7, padding=3)
    counts = [
        sum(mark.kind is PhaseKind.COMPUTE for mark in run_and_compare(chain.graph, config, 0).marks)
        for config in (ONE.replace(program_words=5000), ONE.replace(program_words=1300), ONE.replace(program_words=300))
    ]
    assert counts == [1, 4, 16]  # two rounds of 8 sets: all, of two sets, one
    chain.maximum(9, padding=4)
    with pytest.raises(MappingError) as error:
        AcceleratorNetwork(chain.graph, ONE.replace(program_words=200))
    assert str(error.value) == "layer 'layer1' needs program_words of at least 244, config mesh1x1 has 200"


def test_max_pools_can_be_added() -> None:
    chain = Chain(np.random.default_rng(0), (6, 6, 5), 3)
    left = chain.maximum(3, padding=1)
    chain.maximum(1, source="in")
    chain.add(left)
    chain.conv(2)
    run_and_compare_maps(chain.graph, PAIRS, random_input(np.random.default_rng(0), chain.graph))


@pytest.mark.parametrize(
    ("config", "channels"),
    [(TINY, 3), (TINY, 6), (TWO, 3), (TWO, 18), (FOUR, 3), (FOUR, 18), (PAIRS, 3), (PAIRS, 18)],
    ids=lambda value: getattr(value, "name", None),
)
def test_max_pools_and_convolutions_can_be_added(config: AcceleratorConfig, channels: int) -> None:
    chain = Chain(np.random.default_rng(0), (7, 9, 3), 2)
    chain.conv(channels)
    left = chain.maximum(3, stride=2, padding=1)
    chain.conv(channels, kernel=3, padding=1)
    chain.add(left)
    chain.conv(2)
    network = run_and_compare_maps(chain.graph, config, random_input(np.random.default_rng(0), chain.graph))
    run_and_compare(chain.graph, config, 0)
    places = [network.stored[name].placement.places for name in (left, "layer2.out", "layer3.out")]
    assert places[0] == places[1] == places[2]
