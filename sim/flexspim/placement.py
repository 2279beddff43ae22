"""Which layer keeps what in one macro: the choice that moves the fewest rows in a timestep."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from golden.spiking import SpikingLayer
from hw.flexspim.config import MacroConfig
from sim.errors import UserError
from sim.flexspim.layers import MacroLayer

__all__ = ["place_layers"]


def place_layers(layers: Sequence[SpikingLayer], config: MacroConfig, columns: Sequence[int]) -> list[MacroLayer]:
    """Give each layer rows of its own in one macro.

    A layer keeps weights, potentials, both or neither. Of all choices that fit, the one is taken that moves the fewest
    rows where every input has an event, which is the most that can move.

    Parameters
    ----------
    columns : N_C of each layer.

    Raises
    ------
    UserError
        If they do not fit the rows, whatever is kept, or as :class:`MacroLayer`.
    """
    best: dict[int, tuple[int, list[MacroLayer]]] = {0: (0, [])}
    for layer, width in zip(layers, columns, strict=True):
        options = list(_options(layer, config, width))
        found: dict[int, tuple[int, list[MacroLayer]]] = {}
        for rows, (moved, chosen) in best.items():
            for option in options:
                total, cost = rows + option.rows, moved + option.moved_rows
                if total <= config.rows and (total not in found or cost < found[total][0]):
                    found[total] = cost, [*chosen, option]
        if not found:
            raise UserError(f"layers up to {layer.name!r} must fit the {config.rows} rows of config {config.name}")
        best = found
    chosen = min(best.values(), key=lambda choice: choice[0])[1]
    placed: list[MacroLayer] = []
    first = 0
    for option in chosen:
        placed.append(option.moved_to(first))
        first += option.rows
    return placed


def _options(layer: SpikingLayer, config: MacroConfig, columns: int) -> Iterator[MacroLayer]:
    """What a layer may keep, with so many lines of potentials at a time where they do not stay."""
    height = layer.synapses.output_shape[0]
    for keep_weights in (True, False):
        for lines in (None, *(1 << bit for bit in range((height - 1).bit_length()))):
            try:
                yield MacroLayer(
                    layer, config, columns,
                    keep_weights=keep_weights, keep_potentials=lines is None, tile_lines=lines,
                )  # fmt: skip
            except UserError:
                continue  # takes too many rows even alone, or a shape that none can have
