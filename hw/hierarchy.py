"""A design as Verilog modules, each written once.

Amaranth writes a module for each place where a component is used, and makes up names for ports that carry a part of a
signal.  Here every component becomes a module of its own, whose ports are its members, and whoever uses it holds an
instance of it; components that are the same hardware share one module.  A :class:`Hierarchy` does so as the platform
for which Amaranth elaborates.
"""

from __future__ import annotations

import gc
import importlib
import os
import re
import warnings
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

from amaranth.back import verilog
from amaranth.hdl import ClockDomain, ClockSignal, Fragment, Instance, ResetSignal, Signal, UnusedElaboratable, Value
from amaranth.hdl._ir import PortDirection
from amaranth.lib.wiring import Flow

from hw.component import Component
from hw.plain_verilog import plain, started
from hw.verilog_registers import with_registers_joined
from hw.verilog_repetitions import with_repetitions

__all__ = ["Hierarchy", "ModuleNameError", "design_text", "joined_text"]

_RTLIL: Any = importlib.import_module("amaranth.back.rtlil")
_CLOCKED = {"clk": ClockSignal, "rst": ResetSignal}


class ModuleNameError(ValueError):
    """Two different modules of a design would have the same name, or one would have none."""


@dataclass(frozen=True)
class _Written:
    """A module: its name, ports (name, whether an output, path of the member), and which of clock and reset it has."""

    name: str
    clocked: tuple[str, ...]


class Hierarchy:
    """The modules of one design.

    Parameters
    ----------
    banks : modules that the cells of an array are divided into, see :mod:`hw.array`; a divisor of the taps.
    """

    def __init__(self, banks: int = 1):
        self.banks = banks
        self.summaries: dict[str, str] = {}
        self._netlists: dict[str, str] = {}
        self._written: dict[Hashable, _Written] = {}
        self._open: list[str] = []
        self._building: Component | None = None

    def place(self, component: Component) -> Any:
        """Return what stands for a component in the module that uses it: an instance, or what is in it."""
        if component is self._building:
            self._building = None
            return component.contents(self)
        module = self._written.get(component.made_from)
        if module is None:
            module = self._written[component.made_from] = self.write(component, self._name(component))
        connections: dict[str, Any] = {f"i_{port}": _CLOCKED[port]("sync") for port in module.clocked}
        for name, value, output in _ports(component):
            connections[f"{'o' if output else 'i'}_{name}"] = value
            # In the module of its user a port is one of many, and says whose it is.
            if isinstance(value, Signal):
                value.name = f"{component.block}_{name}"
        return Instance(module.name, **connections)

    def write(self, component: Component, name: str) -> _Written:
        """Make a module of a component, and before it of all that is in it.

        Raises
        ------
        ModuleNameError
            If another component has made a module of that name, or a part of it is no component and has no name.
        """
        if name in self._netlists:
            raise ModuleNameError(f"modules of a design must have different names, not {name!r} twice")
        self._netlists[name] = ""
        self.summaries[name] = _sentence(component)
        self._open.append(name)
        self._building = component
        fragment = Fragment.get(component, self)
        self._open.pop()
        directions = {True: PortDirection.Output, False: PortDirection.Input}
        ports = {port: (value, directions[output]) for port, value, output in _ports(component)}
        text, _ = _RTLIL.convert_fragment(
            fragment,
            ports,
            name,
            emit_src=False,
            missing_domain=lambda domain: ClockDomain(domain, reset_less=component.reset_less),
        )
        gc.collect(0)  # a netlist refers to itself
        if len(re.findall(r"^module ", text, re.MULTILINE)) > 1:
            raise ModuleNameError(f"parts of module {name!r} must be components, not plain modules")
        self._netlists[name] = text
        clocked = tuple(
            port for port in _CLOCKED if port not in ports and re.search(rf" \\{port}$", text, re.MULTILINE)
        )
        return _Written(name, clocked)

    def text(self) -> str:
        """Verilog-2005 of all modules, users before what they use."""
        os.environ["AMARANTH_USE_YOSYS"] = "builtin"
        # One run of Yosys for all of them; Amaranth offers it only for a design of its own making.
        convert: Callable[..., str] = vars(verilog)["_convert_rtlil_text"]
        text = convert("".join(self._netlists.values()), strip_internal_attrs=True)
        return with_repetitions(with_registers_joined(plain(text, self.summaries)))

    def _name(self, component: Component) -> str:
        user = "" if component.shared or not self._open else f"{self._open[-1]}_"
        name = first = f"{user}{component.block}"
        number = 1
        while name in self._netlists:
            number += 1
            name = f"{first}_{number}"
        return name


def design_text(top: Component, name: str, banks: int = 1) -> str:
    """Verilog-2005 of a component and of all that it uses, the same text wherever and however often it is made.

    Ports are the component's members, joined by ``__`` (``plane_in__payload``), and ``clk`` and ``rst`` where it has
    registers. There are no source locations, no dates and no names that Verilog must escape.

    Parameters
    ----------
    top, name : the outermost component, and its module's name.
    banks : see :class:`Hierarchy`.
    """
    hierarchy = Hierarchy(banks)
    collects = gc.isenabled()
    gc.disable()  # netlists of wide arrays are millions of small objects, alive until their module is written
    try:
        hierarchy.write(top, name)
    except BaseException:
        # Parts that were not reached are no mistakes of their own.
        warnings.simplefilter("ignore", UnusedElaboratable)
        raise
    finally:
        if collects:
            gc.enable()
    return hierarchy.text()


def joined_text(top: Component, name: str) -> str:
    """Verilog of a component in Amaranth's own hierarchy, for a design that looks into its parts, such as a proof."""
    os.environ["AMARANTH_USE_YOSYS"] = "builtin"
    return started(verilog.convert(top, name=name, emit_src=False, strip_internal_attrs=True))


def _sentence(component: Component) -> str:
    """What the first line of its docstring says, without markup."""
    line = (component.__doc__ or "").strip().partition("\n")[0]
    return re.sub(r":\w+:`~?(?:\w+\.)*(\w+)`", r"\1", line).replace("``", "")


def _ports(component: Component) -> list[tuple[str, Value, bool]]:
    return [
        ("__".join(map(str, path)), Value.cast(value), member.flow == Flow.Out)
        for path, member, value in component.signature.flatten(component)
    ]
