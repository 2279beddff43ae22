"""Peak throughput: every row of every CAP in dot products, operands in place, nothing else to do."""

from __future__ import annotations

from functools import cache

from golden.laws import body_cycles
from hw.fabric import FabricConfig
from hw.isa import Instruction, Opcode
from sim.evaluate.cost import NetworkCost
from sim.evaluate.energy import OPERATIONS_PER_MAC, area_mm2, energy_pj
from sim.evaluate.evaluate import load_machine
from sim.evaluate.technology import Technology, load_technology
from sim.fabric.accounts import program_events
from sim.fabric.cap_programs import plan_sums

from .evaluations import cost_of
from .table import Column, Table

__all__ = ["RECALLED", "peak", "peak_figures"]

BITS = (1, 2, 4, 8, 16)

RECALLED = {1: 2_808_686, 8: 140_434, 16: 41_654}
"""GOPS by bits, recalled and unverified: only ever shown with :data:`UNVERIFIED`, never as the paper's."""

UNVERIFIED = (
    "recalled, unverified: remembered of arXiv:2411.01417 without its text at hand, so not to be cited. They are for "
    "products by passes of a look-up table, not for DOTs that count, and so for other cycles."
)


def peak_figures(config: FabricConfig, bits: int, technology: Technology) -> dict[str, float]:
    """Cycles that a row takes for a MAC, GOPS, GOPS/W and GOPS/mm2 when all CAPs do DOTs and nothing else."""
    sums = plan_sums("peak", bits, bits, config.cap.taps, config.cap.total_bits, config.cap, "count")
    operations = [
        Instruction(Opcode.DOT, a=0, a_width=a.bits, b=a.bits, b_width=w.bits, a_signed=a.signed, b_signed=w.signed)
        for digits in sums.split.sums
        for a, w in digits.pairs
    ]
    cycles = sum(1 + body_cycles(one, config.cap) for one in operations)
    machine = _machine(config.name)
    caps = machine.tiles["cap"]
    macs = caps * config.cap.rows
    seconds = cycles * technology["cycle_time"] * 1e-9
    tiles = sum(machine.tiles.values())
    events = program_events(operations, config.cap) * caps
    leaking = type(events)(tile_cycles=cycles * tiles)
    energy_j = 1e-12 * sum(energy_pj(events + leaking, technology, machine).values())
    gops = OPERATIONS_PER_MAC * macs / seconds * 1e-9
    return {
        "cycles": cycles,
        "gops": gops,
        "gops_per_w": OPERATIONS_PER_MAC * macs / energy_j * 1e-9,
        "gops_per_mm2": gops / sum(area_mm2(machine, technology).values()),
    }


def peak(config: str = "lr") -> Table:
    """Peak throughput at several widths, beside what is recalled of the paper's."""
    machine, technology = load_machine(config), load_technology("sram")
    assert isinstance(machine, FabricConfig)
    rows = tuple(
        (bits, int(found["cycles"]), found["gops"], found["gops_per_w"], found["gops_per_mm2"], RECALLED.get(bits))
        for bits in BITS
        for found in [peak_figures(machine, bits, technology)]
    )
    columns = (
        Column("bits", "bits"),
        Column("cycles", "cycles for a MAC in each row"),
        Column("gops", "peak GOPS"),
        Column("gops_per_w", "peak GOPS/W"),
        Column("gops_per_mm2", "peak GOPS/mm2"),
        Column("recalled_unverified_gops", "recalled, unverified GOPS"),
    )
    notes = (
        "peak: decode cycle and body of DOTs in all CAPs, operands in place. No network comes near, as operands must "
        "be loaded; a word that does not fit the columns takes several DOTs.",
        UNVERIFIED,
        *machine.notes,
    )
    return Table(columns, rows, notes)


@cache
def _machine(config: str) -> NetworkCost:
    """The tiles of a config, with the costs of some network."""
    return cost_of("resnet18", "8", config)
