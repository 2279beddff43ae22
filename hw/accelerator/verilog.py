"""Verilog of an accelerator, the same text for the same config, each block of it once."""

from hw.accelerator.accelerator import CLUSTER, LINK_COUNTERS, Accelerator
from hw.accelerator.cluster import CAP_SLOT, MAP_SLOT, Cluster, slot_modules
from hw.accelerator.config import AcceleratorConfig
from hw.accelerator.hierarchy import design_text
from hw.accelerator.link_counters import LinkCounters
from hw.accelerator.mesh import ROUTER
from hw.accelerator.router import Router
from hw.component import Component

__all__ = ["BLOCKS", "TOP", "accelerator_modules", "accelerator_verilog"]

TOP = "accelerator"
"""Name of the top module."""

BLOCKS = (CLUSTER, CAP_SLOT, MAP_SLOT)
"""Modules that are worth being compiled once for all of their instances, see :func:`sim.runner.build`."""


def accelerator_modules(config: AcceleratorConfig) -> dict[str, Component]:
    """The blocks that an accelerator instantiates, by the names of their modules, each of which is written once."""
    return {ROUTER: Router(config), LINK_COUNTERS: LinkCounters(), CLUSTER: Cluster(config), **slot_modules(config)}


def accelerator_verilog(config: AcceleratorConfig) -> str:
    """Verilog-2005 of a whole accelerator, without source locations, so that it does not depend on where it was made.

    Ports are the members of :class:`hw.accelerator.accelerator.Accelerator` by their names.
    """
    return design_text(Accelerator(config), TOP, accelerator_modules(config))
