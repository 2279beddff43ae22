"""What docs/flexspim.md measures on the Verilog, as lines of Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from golden.flexspim.engine import MacroJob, MacroOutcome, synaptic_rate
from golden.flexspim.laws import CALIBRATIONS
from golden.flexspim.shape import OperandShape
from golden.spiking import Spikes, SpikingLayer
from hw.flexspim.config import MACROS, MacroConfig
from hw.flexspim.isa import MacroOpcode, MacroProgram, instruction
from sim.flexspim.layers import MacroLayer, run_layers
from sim.flexspim.placement import place_layers
from sim.flexspim.turbo import TurboMacro
from sim.spiking.digits import RESOLUTIONS, digits_network, packaged_digits
from sim.spiking.events import picture_events

__all__ = ["digits_layers_table", "mappings_table", "peak", "tables", "throughput_table"]

CONFIG = MACROS["flexspim"]
WEIGHT_BITS, POTENTIAL_BITS = 8, 16
KEPT = {"both": (True, True), "weights": (True, False), "potentials": (False, True), "neither": (False, False)}
"""What a layer keeps in its macro, and whether that is weights and potentials."""


def peak(engine: TurboMacro, shape: OperandShape) -> MacroOutcome:
    """Add weights to potentials all the time, ten slices again and again."""
    program = [
        shape.instruction(),
        instruction(MacroOpcode.LOOP, count=20),
        instruction(MacroOpcode.ACCUMULATE, operand=0, potentials=10 * shape.weight_rows, slices=10),
        instruction(MacroOpcode.END),
    ]
    return engine.run(MacroJob(MacroProgram.build(program, engine.config), shape.planes(engine.config)))


def throughput_table(config: MacroConfig = CONFIG) -> list[str]:
    """Synaptic operations per second of the shapes of an operand, and the energy that follows from published powers."""
    points = [f"{point.clock_hz / 1e6:g} MHz" for point in CALIBRATIONS]
    lines = [
        f"| rows x columns | side by side | operations a cycle | {' | '.join(f'GSOPS at {one}' for one in points)} "
        f"| {' | '.join(f'pJ at {point.watts * 1e3:g} mW' for point in CALIBRATIONS)} | standby |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    with TurboMacro(config) as engine:
        for columns in (1, 2, 3, 4, 5, 8, 16):
            shape = OperandShape.widest(WEIGHT_BITS, POTENTIAL_BITS, columns, config)
            counters = peak(engine, shape).counters
            rates = [synaptic_rate(counters, point.clock_hz) for point in CALIBRATIONS]
            energies = [
                point.joules_per_operation(rate) * 1e12 for point, rate in zip(CALIBRATIONS, rates, strict=True)
            ]
            standby = counters["events.standby_columns"] / (config.columns * counters["cycles.array"])
            lines.append(
                f"| {shape.rows} x {columns} | {shape.operands} "
                f"| {counters['events.synaptic'] / counters['cycles.array']:g} "
                f"| {' | '.join(f'{rate / 1e9:.3f}' for rate in rates)} "
                f"| {' | '.join(f'{energy:.2f}' for energy in energies)} | {standby:.0%} |"
            )
    return lines


def digits_layers_table() -> list[str]:
    """What each layer of a network of digits takes for the first test digit, with all operands in its macro."""
    lines = [
        "| layer | rows x columns | rows | events | synaptic operations | row operations | cycles | standby |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    layers, events = _first_digit()
    mapped = [MacroLayer(layer, CONFIG, layer.potential_bits) for layer in layers]
    for layer, outcomes in zip(mapped, _run(mapped, events), strict=True):
        counts = {name: sum(one.counters[name] for one in outcomes) for name in outcomes[0].counters}
        standby = counts["events.standby_columns"] / (CONFIG.columns * counts["cycles.array"])
        lines.append(
            f"| {layer.layer.name} | {layer.shape.rows} x {layer.shape.columns} | {layer.rows} "
            f"| {counts['events.inputs']:,} | {counts['events.synaptic']:,} | {counts['cycles.array']:,} "
            f"| {sum(one.cycles for one in outcomes):,} | {standby:.0%} |"
        )
    return lines


def mappings_table() -> list[str]:
    """The same network with other operands in the array: cycles, and rows that move."""
    lines = [
        "| kept in the array | macros | cycles | row operations | rows in | rows out | spikes |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    layers, events = _first_digit()
    columns = [layer.potential_bits for layer in layers]
    mappings = {
        name: [
            MacroLayer(layer, CONFIG, width, keep_weights=weights, keep_potentials=potentials)
            for layer, width in zip(layers, columns, strict=True)
        ]
        for name, (weights, potentials) in KEPT.items()
    }
    mappings["what fits one macro"] = place_layers(layers, CONFIG, columns)
    for name, mapped in mappings.items():
        shared = name not in KEPT
        outcomes = [one for found in _run(mapped, events, shared=shared) for one in found]
        cells = [sum(one.cycles for one in outcomes)]
        for counter in ("cycles.array", "events.rows_in", "events.rows_out", "events.spikes"):
            cells.append(sum(one.counters[counter] for one in outcomes))
        macros = 1 if shared else len(mapped)
        lines.append(f"| {name} | {macros} | {' | '.join(f'{cell:,}' for cell in cells)} |")
    return lines


def tables() -> dict[str, list[str]]:
    """All tables by name."""
    return {"throughput": throughput_table(), "layers": digits_layers_table(), "mappings": mappings_table()}


def _first_digit() -> tuple[Sequence[SpikingLayer], Spikes]:
    return digits_network(RESOLUTIONS[0]).layers, picture_events(packaged_digits().pictures[:1])[0]


def _run(mapped: Sequence[MacroLayer], events: Spikes, *, shared: bool = False) -> list[list[MacroOutcome]]:
    """What macros say in each timestep, one for each layer or one for all; addresses save rows of weights."""
    engines = [TurboMacro(CONFIG) for _ in mapped[: 1 if shared else None]]
    try:
        return run_layers(engines * len(mapped) if shared else engines, mapped, events, "addresses")[2]
    finally:
        for engine in engines:
            engine.close()
