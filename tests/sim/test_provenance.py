"""No arithmetic of a layer on the host: every bit that it loads is a constant, an input bit or a bit read earlier.

The host runs with *identities* in place of bits: one for constant 0, one for constant 1, one for each bit of the input
and a fresh one for each bit that the tile gives back.  An identity is a random 62-bit number: whatever the host might
compute from identities is none of them, and the tile that translates them to bits refuses it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from golden import operators
from golden.engine import Job, Outcome
from golden.graph import Graph, Integers
from golden.tile import GoldenTile
from hw.config import CONFIGS, TileConfig
from sim.host import Network
from sim.mapping.bits import Alphabet, Symbols, flat_map, from_bits, to_bits
from sim.mapping.errors import MappingError
from sim.models import load_model
from tests.sim.mapping_graphs import KINDS, random_graph, random_input

Identities = NDArray[np.int64]
INDEX_BITS = 28


class UnknownIdentityError(AssertionError):
    """The host made something up."""


class Registry:
    """Identities and the bits that they stand for; the low bits of an identity are its place in the book."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.names = np.zeros(0, np.int64)
        self.bits = np.zeros(0, np.uint8)
        constants = self.fresh(np.array([0, 1], np.uint8))
        self.alphabet = Alphabet(int(constants[0]), int(constants[1]), np.dtype(np.int64))

    def fresh(self, bits: NDArray[np.uint8]) -> Identities:
        """A new identity for each of the bits, the same shape."""
        places = np.arange(len(self.names), len(self.names) + bits.size, dtype=np.int64)
        names = self.random.integers(1 << (62 - INDEX_BITS), size=bits.size, dtype=np.int64) << INDEX_BITS | places
        self.names = np.concatenate([self.names, names])
        self.bits = np.concatenate([self.bits, bits.reshape(-1)])
        return names.reshape(bits.shape)

    def read(self, symbols: Symbols) -> NDArray[np.uint8]:
        """The bits of identities; refuses what is none."""
        if symbols.dtype != np.int64:
            raise UnknownIdentityError(f"identities must be int64, not {symbols.dtype}")
        places = symbols & ((1 << INDEX_BITS) - 1)
        known = places < len(self.names)
        known &= self.names[np.where(known, places, 0)] == symbols
        if not known.all():
            raise UnknownIdentityError(f"{int((~known).sum())} of {known.size} symbols are no known identity")
        return self.bits[places]


class TracingTile:
    """A golden tile behind a registry."""

    def __init__(self, config: TileConfig, registry: Registry) -> None:
        self.config, self.registry, self.tile = config, registry, GoldenTile(config, 3)
        self.loaded = 0

    def run(self, job: Job) -> Outcome:
        planes = [self.registry.read(symbols) for symbols in job.planes]
        self.loaded += sum(plane.size for plane in planes)
        outcome = self.tile.run(Job(job.program, planes))
        fresh: list[NDArray[Any]] = [self.registry.fresh(plane) for plane in outcome.planes]
        return Outcome(fresh, outcome.counters, outcome.error)

    def close(self) -> None:
        self.tile.close()


def trace(graph: Graph, config: TileConfig, values: Integers, mode: str = "count") -> TracingTile:
    """Run a network on identities and compare every map with the integer operators."""
    registry = Registry(1)
    tile = TracingTile(config, registry)
    network = Network(graph, config, registry.alphabet, mode)
    expected = operators.run(graph, values)
    stored: dict[str, Symbols] = {graph.input: registry.fresh(to_bits(values, graph.maps[graph.input].bits))}
    for layer, plan in zip(graph.layers, network.plans, strict=True):
        operands = [stored[name] for name in layer.inputs]
        stored[layer.output], _ = network.run_layer(layer, plan, operands, tile)
        found = from_bits(registry.read(stored[layer.output]))
        assert np.array_equal(found, expected[layer.output]), layer.name
    return tile


def test_resnet8_does_no_arithmetic_on_the_host() -> None:
    graph = load_model("resnet8")
    tile = trace(graph, CONFIGS["cap"], random_input(np.random.default_rng(5), graph))
    assert tile.loaded > 5_000_000


@pytest.mark.parametrize("kind", KINDS)
def test_no_kind_of_layer_does_arithmetic_on_the_host(kind: str) -> None:
    config = TileConfig(name="t", taps=16, outputs=8, columns=128, plane_bits=8, activity=False)
    done = 0
    for seed in range(6):
        rng = np.random.default_rng([seed, 77])
        graph = random_graph(rng, kind)
        try:
            trace(graph, config, random_input(rng, graph))
            done += 1
        except MappingError:
            continue
    assert done >= 3


@pytest.mark.parametrize("arithmetic", ["sum", "negation", "and", "flip"])
def test_arithmetic_on_the_host_is_found(arithmetic: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def dishonest(stored: Symbols, pad_value: int, alphabet: Alphabet) -> Symbols:
        other = np.roll(stored, 1)
        change = {"sum": stored + other, "negation": ~stored, "and": stored & other, "flip": stored ^ 1}
        return flat_map(change[arithmetic], pad_value, alphabet)

    monkeypatch.setattr("sim.mapping.convolution.flat_map", dishonest)
    graph = random_graph(np.random.default_rng(8), "conv2d", 4)
    with pytest.raises(UnknownIdentityError):
        trace(graph, CONFIGS["small"], random_input(np.random.default_rng(8), graph))
