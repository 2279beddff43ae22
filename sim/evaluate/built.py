"""Networks on accelerators that are built: what :mod:`sim.accelerator` runs, by its law."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from golden.accelerator.timing import law
from hw.accelerator.config import AcceleratorConfig
from hw.isa import Instruction, LoadKind, Opcode
from sim.accelerator.network import AcceleratorNetwork
from sim.accelerator.phases import Phase, PhaseKind
from sim.accelerator.run import SETUP, span_kinds, spans
from sim.errors import UserError
from sim.evaluate.cost import Events, LayerCost
from sim.evaluate.evaluate import Evaluator
from sim.fabric.accounts import program_events
from sim.mapping import layer_shape
from sim.networks.imported import ImportedNetwork

if TYPE_CHECKING:
    from golden.graph import Graph
    from sim.evaluate.widths import Widths
    from sim.networks.network import Network

__all__ = ["AcceleratorEvaluator"]

_PARTS = {
    SETUP: "movement",
    PhaseKind.EXCHANGE.value: "movement",
    PhaseKind.COMPUTE.value: "convolution",
    PhaseKind.ELEMENTWISE.value: "residual",
    PhaseKind.RESULT.value: "store",
}
"""What phases are for: a compute phase holds the dot products and what hides behind them."""


class AcceleratorEvaluator(Evaluator):
    """On an accelerator, as command streams; a row is for the layers that phases work on together."""

    def __init__(self, network: Network, config: AcceleratorConfig, mode: str, batch: int) -> None:
        super().__init__(network, config, mode, batch)
        if not isinstance(network, ImportedNetwork):
            raise UserError(
                f"network {network.name} must come with weights to be evaluated on the accelerator {config.name}: "
                "take resnet8, a .tflite or an .onnx file, or another config"
            )
        if mode != "count":
            raise UserError(f"--mode must be count for an accelerator ({config.name}), not {mode}")
        self.source, self.accelerator = network, config

    def layers(self, widths: Widths) -> tuple[LayerCost, ...]:
        """The costs of all layers, in groups."""
        graph = self.source.at(widths)
        network = AcceleratorNetwork(graph, self.accelerator)
        expected = law(network.commands(np.zeros(graph.maps[graph.input].shape, np.int64)), self.accelerator)
        cycles = spans(expected.goes, expected.end)
        kinds = span_kinds(network)
        hops = [0, *(sum(phase.link_flits.values()) for phase in expected.phases)]
        hops[0] = sum(expected.link_flits.values()) - sum(hops)
        works = [Events(), *(_events(phase, self.accelerator) for phase in network.phases)]
        groups: dict[str, list[int]] = {}
        for number, (_, names) in enumerate(kinds):
            groups.setdefault(names[0], []).append(number)
        return tuple(self._row(graph, numbers, kinds, cycles, hops, works) for numbers in groups.values())

    def _row(
        self,
        graph: Graph,
        numbers: list[int],
        kinds: list[tuple[str, tuple[str, ...]]],
        cycles: list[int],
        hops: list[int],
        works: list[Events],
    ) -> LayerCost:
        """The layers of some phases."""
        names = max((kinds[number][1] for number in numbers), key=len)
        shapes = [layer_shape(layer, graph) for layer in graph.layers if layer.name in names]
        parts: dict[str, int] = {}
        events = Events()
        for number in numbers:
            part = _PARTS[kinds[number][0]]
            parts[part] = parts.get(part, 0) + cycles[number] * self.batch
            events += works[number] + Events(flit_hops=hops[number])
        tiles = self.accelerator.clusters * self.accelerator.tiles
        macs = sum(shape.macs for shape in shapes)
        return LayerCost(
            name="+".join(names),
            op=shapes[0].op,
            macs=macs * self.batch,
            activation_bits=max(shapes[0].activation_bits),
            weight_bits=shapes[0].weight_bits,
            mode="count" if macs else None,
            cycles={part: count for part, count in parts.items() if count},
            utilisation=None,
            tiles=tiles,
            mapping=f"{len(numbers)} phases",
            events=events * self.batch + Events(tile_cycles=sum(parts.values()) * tiles),
        )

    def tiles(self, widths: Widths) -> dict[str, int]:
        """CAPs and MAPs of the accelerator."""
        clusters = self.accelerator.clusters
        return {"cap": clusters * self.accelerator.caps, "map": clusters * self.accelerator.maps}

    @property
    def assumptions(self) -> tuple[str, ...]:
        """None: the Verilog has been measured."""
        return ()


def _events(phase: Phase, config: AcceleratorConfig) -> Events:
    """Events of the tiles of a phase; what a gather unit reads is for all tiles of a cluster."""
    events = Events()
    gathered: dict[int, int] = {}
    for (cluster, tile), work in phase.tiles.items():
        instructions = [Instruction.decode(word) for word in work.program[1:]]
        events += program_events(instructions, config.tile(tile))
        planes = sum(op.d_width for op in instructions if op.opcode == Opcode.LOAD and op.kind == LoadKind.PLANES)
        gathered[cluster] = max(gathered.get(cluster, 0), planes)
    return events + Events(memory_bits=sum(gathered.values()) * config.cap.rows)
