"""The sender of a cluster: words that a MAP stores become flits for gather memories or for the host."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from hw.accelerator.config import AcceleratorConfig
from hw.accelerator.layouts import flit_layout
from hw.accelerator.protocol import REGISTER_BITS, UNIT_BITS, SenderRegister, Unit, Waiting
from hw.component import Component

__all__ = ["LARGEST_COUNT", "Sender"]

LARGEST_COUNT = (1 << 16) - 1
"""What COUNT0, COUNT1 and COUNT2 may be at most; at least 1."""

COUNTS = (SenderRegister.COUNT0, SenderRegister.COUNT1, SenderRegister.COUNT2)
STRIDES = (SenderRegister.STRIDE0, SenderRegister.STRIDE1, SenderRegister.STRIDE2)


class Sender(Component):
    """Takes the words that its registers ask for, and sends each as flits; see ``docs/accelerator.md``.

    Addresses are computed modulo 2^32, so that a stride may be negative. A word past the end of a gather memory raises
    ``address_error`` and is not sent, nor is anything after it; a word for the host alone has no address.

    **Latency**: the first flit of a word is offered in the cycle after the word was taken. **Throughput**: one flit a
    cycle, no cycle between two words.

    Members
    -------
    register_write, register_index, register_data : a write to a shadow register; COUNT2 arms.
    go : start if armed; only while idle.
    words_0, words_1 .. : streams of the MAPs; the others than SOURCE wait.
    flits : the stream to the router.
    idle : all words were taken and sent. After an error never again.
    waiting : what it waits for, :class:`hw.accelerator.protocol.Waiting`.
    sent, blocked : a flit is taken in this cycle; one is offered and is not.
    descriptor_error, descriptor_register : the lowest register that was out of its range when it was to start; kept.
    address_error, error_address : the address of the flit that was not sent; kept.
    """

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        super().__init__(
            {
                "register_write": In(1),
                "register_index": In(range(len(SenderRegister))),
                "register_data": In(REGISTER_BITS),
                "go": In(1),
                **{f"words_{number}": In(stream.Signature(config.outputs)) for number in range(config.maps)},
                "flits": Out(stream.Signature(flit_layout(config))),
                "idle": Out(1),
                "waiting": Out(Waiting),
                "sent": Out(1),
                "blocked": Out(1),
                "descriptor_error": Out(1),
                "descriptor_register": Out(UNIT_BITS),
                "address_error": Out(1),
                "error_address": Out(REGISTER_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        self._start(m)
        self._walk(m)

        # The word and what it needs are kept until its last flit was taken; the next word may come in that cycle.
        word = Signal(config.outputs)
        left = Signal(range(config.flits_per_word + 1))
        address = Signal(REGISTER_BITS)
        failed = Signal()
        beyond = self._to_clusters & (self._address >= config.gather_words * config.lanes)
        flit = self.flits.payload
        m.d.comb += [
            failed.eq(self.descriptor_error | self.address_error),
            self.flits.valid.eq(left != 0),
            self._room.eq((left == 0) | ((left == 1) & self.flits.ready)),
            flit.destinations.eq(self._destinations),
            flit.unit.eq(Unit.GATHER_MEMORY),
            flit.address.eq(address),
            flit.payload.eq(word[: config.flit_bits]),
        ]
        with m.If(self.sent):
            m.d.sync += [word.eq(word >> config.flit_bits), address.eq(address + 1), left.eq(left - 1)]
        with m.If(self._taken):
            m.d.sync += [
                word.eq(self._word),
                address.eq(self._address * config.flits_per_word),
                left.eq(Mux(beyond, 0, config.flits_per_word)),
            ]
            with m.If(beyond):
                m.d.sync += [
                    self.address_error.eq(1),
                    self.error_address.eq(self._address * config.flits_per_word),
                    self._active.eq(0),
                ]

        # How it stands.
        m.d.comb += [
            self.idle.eq(~self._active & (left == 0) & ~failed),
            self.sent.eq(self.flits.valid & self.flits.ready),
            self.blocked.eq(self.flits.valid & ~self.flits.ready),
        ]
        with m.If(self.blocked):
            m.d.comb += self.waiting.eq(Waiting.MESH)
        with m.Elif(self._active & ~self._taken):
            m.d.comb += self.waiting.eq(Waiting.WORDS)
        return m

    def _start(self, m: Module) -> None:
        """Shadows become the running registers, unless one of them is out of its range."""
        config = self.config
        shadows = {
            register: Signal(REGISTER_BITS, name=f"shadow_{register.name.lower()}") for register in SenderRegister
        }
        armed = Signal()
        with m.If(self.go):
            m.d.sync += armed.eq(0)
        with m.If(self.register_write):
            m.d.sync += Array(shadows.values())[self.register_index].eq(self.register_data)
            with m.If(self.register_index == max(SenderRegister)):
                m.d.sync += armed.eq(1)

        low, high = shadows[SenderRegister.DESTINATIONS_LOW], shadows[SenderRegister.DESTINATIONS_HIGH]
        known, wanted = config.clusters + 1, Cat(low, high)
        wrong: dict[SenderRegister, Value] = {
            SenderRegister.SOURCE: shadows[SenderRegister.SOURCE] >= config.maps,
            SenderRegister.DESTINATIONS_LOW: (wanted == 0) | (low[known:] != 0),
            SenderRegister.DESTINATIONS_HIGH: high[max(0, known - REGISTER_BITS) :] != 0,
        } | {count: (shadows[count] == 0) | (shadows[count] > LARGEST_COUNT) for count in COUNTS}
        any_wrong = Cat(wrong.values()).any()

        self._active, self._source = Signal(name="active"), Signal(range(config.maps), name="source")
        self._destinations = Signal(known, name="destinations")
        self._to_clusters = self._destinations[: config.clusters].any()
        self._counts = [Signal(16, name=f"count_{level}") for level in range(3)]
        self._strides = [Signal(REGISTER_BITS, name=f"stride_{level}") for level in range(3)]
        self._base = shadows[SenderRegister.BASE]
        self._start_now = Signal(name="start_now")
        m.d.comb += self._start_now.eq(self.go & armed)
        with m.If(self._start_now):
            m.d.sync += [
                self._active.eq(~any_wrong),
                self.descriptor_error.eq(any_wrong),
                self._source.eq(shadows[SenderRegister.SOURCE]),
                self._destinations.eq(wanted),
                *(count.eq(shadows[register]) for count, register in zip(self._counts, COUNTS, strict=True)),
                *(stride.eq(shadows[register]) for stride, register in zip(self._strides, STRIDES, strict=True)),
            ]
            for register, is_wrong in reversed(wrong.items()):
                with m.If(is_wrong):
                    m.d.sync += self.descriptor_register.eq(register)

    def _walk(self, m: Module) -> None:
        """The word that is offered, and its address: that of the innermost loop; outer loops keep where they began."""
        self._word = Signal(self.config.outputs)
        self._taken = Signal(name="taken")
        self._room = Signal(name="room")
        offered = Signal()
        for number in range(self.config.maps):
            source = getattr(self, f"words_{number}")
            with m.If(self._active & (self._source == number)):
                m.d.comb += [offered.eq(source.valid), source.ready.eq(self._room), self._word.eq(source.payload)]
        m.d.comb += self._taken.eq(offered & self._room)

        places = [Signal(16, name=f"place_{level}") for level in range(3)]
        begins = [Signal(REGISTER_BITS, name=f"begin_{level}") for level in range(3)]
        self._address = begins[0]
        ends = [place == count - 1 for place, count in zip(places, self._counts, strict=True)]
        with m.If(self._taken):
            with m.If(~ends[0]):
                self._step(m, places, begins, 0)
            with m.Elif(~ends[1]):
                self._step(m, places, begins, 1)
            with m.Elif(~ends[2]):
                self._step(m, places, begins, 2)
            with m.Else():
                m.d.sync += self._active.eq(0)
        with m.If(self._start_now):
            m.d.sync += [*(place.eq(0) for place in places), *(begin.eq(self._base) for begin in begins)]

    def _step(self, m: Module, places: list[Signal], begins: list[Signal], level: int) -> None:
        """One step of a loop; those within it begin anew from there."""
        m.d.sync += [
            places[level].eq(places[level] + 1),
            *(place.eq(0) for place in places[:level]),
            *(begin.eq((begins[level] + self._strides[level])[:REGISTER_BITS]) for begin in begins[: level + 1]),
        ]
