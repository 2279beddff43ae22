"""Mode ``constant``: weights as instructions, sums of taps that filters share, requantisation by immediates."""

from __future__ import annotations

import dataclasses
import itertools
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from golden import operators
from golden.engine import Job
from golden.graph import Conv, Graph, Integers, Rescale
from golden.laws import run_law
from golden.rescale import reachable
from golden.ternary import ternarise
from golden.tile import GoldenTile
from hw.config import CONFIGS, TileConfig
from hw.isa import ErrorCode, Opcode
from sim.host import Network
from sim.mapping import MappingError
from sim.mapping.bits import PLAIN, from_bits, to_bits
from sim.mapping.builder import Builder, JobPlan
from sim.mapping.constant import ConstantFeeder, additions, check_constant, constant_plan
from sim.mapping.digits import signed_digits
from sim.mapping.immediate import Immediate
from sim.mapping.running_sum import RunningSum, Value
from sim.mapping.shapes import ConvShape, layer_shape
from sim.mapping.sharing import share
from sim.mapping.tap_schedule import Slots, shared_steps
from sim.models import load_model
from tests.sim.mapping_graphs import random_graph, random_input, random_rescale
from tests.sim.ownership import ownership_violations

CONVOLUTIONS = ("conv2d", "depthwise", "fully_connected")
TILES = (
    TileConfig(name="whole", taps=9, outputs=16, columns=128, plane_bits=144, port_queue=2, array="3r1w"),
    TileConfig(name="narrow", taps=25, outputs=8, columns=256, plane_bits=8, activity=False, passes="two_tags"),
    TileConfig(name="few", taps=3, outputs=3, columns=90, plane_bits=1, port_queue=1, activity=False, passes="merged"),
)


def conv(graph: Graph) -> tuple[Conv, ConvShape]:
    layer, shape = graph.layers[0], layer_shape(graph.layers[0], graph)
    assert isinstance(layer, Conv)
    assert isinstance(shape, ConvShape)
    return layer, shape


def with_ternary_weights(graph: Graph, rng: np.random.Generator) -> Graph:
    layer, _ = conv(graph)
    weights = rng.integers(-1, 2, size=layer.weights.shape, dtype=np.int64)
    bias = layer.rescale.bias
    largest = (1 << graph.maps["in"].bits) - 1
    lowest, highest = reachable(weights.reshape(len(weights), -1), bias, largest)
    rescale = random_rescale(rng, lowest, highest, bias, graph.maps["out"].bits)
    return dataclasses.replace(
        graph, layers=(dataclasses.replace(layer, weights=weights, weight_bits=2, rescale=rescale),)
    )


def run_layer(graph: Graph, config: TileConfig, seed: int) -> tuple[Integers, tuple[JobPlan, ...]]:
    """The output map of a graph of one convolution on a golden tile; counters equal the law, ports are joined."""
    layer, shape = conv(graph)
    jobs = constant_plan(shape, config, layer)
    feeder, tile = ConstantFeeder(shape, config, layer, PLAIN), GoldenTile(config, seed)
    feeder.begin([to_bits(random_input(np.random.default_rng(seed), graph), graph.maps["in"].bits)])
    height, width, channels = shape.output_size
    output = np.zeros((height * width * channels, shape.output_bits), np.uint8)
    times = np.zeros(len(output), np.int64)
    for job in jobs:
        outcome = tile.run(Job(job.program, [feeder.planes(job, source) for source in job.loads]))
        assert outcome.error is ErrorCode.NONE
        law = run_law(job.program, config)
        assert {name: outcome.counters[name] for name in law} == law
        assert not ownership_violations(job.program, config)
        rows = feeder.rows(job)
        for sink, planes in zip(job.stores, outcome.planes, strict=True):
            targets = rows[sink.first_row : sink.first_row + sink.rows]
            output[targets[targets >= 0]] = planes[:, targets >= 0].T
            times[targets[targets >= 0]] += 1
    assert np.all(times == 1), "every element is stored once"
    return from_bits(output).reshape(height, width, channels), jobs


def check(graph: Graph, config: TileConfig, seed: int) -> tuple[JobPlan, ...]:
    found, jobs = run_layer(graph, config, seed)
    values = random_input(np.random.default_rng(seed), graph)
    assert np.array_equal(found, operators.run(graph, values)[graph.output])
    return jobs


@pytest.mark.parametrize("config", TILES, ids=lambda config: config.name)
@pytest.mark.parametrize("kind", CONVOLUTIONS)
def test_random_layers_equal_the_integer_operators(kind: str, config: TileConfig) -> None:
    done = 0
    for seed in range(8):
        rng = np.random.default_rng([seed, CONVOLUTIONS.index(kind)])
        graph = random_graph(rng, kind)
        graph = with_ternary_weights(graph, rng) if seed % 2 else graph
        try:
            check(graph, config, seed)
            done += 1
        except MappingError:
            continue
    assert done >= 4


@pytest.mark.parametrize("bits", [1, 2, 3, 7, 8, 9, 12, 15])
def test_widths(bits: int) -> None:
    config = TileConfig(name="wide", taps=16, outputs=16, columns=256, plane_bits=256, activity=False)
    for index, kind in enumerate(CONVOLUTIONS):
        check(random_graph(np.random.default_rng([bits, index]), kind, bits), config, bits)


def test_more_pixels_than_rows_take_several_passes() -> None:
    config = TileConfig(name="low", taps=2, outputs=3, columns=256, plane_bits=6, activity=False)
    graph = next(
        graph
        for seed in range(100)
        if np.prod((graph := random_graph(np.random.default_rng(seed), "conv2d", 4)).maps["out"].shape[:2]) > 13
    )
    jobs = check(graph, config, 0)
    assert len({job.work.first for job in jobs}) > 2


def test_equal_instructions_are_one_object() -> None:
    graph = random_graph(np.random.default_rng(1), "conv2d", 8)
    layer, shape = conv(graph)
    instructions = [op for job in constant_plan(shape, CONFIGS["small"], layer) for op in job.instructions]
    assert len({id(op) for op in instructions}) == len(set(instructions)) < len(instructions)


@pytest.mark.parametrize("kind", CONVOLUTIONS)
def test_an_error_names_columns_that_would_do(kind: str) -> None:
    config = TileConfig(name="few", taps=9, outputs=8, columns=8, plane_bits=72, activity=False)
    graph = random_graph(np.random.default_rng(13), kind, 5)
    layer, shape = conv(graph)
    with pytest.raises(MappingError) as refusal:
        constant_plan(shape, config, layer)
    pattern = rf"layer '{kind}' needs columns of at least (\d+) in mode constant, config few has 8"
    found = re.fullmatch(pattern, str(refusal.value))
    assert found is not None
    columns = int(found[1])
    check(graph, config.replace(columns=columns), 3)
    check_constant(shape, config.replace(columns=columns), layer)
    with pytest.raises(MappingError, match=f"at least {columns}"):
        check_constant(shape, config.replace(columns=columns - 1), layer)


@pytest.mark.parametrize(
    ("weight", "multiplier", "shift", "message"),
    [
        (1 << 20, 1, 30, r"needs sums of \d+ bits, immediate constants can limit at most 35"),
        (1, 1 << 50, 62, r"needs products of \d+ bits, an instruction can name at most 64"),
    ],
)
def test_sums_and_products_that_are_too_wide_are_refused(
    weight: int, multiplier: int, shift: int, message: str
) -> None:
    graph = random_graph(np.random.default_rng(0), "fully_connected", 16)
    layer, shape = conv(graph)
    constants = np.full_like(layer.rescale.bias, multiplier)
    rescale = dataclasses.replace(
        layer.rescale, multiplier=constants, positive=0 * constants, negative=0 * constants, bias=0 * constants,
        shift=shift, offset2=0, low=0, high=65535,
    )  # fmt: skip
    wide = dataclasses.replace(layer, weights=np.full_like(layer.weights, weight), rescale=rescale)
    config = TileConfig(name="t", taps=2, outputs=2, columns=512, plane_bits=4)
    with pytest.raises(MappingError, match=rf"^layer 'fully_connected' {message}$"):
        constant_plan(shape, config, wide)


# --- parts --------------------------------------------------------------------------------------------------------


@given(st.integers(-(1 << 40), 1 << 40))
def test_digits_make_the_number(number: int) -> None:
    digits = signed_digits(number)
    assert sum(sign << place for place, sign in digits) == number
    places = [place for place, _ in digits]
    assert all(later - earlier > 1 for earlier, later in itertools.pairwise(places))
    assert {sign for _, sign in digits} <= {1, -1}
    assert len(digits) <= abs(number).bit_count()
    assert not places or places[-1] <= abs(number).bit_length()


@given(seed=st.integers(0, 2**32 - 1), density=st.floats(0, 1), filters=st.integers(1, 9), taps=st.integers(0, 14))
def test_sharing_keeps_the_sums(seed: int, density: float, filters: int, taps: int) -> None:
    rng = np.random.default_rng(seed)
    signs = rng.integers(-1, 2, (filters, taps)) * (rng.random((filters, taps)) < density)
    shared = share(signs)
    unit = np.eye(taps, dtype=np.int64)
    sums = np.zeros((filters, taps), np.int64)

    def use(value: Integers, uses: tuple[tuple[int, int], ...]) -> None:
        for filter_, sign in uses:
            sums[filter_] += sign * value

    for tap, uses in shared.singles.items():
        use(unit[tap], uses)
    for pair in shared.pairs:
        use(unit[pair.first] + pair.sign * unit[pair.second], pair.uses)
        for triple in pair.triples:
            use(unit[pair.first] + pair.sign * unit[pair.second] + triple.sign * unit[triple.tap], triple.uses)
    assert np.array_equal(sums, signs)
    assert shared.additions <= np.count_nonzero(signs)
    for pair in shared.pairs:
        other = pair.swapped()
        assert (other.first, other.second, other.sign) == (pair.second, pair.first, pair.sign)
        assert other.uses == tuple((filter_, sign * pair.sign) for filter_, sign in pair.uses)
        assert other.swapped() == pair


def test_a_sum_that_all_filters_have_is_computed_once() -> None:
    signs = np.array([[1, -1, 0, 1], [-1, 1, 1, 0], [1, -1, 0, 0]], np.int64)
    shared = share(signs)
    assert [(pair.first, pair.second, pair.sign, pair.uses) for pair in shared.pairs] == [
        (0, 1, -1, ((0, 1), (1, -1), (2, 1)))
    ]
    assert shared.additions == 6
    assert np.count_nonzero(signs) == 8


def test_slots_are_enough_and_are_given_back() -> None:
    signs = np.random.default_rng(5).integers(-1, 2, (12, 40))
    slots = Slots((100, 108, 116), (0, 10), 8)
    columns = {
        getattr(step, "column", 0) for step in shared_steps(share(signs), range(40), [(f, 0) for f in range(12)], slots)
    }
    assert columns <= {100, 108, 116, 0, 10}


@given(data=st.data(), bits=st.integers(1, 8), signs=st.lists(st.tuples(st.integers(0, 2), st.sampled_from([1, -1]),
       st.integers(0, 6)), min_size=1, max_size=9), spare=st.integers(0, 3))  # fmt: skip
def test_running_sums_are_exact(data: st.DataObject, bits: int, signs: list[tuple[int, int, int]], spare: int) -> None:
    """Any order of additions, and constants among them, on a sum of just the columns that its final range needs."""
    constants = data.draw(st.lists(st.integers(-5000, 5000), min_size=len(signs), max_size=len(signs)))
    start = data.draw(st.sampled_from([0, 0, 7, -9, 300]))
    largest = (1 << bits) - 1
    factors = np.zeros(3, np.int64)
    for number, sign, place in signs:
        factors[number] += sign << place
    low = start + sum(constants) + int(np.minimum(factors, 0).sum()) * largest
    high = start + sum(constants) + int(np.maximum(factors, 0).sum()) * largest
    columns = max(low.bit_length(), high.bit_length()) + 1 + spare
    config = TileConfig(name="t", taps=4, outputs=4, columns=100, plane_bits=16)
    builder = Builder(config)
    total = RunningSum(builder, 40, columns, 0, largest)
    if start:
        total.start(start)
    for (number, sign, place), constant in zip(signs, constants, strict=True):
        total.add(Value(1 + number * bits, bits, ((number, 1),)), sign, place)
        total.add_constant(constant if constant % 3 else 0)
    constant = start + sum(constant for constant in constants if constant % 3)
    assert total.constant == constant
    assert total.width <= columns
    total.widen(columns)
    tile = GoldenTile(config, 1)
    cells = tile.cells
    tile.run(Job(builder.finish(None).program))
    expected = constant + sum(
        int(factors[number]) * from_bits(cells[1 + number * bits : 1 + (number + 1) * bits].T) for number in range(3)
    )
    found: NDArray[Any] = from_bits(tile.cells[40 : 40 + columns].T)
    assert np.array_equal(found, expected & ((1 << columns) - 1))
    untouched = [*range(1, 40), *range(40 + columns, 100)]
    assert np.array_equal(tile.cells[untouched], cells[untouched])


@given(
    seed=st.integers(0, 2**32 - 1), bits=st.integers(1, 8), span=st.integers(0, 3000), lowest=st.integers(-2500, 600)
)
def test_ends_change_no_output(seed: int, bits: int, span: int, lowest: int) -> None:
    bias = np.array([17], np.int64)
    low, high = np.array([lowest], np.int64), np.array([lowest + span], np.int64)
    rescale = random_rescale(np.random.default_rng(seed), low, high, bias, bits)
    immediate = Immediate.of(rescale, 0, lowest - 17, lowest + span - 17, bits)
    reach = np.arange(lowest, lowest + span + 1, dtype=np.int64)
    outputs = operators.requantize(reach[:, None], rescale)[:, 0]
    if immediate.constant is not None:
        assert np.all(outputs == immediate.constant)
        return
    first, last = immediate.ends
    assert lowest <= first <= last <= lowest + span
    limited = operators.requantize(np.clip(reach, first, last)[:, None], rescale)[:, 0]
    assert np.array_equal(limited, outputs)
    if immediate.whole:
        products = [immediate.multiplier * (x - first) + immediate.addend(x) for x in range(first, last + 1)]
        assert [product >> immediate.shift for product in products] == outputs[
            first - lowest : last + 1 - lowest
        ].tolist()
        assert 0 <= min(products) <= max(products) < 1 << immediate.product_columns


def test_a_channel_with_one_output_needs_no_additions() -> None:
    graph = random_graph(np.random.default_rng(3), "conv2d", 6)
    layer, _ = conv(graph)
    flat: Rescale = dataclasses.replace(layer.rescale, high=0)
    graph = dataclasses.replace(graph, layers=(dataclasses.replace(layer, rescale=flat),))
    jobs = check(graph, TILES[0], 2)
    assert additions(jobs) == (0, 0)
    assert not any(op.opcode == Opcode.LOAD for job in jobs for op in job.instructions)


# --- networks -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ternary() -> Graph:
    return ternarise(load_model("resnet8"))


def test_sharing_saves_a_quarter_of_the_additions_of_ternary_resnet8(ternary: Graph) -> None:
    saved = {name: np.zeros(2, np.int64) for name in ("cap", "cap256")}
    for layer in ternary.layers:
        if isinstance(layer, Conv):
            shape = layer_shape(layer, ternary)
            assert isinstance(shape, ConvShape)
            for name, total in list(saved.items()):
                counts = additions(constant_plan(shape, CONFIGS[name], layer))
                assert counts[1] == np.count_nonzero(layer.weights)
                assert counts[0] < 0.8 * counts[1]
                saved[name] = total + counts
    assert saved["cap256"][0] < 0.60 * saved["cap256"][1]
    assert saved["cap"][0] < 0.68 * saved["cap"][1]


def test_layers_of_ternary_resnet8_on_cap256(ternary: Graph) -> None:
    maps = operators.run(ternary, random_input(np.random.default_rng(4), ternary))
    network = Network(ternary, CONFIGS["cap256"], mode="constant")
    tile = GoldenTile(CONFIGS["cap256"])
    for layer, plan in zip(ternary.layers, network.plans, strict=True):
        if layer.name in ("conv1", "conv6", "fc1"):
            stored = [to_bits(maps[name], ternary.maps[name].bits) for name in layer.inputs]
            found, counters = network.run_layer(layer, plan, stored, tile)
            assert np.array_equal(from_bits(found), maps[layer.output])
            assert {name: counters[name] for name in plan.law} == plan.law
