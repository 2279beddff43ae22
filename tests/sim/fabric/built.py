"""Small accelerators whose tiles are like a fabric's, and convolutions on them with the programs of fabrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from golden.accelerator.stream import words_of_bits
from golden.accelerator.windows import GatherJob, rows_log2, store_map
from golden.engine import Bits
from golden.graph import Conv, Graph, Integers
from hw.accelerator.commands import HostCommand, Write
from hw.accelerator.config import AcceleratorConfig
from hw.accelerator.protocol import Unit
from hw.config import TileConfig
from hw.isa import Program
from sim.accelerator.command_list import InputWrite, assemble
from sim.accelerator.phases import Phase, PhaseKind, TileWork
from sim.fabric.cap_programs import OnesLoad, Sums, WeightLoad, block_program, plan_sums
from sim.fabric.map_programs import BiasLoad, sum_program
from sim.mapping.bits import PLAIN, to_bits
from sim.mapping.builder import JobPlan
from sim.mapping.dot_layer import constant_planes
from sim.mapping.requantize import ConstantLoad
from sim.mapping.shapes import ConvShape, layer_shape

TAPS, OUTPUTS = 16, 64

CAP = TileConfig(
    name="built-cap", taps=TAPS, outputs=OUTPUTS, columns=16, plane_bits=TAPS * OUTPUTS, activity=False, vertical=True
)
MAP = TileConfig(name="built-map", taps=TAPS, outputs=OUTPUTS, columns=256, plane_bits=TAPS * OUTPUTS, activity=False)


def built(*, caps: int = 4, maps: int = 1, queue: int = 8, width: int = 2, height: int = 1) -> AcceleratorConfig:
    """A mesh of clusters of such tiles: a plane of windows is one beat, as on a fabric."""
    return AcceleratorConfig(
        name="built", width=width, height=height, caps=caps, maps=maps, cap=CAP, map=MAP, gather_queue=queue,
        gather_words=512, program_words=8192, taps_words=8192,
    )  # fmt: skip


def tile_work(job: JobPlan, planes: Sequence[Bits], config: AcceleratorConfig) -> TileWork:
    """A program and the planes of its taps memory."""
    program = tuple(Program.build(job.instructions, job.config).words)
    rows = np.concatenate([np.zeros((0, config.taps), np.uint8), *planes])
    padded = np.pad(rows, [(0, -len(rows) % config.planes_per_flit), (0, 0)]).reshape(-1, config.flit_bits)
    return TileWork(program, tuple(words_of_bits(padded)), len(rows))


@dataclass(frozen=True)
class BuiltConv:
    """A convolution of a graph on the first cluster of an accelerator, in one phase.

    Parameters
    ----------
    graph : of one convolution that is not depthwise, and whose words fit the columns of a CAP.
    config : the accelerator.
    caps : CAPs that work, from the first one.
    rounds : output channels that each CAP makes of a set.
    sets : sets of the output, from the first one.
    mode : how dot products are formed.
    out_rows : rows of a set of outputs; those that fit if 0.
    """

    graph: Graph
    config: AcceleratorConfig
    caps: int
    rounds: int
    sets: int = 1
    mode: str = "count"
    out_rows: int = 0

    @property
    def layer(self) -> Conv:
        layer = self.graph.layers[0]
        assert isinstance(layer, Conv)
        return layer

    @property
    def shape(self) -> ConvShape:
        shape = layer_shape(self.layer, self.graph)
        assert isinstance(shape, ConvShape)
        return shape

    @property
    def groups(self) -> int:
        """Channel groups of the input."""
        return -(-self.shape.input_size[2] // self.config.lanes)

    @property
    def rows(self) -> int:
        """Rows of a set of outputs."""
        height, width, _ = self.shape.output_size
        return self.out_rows or min(height, 1 << rows_log2(width, self.config))

    @property
    def sums(self) -> Sums:
        """The dot products, over taps of whole channel groups: the built gather unit leaves lanes empty."""
        shape = self.shape
        reduction = shape.kernel[0] * shape.kernel[1] * self.groups * self.config.lanes
        requantize = shape.requantize
        return plan_sums(
            "conv", shape.activation_bits[0], shape.kernel_bits, reduction, requantize.accumulator_bits,
            self.config.cap, self.mode,
        )  # fmt: skip

    @property
    def blocks(self) -> int:
        """Blocks of each CAP."""
        return self.sets * self.rounds

    @property
    def groups_of_caps(self) -> list[range]:
        """The CAPs of each MAP that works."""
        each = self.config.caps // self.config.maps
        return [range(first, min(first + each, self.caps)) for first in range(0, self.caps, each)]

    @property
    def job(self) -> GatherJob:
        shape, config = self.shape, self.config
        height, width, _ = shape.input_size
        return GatherJob(
            base=0, width=width, height=height, rows_log2=rows_log2(width, config), planes=shape.activation_bits[0],
            channel_groups=self.groups, kernel_height=shape.kernel[0], kernel_width=shape.kernel[1],
            stride_y=shape.stride[0], stride_x=shape.stride[1], pad_top=shape.padding[0], pad_left=shape.padding[1],
            pad_value=self.layer.pad_value, out_width=shape.output_size[1], out_rows=self.rows, first_row=0,
            sets=self.sets, rounds=self.rounds, first_group=0, group_step=0, groups=self.groups, tiles=self.sums.tiles,
            receivers=(1 << self.caps) - 1,
        )  # fmt: skip

    def channel(self, cap: int, round_: int) -> int:
        """The output channel that a CAP makes in a round, or -1."""
        found = round_ * self.caps + cap
        return found if found < self.shape.output_size[2] else -1

    def phase(self) -> Phase:
        """What all units do."""
        config = self.config
        job = block_program(self.sums, self.blocks)
        tiles = {(0, cap): tile_work(job, self._weights(job, cap), config) for cap in range(self.caps)}
        for number, caps in enumerate(self.groups_of_caps):
            work = sum_program(
                "conv", self.shape.requantize, self.sums, len(caps), self.blocks, config.map, rescale=self.layer.rescale
            )
            tiles[0, config.caps + number] = tile_work(work.job, self._constants(work.job, caps), config)
        return Phase(PhaseKind.COMPUTE, ("conv",), tiles, {0: self.job})

    def _weights(self, job: JobPlan, cap: int) -> list[Bits]:
        """Planes of the taps memory of a CAP; those of the first set, as they are the same for each."""
        shape, lanes = self.shape, self.config.lanes
        spread = np.zeros((*self.layer.weights.shape[:3], self.groups * lanes), np.int64)
        spread[..., : shape.input_size[2]] = self.layer.weights
        bits = to_bits(spread.reshape(len(spread), self.sums.tiles, self.config.taps), shape.kernel_bits)
        one = np.zeros((1, self.config.taps), np.uint8)
        one[0, 0] = 1
        planes: list[Bits] = []
        for source in job.loads:
            if isinstance(source, OnesLoad):
                planes.append(one)
            if not isinstance(source, WeightLoad) or source.block >= self.rounds:
                continue
            channel, digit = self.channel(cap, source.block), source.digit
            own = bits[channel, source.tile] if channel >= 0 else np.zeros_like(bits[0, 0])
            planes.append(np.ascontiguousarray(own[:, digit.first : digit.first + digit.bits].T))
        if self.mode == "lut":
            planes = planes[: 2 * self.sums.tiles * self.rounds]
        return planes

    def channels(self, caps: range) -> Integers:
        """The output channel of each row block of a MAP, or -1."""
        return np.array([self.channel(cap, block % self.rounds) for block in range(self.blocks) for cap in caps])

    def _constants(self, job: JobPlan, caps: range) -> list[Bits]:
        rescale, shape, config = self.layer.rescale, self.shape.requantize, self.config
        channels = self.channels(caps)
        planes: list[Bits] = []
        for source in job.loads:
            if isinstance(source, BiasLoad):
                bias = np.zeros(config.taps, np.int64)
                bias[: len(channels)] = np.where(channels >= 0, rescale.bias[channels], 0)
                planes.append(np.ascontiguousarray(to_bits(bias, shape.accumulator_bits).T))
            elif isinstance(source, ConstantLoad):
                planes.append(constant_planes(source, rescale, channels, shape.operand_bits, config.map, PLAIN))
        return planes

    def commands(self, values: Integers | None = None) -> list[HostCommand]:
        """The phase as a command stream, after the input if there is one."""
        return [*input_writes(values, self.graph, self.config), *phase_commands([self.phase()], self.config)]


def input_writes(values: Integers | None, graph: Graph, config: AcceleratorConfig) -> list[HostCommand]:
    """A map in the gather memory of the first cluster, with zeros where a channel group has none."""
    if values is None:
        return []
    height, width, channels = values.shape
    padded = np.zeros((height, width, -(-channels // config.lanes) * config.lanes), np.int64)
    padded[..., :channels] = values
    words = store_map(padded, graph.maps[graph.input].bits, 0, config)
    parts, mask = config.flits_per_word, (1 << config.flit_bits) - 1
    flits = [words[address] >> part * config.flit_bits & mask for address in sorted(words) for part in range(parts)]
    return [Write(Unit.GATHER_MEMORY, 0, flits, 1)]


def phase_commands(phases: Sequence[Phase], config: AcceleratorConfig) -> list[HostCommand]:
    """Phases one after the other, to the END."""
    commands = assemble(phases, config).commands
    return [command for command in commands if not isinstance(command, InputWrite)]
