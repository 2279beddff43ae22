"""Timing constraints, and constraints of pins to be filled in, for the flows of ASICs and FPGAs.

The clock is constrained in all of them.  Delays outside the chip are assumed to take a share of the period; the reset
is synchronous, so its path counts like that of any other input.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sim.verilog.ports import Port

__all__ = ["CONSTRAINTS", "IO_SHARE", "PERIOD_NS", "WIDEST_PINS"]

PERIOD_NS = 10.0
"""Period of the clock in nanoseconds, unless told otherwise."""

IO_SHARE = 0.3
"""Share of the period that is assumed to pass outside: before inputs are there, and after outputs are given."""

WIDEST_PINS = 64
"""Bits of the widest port that gets a line for each bit; wider ones are no pins of a chip, but wires inside."""


def sdc(title: str, ports: Sequence[Port], period: float) -> str:
    """Synopsys design constraints: the clock, and delays at inputs and outputs."""
    inputs = [port.name for port in ports if port.direction == "in" and port.name != "clk"]
    outputs = [port.name for port in ports if port.direction == "out"]
    return _text(
        f"# Timing of {title}. Times are in ns.",
        f"set period {period:.3f}",
        f"# Assumed: {IO_SHARE:.0%} of the period pass outside, before inputs are there and after outputs are given.",
        f"set outside [expr {{{IO_SHARE} * $period}}]",
        "create_clock -name clk -period $period [get_ports clk]",
        "# The reset is synchronous: it is an input like the others, and no false path.",
        "set_input_delay $outside -clock clk [get_ports {",
        *(f"  {_pattern(name, ports)}" for name in inputs),
        "}]",
        "set_output_delay $outside -clock clk [get_ports {",
        *(f"  {_pattern(name, ports)}" for name in outputs),
        "}]",
    )


def pcf(title: str, ports: Sequence[Port], period: float) -> str:
    """Physical constraints of nextpnr for iCE40: the clock's frequency, and pins to fill in."""
    return _text(
        f"# Pins of {title} on an iCE40, for nextpnr-ice40 --pcf.",
        f"set_frequency clk {_megahertz(period)}",
        "",
        *_pins(ports, "# set_io {bit} PIN"),
    )


def lpf(title: str, ports: Sequence[Port], period: float) -> str:
    """Constraints of nextpnr for ECP5: the clock's frequency, and pins to fill in."""
    return _text(
        f"# Pins of {title} on an ECP5, for nextpnr-ecp5 --lpf.",
        f'FREQUENCY PORT "clk" {_megahertz(period)} MHZ;',
        "",
        *_pins(ports, '# LOCATE COMP "{bit}" SITE "PIN"; IOBUF PORT "{bit}" IO_TYPE=LVCMOS33;'),
    )


def xdc(title: str, ports: Sequence[Port], period: float) -> str:
    """Constraints of Vivado: the clock, and pins to fill in."""
    return _text(
        f"# Pins of {title} on a Xilinx device. Times are in ns.",
        f"create_clock -name clk -period {period:.3f} [get_ports clk]",
        "",
        *_pins(ports, "# set_property -dict {{PACKAGE_PIN PIN IOSTANDARD LVCMOS33}} [get_ports {{{bit}}}]"),
    )


CONSTRAINTS: dict[str, Callable[[str, Sequence[Port], float], str]] = {"sdc": sdc, "pcf": pcf, "lpf": lpf, "xdc": xdc}
"""Files by their suffix: each takes a title, ports, and the clock's period in ns."""


def _text(*lines: str) -> str:
    return "\n".join(lines) + "\n"


def _pattern(name: str, ports: Sequence[Port]) -> str:
    """All bits of a port."""
    return name if next(port.width for port in ports if port.name == name) == 1 else f"{name}[*]"


def _megahertz(period: float) -> str:
    return f"{1000 / period:.3f}"


def _pins(ports: Sequence[Port], line: str) -> list[str]:
    """A line to fill in, with the name of the bit in it, for each bit of each port."""
    lines = ["# Fill in PIN and remove the first '#' of a line. A design around the module keeps wide ports inside."]
    for port in ports:
        lines.append("")
        if port.width > WIDEST_PINS:
            lines.append(f"# {port.name}[{port.width - 1}:0], {port.direction}: {port.width} bits, to be kept inside")
            continue
        bits = [port.name] if port.width == 1 else [f"{port.name}[{bit}]" for bit in range(port.width)]
        lines += [f"# {port.name}, {port.direction}: {port.meaning}", *(line.format(bit=bit) for bit in bits)]
    return lines
