"""Identical blocks as one Verilog module that is instantiated many times.

Amaranth writes a module for each place where a component is used. A mesh of equal clusters of equal tiles would be the
same text many times over; here each block is written once, and its users hold an instance of it by name.
"""

import re
from collections.abc import Mapping
from typing import Any

from amaranth.hdl import ClockSignal, Instance, Module, ResetSignal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import Flow

from hw.verilog import module_verilog

# How Yosys writes that a memory begins with zeros: a line for each of its words.
_ZEROS = re.compile(r"^  initial begin\n((?:    (\S+)\[\d+\] = (\d+)'[hd]0+;\n){4,})  end\n", re.MULTILINE)

__all__ = ["ModuleNameError", "design_text", "instantiate"]


class ModuleNameError(ValueError):
    """Two modules of a design would have the same name, or one that is used is not there."""


def instantiate(m: Module, name: str, component: wiring.Component, module: str, *, flat: bool = False) -> Any:
    """Use a component as an instance of a Verilog module, and return what has its ports.

    What is returned is used as the component itself is: by its members, or as a whole in ``wiring.connect``. The
    component must have registers in domain ``sync``, and no other domain.

    Parameters
    ----------
    m : who uses it.
    name : of the instance.
    component : what the module is.
    module : name of the Verilog module, under which :func:`design_text` must be given the same component.
    flat : make it an ordinary submodule instead, for Amaranth's own simulator, which knows no Verilog.
    """
    used: Any = component
    if flat:
        m.submodules[name] = used
        return used
    # Only its ports are used here; without this Amaranth warns that the component itself never is.
    vars(component)["_MustUse__used"] = True
    ports = component.signature.create(path=(name,))
    connections: dict[str, Any] = {"i_clk": ClockSignal("sync"), "i_rst": ResetSignal("sync")}
    for path, member, value in component.signature.flatten(ports):
        direction = "o" if member.flow == Flow.Out else "i"
        connections[f"{direction}_{'__'.join(map(str, path))}"] = Value.cast(value)
    m.submodules[name] = Instance(module, **connections)
    return ports


def design_text(top: wiring.Component, name: str, modules: Mapping[str, wiring.Component]) -> str:
    """Verilog of a component and, once each, of the modules that it and they instantiate.

    The text is the same wherever and however often it is made.

    Parameters
    ----------
    top, name : the outermost component, and its module's name.
    modules : components by the names that were given to :func:`instantiate`.

    Raises
    ------
    ModuleNameError
        If two modules have the same name, or one that is instantiated is not among them.
    """
    parts = [module_verilog(component, module) for module, component in ((name, top), *modules.items())]
    text = _ZEROS.sub(_loop, "\n".join(parts))
    defined = re.findall(r"^module (\S+?) ?\(", text, re.MULTILINE)
    for module in defined:
        if defined.count(module) > 1:
            raise ModuleNameError(f"modules of a design must have different names, not {module!r} twice")
    used = re.findall(r"^  (\\?[A-Za-z_]\S*) +\S+ +\($", text, re.MULTILINE)
    for module in used:
        if module not in defined:
            raise ModuleNameError(f"modules must be given for all that is instantiated, {module!r} is missing")
    return text


def _loop(zeros: re.Match[str]) -> str:
    """The same in three lines, which simulators compile in no time."""
    words, block = zeros[1].count("\n"), re.sub(r"\W", "_", zeros[2])
    return (
        f"  initial begin : zeros_of_{block}\n    integer place;\n"
        f"    for (place = 0; place < {words}; place = place + 1) {zeros[2]}[place] = {zeros[3]}'h0;\n  end\n"
    )
