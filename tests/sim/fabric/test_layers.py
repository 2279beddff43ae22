"""Layers on fabrics: costs that add up, events counted cluster by cluster, odd sizes, refusals."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import pytest

from golden.graph import Graph
from hw.fabric import FABRICS, FabricConfig
from hw.isa import LoadKind, Opcode
from sim.evaluate.cost import PARTS, Events, LayerCost
from sim.evaluate.evaluate import evaluate
from sim.evaluate.widths import Widths
from sim.fabric.accounts import program_events
from sim.fabric.cap_programs import block_program, plan_sums
from sim.fabric.flatten import flattened
from sim.fabric.geometry import cut_map
from sim.fabric.layers import FABRIC_MODES, FabricRun, meshes_of
from sim.fabric.map_programs import elementwise_program, pool_program, sum_program
from sim.fabric.phases import dot_phase, element_phase, load_phase, pool_phase
from sim.fabric.placement import Mesh, Placement, exchange, receive, send_out
from sim.mapping.builder import equal_parts
from sim.mapping.errors import MappingError
from sim.mapping.shapes import (
    AveragePoolShape,
    ConvShape,
    ElementwiseShape,
    LayerShape,
    MaxPoolShape,
    layer_shape,
)
from sim.networks.load import load_network
from tests.sim.accelerator.chains import Chain
from tests.sim.fabric.built import CAP, MAP
from tests.sim.mapping_graphs import KINDS, random_graph

SMALL = FabricConfig(name="small", width=2, height=2, caps=4, maps=2, cap=CAP, map=MAP)
UNEVEN = SMALL.replace(width=3, caps=3, maps=3, flit_bits=32)
UNLIMITED = SMALL.replace(unlimited=True)
STREAMED = SMALL.replace(weights="streamed")


def shapes_of(graph: Graph) -> tuple[LayerShape, ...]:
    return flattened([layer_shape(layer, graph) for layer in graph.layers])


def costs(shapes: tuple[LayerShape, ...], config: FabricConfig, mode: str = "count", batch: int = 1) -> list[LayerCost]:
    run = FabricRun(config, shapes, mode, batch)
    return [run.layer(shape, last=shape is shapes[-1]) for shape in shapes]


def residual() -> Graph:
    """Convolutions, an addition, a max pool, a depthwise convolution, an average and a classifier."""
    chain = Chain(np.random.default_rng(0), (13, 11, 3), 6)
    first = chain.conv(20, 3, 1, 1)
    chain.conv(20, 3, 1, 1)
    chain.add(first)
    chain.maximum(3, 2, 1)
    chain.conv(2, 3, 1, 1, depthwise=True)
    chain.average()
    chain.conv(10, 1)
    return chain.graph


# --- what a layer is made of ------------------------------------------------------------------------------------------


def test_a_convolution_is_an_exchange_and_phases() -> None:
    """Everything that a cost is made of is proven apart; here it is put together once by hand."""
    chain = Chain(np.random.default_rng(0), (8, 8, 16), 4)
    chain.conv(20, 1)
    chain.conv(40, 3, 1, 1)
    shapes = shapes_of(chain.graph)
    run = FabricRun(SMALL, shapes)
    for shape, first in zip(shapes, (True, False), strict=True):
        assert isinstance(shape, ConvShape)
        cost = run.layer(shape)
        windows = run._convolution(shape).windows
        placement = run._placements[shape.output]
        assert placement == Placement(1, 4, 2)
        sums = plan_sums("", 4, 4, shape.reduction, shape.requantize.accumulator_bits, CAP, "count")
        blocks = -(-shape.output_size[2] // 16)
        phase = dot_phase(sums, shape.requantize, MAP, blocks, 2, 8, 8)
        moved = (
            receive(windows, placement, run.mesh, 1, 2)
            if first
            else exchange(windows, Placement(1, 4, 2), placement, run.mesh, 1)
        )
        assert cost.total == moved.cycles + phase.total
        assert cost.tiles == 4 * (4 + 2)


def test_more_blocks_than_a_map_has_row_blocks_take_several_phases() -> None:
    chain = Chain(np.random.default_rng(0), (8, 8, 3), 4)
    chain.conv(100, 1)
    shape = shapes_of(chain.graph)[0]
    assert isinstance(shape, ConvShape)
    lone = SMALL.replace(width=1, height=1)
    cost = costs((shape,), lone)[0]
    sums = plan_sums("", 4, 4, 3, shape.requantize.accumulator_bits, CAP, "count")
    parts = [len(part) for part in equal_parts(25, 4)]  # 2 CAPs of 8 row blocks each
    phases = [dot_phase(sums, shape.requantize, MAP, count, 2, 8, 8).total for count in parts]
    windows = FabricRun(lone, (shape,))._convolution(shape).windows
    input_ = receive(windows, Placement(1, 1, 2), Mesh(1, 1), 1, 2).cycles
    output = send_out(windows.target, Placement(1, 1, 2), Mesh(1, 1), 1).cycles
    assert cost.total == input_ + sum(phases) + output


def test_caps_are_spread_over_the_maps_that_they_need() -> None:
    """5 channels on CAPs of which 4 share a MAP: 3 and 2 of them, not 4 and 1."""
    chain = Chain(np.random.default_rng(0), (8, 8, 3), 4)
    chain.conv(5, 1)
    shape = shapes_of(chain.graph)[0]
    assert isinstance(shape, ConvShape)
    config = SMALL.replace(width=1, height=1, caps=8)
    sums = plan_sums("", 4, 4, 3, shape.requantize.accumulator_bits, CAP, "count")
    parts = dot_phase(sums, shape.requantize, MAP, 1, 3, 8, 8).cycles
    cycles = FabricRun(config, (shape,)).layer(shape).cycles
    assert all(cycles[part] == parts[part] for part in ("convolution", "requantise", "store", "controller"))


def test_pools_and_additions_are_phases_of_maps() -> None:
    graph = residual()
    shapes = shapes_of(graph)
    run = FabricRun(SMALL, shapes)
    found = {shape.op: (shape, run.layer(shape)) for shape in shapes}
    shape, cost = found["max_pool_2d"]
    assert isinstance(shape, MaxPoolShape)
    placement = run._placements[shape.output]
    batches = -(-2 // placement.channels)  # 20 channels are 2 batches of at most 16
    phase = pool_phase(shape, MAP, batches, 7, 8)
    assert cost.total - phase.total == cost.cycles["movement"] - phase.cycles["movement"] > 0
    shape, cost = next(pair for pair in found.values() if isinstance(pair[0], ElementwiseShape))
    assert isinstance(shape, ElementwiseShape)
    assert cost.total == element_phase(shape, MAP, 1, "residual").total
    assert "movement" not in cost.cycles


def test_an_operand_that_lies_elsewhere_is_sent_and_loaded() -> None:
    """The network's input has no place; it comes from the host as windows of one element."""
    chain = Chain(np.random.default_rng(0), (8, 8, 6), 4)
    chain.conv(6, 1, bits=4)
    chain.add("in")
    shapes = shapes_of(chain.graph)
    run = FabricRun(SMALL, shapes)
    cost = run.layer(shapes[1])
    assert isinstance(shapes[1], ElementwiseShape)
    windows = run._windows(shapes[1], (1, 1), (1, 1), (0, 0), 1)
    moved = receive(windows, run._placements[shapes[1].output], run.mesh, 1, 2).cycles
    phases = [load_phase(4, MAP, 1, 8, 8), element_phase(shapes[1], MAP, 1, "residual")]
    assert cost.total == moved + sum(phase.total for phase in phases)


# --- costs that add up ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", [SMALL, UNEVEN, UNLIMITED, STREAMED], ids=lambda config: config.hash_text)
@pytest.mark.parametrize("mode", FABRIC_MODES)
def test_parts_are_known_and_positive(config: FabricConfig, mode: str) -> None:
    for cost in costs(shapes_of(residual()), config, mode):
        assert set(cost.cycles) <= set(PARTS)
        assert all(count > 0 for count in cost.cycles.values())
        assert cost.total == sum(cost.cycles.values())
        tiles = cost.events.tile_cycles / cost.total
        assert tiles == int(tiles) >= cost.tiles


def test_the_cost_of_a_layer_depends_on_its_shape_alone() -> None:
    """Widths of other layers do not matter, nor which ones were asked for before; placements are kept."""
    network = load_network("resnet18")
    reference = flattened(network.shapes(Widths(uniform=8)))
    run, again = FabricRun(FABRICS["lr"], reference), FabricRun(FABRICS["lr"], reference)
    narrow = flattened(network.shapes(Widths(uniform=4)))
    kept = dict(run._placements)
    first = [run.layer(shape) for shape in (*reference, *narrow)]
    second = [again.layer(shape) for shape in (*reversed(narrow), *reversed(reference))]
    assert first == second[::-1]
    assert run._placements == kept


def test_the_last_layer_sends_its_map_to_the_host() -> None:
    shapes = shapes_of(residual())
    run = FabricRun(SMALL, shapes)
    plain, last = run.layer(shapes[-1]), run.layer(shapes[-1], last=True)
    cut = cut_map(shapes[-1].output_size, shapes[-1].output_bits, 64)
    sent = send_out(cut, run._placements[shapes[-1].output], run.mesh, 1)
    assert last.total - plain.total == last.cycles["store"] - plain.cycles["store"] == sent.cycles
    assert last.events.flit_hops - plain.events.flit_hops == sent.flit_hops


def test_streamed_weights_come_while_the_layer_before_runs() -> None:
    """40 channels of 9 tap tiles, 4 planes of 16 bits each: 4 planes are a flit."""
    chain = Chain(np.random.default_rng(0), (8, 8, 16), 4)
    chain.conv(40, 3, 1, 1)
    shapes = shapes_of(chain.graph)
    plain = FabricRun(SMALL, shapes).layer(shapes[0])
    run = FabricRun(STREAMED, shapes)
    for before in (0, 100, 359, 360, 1000):
        cost = run.layer(shapes[0], before=before)
        assert cost.cycles.get("weights", 0) == cost.total - plain.total == max(0, 360 - before)
        assert cost.events.flit_hops > plain.events.flit_hops


@pytest.mark.parametrize("config", [SMALL, UNEVEN], ids=lambda config: config.hash_text)
@pytest.mark.parametrize("batch", [2, 3, 16])
def test_a_batch_takes_at_most_as_long_as_its_inputs(config: FabricConfig, batch: int) -> None:
    shapes = shapes_of(residual())
    one, many = costs(shapes, config), costs(shapes, config, batch=batch)
    assert sum(cost.total for cost in many) <= batch * sum(cost.total for cost in one)
    assert [cost.macs for cost in many] == [batch * cost.macs for cost in one]


@pytest.mark.parametrize("name", ["resnet18", "alexnet"])
def test_batches_of_networks(name: str) -> None:
    shapes = flattened(load_network(name).shapes(Widths(uniform=8)))
    one = sum(cost.total for cost in costs(shapes, FABRICS["lr"]))
    for batch in (2, 8):
        assert one < sum(cost.total for cost in costs(shapes, FABRICS["lr"], batch=batch)) <= batch * one


# --- events, counted tile by tile -------------------------------------------------------------------------------------


def cluster_events(
    run: FabricRun, shape: ConvShape | AveragePoolShape, sets: int, channels: range, most_blocks: int
) -> Events:
    """Events of one cluster that makes some sets of some channels; ``most_blocks`` of one of its MAPs in a phase."""
    config = run.config
    layer = run._convolution(shape) if isinstance(shape, ConvShape) else run._average(shape)
    requantize = layer.requantize
    sums = plan_sums(
        "", layer.activation_bits, layer.weight_bits, layer.reduction, requantize.accumulator_bits, config.cap, "count",
        weight_signed=layer.weight_signed,
    )  # fmt: skip
    groups = [list(channels)]
    if layer.group < shape.output_size[2]:
        found = sorted({channel // layer.group for channel in channels})
        groups = [[channel for channel in channels if channel // layer.group == number] for number in found]
    # A turn is what the CAPs do with windows that come once.
    turns = [
        group[first : first + config.caps]
        for _ in range(sets)
        for group in groups
        for first in range(0, len(group), config.caps)
    ]
    busy = min(config.caps, layer.group if layer.group < shape.output_size[2] else len(channels))
    maps = run._placements[shape.output].maps
    result = Events()
    block = block_program(sums, 1).instructions
    program = sum_program("", requantize, sums, 1, 1, config.map).job.instructions
    load = [op for op in program if op.opcode == Opcode.LOAD and op.kind == LoadKind.BLOCK]
    assert len(load) == len(sums.stored)
    phases = -(-len(turns) // most_blocks)
    result += Events(instructions=phases * busy)  # HALTs
    for _ in range(phases * min(maps, len(channels))):
        result += program_events([op for op in program if op not in load], config.map)
    for turn in turns:
        planes = sum(op.d_width for op in block if op.opcode == Opcode.LOAD and op.kind == LoadKind.PLANES)
        result += Events(memory_bits=planes * config.cap.rows)
        for _ in turn:
            result += program_events(block[:-1], config.cap)
            result += program_events(load, config.map)
    return result


def counted_events(run: FabricRun, shape: LayerShape) -> Events:
    """Events of a layer, cluster by cluster; those of the mesh and the time apart."""
    config, placement = run.config, run._placements[shape.output]
    cut = cut_map(shape.output_size, shape.output_bits, config.outputs, run.batch)
    result = Events()
    for sets in placement.set_parts(cut):
        for channels in placement.channel_runs(cut):
            if isinstance(shape, ConvShape | AveragePoolShape):
                layer = run._convolution(shape) if isinstance(shape, ConvShape) else run._average(shape)
                most = max(map(len, placement.channel_runs(cut)))
                busy = min(config.caps, layer.group if layer.group < cut.channels else most)
                caps = -(-busy // -(-busy // config.caps_per_map))
                result += cluster_events(run, shape, len(sets), channels, config.map.taps // caps)
            elif isinstance(shape, MaxPoolShape):
                planes = shape.window[0] * shape.window[1] * shape.activation_bits[0]
                events = program_events(pool_program(shape, config.map).instructions, config.map)
                for _ in range(len(sets) * -(-len(channels) // config.map.taps)):
                    result += events + Events(memory_bits=planes * config.map.rows)
            elif isinstance(shape, ElementwiseShape):
                body = elementwise_program(shape, config.map).instructions[:-1]
                for own in equal_parts(len(channels), placement.maps):
                    for _ in range(-(-len(own) * len(sets) // config.map.taps)):
                        result += program_events(body, config.map)
    return result


@pytest.mark.parametrize("config", [SMALL, UNEVEN, UNLIMITED], ids=lambda config: config.hash_text)
@pytest.mark.parametrize("batch", [1, 3])
def test_events(config: FabricConfig, batch: int) -> None:
    shapes = shapes_of(residual())
    run = FabricRun(config, shapes, batch=batch)
    for shape in shapes:
        found = dataclasses.replace(run.layer(shape).events, flit_hops=0, tile_cycles=0)
        assert found == counted_events(run, shape), shape.op


def test_blocks_and_gathered_bits_by_hand() -> None:
    """40 channels on 4 clusters of 4 CAPs, 2 sets: 10 channels in a cluster are 3 rounds of windows of each set."""
    chain = Chain(np.random.default_rng(0), (16, 8, 16), 4)
    chain.conv(40, 1)
    shapes = shapes_of(chain.graph)
    run = FabricRun(SMALL, shapes)
    run._placements[shapes[0].output] = Placement(1, 4, 2)
    shape = shapes[0]
    assert isinstance(shape, ConvShape)
    events = run.layer(shape).events
    blocks, gathers = 2 * 40, 4 * 2 * 3
    sums = plan_sums("", 4, 4, 16, shape.requantize.accumulator_bits, CAP, "count")
    constants = sum(
        op.d_width
        for op in sum_program("", shape.requantize, sums, 1, 1, MAP).job.instructions
        if op.opcode == Opcode.LOAD and op.kind == LoadKind.TAPS
    )
    assert events.counted_rows == blocks * 4 * 4 * CAP.rows
    assert events.memory_bits == gathers * 4 * CAP.rows + blocks * 4 * 16 + 4 * 2 * constants * 16
    assert events.stored_bits == blocks * sums.stored[0][1] * 64


# --- odd layers -------------------------------------------------------------------------------------------------------


def random_layers() -> Iterator[tuple[int, tuple[LayerShape, ...]]]:
    for seed in range(63):
        graph = random_graph(np.random.default_rng(seed), KINDS[seed % len(KINDS)])
        yield seed, shapes_of(graph)


@pytest.mark.parametrize("config", [SMALL, UNEVEN, UNLIMITED, STREAMED, FABRICS["lr"]], ids=lambda one: one.hash_text)
def test_random_layers(config: FabricConfig) -> None:
    """Odd sizes, one channel, one pixel, several channels for each: a cost or a reason why there is none."""
    refused = 0
    for seed, shapes in random_layers():
        for batch in (1, 3):
            try:
                found = costs(shapes, config, "auto", batch)
            except MappingError:
                refused += 1
                continue
            for cost in found:
                assert all(count > 0 for count in cost.cycles.values()), seed
                assert cost.utilisation is None or 0 < cost.utilisation <= 1, seed
                assert cost.total or "nothing moves" in cost.mapping or cost.op == "reshape", seed
    assert refused < 63


@pytest.mark.parametrize("size", [(1, 1, 1), (1, 1, 17), (5, 5, 1), (1, 64, 2), (1, 65, 2), (64, 1, 3), (130, 3, 1)])
def test_odd_maps(size: tuple[int, int, int]) -> None:
    chain = Chain(np.random.default_rng(0), size, 3)
    chain.conv(7, 1)
    chain.conv(3, 1, depthwise=True)
    chain.relu()
    if size[0] == size[1]:
        chain.conv(5, size[0])  # a kernel as large as the map
    for config in (SMALL, UNEVEN, UNLIMITED):
        for batch in (1, 3, 70):
            assert all(cost.total for cost in costs(shapes_of(chain.graph), config, batch=batch))


# --- shapes before they are run ---------------------------------------------------------------------------------------


def test_flattened_maps_are_windows_of_the_whole_map() -> None:
    chain = Chain(np.random.default_rng(0), (4, 3, 5), 4)
    chain.conv(6, 1)
    chain.reshape((1, 1, 72))
    chain.conv(10, 1)
    shapes = [layer_shape(layer, chain.graph) for layer in chain.graph.layers]
    flat = flattened(shapes)
    assert [shape.op for shape in flat] == ["conv2d", "conv2d"]
    last = flat[1]
    assert isinstance(last, ConvShape)
    assert (last.inputs, last.input_size, last.kernel) == ((shapes[0].output,), (4, 3, 6), (4, 3))
    assert last.macs == shapes[2].macs == 720


def test_a_flattened_map_with_another_reader_is_moved() -> None:
    chain = Chain(np.random.default_rng(0), (4, 3, 5), 4)
    chain.reshape((1, 1, 60))
    chain.relu()
    shapes = [layer_shape(layer, chain.graph) for layer in chain.graph.layers]
    assert flattened(shapes) == tuple(shapes)
    moved = costs(flattened(shapes), SMALL)[0]
    assert set(moved.cycles) == {"movement"}
    assert moved.mapping == "the whole map is sent once"


def test_unlimited_meshes_have_a_cluster_for_each_set_and_channels_of_its_caps() -> None:
    shapes = shapes_of(residual())
    assert meshes_of(shapes, SMALL, 1) == (Mesh(2, 4),)
    # 13 x 11: 4 rows are a set of 64, so 4 sets, and 20 channels are 5 clusters of 4 CAPs; 40 channels of 7 x 6 are 10.
    assert meshes_of(shapes, UNLIMITED, 1) == (Mesh(2, 4), Mesh(3, 8), Mesh(4, 16), Mesh(5, 20))
    assert meshes_of(shapes, UNLIMITED, 3)[-2:] == (Mesh(6, 32), Mesh(8, 60))


def conv(**changes: object) -> tuple[LayerShape, ...]:
    chain = Chain(np.random.default_rng(0), (8, 8, 3), 4)
    chain.conv(5, 3, 1, 1)
    return (dataclasses.replace(shapes_of(chain.graph)[0], **changes),)


def refusal(shapes: tuple[LayerShape, ...], config: FabricConfig = SMALL, mode: str = "count") -> str:
    with pytest.raises(MappingError) as error:
        FabricRun(config, shapes, mode)
    return str(error.value)


def test_dilations_are_refused() -> None:
    assert refusal(conv(dilation=(1, 2))) == "layer 'layer0' must have a dilation of 1 on a fabric, not (1, 2)"
    lone = conv(kernel=(3, 1), dilation=(1, 2), padding=(1, 0))
    assert costs(lone, SMALL) == costs(conv(kernel=(3, 1), padding=(1, 0)), SMALL)


def test_averages_over_the_edge_are_refused() -> None:
    chain = Chain(np.random.default_rng(0), (4, 4, 3), 4)
    chain.average()
    shape = dataclasses.replace(shapes_of(chain.graph)[0], divisors=(4, 6, 9))
    assert refusal((shape,)) == (
        "layer 'layer0' must have one divisor on a fabric, not 3: windows that lap over the edge are not supported"
    )


def test_a_map_without_a_row_block_for_each_cap_is_refused() -> None:
    chain = Chain(np.random.default_rng(0), (8, 8, 3), 4)
    chain.conv(40, 1)
    many = SMALL.replace(caps=20, maps=1)
    assert refusal(shapes_of(chain.graph), many) == (
        "layer 'layer0' needs a MAP with a row block for each of its 20 CAPs, config small has 16"
    )


@pytest.mark.parametrize("mode", ["count", "auto"])
def test_narrow_maps_are_refused(mode: str) -> None:
    config = SMALL.replace(map=MAP.replace(columns=24))
    assert refusal(conv(), config, mode).startswith("layer 'layer0' needs columns of at least ")


def test_other_modes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^mode must be one of count, lut, auto on a fabric, not 'constant'$"):
        FabricRun(SMALL, conv(), "constant")


def test_other_shapes_are_refused() -> None:
    shape = LayerShape("x", "softmax", ("in",), "out", (1, 1, 3), (1, 1, 3), (4,), 4)
    with pytest.raises(TypeError, match=r"^layer 'x' must have a shape of sim.mapping.shapes, not LayerShape$"):
        FabricRun(SMALL, (shape,))


def test_words_are_cut_into_fewer_sums_where_maps_have_no_columns_for_the_first_choice() -> None:
    # Digits of 5 and 3 bits make 8 pairs of 8 places; those of 4 and 4 bits make 9 pairs of 5 places.
    network = load_network("resnet18")
    cost = evaluate(network, Widths(uniform=10), FABRICS["lr"], mode="lut")
    assert any("in 3 digits of up to 4 bits, weights in 3 digits of up to 4 bits" in one.mapping for one in cost.layers)
    with pytest.raises(
        MappingError, match=r"^layer 'stage1.unit1.conv1' needs columns of at least \d+ to requantise, config lr-map"
    ):
        evaluate(network, Widths(uniform=16), FABRICS["lr"], mode="lut")
