"""Energy of a spiking layer: what its synaptic operations take and what its traffic takes, from stated constants."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sim.errors import UserError, one_line
from sim.evaluate.technology import CERTAINTIES
from sim.files import read_input
from sim.models import data_file
from sim.spiking.stationarity import Demand, LayerMapping

__all__ = ["CONSTANTS", "MEMORIES", "EnergyConstants", "load_energy", "mapping_energy_pj", "operation_energy_pj"]

CONSTANTS = ("operation_bit", "buffer_bit", "dram_bit")
"""Constants of the file, all in pJ."""

MEMORIES = ("buffer", "dram")
"""Where operands are that do not stay in the array."""

FILE = "spiking/energy.json"


@dataclass(frozen=True, kw_only=True)
class EnergyConstants:
    """Energies in pJ.

    Parameters
    ----------
    operation_bit : of a synaptic operation, for each bit of the potential.
    buffer_bit, dram_bit : of a bit that moves between the array and a buffer on the chip, or a memory beside the chip.
    """

    operation_bit: float
    buffer_bit: float
    dram_bit: float

    def moved_bit(self, memory: str) -> float:
        """Return the energy of a bit that moves; raises :class:`UserError` for a memory that is not of ours."""
        if memory not in MEMORIES:
            raise UserError(f"memory must be one of {', '.join(MEMORIES)}, got {memory!r}")
        return self.buffer_bit if memory == "buffer" else self.dram_bit


def load_energy(source: str | Path | None = None) -> EnergyConstants:
    """Return the constants of a JSON file, the packaged one by default.

    Raises
    ------
    UserError
        If a constant is missing, is no positive number, or does not say its source and how sure it is.
    """
    path = data_file(FILE) if source is None else Path(source)
    try:
        content = json.loads(read_input(path, "energy file"))
    except ValueError as error:
        raise UserError(f"energy file {path} is no JSON: {one_line(error)}") from error
    constants = content.get("constants") if isinstance(content, dict) else None
    if not isinstance(constants, dict) or set(constants) != set(CONSTANTS):
        raise UserError(f"energy file {path} must have the constants {', '.join(CONSTANTS)}")
    values: dict[str, float] = {}
    for name, entry in constants.items():
        value = entry.get("value") if isinstance(entry, dict) else None
        if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
            raise UserError(f"energy file {path}: {name} must have a value above 0, got {value!r}")
        if entry.get("certainty") not in CERTAINTIES or not entry.get("source") or entry.get("unit") != "pJ":
            raise UserError(
                f"energy file {path}: {name} must have the unit pJ, a source, and a certainty of "
                f"{', '.join(CERTAINTIES)}"
            )
        values[name] = float(value)
    return EnergyConstants(**values)


def operation_energy_pj(demand: Demand, constants: EnergyConstants) -> float:
    """Return the energy of a layer's synaptic operations in a timestep."""
    return demand.operations * demand.potential_width * constants.operation_bit


def mapping_energy_pj(
    demands: Sequence[Demand], mapping: Sequence[LayerMapping], constants: EnergyConstants, memory: str
) -> float:
    """Return the energy of a timestep: synaptic operations of all layers, and all that *mapping* moves."""
    operations = sum(operation_energy_pj(demand, constants) for demand in demands)
    return operations + sum(layer.moved for layer in mapping) * constants.moved_bit(memory)
