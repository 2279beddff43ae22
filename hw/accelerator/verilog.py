"""Verilog of an accelerator and of its parts, the same text for the same config, each block of it once."""

from typing import Literal

from hw.accelerator.accelerator import Accelerator
from hw.accelerator.cluster import Cluster
from hw.accelerator.config import AcceleratorConfig
from hw.accelerator.tile_slot import TileSlot
from hw.hierarchy import design_text

__all__ = ["BLOCKS", "TOP", "accelerator_verilog", "cluster_verilog", "slot_verilog"]

TOP = "accelerator"
"""Name of the top module."""

BLOCKS = ("cluster", "cap_slot", "map_slot")
"""Modules that are worth being compiled once for all of their instances, see :func:`sim.runner.build`."""


def accelerator_verilog(config: AcceleratorConfig) -> str:
    """Verilog-2005 of a whole accelerator, see :func:`hw.hierarchy.design_text`.

    Ports are the members of :class:`hw.accelerator.accelerator.Accelerator` by their names.
    """
    return design_text(Accelerator(config), TOP)


def cluster_verilog(config: AcceleratorConfig) -> str:
    """Verilog-2005 of one cluster, whose ports are those of :class:`hw.accelerator.cluster.Cluster`."""
    return design_text(Cluster(config), "cluster")


def slot_verilog(config: AcceleratorConfig, kind: Literal["cap", "map"]) -> str:
    """Verilog-2005 of one tile in its slot, see :class:`hw.accelerator.tile_slot.TileSlot`."""
    return design_text(TileSlot(config, kind), f"{kind}_slot")
