"""Small accelerators whose tiles are like a fabric's, and layers on them that run the programs of fabrics."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from golden.accelerator.stream import bits_of_words, words_of_bits
from golden.accelerator.windows import GatherJob, rows_log2, store_map
from golden.engine import Bits
from golden.graph import Conv, Graph, Integers
from hw.accelerator.commands import HostCommand, Write
from hw.accelerator.config import AcceleratorConfig
from hw.accelerator.protocol import Unit
from hw.config import TileConfig
from hw.isa import Program
from sim.accelerator.command_list import InputWrite, assemble
from sim.accelerator.memory_tile import send_program
from sim.accelerator.phases import Phase, PhaseKind, TileWork
from sim.fabric.cap_programs import OnesLoad, Sums, WeightLoad, WindowLoad, block_program, plan_sums
from sim.fabric.map_programs import BiasLoad, pool_program, sum_program
from sim.mapping.bits import PLAIN, from_bits, to_bits
from sim.mapping.builder import JobPlan
from sim.mapping.dot_layer import constant_planes
from sim.mapping.requantize import ConstantLoad
from sim.mapping.shapes import ConvShape, MaxPoolShape, layer_shape

TAPS, OUTPUTS = 16, 64

CAP = TileConfig(
    name="built-cap", taps=TAPS, outputs=OUTPUTS, columns=16, plane_bits=TAPS * OUTPUTS, activity=False, vertical=True
)
MAP = TileConfig(name="built-map", taps=TAPS, outputs=OUTPUTS, columns=256, plane_bits=TAPS * OUTPUTS, activity=False)


def built(
    *, caps: int = 4, maps: int = 1, queue: int = 8, width: int = 2, height: int = 1, words: int = 4096
) -> AcceleratorConfig:
    """A mesh of clusters of such tiles: a plane of windows is one beat, as on a fabric."""
    return AcceleratorConfig(
        name="built", width=width, height=height, caps=caps, maps=maps, cap=CAP, map=MAP, gather_queue=queue,
        gather_words=512, program_words=words, taps_words=words,
    )  # fmt: skip


def tile_work(job: JobPlan, planes: Sequence[Bits], config: AcceleratorConfig) -> TileWork:
    """A program and the planes of its taps memory."""
    program = tuple(Program.build(job.instructions, job.config).words)
    rows = np.concatenate([np.zeros((0, config.taps), np.uint8), *planes])
    padded = np.pad(rows, [(0, -len(rows) % config.planes_per_flit), (0, 0)]).reshape(-1, config.flit_bits)
    return TileWork(program, tuple(words_of_bits(padded)), len(rows))


def set_rows(size: tuple[int, int, int], config: AcceleratorConfig) -> int:
    """Rows of a set of a map that are worth forming."""
    return min(size[0], 1 << rows_log2(size[1], config))


@dataclass(frozen=True)
class BuiltConv:
    """A convolution of a graph on one cluster of an accelerator, in one phase.

    Parameters
    ----------
    graph : of one convolution that is not depthwise.
    config : the accelerator.
    caps : CAPs that work, from the first one.
    rounds : output channels that each CAP makes of a set.
    sets : sets of the output, from the first one.
    mode : how dot products are formed.
    """

    graph: Graph
    config: AcceleratorConfig
    caps: int
    rounds: int
    sets: int = 1
    mode: str = "count"

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
        return set_rows(self.shape.output_size, self.config)

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
    def map_caps(self) -> list[range]:
        """The CAPs of each MAP that works."""
        each = self.config.caps // self.config.maps
        return [range(first, min(first + each, self.caps)) for first in range(0, self.caps, each)]

    @property
    def fed(self) -> bool:
        """Whether the built gather unit can form the windows in one phase: it cannot begin at a digit of a word."""
        return len(self.sums.split.activation) == 1

    @property
    def job(self) -> GatherJob:
        """What the gather unit does; where it cannot form the windows, a job of as many planes."""
        shape, config, sums = self.shape, self.config, self.sums
        height, width, _ = shape.input_size
        job = GatherJob(
            base=0, width=width, height=height, rows_log2=rows_log2(width, config), planes=shape.activation_bits[0],
            channel_groups=self.groups, kernel_height=shape.kernel[0], kernel_width=shape.kernel[1],
            stride_y=shape.stride[0], stride_x=shape.stride[1], pad_top=shape.padding[0], pad_left=shape.padding[1],
            pad_value=self.layer.pad_value, out_width=shape.output_size[1], out_rows=self.rows, first_row=0,
            sets=self.sets, rounds=self.rounds * len(sums.stored), first_group=0, group_step=0, groups=self.groups,
            tiles=sums.tiles, receivers=(1 << self.caps) - 1,
        )  # fmt: skip
        if self.fed:
            return job
        planes = sum(activation.bits for digits in sums.split.sums for activation, _ in digits.pairs)
        return replace(job, planes=1, tiles=sums.tiles * planes, rounds=self.rounds)

    def channel(self, cap: int, turn: int) -> int:
        """The output channel that a CAP makes in a round, or -1."""
        found = turn * self.caps + cap
        return found if found < self.shape.output_size[2] else -1

    def phase(self, cluster: int = 0) -> Phase:
        """What all units of a cluster do."""
        config = self.config
        job = block_program(self.sums, self.blocks)
        tiles = {(cluster, cap): tile_work(job, self._weights(job, cap), config) for cap in range(self.caps)}
        for number, caps in enumerate(self.map_caps):
            work = sum_program(
                "conv", self.shape.requantize, self.sums, len(caps), self.blocks, config.map, rescale=self.layer.rescale
            )
            tiles[cluster, config.caps + number] = tile_work(work.job, self._constants(work.job, caps), config)
        return Phase(PhaseKind.COMPUTE, ("conv",), tiles, {cluster: self.job})

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
            if isinstance(source, WindowLoad) and source.block == self.rounds:
                break
            if isinstance(source, OnesLoad):
                planes.append(one)
            if isinstance(source, WeightLoad):
                channel, digit = self.channel(cap, source.block), source.digit
                own = bits[channel, source.tile] if channel >= 0 else np.zeros_like(bits[0, 0])
                planes.append(np.ascontiguousarray(own[:, digit.first : digit.first + digit.bits].T))
        return planes

    def _constants(self, job: JobPlan, caps: range) -> list[Bits]:
        rescale, shape, config = self.layer.rescale, self.shape.requantize, self.config
        channels = np.array([self.channel(cap, block % self.rounds) for block in range(self.blocks) for cap in caps])
        planes: list[Bits] = []
        for source in job.loads:
            if isinstance(source, BiasLoad):
                bias = np.zeros(config.taps, np.int64)
                bias[: len(channels)] = np.where(channels >= 0, rescale.bias[channels], 0)
                planes.append(np.ascontiguousarray(to_bits(bias, shape.accumulator_bits).T))
            elif isinstance(source, ConstantLoad):
                planes.append(constant_planes(source, rescale, channels, shape.operand_bits, config.map, PLAIN))
        return planes

    def results(self) -> list[Phase]:
        """Phases in which the first cluster's MAPs send what they have made to the host."""
        config = self.config
        sizes = [len(caps) * self.blocks for caps in self.map_caps]
        return [result_phase(number, blocks, self.shape.output_bits, config) for number, blocks in enumerate(sizes)]

    def compare(self, words: Sequence[int], expected: Integers) -> int:
        """Assert that the words of :meth:`results` are a map of shape (H, W, C); returns how many numbers they hold."""
        height = self.shape.output_size[0]
        bits, supply, compared = self.shape.output_bits, iter(words), 0
        for caps in self.map_caps:
            for block, cap in itertools.product(range(self.blocks), caps):
                number, turn = divmod(block, self.rounds)
                found = block_numbers(supply, bits, self.config)
                channel = self.channel(cap, turn)
                if channel < 0:
                    continue
                wanted = expected[number * self.rows : min((number + 1) * self.rows, height), :, channel].ravel()
                assert np.array_equal(found[: len(wanted)], wanted), (number, channel)
                compared += len(wanted)
        assert next(supply, None) is None
        return compared


@dataclass(frozen=True)
class BuiltPool:
    """A max pool of at most as many channels as a MAP has taps, one set of outputs in each phase.

    Parameters
    ----------
    graph : of one max pool.
    config : the accelerator.
    """

    graph: Graph
    config: AcceleratorConfig

    @property
    def shape(self) -> MaxPoolShape:
        shape = layer_shape(self.graph.layers[0], self.graph)
        assert isinstance(shape, MaxPoolShape)
        return shape

    @property
    def rows(self) -> int:
        """Rows of a set of outputs."""
        return set_rows(self.shape.output_size, self.config)

    def phase(self, number: int) -> Phase:
        """The phase of a set of outputs."""
        shape, config = self.shape, self.config
        height, width, _ = shape.input_size
        job = GatherJob(
            base=0, width=width, height=height, rows_log2=rows_log2(width, config), planes=shape.activation_bits[0],
            channel_groups=1, kernel_height=shape.window[0], kernel_width=shape.window[1], stride_y=shape.stride[0],
            stride_x=shape.stride[1], pad_top=shape.padding[0], pad_left=shape.padding[1], pad_value=0,
            out_width=shape.output_size[1], out_rows=self.rows, first_row=number * self.rows, sets=1, rounds=1,
            first_group=0, group_step=0, groups=1, tiles=shape.window[0] * shape.window[1], receivers=1 << config.caps,
        )  # fmt: skip
        work = tile_work(pool_program(shape, config.map), [], config)
        return Phase(PhaseKind.COMPUTE, ("pool",), {(0, config.caps): work}, {0: job})

    def result(self) -> Phase:
        """What sends the set that was made last to the host."""
        return result_phase(0, self.shape.output_size[2], self.shape.output_bits, self.config)

    def compare(self, number: int, words: Sequence[int], expected: Integers) -> None:
        """Assert that words of :meth:`result` are a set of a map of shape (H, W, C)."""
        supply = iter(words)
        for channel in range(self.shape.output_size[2]):
            found = block_numbers(supply, self.shape.output_bits, self.config)
            wanted = expected[number * self.rows : (number + 1) * self.rows, :, channel].ravel()
            assert np.array_equal(found[: len(wanted)], wanted), (number, channel)
        assert next(supply, None) is None


def result_phase(number: int, blocks: int, bits: int, config: AcceleratorConfig) -> Phase:
    """A MAP of the first cluster sends its first row blocks, from column 0 on, to the host."""
    instructions = send_program(config, [(0, block) for block in range(blocks)], bits)
    work = TileWork(tuple(Program.build(instructions, config.map).words), (), 0)
    return sender_phase({0: (number, 1 << config.host, blocks * bits)}, {(0, config.caps + number): work})


def sender_phase(senders: dict[int, tuple[int, int, int]], tiles: dict[tuple[int, int], TileWork]) -> Phase:
    """A phase of senders, given as (MAP, destinations, words), that write to addresses 0, 1, .."""
    registers = {
        cluster: (number, destinations & 0xFFFFFFFF, destinations >> 32, 0, 1, words, 0, 1, 0, 1)
        for cluster, (number, destinations, words) in senders.items()
    }
    return Phase(PhaseKind.RESULT, ("send",), tiles, senders=registers)


def block_numbers(words: Iterator[int], bits: int, config: AcceleratorConfig) -> Integers:
    """The numbers of the next block of a stream of the host's words."""
    flits = list(itertools.islice(words, bits * config.flits_per_word))
    planes = bits_of_words(flits, config.flit_bits).reshape(bits, config.outputs)
    return from_bits(np.ascontiguousarray(planes.T))


def input_writes(values: Integers, graph: Graph, config: AcceleratorConfig, clusters: int = 1) -> list[HostCommand]:
    """A map in the gather memories of clusters, with zeros where a channel group has no channel."""
    height, width, channels = values.shape
    padded = np.zeros((height, width, -(-channels // config.lanes) * config.lanes), np.int64)
    padded[..., :channels] = values
    words = store_map(padded, graph.maps[graph.input].bits, 0, config)
    parts, mask = config.flits_per_word, (1 << config.flit_bits) - 1
    flits = [words[address] >> part * config.flit_bits & mask for address in sorted(words) for part in range(parts)]
    return [Write(Unit.GATHER_MEMORY, 0, flits, clusters)]


def phase_commands(phases: Sequence[Phase], config: AcceleratorConfig) -> list[HostCommand]:
    """Phases one after the other, to the END."""
    commands = assemble(phases, config).commands
    return [command for command in commands if not isinstance(command, InputWrite)]
