"""Networks as command streams, run on the golden accelerator and compared with the integer operators."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from golden import operators, widths
from golden.accelerator.machine import GoldenAccelerator
from golden.accelerator.timing import law
from golden.graph import AveragePool, Conv, Graph, Integers
from hw.accelerator.commands import HostCommand, Run, Write, stream_words
from hw.accelerator.config import ACCELERATORS, AcceleratorConfig
from hw.accelerator.protocol import AcceleratorError, Unit
from sim.accelerator.network import AcceleratorNetwork
from sim.accelerator.phases import PhaseKind
from sim.mapping.errors import MappingError
from sim.models import load_model
from tests.sim.accelerator.chains import Chain
from tests.sim.mapping_graphs import random_graph, random_input

TINY = ACCELERATORS["meshtiny"]
ONE, TWO, FOUR = (ACCELERATORS[name] for name in ("mesh1x1", "mesh1x2", "mesh2x2"))
PAIRS = ACCELERATORS["mesh2x2-1to1"]


def run_and_compare(graph: Graph, config: AcceleratorConfig, seed: int) -> AcceleratorNetwork:
    """Run a random input; the result must be the operators', the traffic free of contention."""
    rng = np.random.default_rng(seed)
    network = AcceleratorNetwork(graph, config)
    values = random_input(rng, graph)
    commands = network.commands(values)
    outcome = GoldenAccelerator(config, seed).run(commands)
    assert outcome.error is AcceleratorError.NONE, outcome
    assert np.array_equal(network.result(outcome.words), operators.run(graph, values)[graph.output])
    assert law(commands, config).contended == []
    return network


def run_and_compare_maps(graph: Graph, config: AcceleratorConfig, values: Integers) -> AcceleratorNetwork:
    """As :func:`run_and_compare`, with every map that MAPs keep, read when its phases have ended."""
    network = AcceleratorNetwork(graph, config)
    machine = GoldenAccelerator(config, 1)
    expected = operators.run(graph, values)
    outputs = {layer.name: layer.output for layer in graph.layers}
    compared: set[str] = set()
    words: list[int] = []
    number = 0
    commands: list[HostCommand] = []
    for command in network.commands(values):
        commands.append(command)
        if not isinstance(command, Run):
            continue
        outcome = machine.run(commands)
        assert outcome.error is AcceleratorError.NONE, outcome
        words += outcome.words
        commands, number = [], number + 1
        done = set(network.marks[number - 1].layers) - {
            layer
            for mark in network.marks[number:]
            if mark.kind in (PhaseKind.COMPUTE, PhaseKind.ELEMENTWISE)
            for layer in mark.layers
        }
        if network.marks[number - 1].kind not in (PhaseKind.COMPUTE, PhaseKind.ELEMENTWISE):
            continue
        cells = [
            [machine.tiles[cluster][config.caps + one].cells for one in range(config.maps)]
            for cluster in range(config.clusters)
        ]
        for name in done:
            assert np.array_equal(network.read_map(outputs[name], cells), expected[outputs[name]]), name
            compared.add(name)
    assert np.array_equal(network.result(words), expected[graph.output])
    assert compared == {layer.name for layer in graph.layers if layer.output in network.stored}
    return network


@pytest.mark.parametrize("config", [TINY, FOUR, PAIRS], ids=lambda config: config.name)
@pytest.mark.parametrize("kind", ["conv2d", "depthwise", "fully_connected", "average_pool", "max_pool"])
def test_single_layers(config: AcceleratorConfig, kind: str) -> None:
    wanted = 6 if config is TINY else 2
    done = 0
    for seed in range(40):
        graph = random_graph(np.random.default_rng(seed), kind)
        print(f"seed {seed}, {graph.layers[0]}")
        try:
            run_and_compare(graph, config, seed)
        except MappingError:
            continue
        done += 1
        if done == wanted:
            return
    pytest.fail(f"only {done} networks fit")


def residual(chain: Chain) -> None:
    """Two branches of different depth, as in a residual network."""
    chain.conv(5, kernel=3, padding=1)
    left = chain.conv(6, kernel=3, padding=1, stride=2)
    chain.conv(6, source="layer0.out", stride=2)
    chain.add(left)
    chain.relu()
    chain.conv(3)


def rounded(chain: Chain) -> None:
    """An addition that rounds one operand first, and a reshape that changes nothing."""
    left = chain.conv(4)
    chain.conv(4, kernel=3, padding=1)
    chain.add(left, rounded=True)
    chain.reshape()
    chain.conv(2, bits=5)


def separable(chain: Chain) -> None:
    """Depthwise and pointwise, then an average."""
    chain.conv(6, bits=4)
    chain.conv(2, kernel=3, padding=1, stride=2, depthwise=True)
    chain.conv(5, bits=6)
    chain.average()
    chain.conv(7, weight_bits=7)


def large_kernel(chain: Chain) -> None:
    """Kernels that look far into the neighbours' rows."""
    chain.conv(3, kernel=5, padding=2)
    chain.conv(4, kernel=4, padding=1, weight_bits=1)


def pooled(chain: Chain) -> None:
    """Max pools between convolutions, over the edge too; one reads what a convolution reads as well."""
    chain.conv(5, kernel=3, padding=1)
    chain.maximum(3, stride=2, padding=1)
    chain.relu()
    left = chain.conv(19)
    chain.maximum(2, limits=(1, 2))
    chain.conv(4, kernel=2, source=left)
    chain.maximum(2, stride=2)
    chain.conv(3)


@pytest.mark.parametrize("build", [residual, rounded, separable, large_kernel, pooled])
@pytest.mark.parametrize(
    ("config", "size", "bits"),
    [(TINY, (6, 7, 3), 2), (ONE, (9, 5, 3), 3), (TWO, (11, 13, 5), 3), (FOUR, (14, 15, 3), 4), (PAIRS, (9, 12, 2), 3)],
    ids=lambda value: value.name if isinstance(value, AcceleratorConfig) else None,
)
def test_chains(
    build: Callable[[Chain], None], config: AcceleratorConfig, size: tuple[int, int, int], bits: int
) -> None:
    chain = Chain(np.random.default_rng(7), size, bits)
    build(chain)
    run_and_compare_maps(chain.graph, config, random_input(np.random.default_rng(3), chain.graph))


@pytest.mark.parametrize("bits", [4, pytest.param(8, marks=pytest.mark.slow)])
def test_resnet8(bits: int) -> None:
    graph = widths.apply(load_model("resnet8"), bits)
    values = random_input(np.random.default_rng(bits), graph)
    network = run_and_compare_maps(graph, FOUR, values)
    commands = network.commands(values)
    assert law(commands, FOUR).contended == []
    sent = sum(1 for _ in stream_words(commands, FOUR))
    assert sent == sum(count for kind, count in network.words.items() if kind != "result")


def test_layers_that_do_not_fit_at_once_become_several_phases() -> None:
    chain = Chain(np.random.default_rng(0), (8, 8, 6), 3)
    chain.conv(5, kernel=3, padding=1)
    config = ONE.replace(program_words=160)
    network = run_and_compare(chain.graph, config, 0)
    assert sum(mark.kind is PhaseKind.COMPUTE for mark in network.marks) == 1
    chain = Chain(np.random.default_rng(0), (16, 32, 6), 3)
    chain.conv(20, kernel=3, padding=1)
    whole, config = ONE, ONE.replace(program_words=250)
    counts = [
        sum(mark.kind is PhaseKind.COMPUTE for mark in run_and_compare(chain.graph, one, 0).marks)
        for one in (whole, config)
    ]
    assert counts[0] == 1
    assert counts[1] > 8  # the rounds of one of 8 sets do not fit together


def test_nothing_is_written_while_an_exchange_runs() -> None:
    chain = Chain(np.random.default_rng(0), (16, 16, 3), 3)
    residual(chain)
    network = AcceleratorNetwork(chain.graph, FOUR)
    commands = network.commands(random_input(np.random.default_rng(0), chain.graph))
    goes = [index for index, command in enumerate(commands) if isinstance(command, Run)]
    for go, mark in zip(goes, network.marks, strict=True):
        assert not mark.kind.quiet or not isinstance(commands[go + 1], Write)
    assert any(mark.kind is PhaseKind.EXCHANGE for mark in network.marks)


def test_programs_and_weights_of_the_next_layer_are_written_while_one_runs() -> None:
    chain = Chain(np.random.default_rng(0), (16, 16, 3), 3)
    chain.conv(4, kernel=3, padding=1)
    chain.conv(4, kernel=3, padding=1)
    network = AcceleratorNetwork(chain.graph, FOUR)
    commands = network.commands(random_input(np.random.default_rng(0), chain.graph))
    first = next(index for index, command in enumerate(commands) if isinstance(command, Run))
    after = commands[first + 1 :]
    second = [index for index, command in enumerate(after) if isinstance(command, Run)]
    computes = [number for number, mark in enumerate(network.marks) if mark.kind is PhaseKind.COMPUTE]
    units = {command.unit for command in after[: second[0]] if isinstance(command, Write)}
    assert {Unit.PROGRAM, Unit.PROGRAM + 1, Unit.PROGRAM + FOUR.caps, Unit.TAPS} <= units
    assert computes[0] == 0
    later = after[second[0] : second[computes[1] - 1]]
    assert not [command for command in later if isinstance(command, Write) and command.unit >= Unit.PROGRAM]


def test_an_input_that_several_layers_read_is_sent_once() -> None:
    chain = Chain(np.random.default_rng(0), (8, 8, 3), 3)
    first = chain.conv(4)
    left = chain.conv(4, source=first)
    chain.conv(4, source=first)
    chain.add(left)
    network = run_and_compare(chain.graph, TWO, 0)
    assert {mark.layers for mark in network.marks if mark.kind is PhaseKind.EXCHANGE} == {("layer1",)}


def refused(graph: Graph, config: AcceleratorConfig = FOUR) -> str:
    with pytest.raises(MappingError) as error:
        AcceleratorNetwork(graph, config)
    return str(error.value)


def chain_of(size: tuple[int, int, int] = (8, 8, 4), bits: int = 4) -> Chain:
    return Chain(np.random.default_rng(0), size, bits)


def test_what_is_not_supported_is_refused() -> None:
    chain = chain_of()
    chain.relu()
    assert refused(chain.graph) == (
        "layer 'layer0' must not work on the network's input on an accelerator, whose MAPs do not hold it"
    )
    chain = chain_of()
    chain.conv(4)
    chain.reshape((1, 1, 256))
    assert refused(chain.graph) == (
        "layer 'layer1' must leave numbers where they are on an accelerator; it makes (1, 1, 256) of (8, 8, 4)"
    )
    chain = chain_of()
    chain.reshape()
    assert refused(chain.graph) == "network 'chain' must have layers that an accelerator works on"
    chain = chain_of((20, 20, 4))
    chain.conv(4, kernel=16)
    assert refused(chain.graph) == "layer 'layer0' must have a kernel of at most 15 on an accelerator, not 16 x 16"
    chain = chain_of((20, 20, 4))
    chain.conv(4, stride=5)
    assert refused(chain.graph) == "layer 'layer0' must have a stride of at most 4 on an accelerator, not 5 x 5"
    graph = random_graph(np.random.default_rng(0), "pad")
    assert refused(graph).startswith("layer 'pad' must leave numbers where they are on an accelerator")
    chain = chain_of()
    chain.maximum(2, stride=5)
    assert refused(chain.graph) == "layer 'layer0' must have a stride of at most 4 on an accelerator, not 5 x 5"
    chain = chain_of()
    left = chain.conv(1, depthwise=True)
    chain.maximum(3, padding=1)
    chain.add(left)
    assert refused(chain.graph) == (
        "layers 'layer0', 'layer1' must be max pools and convolutions that are not depthwise, by CAPs of a MAP in a "
        "number that divides taps, as their outputs are added; config mesh2x2 has 2 CAPs for 16 taps"
    )
    chain = chain_of()
    left = chain.conv(4)
    chain.maximum(3, padding=1)
    chain.add(left)
    assert refused(chain.graph, FOUR.replace(caps=3)).endswith("config mesh2x2 has 3 CAPs for 16 taps")
    chain = chain_of()
    chain.conv(4, kernel=2)
    graph = chain.graph
    layer = graph.layers[0]
    assert isinstance(layer, Conv)
    dilated = replace(graph, layers=(replace(layer, dilation=(2, 2)),))
    assert refused(dilated) == "layer 'layer0' must have dilation 1 on an accelerator, not (2, 2)"
    chain = chain_of()
    chain.average()
    graph = chain.graph
    pool = graph.layers[0]
    assert isinstance(pool, AveragePool)
    several = replace(graph, layers=(replace(pool, divisors=(2, 4)),))
    assert refused(several) == "layer 'layer0' must have windows of one size on an accelerator, not of 2, 4 elements"


def test_what_does_not_fit_is_refused() -> None:
    chain = chain_of((4, 65, 4))
    chain.conv(4)
    assert refused(chain.graph) == "map 'in' needs outputs of at least its width, 65, config mesh2x2 has 64"
    chain = chain_of((64, 64, 32))
    chain.conv(4)
    assert refused(chain.graph) == (
        "layer 'layer0' needs gather_words of at least 2048 for its input, config mesh2x2 has 1024"
    )
    chain = chain_of()
    chain.conv(4, kernel=5)
    narrow = FOUR.replace(cap=FOUR.cap.replace(columns=20))
    needed = 4 + 2 * 4 + accumulator_bits(chain)
    assert refused(chain.graph, narrow) == (
        f"layer 'layer0' needs columns of at least {needed} in a CAP, config mesh-cap has 20"
    )
    narrow = FOUR.replace(cap=FOUR.cap.replace(fill_bits=12))
    assert (
        refused(chain.graph, narrow) == "layer 'layer0' needs fill_bits of at least 14 in a CAP, config mesh-cap has 12"
    )
    short = FOUR.replace(program_words=16)
    assert "needs program_words of at least" in refused(chain.graph, short)
    assert "taps_words for 28 planes, config mesh2x2 has 2048 and 2, which hold 8" in refused(
        chain.graph, FOUR.replace(taps_words=2)
    )
    chain = chain_of((6, 6, 4))
    chain.conv(9, depthwise=True)
    assert refused(chain.graph) == (
        "layer 'layer0' needs taps of at least 36 for the channels of 4 lanes, config mesh-map has 16"
    )
    chain = chain_of()
    left = chain.conv(2, depthwise=True)
    chain.conv(8, source="in")
    chain.conv(1, depthwise=True)
    chain.add(left)
    assert refused(chain.graph) == (
        "layers 'layer0', 'layer2' must have the same depth multiplier, as their outputs are added"
    )
    chain = chain_of()
    chain.conv(4)
    crowded = TINY.replace(caps=8)
    assert refused(chain.graph, crowded) == (
        "layer 'layer0' needs taps of at least the 8 CAPs of a MAP, config meshtiny has 4"
    )
    chain = chain_of()
    chain.conv(4, kernel=3, padding=16)
    assert refused(chain.graph) == "layer 'layer0' must have a padding of at most 15 on an accelerator, not 16 x 16"


def test_sums_and_constants_that_are_too_wide_are_refused() -> None:
    chain = chain_of((8, 8, 20))
    chain.conv(4, kernel=7)
    needed = accumulator_bits(chain)
    narrow = FOUR.replace(cap=FOUR.cap.replace(fill_bits=14, total_bits=14))
    assert refused(chain.graph, narrow) == (
        f"layer 'layer0' needs total_bits of at least {needed} in a CAP, config mesh-cap has 14"
    )
    layer = chain.layers[0]
    assert isinstance(layer, Conv)
    wide = replace(layer, rescale=replace(layer.rescale, multiplier_bits=33))
    assert refused(replace(chain.graph, layers=(wide,))) == (
        "layer 'layer0' needs multipliers of 33 bits, an instruction can name at most 32"
    )


def test_a_refusal_says_how_many_columns_a_map_needs() -> None:
    chain = chain_of()
    left = chain.conv(4, kernel=3, padding=1)
    chain.conv(4)
    chain.add(left)
    chain.conv(50)
    columns, named = 30, set[str]()
    while True:
        config = ONE.replace(map=ONE.map.replace(columns=columns))
        try:
            AcceleratorNetwork(chain.graph, config)
            break
        except MappingError as error:
            text = str(error)
        found = re.fullmatch(
            rf"layer '(\w+)' needs columns of at least (\d+)(?: to requantise)?, config mesh-map has {columns}", text
        )
        assert found, text
        named.add(found[1])
        assert int(found[2]) > columns
        columns = int(found[2])
    run_and_compare(chain.graph, config, 0)
    assert len(named) > 1


def test_depthwise_and_other_layers_can_be_added() -> None:
    chain = chain_of((6, 6, 4))
    left = chain.conv(2, depthwise=True)
    chain.conv(4, source="in")
    chain.conv(2, depthwise=True)
    chain.add(left)
    chain.conv(8, kernel=3, padding=1, source=left)
    chain.add("layer3.out")
    run_and_compare_maps(chain.graph, FOUR, random_input(np.random.default_rng(0), chain.graph))


def accumulator_bits(chain: Chain) -> int:
    layer = chain.layers[0]
    assert isinstance(layer, Conv)
    return layer.rescale.accumulator_bits


def test_inputs_and_results_are_checked() -> None:
    chain = chain_of()
    chain.conv(4)
    network = AcceleratorNetwork(chain.graph, FOUR)
    with pytest.raises(ValueError, match=r"input 'in' must have shape \(8, 8, 4\), not \(8, 8, 3\)"):
        network.commands(np.zeros((8, 8, 3), np.int64))
    with pytest.raises(ValueError, match=r"input 'in' must have stored numbers from 0 to 15, not 0 to 16"):
        network.commands(np.arange(17 * 256).reshape(17, 8, 8, 4)[0] % 17)
    with pytest.raises(ValueError, match=r"a result must have 16 words, not 3"):
        network.result([0, 0, 0])
