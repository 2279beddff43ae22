"""Command streams made by hand, of a few programs, for the golden accelerator and its law."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hw.accelerator.commands import HostCommand, Write
from hw.accelerator.config import ACCELERATORS, AcceleratorConfig
from hw.accelerator.protocol import GatherRegister, Unit
from hw.isa import Instruction, LoadKind, Opcode, Program, StoreKind

TINY = ACCELERATORS["meshtiny"]
HALT = Instruction(Opcode.HALT)
SYNC = Instruction(Opcode.SYNC)
CAP, MAP = 0, 2  # the first tile of each sort on meshtiny


def load(d: int, width: int, kind: LoadKind, block: int = 0) -> Instruction:
    return Instruction(Opcode.LOAD, d=d, d_width=width, kind=kind, constant=block)


def store(a: int, width: int, block: int = 0) -> Instruction:
    return Instruction(Opcode.STORE, a=a, a_width=width, kind=StoreKind.BLOCK, constant=block)


def words_of(number: int, config: AcceleratorConfig, count: int) -> list[int]:
    return [number >> part * config.flit_bits & ((1 << config.flit_bits) - 1) for part in range(count)]


def arm(
    tile: int, instructions: Sequence[Instruction], config: AcceleratorConfig = TINY, clusters: int = 1,
    taps: tuple[int, int] = (0, 0), start: int = 0,
) -> list[HostCommand]:  # fmt: skip
    """Write a program and the registers that start it."""
    program = Program.build([*instructions, HALT], config.tile(tile))
    parts = config.flits_per_instruction
    payload = [word for number in program.words for word in words_of(number, config, parts)]
    return [
        Write(Unit.PROGRAM + tile, start * parts, payload, clusters),
        Write(Unit.TILE + tile, 0, [*taps, start, len(program.words)], clusters),
    ]


def taps_words(planes: np.ndarray, config: AcceleratorConfig = TINY) -> list[int]:
    """F-bit words of planes, 0/1 of shape (planes, G)."""
    number = 0
    for index, bit in enumerate(planes.ravel()):
        number |= int(bit) << index
    return words_of(number, config, -(-planes.size // config.flit_bits))


def arm_sender(
    source: int = 0, destinations: int = 1 << TINY.host, base: int = 0,
    strides: tuple[int, int, int] = (1, 0, 0), counts: tuple[int, int, int] = (1, 1, 1), clusters: int = 1,
) -> Write:  # fmt: skip
    registers = [source, destinations & 0xFFFFFFFF, destinations >> 32, base]
    for stride, count in zip(strides, counts, strict=True):
        registers += [stride, count]
    return Write(Unit.SENDER, 0, registers, clusters)


WINDOW = dict.fromkeys((register.name for register in GatherRegister), 0) | dict.fromkeys(
    ("HEIGHT", "PLANES", "CHANNEL_GROUPS", "KERNEL_HEIGHT", "KERNEL_WIDTH", "STRIDE_Y", "STRIDE_X", "OUT_ROWS", "SETS",
     "ROUNDS", "GROUPS", "TILES", "RECEIVERS"), 1
) | {"WIDTH": TINY.outputs, "OUT_WIDTH": TINY.outputs}  # fmt: skip


def arm_gather(clusters: int = 1, **registers: int) -> Write:
    """Registers that differ from those of one window of 1 x 1 over one row of one bit."""
    values = WINDOW | registers
    return Write(Unit.GATHER, 0, [values[register.name] for register in GatherRegister], clusters)


@dataclass
class Convolution:
    """A 3 x 3 convolution of a 4 x 8 map of two channels by two CAPs, one output channel each, summed up by hand."""

    image: np.ndarray  # (4, 8, 2), 4 bits
    weights: np.ndarray  # (2 output channels, 3, 3, 2), 4 bits signed
    receivers: int = 0b011
    bits = 4
    total_bits = 12
    tiles = 5  # of 4 taps: 9 tap groups of two lanes

    @classmethod
    def random(cls, seed: int) -> "Convolution":
        generator = np.random.default_rng(seed)
        return cls(generator.integers(0, 16, (4, 8, 2)), generator.integers(-8, 8, (2, 3, 3, 2)))

    def result(self) -> np.ndarray:
        """Plain NumPy: shape (2 output channels, 4, 8)."""
        padded = np.zeros((6, 10, 2), np.int64)
        padded[1:5, 1:9] = self.image
        return np.array(
            [
                [[np.sum(padded[y : y + 3, x : x + 3] * kernel) for x in range(8)] for y in range(4)]
                for kernel in self.weights
            ]
        )

    def map_words(self) -> list[int]:
        """The map in the gather memory: one set of 32 pixels, planes, channels."""
        pixels = self.image.reshape(32, 2)
        return [
            sum(int(pixels[s, k] >> plane & 1) << s for s in range(32)) for plane in range(self.bits) for k in range(2)
        ]

    def taps(self, channel: int) -> np.ndarray:
        """Weight planes, tap tile by tap tile: shape (tiles * bits, 4)."""
        flat = np.zeros(self.tiles * 4, np.int64)
        flat[:18] = self.weights[channel].ravel()
        numbers = flat.reshape(self.tiles, 1, 4)
        return (numbers >> np.arange(self.bits)[:, None] & 1).reshape(-1, 4)

    def cap_program(self) -> list[Instruction]:
        return [
            Instruction(Opcode.INIT),
            Instruction(Opcode.LOOP, constant=self.tiles),
            load(0, 4, LoadKind.PLANES),
            load(8, 4, LoadKind.TAPS),
            SYNC,
            Instruction(Opcode.DOT, a=0, a_width=4, b=8, b_width=4, b_signed=True),
            Instruction(Opcode.END),
            Instruction(Opcode.DRAIN, d=16, d_width=self.total_bits),
            SYNC,
            store(16, self.total_bits),
        ]

    def map_program(self) -> list[Instruction]:
        return [
            load(0, self.total_bits, LoadKind.BLOCK),
            load(self.total_bits, self.total_bits, LoadKind.BLOCK),
            SYNC,
            store(0, self.total_bits),
            store(self.total_bits, self.total_bits),
        ]

    def gather(self, **changes: int) -> Write:
        registers = {"WIDTH": 8, "HEIGHT": 4, "ROWS_LOG2": 2, "PLANES": 4, "KERNEL_HEIGHT": 3, "KERNEL_WIDTH": 3}
        registers |= {"PAD_TOP": 1, "PAD_LEFT": 1, "OUT_WIDTH": 8, "OUT_ROWS": 4, "TILES": 5}
        return arm_gather(**(registers | {"RECEIVERS": self.receivers} | changes))

    def setup(self) -> list[HostCommand]:
        """All that a phase needs, but the sender."""
        taps = [taps_words(self.taps(channel)) for channel in range(2)]
        return [
            Write(Unit.GATHER_MEMORY, 0, self.map_words(), 1),
            *(Write(Unit.TAPS + cap, 5, taps[cap], 1) for cap in range(2)),
            *(arm(CAP, self.cap_program(), taps=(5, 20))),
            *(arm(CAP + 1, self.cap_program(), taps=(5, 20))),
            *(arm(MAP, self.map_program())),
            self.gather(),
        ]

    def sender(self, destinations: int = 1 << TINY.host, base: int = 0) -> Write:
        return arm_sender(destinations=destinations, base=base, counts=(2 * self.total_bits, 1, 1))

    def numbers(self, words: Sequence[int]) -> np.ndarray:
        """What the host reads out of the words that the MAP stores: shape (2, 4, 8)."""
        bits = np.array([[word >> s & 1 for s in range(32)] for word in words], np.int64)
        planes = bits.reshape(2, self.total_bits, 32)
        weights = 1 << np.arange(self.total_bits)
        weights[-1] *= -1
        return np.einsum("cbs,b->cs", planes, weights).reshape(2, 4, 8)
