"""The register port of an accelerator: an AXI4-Lite slave, decoded as :mod:`hw.accelerator.register_map` says."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib.wiring import In, Out

from hw.accelerator.config import AcceleratorConfig
from hw.accelerator.register_map import MAP_BYTES, REGISTERS, Register, constants
from hw.component import Component

__all__ = ["AXI_LITE", "RegisterPort"]

OKAY, SLVERR = 0, 2
STROBES = 4
ADDRESS_BITS = (MAP_BYTES - 1).bit_length()

AXI_LITE = {
    "s_axi_awaddr": In(ADDRESS_BITS),
    "s_axi_awprot": In(3),
    "s_axi_awvalid": In(1),
    "s_axi_awready": Out(1),
    "s_axi_wdata": In(32),
    "s_axi_wstrb": In(STROBES),
    "s_axi_wvalid": In(1),
    "s_axi_wready": Out(1),
    "s_axi_bresp": Out(2),
    "s_axi_bvalid": Out(1),
    "s_axi_bready": In(1),
    "s_axi_araddr": In(ADDRESS_BITS),
    "s_axi_arprot": In(3),
    "s_axi_arvalid": In(1),
    "s_axi_arready": Out(1),
    "s_axi_rdata": Out(32),
    "s_axi_rresp": Out(2),
    "s_axi_rvalid": Out(1),
    "s_axi_rready": In(1),
}
"""Ports of an AXI4-Lite slave of 32 bits."""


def _member(entry: Register) -> str:
    """The port that stands for a register, or for both halves of a number of 64 bits."""
    return entry.name.lower().removesuffix("_low").removesuffix("_high")


class RegisterPort(Component):
    """Registers on AXI4-Lite; the protection bits are not looked at.

    One transfer of each direction at a time: after an address no further one is taken until its answer was. Address
    and data of a write may come in any order. Answered with SLVERR, and without effect: an address that is no multiple
    of 4 or holds no register, a write to a register that cannot be written, a read of one that cannot be read, a write
    with less than all four strobes. A read of the lower half of a number of 64 bits keeps the upper one, which the next
    reads of an upper half give. ``valid`` waits for nothing, and ``ready`` is a function of registers alone.

    **Latency**: an answer is valid two cycles after the last of its address and data was taken.

    Members
    -------
    s_axi_* : the port.
    A member for each register but constants, named as it in small letters:
        what cannot be written is an input (of 64 bits for a pair of ``_LOW`` and ``_HIGH``);
        what can be written and read is an output, kept;
        what can be written alone is an output, 0 but in the one cycle in which it is written.
    """

    block = "registers"

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        fixed, members = constants(config), {}
        for entry in REGISTERS:
            if entry.name not in fixed:
                if entry.access == "ro":
                    members[_member(entry)] = In(64 if entry.name.endswith(("_LOW", "_HIGH")) else 32)
                else:
                    members[_member(entry)] = Out(entry.mask.bit_length())
        super().__init__(AXI_LITE | members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # Nothing is taken before the first cycle after a reset.
        awake = Signal()
        m.d.sync += awake.eq(1)
        self._write(m, awake)
        self._read(m, awake)
        return m

    def _write(self, m: Module, awake: Signal) -> None:
        """Address and data are kept until both are there; then the register is written, and the answer offered."""
        address = Signal(ADDRESS_BITS)
        data = Signal(32)
        strobes = Signal(STROBES)
        has_address = Signal()
        has_data = Signal()
        act = Signal()
        m.d.comb += [
            self.s_axi_awready.eq(awake & ~has_address & ~self.s_axi_bvalid),
            self.s_axi_wready.eq(awake & ~has_data & ~self.s_axi_bvalid),
            act.eq(has_address & has_data),
        ]
        with m.If(self.s_axi_awvalid & self.s_axi_awready):
            m.d.sync += [address.eq(self.s_axi_awaddr), has_address.eq(1)]
        with m.If(self.s_axi_wvalid & self.s_axi_wready):
            m.d.sync += [data.eq(self.s_axi_wdata), strobes.eq(self.s_axi_wstrb), has_data.eq(1)]

        known = Signal()
        for entry in REGISTERS:
            if entry.access == "ro":
                continue
            member, chosen = getattr(self, _member(entry)), Signal(name=f"writes_{_member(entry)}")
            with m.If((address == entry.offset) & strobes.all()):
                m.d.comb += [known.eq(1), chosen.eq(act)]
            if entry.access == "wo":
                m.d.comb += member.eq(Mux(chosen, data & entry.mask, 0))
            else:
                kept = Signal.like(member, name=f"kept_{_member(entry)}", init=entry.reset)
                m.d.comb += member.eq(kept)
                with m.If(chosen):
                    m.d.sync += kept.eq(data & entry.mask)
        with m.If(act):
            m.d.sync += [
                has_address.eq(0),
                has_data.eq(0),
                self.s_axi_bvalid.eq(1),
                self.s_axi_bresp.eq(Mux(known, OKAY, SLVERR)),
            ]
        with m.If(self.s_axi_bvalid & self.s_axi_bready):
            m.d.sync += self.s_axi_bvalid.eq(0)

    def _read(self, m: Module, awake: Signal) -> None:
        """The address is kept for one cycle, in which the register's value is."""
        address = Signal(ADDRESS_BITS)
        upper = Signal(32)
        asked = Signal()
        known = Signal()
        value = Signal(32)
        rest = Signal(32)
        pair = Signal()
        m.d.comb += self.s_axi_arready.eq(awake & ~asked & ~self.s_axi_rvalid)
        with m.If(self.s_axi_arvalid & self.s_axi_arready):
            m.d.sync += [address.eq(self.s_axi_araddr), asked.eq(1)]

        fixed = constants(self.config)
        with m.Switch(address):
            for entry in REGISTERS:
                if entry.access == "wo":
                    continue
                with m.Case(entry.offset):
                    m.d.comb += known.eq(1)
                    if entry.name in fixed:
                        m.d.comb += value.eq(fixed[entry.name])
                    elif entry.name.endswith("_HIGH"):
                        m.d.comb += value.eq(upper)
                    else:
                        member = getattr(self, _member(entry))
                        m.d.comb += value.eq(member[:32])
                        if entry.name.endswith("_LOW"):
                            m.d.comb += [pair.eq(1), rest.eq(member[32:])]
        with m.If(asked):
            m.d.sync += [
                asked.eq(0),
                self.s_axi_rvalid.eq(1),
                self.s_axi_rdata.eq(value),
                self.s_axi_rresp.eq(Mux(known, OKAY, SLVERR)),
            ]
            with m.If(pair):
                m.d.sync += upper.eq(rest)
        with m.If(self.s_axi_rvalid & self.s_axi_rready):
            m.d.sync += self.s_axi_rvalid.eq(0)
