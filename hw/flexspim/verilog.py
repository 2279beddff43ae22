"""Verilog of a macro, the same text for the same config."""

from hw.flexspim.config import MacroConfig

__all__ = ["TOP", "macro_verilog"]

TOP = "macro"
"""Name of the top module."""


def macro_verilog(config: MacroConfig) -> str:
    """Verilog-2005 of a macro, see :func:`hw.hierarchy.design_text`."""
    from hw.flexspim.macro import Macro  # a moment of imports that the name of the top module does not need
    from hw.hierarchy import design_text

    return design_text(Macro(config), TOP)
