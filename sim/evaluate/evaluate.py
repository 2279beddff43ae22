"""Networks on machines, by the laws alone: on fabrics, on single tiles, and on accelerators that are built."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING

from hw.accelerator.config import ACCELERATORS, AcceleratorConfig
from hw.accelerator.named import load_system
from hw.config import CONFIGS, TileConfig, read_fields
from hw.fabric import FABRICS, FabricConfig, fabric_from_fields
from sim.errors import UserError
from sim.evaluate.cost import Events, LayerCost, NetworkCost
from sim.evaluate.widths import Widths
from sim.fabric.accounts import account, add_parts, program_events
from sim.fabric.flatten import flattened
from sim.fabric.layers import FABRIC_MODES, FabricRun
from sim.mapping.plan import LayerPlan, plan_layer
from sim.mapping.shapes import ElementwiseShape, LayerShape, MaxPoolShape, ReorderShape

if TYPE_CHECKING:
    from golden.graph import Layer
    from sim.networks.network import Network

__all__ = ["Evaluator", "Machine", "evaluate", "evaluator", "load_machine", "plan_cost"]

Machine = FabricConfig | TileConfig | AcceleratorConfig
"""What a network can be evaluated on."""

_WEIGHT_MODES = ("constant", "auto")
"""Modes whose programs may be made of the weights."""

_CHOICE_BITS = 8
"""Width of all operands for which maps are divided among clusters, unless a network's widths are fixed."""


def load_machine(name_or_file: str) -> Machine:
    """A named fabric, tile or accelerator, or one read from a JSON file.

    The object in the file of a fabric names the fabric that it changes: ``{"fabric": "lr", "caps": 32}``.

    Raises
    ------
    ConfigError
        If there is neither such a name nor such a file, or the file's content is not a valid config.
    """
    from sim.options import nearest

    if name_or_file in FABRICS:
        return FABRICS[name_or_file]
    names = (*FABRICS, *CONFIGS, *ACCELERATORS)
    if name_or_file not in names and not name_or_file.endswith(".json"):
        raise UserError(
            f"config must be one of {', '.join(names)}, or a JSON file, not {name_or_file!r}"
            f"{nearest(name_or_file, names)}"
        )
    if name_or_file not in names:
        path = Path(name_or_file)
        fields = read_fields(path, names)
        if "fabric" in fields:
            return fabric_from_fields(fields, path.stem, f"config file {path}")
    return load_system(name_or_file)


class Evaluator(ABC):
    """A network on a machine, at widths to be chosen.

    Parameters
    ----------
    network : what runs.
    config : the machine.
    mode : how dot products are formed.
    batch : inputs that the counts are for.
    """

    def __init__(self, network: Network, config: Machine, mode: str, batch: int) -> None:
        self.network, self.config, self.mode, self.batch = network, config, mode, batch

    @abstractmethod
    def layers(self, widths: Widths) -> tuple[LayerCost, ...]:
        """The costs of all layers."""

    @abstractmethod
    def tiles(self, widths: Widths) -> dict[str, int]:
        """CAPs and MAPs of the machine."""

    @property
    @abstractmethod
    def assumptions(self) -> tuple[str, ...]:
        """What the machine's figures rest on that nobody has measured or published."""

    def cost(self, widths: Widths) -> NetworkCost:
        """The network at some widths.

        Raises
        ------
        UserError
            If the widths are not for this network, or the mode is not for the machine.
        MappingError
            If a layer does not fit the machine.
        """
        config = self.config
        cap, map_ = (config, config) if isinstance(config, TileConfig) else (config.cap, config.map)
        return NetworkCost(
            network=self.network.name,
            config=config.name,
            config_hash=config.hash_text,
            sizes=config.as_dict(),
            bits=widths.label,
            mode=self.mode,
            batch=self.batch,
            layers=self.layers(widths),
            tiles=self.tiles(widths),
            columns={"cap": cap.columns, "map": map_.columns},
            rows={"cap": cap.rows, "map": map_.rows},
            assumptions=(*self.network.assumptions, *self.assumptions),
        )


class FabricEvaluator(Evaluator):
    """On a fabric; the cost of a layer depends on its own shape alone (but for streamed weights)."""

    def __init__(
        self, network: Network, config: FabricConfig, mode: str, batch: int, residual_bits: int | None
    ) -> None:
        super().__init__(network, config, mode, batch)
        if mode not in FABRIC_MODES:
            raise UserError(
                f"--mode must be one of {', '.join(FABRIC_MODES)} on fabric {config.name}, not {mode!r}: its CAPs have "
                "no columns for sums"
            )
        widths = Widths(uniform=_CHOICE_BITS, residual_bits=residual_bits)
        reference = flattened(network.shapes(Widths() if network.has_fixed_widths else widths))
        self.run = FabricRun(config, reference, mode, batch)
        self._last = reference[-1].name if reference else ""

    def layer(self, shape: LayerShape, *, before: int = 0) -> LayerCost:
        """The cost of one layer of the network, of any widths; ``before`` as in :meth:`FabricRun.layer`."""
        return self.run.layer(shape, before=before, last=shape.name == self._last)

    def layers(self, widths: Widths) -> tuple[LayerCost, ...]:
        """The costs of all layers."""
        result: list[LayerCost] = []
        before = 0
        for shape in flattened(self.network.shapes(widths)):
            result.append(self.layer(shape, before=before))
            before = result[-1].total
        return tuple(result)

    def tiles(self, widths: Widths) -> dict[str, int]:
        """CAPs and MAPs of the machine."""
        assert isinstance(self.config, FabricConfig)
        clusters = self.run.mesh.clusters
        return {"cap": clusters * self.config.caps, "map": clusters * self.config.maps}

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What the machine's figures rest on."""
        assert isinstance(self.config, FabricConfig)
        return self.config.notes


class TileEvaluator(Evaluator):
    """On a single tile, which a host feeds with windows; what :mod:`sim.host` runs."""

    def __init__(self, network: Network, config: TileConfig, mode: str, batch: int) -> None:
        super().__init__(network, config, mode, batch)
        self._known: dict[tuple[LayerShape, int], LayerCost] = {}

    def layers(self, widths: Widths) -> tuple[LayerCost, ...]:
        """The costs of all layers."""
        from sim.networks.imported import ImportedNetwork

        weights: dict[str, Layer] = {}
        if self.mode in _WEIGHT_MODES and isinstance(self.network, ImportedNetwork):
            weights = {layer.name: layer for layer in self.network.at(widths).layers}
        return tuple(self._layer(shape, weights.get(shape.name)) for shape in self.network.shapes(widths))

    def layer(self, shape: LayerShape, *, before: int = 0) -> LayerCost:
        """The cost of one layer without its weights."""
        return self._layer(shape, None)

    def _layer(self, shape: LayerShape, layer: Layer | None) -> LayerCost:
        assert isinstance(self.config, TileConfig)
        key = (shape, id(layer))
        if key not in self._known:
            self._known[key] = _tile_layer(shape, self.config, layer, self.mode, self.batch)
        return self._known[key]

    def tiles(self, widths: Widths) -> dict[str, int]:
        """CAPs and MAPs of the machine."""
        return {"cap": 1, "map": 0}

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What the machine's figures rest on."""
        return ("a host lays out windows in the order in which the tile takes them, in no time",)


def _tile_layer(shape: LayerShape, config: TileConfig, layer: Layer | None, mode: str, batch: int) -> LayerCost:
    return plan_cost(plan_layer(shape, config, layer, mode), batch)


def plan_cost(plan: LayerPlan, batch: int = 1) -> LayerCost:
    """What the jobs of a layer take on a tile alone, for ``batch`` inputs."""
    shape, config, part = plan.shape, plan.config, _computing(plan.shape)
    cycles: dict[str, int] = {}
    events = Events()
    known: dict[tuple[object, ...], tuple[dict[str, int], Events]] = {}
    for job in plan.jobs:
        if job.instructions not in known:
            executed = tuple(job.program.executed())
            known[job.instructions] = account(executed, config, part).cycles, program_events(executed, config)
        more, happened = known[job.instructions]
        cycles, events = add_parts(cycles, more), events + happened
    cycles = {name: count * batch for name, count in cycles.items() if count}
    events = events * batch + Events(tile_cycles=sum(cycles.values()))
    return LayerCost(
        name=shape.name,
        op=shape.op,
        macs=shape.macs * batch,
        activation_bits=shape.activation_bits[0],
        weight_bits=shape.weight_bits,
        mode=plan.mode if shape.macs else None,
        cycles=cycles,
        utilisation=plan.utilisation,
        tiles=1 if plan.jobs else 0,
        mapping=f"{len(plan.jobs)} jobs, {plan.fills} DOTs",
        events=events,
    )


def _computing(shape: LayerShape) -> str:
    """The part that the bodies of a layer's own instructions belong to."""
    if isinstance(shape, ElementwiseShape):
        return "residual" if len(shape.inputs) > 1 else "requantise"
    if isinstance(shape, MaxPoolShape) or "pool" in shape.op:
        return "pooling"
    return "load" if isinstance(shape, ReorderShape) else "convolution"


def evaluator(
    network: Network, config: Machine, *, mode: str = "count", batch: int = 1, residual_bits: int | None = None
) -> Evaluator:
    """What evaluates a network on a machine at any widths.

    Parameters
    ----------
    residual_bits : of the widths that will be asked for.

    Raises
    ------
    UserError
        If the machine cannot run the network in this mode.
    MappingError
        If a layer does not fit a fabric even at 8 bits.
    """
    if isinstance(config, FabricConfig):
        return FabricEvaluator(network, config, mode, batch, residual_bits)
    if isinstance(config, TileConfig):
        return TileEvaluator(network, config, mode, batch)
    from sim.evaluate.built import AcceleratorEvaluator

    return AcceleratorEvaluator(network, config, mode, batch)


def evaluate(network: Network, widths: Widths, config: Machine, *, mode: str = "count", batch: int = 1) -> NetworkCost:
    """What a network costs on a machine.

    Raises
    ------
    UserError
        If the widths are not for this network, or the machine cannot run it in this mode.
    MappingError
        If a layer does not fit the machine.
    """
    return evaluator(network, config, mode=mode, batch=batch, residual_bits=widths.residual_bits).cost(widths)
