"""A sentence for every module of generated Verilog, from the docstring of the component that it was made from."""

from __future__ import annotations

import importlib
import re
from typing import TYPE_CHECKING

from hw.config import TileConfig
from sim.verilog.members import first_sentence

if TYPE_CHECKING:
    from hw.accelerator.config import AcceleratorConfig

__all__ = ["module_sentence"]

_TILE = {
    "tile": "hw.tile:Tile",
    "tile_counters": "hw.event_counters:EventCounters",
    "tile_plane_port": "hw.plane_port:PlanePort",
    "tile_program_buffer": "hw.program_buffer:ProgramBuffer",
    "tile_responders": "hw.responders:Responders",
    "tile_tags": "hw.tag_unit:TagUnit",
    "tile_sequencer": "hw.sequencer:Sequencer",
    "tile_sequencer_decoder": "hw.decoder:Decoder",
    "tile_sequencer_key_logic": "hw.key_logic:KeyLogic",
    "tile_sequencer_lowest": "hw.constant_bits:LowestOne",
    "tile_sequencer_steps": "hw.step_table:StepTable",
    "tile_sequencer_tree": "hw.reduction:ReductionTree",
    "tile_array_vertical": "hw.vertical:VerticalLines",
}
_ACCELERATOR = {
    "accelerator": "hw.accelerator.accelerator:Accelerator",
    "accelerator_registers": "hw.accelerator.registers:RegisterPort",
    "accelerator_core_counters": "hw.accelerator.run_counters:RunCounters",
    "accelerator_core_mesh": "hw.accelerator.mesh:Mesh",
    "accelerator_core_queue": "hw.accelerator.host_queue:HostQueue",
    "accelerator_core_sequencer": "hw.accelerator.command_sequencer:CommandSequencer",
    "accelerator_core_watchdog": "hw.accelerator.watchdog:Watchdog",
    "router": "hw.accelerator.router:Router",
    "buffer": "hw.accelerator.router:FlitBuffer",
    "link_counters": "hw.accelerator.link_counters:LinkCounters",
    "cluster": "hw.accelerator.cluster:Cluster",
    "cluster_collector": "hw.accelerator.collector:Collector",
    "cluster_counters": "hw.accelerator.counters:CounterBank",
    "cluster_gather": "hw.accelerator.gather:GatherUnit",
    "cluster_gather_address": "hw.accelerator.gather_address:GatherAddress",
    "cluster_gather_align": "hw.accelerator.gather_align:GatherAlign",
    "cluster_gather_memory": "hw.accelerator.gather_memory:GatherMemory",
    "cluster_gather_queue": "hw.accelerator.gather_queue:GatherQueue",
    "cluster_gather_registers": "hw.accelerator.gather_registers:GatherRegisters",
    "cluster_sender": "hw.accelerator.sender:Sender",
    "slot": "hw.accelerator.tile_slot:TileSlot",
    "slot_program": "hw.accelerator.tile_slot:ProgramReader",
    "slot_taps": "hw.accelerator.tile_slot:TapsReader",
}
_ARRAYS = {"cells": "CellArray", "4r2w": "ColumnArray", "3r1w": "LatchedArray"}
_CORE = {"accelerator_core": "What a stop resets: command sequencer, mesh, clusters, counters, watchdog"}


def module_sentence(module: str, config: TileConfig | AcceleratorConfig) -> str:
    """What a module of the Verilog of a config, or of a part of it, is; one sentence.

    Raises
    ------
    KeyError
        If no component is known for the module.
    """
    plain = re.sub(r"_\d+$", "", re.sub(r"\W", "_", module.strip("\\")).partition("__")[0])
    places = {**_TILE, **_ACCELERATOR, "tile_array": f"hw.array:{_ARRAYS[_tile(plain, config).array]}"}
    if plain in _CORE:
        return _CORE[plain]
    known = [name for name in places if plain == name or plain.endswith(f"_{name}")]
    if not known:
        raise KeyError(f"module {module} must be known with the component that it was made from")
    file, _, name = places[max(known, key=len)].partition(":")
    return first_sentence(getattr(importlib.import_module(file), name))


def _tile(module: str, config: TileConfig | AcceleratorConfig) -> TileConfig:
    """The tile that a module is a part of, if it is one of a tile's."""
    if isinstance(config, TileConfig):
        return config
    return config.map if module.startswith("map_slot") else config.cap
