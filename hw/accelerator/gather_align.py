"""The lanes of the gather unit: a row of the map becomes a row of outputs, at its place in the beat."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib.wiring import In, Out

from hw.accelerator.config import AcceleratorConfig
from hw.accelerator.gather_address import row_layout
from hw.accelerator.gather_registers import job_layout
from hw.accelerator.protocol import LARGEST_KERNEL, LARGEST_STRIDE
from hw.component import Component, all_ones

__all__ = ["GatherAlign"]


class GatherAlign(Component):
    """Aligns, pads and thins one output row of every lane; combinational.

    Members
    -------
    job : the running job.
    row : of which output row ``words`` were read.
    words : S bits of each lane.
    placed : the output row at its place in a beat, S bits of each lane; other bits are 0.
    """

    block = "align"

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        size = config.lanes * config.outputs
        super().__init__(
            {
                "job": In(job_layout(config)),
                "row": In(row_layout(config)),
                "words": In(size),
                "placed": Out(size),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, job, row, size = self.config, self.job, self.row, self.config.outputs

        # What is the same in all lanes: a bit for each column that is read, and for each one that is formed.
        pad = Signal(size)
        columns = Signal(size)
        formed = Signal(size)
        shift = Signal(range(2 * LARGEST_KERNEL))
        beyond = Signal(range(size))
        unformed = Signal(range(size))
        m.d.comb += [
            beyond.eq(size - job.width),
            unformed.eq(size - job.out_width),
            pad.eq(Mux(row.pad, all_ones(size), 0)),
            columns.eq(Mux(row.inside, all_ones(size) >> beyond, 0)),
            formed.eq(Mux(row.live, all_ones(size) >> unformed, 0)),
            shift.eq(LARGEST_KERNEL + row.kernel_column - job.pad_left),
        ]

        # Bits count as 1 where they differ from the padding, so zeros that are shifted in are the padding.
        placed: list[Signal] = []
        for lane in range(config.lanes):
            word = self.words[lane * size : (lane + 1) * size]
            read = Signal(size, name=f"read_{lane}")
            aligned = Signal(size + LARGEST_KERNEL, name=f"aligned_{lane}")
            thinned = Signal(size, name=f"thinned_{lane}")
            output = Signal(size, name=f"output_{lane}")
            m.d.comb += [
                read.eq(((word >> row.offset) ^ pad) & columns),
                aligned.eq(Cat(Const(0, LARGEST_KERNEL), read) >> shift),
                output.eq(((thinned ^ pad) & formed) << row.place),
            ]
            with m.Switch(job.stride_x):
                for stride in range(1, LARGEST_STRIDE + 1):
                    with m.Case(stride):
                        m.d.comb += thinned.eq(aligned[::stride])
            placed.append(output)
        m.d.comb += self.placed.eq(Cat(placed))
        return m
