"""Registers of the gather unit: the shadows that flits write, the job that runs, and whether it may."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from hw.accelerator.config import AcceleratorConfig
from hw.accelerator.protocol import LARGEST_KERNEL, LARGEST_STRIDE, REGISTER_BITS, UNIT_BITS, GatherRegister
from hw.component import Component

__all__ = ["COUNT_LIMIT", "GatherRegisters", "job_layout"]

COUNT_LIMIT, PLANES_LIMIT = 65535, 32


def _ranges(config: AcceleratorConfig) -> dict[GatherRegister, tuple[int, int]]:
    """What each register may hold, whatever the others hold."""
    registers, words, size = GatherRegister, config.gather_words, config.outputs
    return {
        registers.BASE: (0, words - 1),
        registers.WIDTH: (1, size),
        registers.HEIGHT: (1, COUNT_LIMIT),
        registers.ROWS_LOG2: (0, bits_for(size) - 1),
        registers.PLANES: (1, PLANES_LIMIT),
        registers.CHANNEL_GROUPS: (1, words),
        registers.KERNEL_HEIGHT: (1, LARGEST_KERNEL),
        registers.KERNEL_WIDTH: (1, LARGEST_KERNEL),
        registers.STRIDE_Y: (1, LARGEST_STRIDE),
        registers.STRIDE_X: (1, LARGEST_STRIDE),
        registers.PAD_TOP: (0, LARGEST_KERNEL),
        registers.PAD_LEFT: (0, LARGEST_KERNEL),
        registers.PAD_VALUE: (0, (1 << REGISTER_BITS) - 1),
        registers.OUT_WIDTH: (1, size),
        registers.OUT_ROWS: (1, size),
        registers.FIRST_ROW: (0, COUNT_LIMIT),
        registers.SETS: (1, COUNT_LIMIT),
        registers.ROUNDS: (1, COUNT_LIMIT),
        registers.FIRST_GROUP: (0, words - 1),
        registers.GROUP_STEP: (0, words - 1),
        registers.GROUPS: (1, words),
        registers.TILES: (1, COUNT_LIMIT),
        registers.RECEIVERS: (1, (1 << config.tiles) - 1),
    }


def _outside(value: Value, low: int, high: int) -> Value:
    """Whether a number is out of its range, without comparisons that no number fails."""
    wrong = [value < low] if low else []
    return Cat(wrong, [value > high] if high < (1 << len(value)) - 1 else []).any()


def job_layout(config: AcceleratorConfig) -> data.StructLayout:
    """The registers by their lower-case names, each as wide as its range."""
    return data.StructLayout({register.name.lower(): bits_for(high) for register, (_, high) in _ranges(config).items()})


class GatherRegisters(Component):
    """Shadows, the running job, and the check of its registers.

    **Latency**: the job is there in the cycle after ``start``, a wrong register is told in the second one.

    Members
    -------
    register_write, register_index, register_data : a write to a shadow; RECEIVERS arms.
    go : take the shadows if armed, which ``start`` says in the same cycle.
    shadow : what the job will be if it starts now; registers out of their ranges are cut.
    job : the registers of the job that was started last.
    set_words : its words of a set in a bank.
    descriptor_error, descriptor_register : the job has this register out of its range, for one cycle.
    checked : in this cycle a wrong register would be told.
    """

    block = "registers"

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        layout = job_layout(config)
        super().__init__(
            {
                "register_write": In(1),
                "register_index": In(range(len(GatherRegister))),
                "register_data": In(REGISTER_BITS),
                "go": In(1),
                "start": Out(1),
                "shadow": Out(layout),
                "job": Out(layout),
                "set_words": Out(bits_for(PLANES_LIMIT * config.gather_words)),
                "descriptor_error": Out(1),
                "descriptor_register": Out(UNIT_BITS),
                "checked": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config

        # The shadows, as they were written; a write in the cycle of a go is for the next one.
        armed = Signal()
        shadows = [Signal(REGISTER_BITS, name=f"shadow_{register.name.lower()}") for register in GatherRegister]
        m.d.comb += self.start.eq(self.go & armed)
        with m.If(self.go):
            m.d.sync += armed.eq(0)
        with m.If(self.register_write):
            for register, shadow in zip(GatherRegister, shadows, strict=True):
                with m.If(self.register_index == register):
                    m.d.sync += shadow.eq(self.register_data)
            with m.If(self.register_index == max(GatherRegister)):
                m.d.sync += armed.eq(1)
        for register, shadow in zip(GatherRegister, shadows, strict=True):
            m.d.comb += getattr(self.shadow, register.name.lower()).eq(shadow)

        # The job, and at the same time which registers are wrong whatever the others are.
        alone = Signal(len(GatherRegister))
        starting = Signal()
        m.d.sync += starting.eq(self.start)
        with m.If(self.start):
            m.d.sync += [
                self.job.eq(self.shadow),
                self.set_words.eq(self.shadow.planes * self.shadow.channel_groups),
                alone.eq(
                    Cat(_outside(shadows[register], low, high) for register, (low, high) in _ranges(config).items())
                ),
            ]

        # What registers must be together means something only where each is right alone.
        wrong = Signal(len(GatherRegister))
        m.d.sync += [
            self.checked.eq(starting),
            wrong.eq(Mux(starting, Mux(alone.any(), alone, self._together()), 0)),
        ]
        m.d.comb += self.descriptor_error.eq(wrong.any())
        for register in reversed(GatherRegister):
            with m.If(wrong[register]):
                m.d.comb += self.descriptor_register.eq(register)
        return m

    def _together(self) -> Value:
        """Registers that do not go with the others, one bit each."""
        job, config = self.job, self.config
        stored_sets = ((job.height - 1).as_unsigned() >> job.rows_log2) + 1
        last_group = job.first_group + (job.rounds - 1).as_unsigned() * job.group_step + job.groups
        broken = {
            GatherRegister.BASE: job.base + stored_sets * self.set_words > config.gather_words,
            GatherRegister.ROWS_LOG2: (job.width << job.rows_log2) > config.outputs,
            GatherRegister.OUT_ROWS: job.out_rows * job.out_width > config.outputs,
            GatherRegister.SETS: job.first_row + job.sets * job.out_rows > COUNT_LIMIT + 1,
            GatherRegister.GROUPS: last_group > job.channel_groups,
        }
        return Cat(broken.get(register, Value.cast(0)[:1]) for register in GatherRegister)
