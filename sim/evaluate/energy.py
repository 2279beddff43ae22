"""From cycles and events to time, energy, power, area and efficiency, by the constants of a technology.

One multiply-accumulate operation counts as two operations, here and in every figure that is made of these.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sim.evaluate.cost import Events, LayerCost, NetworkCost
from sim.evaluate.technology import Technology

__all__ = [
    "AREA_PARTS", "ENERGY_PARTS", "FORMULAS", "OPERATIONS_PER_MAC", "UNITS", "Figures", "area_mm2", "energy_pj",
    "figures",
]  # fmt: skip

OPERATIONS_PER_MAC = 2
"""A multiplication and an addition."""

ENERGY_PARTS: dict[str, str] = {
    "compare": "compared cells, match lines and tags",
    "write": "bit lines of driven columns and cells that writes change",
    "load": "cells that plane ports write",
    "store": "bits that plane ports take out",
    "count": "responder counters, which add up tags",
    "memories": "reads of gather memories and taps memories",
    "mesh": "flits through routers and links",
    "controller": "instructions, and sequencers in compare and write cycles",
    "leakage": "leakage of all cells that are there, in use or not",
}
"""What energy is spent on."""

FORMULAS: dict[str, str] = {
    "compare": "compared_cells * (matching_rows * compare_match + (1 - matching_rows) * compare_mismatch)"
    " + compared_rows * compare_row",
    "write": "driven_cells * (write_drive + tagged_rows * write_cell)",
    "load": "loaded_cells * load_cell",
    "store": "stored_bits * store_bit",
    "count": "counted_rows * count_row",
    "memories": "memory_bits * memory_bit",
    "mesh": "flit_hops * flit_bits * mesh_bit_hop",
    "controller": "instructions * instruction + (compares + writes) * micro_operation",
    "leakage": "tile_cycles * cells / tiles * leakage_cell * cycle_time",
}
"""How each part follows from events and constants, for people; a test compares them with :func:`energy_pj`."""

AREA_PARTS: dict[str, str] = {
    "cap_cells": "cells of compute tiles",
    "cap_periphery": "rows, columns and sequencers of compute tiles",
    "map_cells": "cells of memory tiles",
    "map_periphery": "rows, columns and sequencers of memory tiles",
    "routers": "a router for each cluster",
}
"""What area is made of; gather memories, taps memories, program memories and the host's port are left out."""

UNITS: dict[str, str] = {
    "cycles": "cycles",
    "latency_s": "s",
    "energy_pj": "pJ",
    "total_pj": "pJ",
    "power_w": "W",
    "area_mm2": "mm2",
    "gops": "GOPS",
    "gops_per_w": "GOPS/W",
    "gops_per_w_mm2": "GOPS/W/mm2",
    "edp_js": "J s",
}
"""Units of the figures, for headings."""

_FEMTO = 1e-3  # pJ in a fJ
_NANO = 1e-6  # pJ in a nW ns


@dataclass(frozen=True)
class Figures:
    """What a layer or a network takes on a technology; units are in :data:`UNITS`.

    Parameters
    ----------
    cycles : of the whole batch.
    macs : multiply-accumulate operations of the whole batch.
    latency_s : time of the batch.
    energy_pj : by :data:`ENERGY_PARTS`, of the batch.
    area_mm2 : of the whole machine, by :data:`AREA_PARTS`.
    """

    cycles: int
    macs: int
    latency_s: float
    energy_pj: Mapping[str, float]
    area_mm2: Mapping[str, float]

    @property
    def total_pj(self) -> float:
        """Energy of all parts."""
        return sum(self.energy_pj.values())

    @property
    def total_mm2(self) -> float:
        """Area of all parts."""
        return sum(self.area_mm2.values())

    @property
    def power_w(self) -> float | None:
        """Mean power; None when no time passes."""
        return _ratio(self.total_pj * 1e-12, self.latency_s)

    @property
    def gops(self) -> float | None:
        """Achieved throughput: 1e9 operations in a second, two for a MAC; None when no time passes."""
        return _ratio(OPERATIONS_PER_MAC * self.macs * 1e-9, self.latency_s)

    @property
    def gops_per_w(self) -> float | None:
        """Throughput for each watt, which is operations for each nanojoule; None when no energy is spent."""
        return _ratio(OPERATIONS_PER_MAC * self.macs, self.total_pj * 1e-3)

    @property
    def gops_per_w_mm2(self) -> float | None:
        """The same for each square millimetre of the machine; None when there is no area, or no energy is spent."""
        per_watt = self.gops_per_w
        return None if per_watt is None else _ratio(per_watt, self.total_mm2)

    @property
    def edp_js(self) -> float:
        """Product of energy and delay of the batch."""
        return self.total_pj * 1e-12 * self.latency_s

    def as_dict(self) -> dict[str, object]:
        """All figures as plain values for JSON, in the order of :data:`UNITS`."""
        return {
            "cycles": self.cycles,
            "latency_s": self.latency_s,
            "energy_pj": dict(self.energy_pj),
            "total_pj": self.total_pj,
            "power_w": self.power_w,
            "area_mm2": self.total_mm2,
            "gops": self.gops,
            "gops_per_w": self.gops_per_w,
            "gops_per_w_mm2": self.gops_per_w_mm2,
            "edp_js": self.edp_js,
        }


def energy_pj(events: Events, technology: Technology, cost: NetworkCost) -> dict[str, float]:
    """Energy of some events on the machine of ``cost``, by :data:`ENERGY_PARTS`, in pJ."""
    t = technology
    cell = t["matching_rows"] * t["compare_match"] + (1 - t["matching_rows"]) * t["compare_mismatch"]
    written = t["write_drive"] + t["tagged_rows"] * t["write_cell"]
    operations = events.compares + events.writes
    tiles = sum(cost.tiles.values())
    cells = sum(_cells(cost, kind) for kind in cost.tiles)
    leaking = events.tile_cycles * cells / tiles if tiles else 0.0
    return {
        "compare": (events.compared_cells * cell + events.compared_rows * t["compare_row"]) * _FEMTO,
        "write": events.driven_cells * written * _FEMTO,
        "load": events.loaded_cells * t["load_cell"] * _FEMTO,
        "store": events.stored_bits * t["store_bit"] * _FEMTO,
        "count": events.counted_rows * t["count_row"] * _FEMTO,
        "memories": events.memory_bits * t["memory_bit"] * _FEMTO,
        "mesh": events.flit_hops * _flit_bits(cost) * t["mesh_bit_hop"] * _FEMTO,
        "controller": (events.instructions * t["instruction"] + operations * t["micro_operation"]) * _FEMTO,
        "leakage": leaking * t["leakage_cell"] * t["cycle_time"] * _NANO,
    }


def area_mm2(cost: NetworkCost, technology: Technology) -> dict[str, float]:
    """Area of the machine of ``cost``, by :data:`AREA_PARTS`, in mm2."""
    t, area = technology, dict.fromkeys(AREA_PARTS, 0.0)
    for kind, tiles in cost.tiles.items():
        rows, columns = cost.rows[kind], cost.columns[kind]
        around = rows * t["row_area"] + columns * t["column_area"] + t["tile_area"]
        area[f"{kind}_cells"] = _cells(cost, kind) * t["cell_area"] * 1e-6
        area[f"{kind}_periphery"] = tiles * around * 1e-6
    area["routers"] = _clusters(cost) * t["router_area"] * 1e-6
    return area


def figures(cost: NetworkCost | LayerCost, technology: Technology, network: NetworkCost | None = None) -> Figures:
    """All figures of a network, or of a layer of ``network``, on whose machine it runs.

    Raises
    ------
    TypeError
        If a layer is given without its network.
    """
    machine = cost if isinstance(cost, NetworkCost) else network
    if machine is None:
        raise TypeError("figures of a layer need the cost of its network")
    return Figures(
        cycles=cost.total,
        macs=cost.macs,
        latency_s=cost.total * technology["cycle_time"] * 1e-9,
        energy_pj=energy_pj(cost.events, technology, machine),
        area_mm2=area_mm2(machine, technology),
    )


def _cells(cost: NetworkCost, kind: str) -> int:
    return cost.tiles[kind] * cost.rows[kind] * cost.columns[kind]


def _flit_bits(cost: NetworkCost) -> int:
    """Payload bits of a flit; a tile alone has no mesh."""
    return int(cost.sizes.get("flit_bits", 0))


def _clusters(cost: NetworkCost) -> int:
    """Clusters that the tiles are in; a tile alone is in none."""
    caps = cost.sizes.get("caps")
    return -(-cost.tiles["cap"] // int(caps)) if caps else 0


def _ratio(value: float, by: float) -> float | None:
    return value / by if by else None
