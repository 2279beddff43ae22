"""Spiking layers on tiles of the associative processor.

Spikes are activations of one bit. A DOT compares a column of spikes and a column of a weight's bits with the key (1, 1)
in all rows at once, so an addition that an event gates is a compare with the spike in the key; all events of a timestep
are added together. The sums come down to a row for each neuron, where the potential is added, leaks, is compared with
the threshold and reset. Potentials are outside between timesteps. No cycle depends on how many events there are.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from golden.engine import Engine, Job, TileError
from golden.graph import Conv, Integers, Rescale
from golden.spiking import Spikes, SpikingLayer
from hw.config import TileConfig
from hw.isa import CompareKind, ErrorCode, LoadKind, Opcode, Owner
from sim.errors import UserError
from sim.host import add_counters
from sim.mapping.bits import PLAIN, Symbols, from_bits, to_bits
from sim.mapping.builder import Builder, JobPlan, Routine, Source, row_pieces
from sim.mapping.convolution import ConvFeeder, ConvLayout, conv_layout
from sim.mapping.dot import DotShape, batches, emit_batch
from sim.mapping.errors import MappingError
from sim.mapping.plan import LayerPlan
from sim.mapping.shapes import ConvShape, RequantizeShape

__all__ = ["AssociativeLayer"]

_UNUSED = RequantizeShape(
    accumulator_bits=1, operand_bits=1, rectified=True, factor_bits=1, clamped=False, two_sided=False, uniform=True,
    shift=1, offset2=0, low=0, high=0, bits=1,
)  # fmt: skip
"""Neurons are not requantised; layouts are chosen as if that took next to nothing."""


@dataclass(frozen=True)
class _PotentialLoad(Source):
    """The potentials of all rows, or of a row block."""

    block: int | None


@dataclass(frozen=True)
class _Neurons:
    """What the neurons of a layer do after the sums.

    Parameters
    ----------
    bits : of a potential.
    threshold, reset, leak : as in :class:`golden.spiking.SpikingLayer`.
    """

    bits: int
    threshold: int | None
    reset: str
    leak: int

    @property
    def stored_bits(self) -> int:
        """Columns that go out: the potential, and the spike above it where there is a threshold."""
        return self.bits + (self.threshold is not None)


class AssociativeLayer:
    """A spiking layer mapped to a tile; from its making on it keeps the potentials over timesteps.

    Parameters
    ----------
    layer : its neurons and weights; sums must wrap, as the order of events is lost.
    config : the tile.

    Attributes
    ----------
    potentials : now, of the output's shape.
    plan : the jobs of a timestep.

    Raises
    ------
    UserError
        If sums are clipped.
    MappingError
        If the layer does not fit the tile.
    """

    def __init__(self, layer: SpikingLayer, config: TileConfig) -> None:
        """Map the layer."""
        if layer.overflow != "wrap":
            raise UserError(
                f"overflow of layer {layer.name!r} must be 'wrap' on the associative processor, which adds all events "
                f"at once, got {layer.overflow!r}"
            )
        self.layer, self.config = layer, config
        self.rest()
        neurons = _Neurons(layer.potential_bits, layer.threshold, layer.reset, layer.leak)
        needed = neurons.stored_bits + _sum_bits(layer) + 2
        if needed > config.columns:
            raise MappingError(
                f"layer {layer.name!r} needs columns of at least {needed}, config {config.name} has {config.columns}"
            )
        shape = _shape(layer)
        layout = conv_layout(shape, config)
        jobs = tuple(
            JobPlan(
                _routine(layout.dot, tuple(len(segment.items) for segment in batch), config, neurons),
                tuple((segment.resident, item) for segment in batch for item in segment.items),
            )
            for batch in batches(layout.segments(), config.taps)
        )
        self.plan = LayerPlan(shape, config, jobs, "count")
        self._feeder = _NeuronFeeder(layout, _conv(layer, shape), neurons.bits)

    @cached_property
    def law(self) -> dict[str, int]:
        """Counters of a timestep by the laws."""
        return self.plan.law

    def rest(self) -> None:
        """Set all potentials to 0, as before the first timestep."""
        self.potentials = self.layer.resting()

    def run(self, engine: Engine, spikes: Spikes) -> tuple[Spikes, dict[str, int]]:
        """Run one timestep.

        Parameters
        ----------
        engine : a tile of this config.
        spikes : of the input, of its shape.

        Returns the spikes of the layer, all 0 without a threshold, and the counters.

        Raises
        ------
        TileError
            If the tile raised its error port.
        """
        size, bits = self.plan.shape.input_size, self.layer.potential_bits
        self._feeder.begin([spikes.reshape(*size, 1).astype(np.uint8)])
        self._feeder.potentials = self.potentials.reshape(-1)
        after = self._feeder.potentials.copy()
        fired = np.zeros(after.shape, np.bool_)
        counters: dict[str, int] = {}
        for number, job in enumerate(self.plan.jobs):
            outcome = engine.run(Job(job.program, self._feeder.job_planes(job)))
            if outcome.error is not ErrorCode.NONE:
                raise TileError(
                    f"layer {self.layer.name!r}, job {number}: the tile raised error "
                    f"{ErrorCode(outcome.error).name} at instruction {outcome.address}"
                )
            add_counters(counters, outcome.counters)
            rows = self._feeder.rows(job)
            for sink, planes in zip(job.stores, outcome.planes, strict=True):
                targets = rows[sink.first_row : sink.first_row + sink.rows]
                known = targets >= 0
                stored = planes[:, known].T
                after[targets[known]] = _signed(from_bits(stored[:, :bits]), bits)
                if self.layer.threshold is not None:
                    fired[targets[known]] = stored[:, bits].astype(np.bool_)
        output = self.layer.synapses.output_shape
        self.potentials = after.reshape(output)
        return fired.reshape(output), counters


class _NeuronFeeder(ConvFeeder):
    """Planes of a spiking layer: those of its convolution, and potentials."""

    def __init__(self, layout: ConvLayout, layer: Conv, bits: int) -> None:
        super().__init__(layout, layer, PLAIN)
        self.potentials: Integers = np.zeros(0, np.int64)
        self._bits = bits

    def _rows_of(self, job: JobPlan, source: Source) -> Symbols:
        if not isinstance(source, _PotentialLoad):
            return super()._rows_of(job, source)
        rows = self.rows(job)
        numbers = np.where(rows < 0, 0, self.potentials[rows])
        planes = np.ascontiguousarray(to_bits(numbers, self._bits).T)
        return self._only(self._row(planes), source.block)


@lru_cache(maxsize=128)
def _routine(dot: DotShape, counts: tuple[int, ...], config: TileConfig, neurons: _Neurons) -> Routine:
    """The routine of a batch: sums, then neurons."""
    builder = Builder(config)
    emit_batch(builder, dot, counts)
    _emit_neurons(builder, neurons, dot.accumulator_bits, sum(counts))
    return builder.routine()


def _emit_neurons(builder: Builder, neurons: _Neurons, sum_bits: int, blocks: int) -> None:
    """What the neurons of the first ``blocks`` row blocks do; their sums are in the top columns."""
    builder.owner = Owner.REQUANTIZE
    sums = builder.config.columns - sum_bits
    spike = sums - 1
    potential = spike - neurons.bits
    carry = potential - 1
    for _, planes, kind, block in row_pieces(neurons.bits, blocks, builder.config):
        source = _PotentialLoad(block if kind == LoadKind.BLOCK else None)
        builder.load(kind, potential, planes, source, block)
    builder.sync()
    field = {"b": potential, "b_width": neurons.bits}
    added = min(sum_bits, neurons.bits)
    builder.emit(Opcode.ADD, a=sums, a_width=added, a_signed=True, **field, d=carry, d_width=1)
    if neurons.leak:
        builder.add_constant(potential, neurons.bits, neurons.leak, neurons.bits, carry)
    if neurons.threshold is not None:
        builder.emit(
            Opcode.CMPC, kind=CompareKind.GE, **field, b_signed=True, d=spike, d_width=1, constant=neurons.threshold
        )
        if neurons.reset == "soft":
            builder.add_constant(potential, neurons.bits, -neurons.threshold, neurons.bits + 1, carry, predicate=spike)
        else:
            builder.emit(Opcode.FILL, d=potential, d_width=neurons.bits, constant=0, predicated=True, p=spike)
    builder.store_rows(potential, neurons.stored_bits, blocks)


def _signed(numbers: Integers, bits: int) -> Integers:
    """Numbers of some bits in two's complement."""
    return numbers - (numbers >> (bits - 1) << bits)


def _sum_bits(layer: SpikingLayer) -> int:
    """Bits that hold every sum of weights of a timestep."""
    taps = int(np.prod(layer.weights.shape[1:]))
    return layer.weight_bits + (taps - 1).bit_length()


def _shape(layer: SpikingLayer) -> ConvShape:
    synapses = layer.synapses
    whole = synapses.op == "fully_connected"
    return ConvShape(
        name=layer.name,
        op=synapses.op,
        inputs=("spikes",),
        output="neurons",
        input_size=(1, 1, synapses.inputs) if whole else synapses.input_shape,
        output_size=synapses.output_shape,
        activation_bits=(1,),
        output_bits=1,
        kernel=(1, 1) if whole else synapses.kernel,
        stride=(1, 1) if whole else synapses.stride,
        dilation=(1, 1),
        padding=synapses.padding,
        kernel_bits=layer.weight_bits,
        depthwise=False,
        depth_multiplier=1,
        requantize=dataclasses.replace(_UNUSED, accumulator_bits=_sum_bits(layer)),
    )


def _conv(layer: SpikingLayer, shape: ConvShape) -> Conv:
    """The convolution that the sums of a timestep are."""
    channels = shape.output_size[2]
    zeros = np.zeros(channels, np.int64)
    return Conv(
        name=layer.name,
        inputs=shape.inputs,
        output=shape.output,
        op=shape.op,
        weights=layer.weights.astype(np.int64).reshape(channels, *shape.kernel, -1),
        weight_bits=layer.weight_bits,
        stride=shape.stride,
        dilation=shape.dilation,
        padding=shape.padding,
        pad_value=0,
        depth_multiplier=1,
        rescale=Rescale(zeros, zeros, zeros, 1, 0, 0, 0, zeros, shape.requantize.accumulator_bits, 1),
    )
