"""The parts of the mapper: shares of maps, transfers, programs of CAPs, memories."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from golden.accelerator.transport import contention_free
from golden.accelerator.windows import store_map
from golden.graph import FeatureMap
from hw.accelerator.commands import Run, Wait, Write
from hw.accelerator.config import ACCELERATORS, AcceleratorConfig
from hw.accelerator.protocol import Unit
from hw.isa import LoadKind, Opcode
from sim.accelerator.command_list import assemble
from sim.accelerator.dots import Dots, cap_program
from sim.accelerator.exchange import Transfer, rounds, sender_registers, to_host, transfers
from sim.accelerator.layout import geometry
from sim.accelerator.phases import Phase, PhaseKind, TileWork
from sim.accelerator.placement import Placement, Split, make_placement
from sim.mapping.errors import MappingError

FOUR, PAIRS, TINY = (ACCELERATORS[name] for name in ("mesh2x2", "mesh2x2-1to1", "meshtiny"))


def placed(size: tuple[int, int, int], split: Split, config: AcceleratorConfig = FOUR, bits: int = 3) -> Placement:
    return make_placement(geometry(FeatureMap("map", size, bits, 0, 1.0), config), split, config)


def test_words_are_where_the_gather_unit_looks_for_them() -> None:
    source = FeatureMap("map", (9, 20, 6), 5, 0, 1.0)
    shape = geometry(source, FOUR)
    stored = store_map(np.zeros(source.shape, np.int64), 5, 0, FOUR)
    ours = [
        shape.word(number, plane, channel)
        for number, plane, channel in itertools.product(range(shape.sets), range(5), range(6))
    ]
    assert ours == sorted(stored)
    assert (shape.rows, shape.sets, shape.channel_groups, shape.bank_words) == (2, 5, 2, 50)
    low = geometry(FeatureMap("low", (3, 1, 1), 1, 0, 1.0), FOUR)
    assert (low.rows, low.set_rows, low.sets) == (64, 3, 1)


@pytest.mark.parametrize(
    ("size", "split"),
    [
        ((32, 32, 16), Split(4, 1, 0, 8)),
        ((32, 32, 16), Split(2, 2, 0, 8)),
        ((20, 13, 37), Split(1, 4, 0, 3)),
        ((20, 13, 40), Split(1, 3, 0, 8)),
        ((9, 64, 10), Split(3, 1, 4, 2)),
        ((9, 64, 22), Split(1, 3, 8, 4)),
    ],
)
@pytest.mark.parametrize("config", [FOUR, PAIRS], ids=lambda config: config.name)
def test_every_block_has_one_place(size: tuple[int, int, int], split: Split, config: AcceleratorConfig) -> None:
    placement = placed(size, split, config)
    blocks = [block for places in placement.places.values() for block in places]
    wanted = itertools.product(range(placement.geometry.sets), range(size[2]))
    assert sorted(blocks) == sorted(wanted)
    for places in placement.places.values():
        rows = list(places.values())
        assert len(set(rows)) == len(rows)
        assert all(0 <= batch < placement.fields and 0 <= row < config.taps for batch, row in rows)
    for cluster in placement.clusters:
        for batch in placement.batches(cluster):
            assert sum(placement.width(unit.turn) for unit in batch.units) <= config.taps


def test_rounds_of_a_granule_have_channels_of_one_group_of_lanes() -> None:
    placement = placed((4, 4, 22), Split(1, 2, 8, 4))
    for cluster in placement.clusters:
        for turn in placement.channels[cluster]:
            assert len({channel // 8 for channels in turn for channel in channels}) == 1


def test_small_shares_of_several_sets_are_requantised_together() -> None:
    placement = placed((32, 32, 16), Split(1, 4, 0, 8))
    assert placement.items == (2,)
    assert [len(batch.units) for batch in placement.batches(0)] == [4, 4, 4, 4]


@pytest.mark.parametrize("config", [FOUR, PAIRS], ids=lambda config: config.name)
@pytest.mark.parametrize("split", [Split(4, 1, 0, 8), Split(1, 4, 0, 8), Split(2, 2, 0, 2), Split(2, 1, 4, 2)])
def test_transfers_bring_what_is_missing_and_nothing_else(config: AcceleratorConfig, split: Split) -> None:
    placement = placed((32, 32, 16), split, config)
    missing = [{0, 1}, {1, 2, 3}, set[int](), {9, 15}]
    wanted = transfers(placement, missing)
    got: list[list[tuple[int, int]]] = [[] for _ in missing]
    for transfer in wanted:
        assert set(transfer.blocks) <= set(placement.places[transfer.cluster, transfer.number])
        for cluster, blocks in enumerate(got):
            if transfer.destinations >> cluster & 1:
                blocks.extend(transfer.blocks)
    for blocks, sets in zip(got, missing, strict=True):
        assert sorted(blocks) == sorted(itertools.product(sets, range(16)))
    packed = rounds(wanted, config)
    assert sorted(map(repr, itertools.chain(*packed))) == sorted(map(repr, wanted))
    for together in packed:
        assert contention_free([(transfer.cluster, transfer.destinations) for transfer in together], config)


def test_the_host_gets_every_block_once() -> None:
    placement = placed((4, 4, 10), Split(1, 3, 0, 8))
    sent = to_host(placement)
    assert sorted(block for transfer in sent for block in transfer.blocks) == [(0, channel) for channel in range(10)]
    assert {transfer.destinations for transfer in sent} == {1 << FOUR.host}


def test_a_sender_puts_words_where_the_gather_unit_looks_for_them() -> None:
    shape = placed((32, 32, 16), Split(4, 1, 0, 8)).geometry
    transfer = Transfer(2, 0, range(8, 11), range(1, 10, 4), 1 << 33 | 5)
    source, low, high, base, *loops = sender_registers(transfer, shape, 400)
    assert (source, low, high) == (0, 5, 2)
    addresses = [
        base + outer * loops[4] + middle * loops[2] + inner * loops[0]
        for outer, middle, inner in itertools.product(range(loops[5]), range(loops[3]), range(loops[1]))
    ]
    assert addresses == [
        400 + shape.word(number, plane, channel) for number, channel in transfer.blocks for plane in range(3)
    ]


def dots(tiles: int, bits: int = 8) -> Dots:
    return Dots(tiles, bits, bits, True, 2 * bits + 6, 4)


@pytest.mark.parametrize("tiles", [1, 2, 9, 36])
@pytest.mark.parametrize("batches", [((8,),), ((2, 2, 2), (2,)), ((3,), (3,), (1,))])
def test_a_cap_takes_windows_in_order_and_multiplies_each_tile_with_each_channel(
    tiles: int, batches: tuple[tuple[int, ...], ...]
) -> None:
    program, uses = cap_program(FOUR, dots(tiles), batches, None)
    items = [number for batch in batches for number in batch]
    wanted = [
        (turn, item, tile)
        for turn, count in enumerate(items)
        for item, tile in itertools.product(range(count), range(tiles))
    ]
    assert sorted((use.turn, use.item, use.tile) for use in uses) == wanted

    # What is in a slot when a DOT uses it: windows come tile by tile, plane by plane.
    order = iter((turn, tile, plane) for turn in range(len(items)) for tile in range(tiles) for plane in range(8))
    weights = iter((use, plane) for use in uses for plane in range(8))
    columns: dict[int, object] = {}
    used = iter(uses)
    stored: list[int] = []
    for op in program:
        if op.opcode == Opcode.LOAD:
            for column in range(op.d, op.d + op.d_width):
                columns[column] = next(order if op.kind == LoadKind.PLANES else weights)
        elif op.opcode == Opcode.DOT:
            use = next(used)
            assert [columns[op.a + plane] for plane in range(8)] == [(use.turn, use.tile, plane) for plane in range(8)]
            assert [columns[op.b + plane] for plane in range(8)] == [(use, plane) for plane in range(8)]
        elif op.opcode == Opcode.STORE:
            stored.append(op.constant)
    assert next(order, None) is None
    assert next(weights, None) is None
    assert stored == [block for batch in batches for block in range(sum(batch))]


def test_sums_start_from_their_bias() -> None:
    program, _ = cap_program(FOUR, dots(20), ((2,), (1,)), (5, -6, 7))
    assert [op.constant for op in program if op.opcode == Opcode.INIT] == [5, -6, 7]


def work(number: int, size: int, taps: int = 0) -> TileWork:
    return TileWork(tuple(range(number, number + size)), tuple(range(number, number + taps)), 2 * taps)


def computes(*works: dict[tuple[int, int], TileWork]) -> list[Phase]:
    return [Phase(PhaseKind.COMPUTE, (f"layer{number}",), tiles) for number, tiles in enumerate(works)]


def written(phases: list[Phase], unit: int) -> list[tuple[int, int, int, int]]:
    """Goes before it, address, words and destinations of every write to a unit."""
    goes = 0
    result: list[tuple[int, int, int, int]] = []
    for command in assemble(phases, FOUR).commands:
        goes += isinstance(command, Run)
        if isinstance(command, Write) and command.unit == unit:
            result.append((goes, command.address, len(command.payload), command.destinations))
    return result


def test_memories_are_written_ahead_and_only_once() -> None:
    first, second = work(0, 900, 40), work(5000, 1000, 50)
    phases = computes(
        {(0, 0): first, (2, 0): first, (1, 0): second},
        {(0, 0): second},
        {(0, 0): first, (2, 0): first, (1, 0): second},
    )
    assert written(phases, Unit.PROGRAM) == [(0, 0, 1800, 0b101), (0, 0, 2000, 0b10), (1, 2096, 2000, 1)]
    assert written(phases, Unit.TAPS) == [(0, 0, 40, 0b101), (0, 0, 50, 0b10), (1, 4046, 50, 1)]


def test_what_has_no_room_is_written_when_all_is_idle() -> None:
    phases = computes({(0, 0): work(0, 1500, 3000)}, {(0, 0): work(1, 1400, 2000)}, {(0, 0): work(2, 10)})
    commands = assemble(phases, FOUR).commands
    waits = [index for index, command in enumerate(commands) if isinstance(command, Wait)]
    assert waits == [index - 1 for index, command in enumerate(commands) if command == second_program(phases)]
    assert written(phases, Unit.PROGRAM) == [(0, 0, 3000, 1), (1, 0, 2800, 1), (2, 4076, 20, 1)]


def second_program(phases: list[Phase]) -> Write:
    words = phases[1].tiles[0, 0].program
    return Write(Unit.PROGRAM, 0, tuple(part for word in words for part in (word, 0)), 1)


def test_words_are_counted_by_kind() -> None:
    phases = computes({(0, 0): work(0, 10, 4), (0, FOUR.caps): work(0, 6, 3)})
    words = assemble(phases, FOUR).words
    assert dict(words) == {"programs": 32, "weights": 4, "constants": 3, "registers": 8, "commands": 2 * (6 + 2)}


def test_what_no_memory_holds_is_refused() -> None:
    with pytest.raises(MappingError) as error:
        assemble(computes({(0, 0): work(0, 3000)}), FOUR)
    assert str(error.value) == "layer 'layer0' needs program_words of at least 3000, config mesh2x2 has 2048"
    with pytest.raises(MappingError) as error:
        assemble(computes({(0, 0): work(0, 10, 5000)}), FOUR)
    assert str(error.value) == "layer 'layer0' needs taps_words of at least 5000, config mesh2x2 has 4096"
