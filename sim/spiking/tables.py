"""The tables of ``docs/spiking.md``, each made by the code that it is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from golden.spiking import Spikes, run
from hw.config import CONFIGS, TileConfig
from hw.flexspim.config import MACROS
from sim.spiking.described import load_described
from sim.spiking.digits import RESOLUTIONS, classify, digits_network, packaged_digits
from sim.spiking.energy import load_energy, mapping_energy_pj
from sim.spiking.events import address_bits, bitmap_bits, cheaper_format, crossover, picture_events
from sim.spiking.network import SpikingNetwork
from sim.spiking.run import SpikingInput, SpikingRequest, run_spiking
from sim.spiking.stationarity import POLICIES, Demand, map_layers, measured_demand, moved_bits

__all__ = [
    "MACRO_BITS",
    "accuracy_table",
    "arrays_table",
    "digits_demands",
    "digits_inputs",
    "energy_table",
    "format_table",
    "layer_table",
    "tables",
    "traffic_table",
]

MACRO_BITS = 512 * 256
"""Of a macro of 512 rows x 256 columns."""

DIGITS_CAPACITIES = (16_384, 32_768, 65_536, 98_304, MACRO_BITS)
GESTURE_CAPACITIES = tuple(MACRO_BITS * macros for macros in (1, 2, 4, 8, 16, 18, 32))

EVERY = 10
"""The demands of the network of digits are means over every tenth packaged digit."""

MEMORY = "dram"

SELDOM = 100
"""Every such digit runs on the Verilog."""

ARRAY_CHOICES: tuple[tuple[str, str, TileConfig | None], ...] = (
    ("FlexSpIM, a macro `flexspim` for each layer", "flexspim", None),
    ("AP, tile `small` (256 rows)", "ap", CONFIGS["small"]),
    ("AP, tile `cap` (4,800 rows)", "ap", CONFIGS["cap"]),
)


def digits_inputs(network: SpikingNetwork) -> list[Spikes]:
    """Return what each layer of a network of digits takes, all timesteps of every tenth packaged digit."""
    runs = [
        (events, *run(network.layers, events).spikes[:-1])
        for events in picture_events(packaged_digits().pictures[::EVERY], network.saccade)
    ]
    return [np.concatenate(found) for found in zip(*runs, strict=True)]


def digits_demands(network: SpikingNetwork) -> tuple[Demand, ...]:
    """Return the demand of each layer of a network of digits, mean of every tenth packaged digit."""
    inputs = digits_inputs(network)
    return tuple(measured_demand(layer, found) for layer, found in zip(network.layers, inputs, strict=True))


def format_table(network: SpikingNetwork) -> list[str]:
    """Return what a timestep's input of each layer takes as a bitmap and as addresses, means in bits."""
    lines = [
        "| layer | inputs | density of events | crossover | bitmap [bits] | addresses [bits] | fewer bits each time |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for layer, found in zip(network.layers, digits_inputs(network), strict=True):
        inputs, events = layer.synapses.inputs, found.sum(axis=(1, 2, 3)).mean()
        chosen = [
            int(now.sum()) * address_bits(inputs) if cheaper_format(now) == "addresses" else bitmap_bits(inputs)
            for now in found
        ]
        lines.append(
            f"| {layer.name} | {inputs:,} | {events / inputs:.1%} | {crossover(inputs):.1%} | "
            f"{bitmap_bits(inputs):,} | {events * address_bits(inputs):,.0f} | {np.mean(chosen):,.0f} |"
        )
    return lines


def accuracy_table() -> list[str]:
    """Return how many packaged digits each resolution tells right, and what a digit takes on the mean."""
    digits = packaged_digits()
    lines = [
        "| weights x potentials [bits] | digits right | of | accuracy | timesteps | events | synaptic operations |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for resolution in RESOLUTIONS:
        network = digits_network(resolution)
        right = int(np.sum(classify(network, digits.pictures) == digits.labels))
        demands, timesteps = digits_demands(network), network.saccade.timesteps
        events = np.mean(picture_events(digits.pictures[::EVERY], network.saccade).sum(axis=(1, 2, 3, 4)))
        operations = sum(demand.operations for demand in demands) * timesteps
        lines.append(
            f"| {resolution} | {right} | {len(digits.labels):,} | {right / len(digits.labels):.1%} | {timesteps} | "
            f"{events:,.0f} | {operations:,.0f} |"
        )
    return lines


def layer_table(demands: Sequence[Demand]) -> list[str]:
    """Return operands of each layer, and what a timestep moves where weights or potentials stay."""
    lines = [
        "| layer | weights [bits] | potentials [bits] | weights stay: moves at most | by events | potentials stay: "
        "moves at most | by events | synaptic operations |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for demand in demands:
        moved = [
            moved_bits(demand, kept, traffic) for kept in ("weights", "potentials") for traffic in ("bound", "events")
        ]
        cells = [demand.weights, demand.potentials, *moved, demand.operations]
        lines.append(f"| {demand.name} | {' | '.join(f'{cell:,.0f}' for cell in cells)} |")
    return lines


def traffic_table(demands: Sequence[Demand], capacities: Sequence[int]) -> list[str]:
    """Return the bits that a timestep moves under each policy: its upper bound, and the mean by events."""
    lines = _heading("")
    for capacity in capacities:
        cells = [
            " / ".join(
                f"{sum(layer.moved for layer in map_layers(demands, capacity, policy, traffic)) / 1000:,.1f}"
                for traffic in ("bound", "events")
            )
            for policy in POLICIES
        ]
        lines.append(f"| {capacity:,} | {' | '.join(cells)} |")
    return lines


def energy_table(demands: Sequence[Demand], capacities: Sequence[int]) -> list[str]:
    """Return the energy of a timestep under each policy, driven by events, and what the best ones save."""
    lines = _heading(" saved by `either` | saved by `best` |")
    constants = load_energy()
    for capacity in capacities:
        energies = {
            policy: mapping_energy_pj(demands, map_layers(demands, capacity, policy, "events"), constants, MEMORY)
            for policy in POLICIES
        }
        fixed = min(energies["weights"], energies["potentials"])
        cells = [f"{energy / 1000:,.1f}" for energy in energies.values()]
        for policy in ("either", "best"):
            cells.append(f"{1 - energies[policy] / energies['weights']:.0%}, {1 - energies[policy] / fixed:.0%}")
        lines.append(f"| {capacity:,} | {' | '.join(cells)} |")
    return lines


def arrays_table(resolution: str) -> list[str]:
    """Return what a network of digits takes on both arrays, means of every hundredth packaged digit on the Verilog."""
    lines = [
        "| array | cycles a digit | synaptic operations a cycle | cells driven by writes, an operation "
        "| bits through ports, an operation | energy [pJ] an operation |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    digits = packaged_digits()
    inputs = [SpikingInput(file="", picture=picture) for picture in digits.pictures[::SELDOM]]
    for title, array, tile in ARRAY_CHOICES:
        report = run_spiking(
            SpikingRequest(
                model="digits-snn", network=digits_network(resolution), array=array, engine="turbo", inputs=inputs,
                tile=tile,
            )
        )  # fmt: skip
        assert report.spiking is not None
        operations = report.spiking.synaptic_operations
        cycles = sum(layer.cycles.total for layer in report.layers)
        counts = [_driven_and_moved(layer.events, tile) for layer in report.layers]
        driven, moved = (sum(numbers) for numbers in zip(*counts, strict=True))
        energy = report.energy_per_operation_pj
        lines.append(
            f"| {title} | {cycles / len(inputs):,.0f} | {operations / cycles:.2f} | {driven / operations:.1f} "
            f"| {moved / operations:.1f} | {energy or 0:.1f} |"
        )
    return lines


def _driven_and_moved(events: Mapping[str, int], tile: TileConfig | None) -> tuple[int, int]:
    """Cells that the writes of a layer drive, and bits through ports, programs left out; without a tile of a macro."""
    if tile is not None:
        return events["written_columns"] * tile.rows, events["port_steps"] * tile.plane_bits
    macro = MACROS["flexspim"]
    # Every row operation but a compare, which gives a word of spikes, writes its columns back; operands lie in one row.
    columns = events["column_operations"] // events["row_operations"]
    rows = (events["rows_in"] + events["rows_out"] + events["spike_words"]) * macro.columns
    return (events["row_operations"] - events["spike_words"]) * columns, rows + events["event_words"] * macro.event_bits


def tables() -> dict[str, list[str]]:
    """Return all tables by name, as lines of Markdown."""
    digits, gesture = digits_demands(digits_network(RESOLUTIONS[0])), load_described().demands()
    return {
        "accuracy": accuracy_table(),
        **{f"arrays {resolution}": arrays_table(resolution) for resolution in RESOLUTIONS},
        "formats": format_table(digits_network(RESOLUTIONS[0])),
        "digits layers": layer_table(digits),
        "digits traffic": traffic_table(digits, DIGITS_CAPACITIES),
        "digits energy": energy_table(digits, DIGITS_CAPACITIES),
        "gesture layers": layer_table(gesture),
        "gesture traffic": traffic_table(gesture, GESTURE_CAPACITIES),
        "gesture energy": energy_table(gesture, GESTURE_CAPACITIES),
    }


def _heading(more: str) -> list[str]:
    """The heading of a table with a column for each policy."""
    columns = len(POLICIES) + more.count("|")
    return [
        f"| array [bits] | {' | '.join(f'`{policy}`' for policy in POLICIES)} |{more}",
        f"| ---: |{' ---: |' * columns}",
    ]
