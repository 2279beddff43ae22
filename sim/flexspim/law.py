"""How many cycles a timestep of a layer takes on a macro, by the laws and from what the neurons do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from golden.flexspim.laws import events_cycles, fire_cycles
from golden.flexspim.layer import Layer, scan
from golden.spiking import Spikes
from hw.flexspim.config import MacroConfig
from hw.flexspim.isa import EventKind, MacroInstruction, MacroOpcode
from sim.flexspim.layers import MacroLayer, Timestep

__all__ = ["timestep_law"]

_CONTROL = {MacroOpcode.SHAPE: 1, MacroOpcode.OUTPUT: 8}
_PLANES = 4


def timestep_law(layer: MacroLayer, step: Timestep, fired: Spikes) -> int:
    """Cycles of a timestep without stalls, HALT included.

    Parameters
    ----------
    layer : whose sums wrap.
    step : its programs, and the events.
    fired : its spikes in this timestep, shape (height, width, channels).

    Raises
    ------
    ValueError
        If sums are clipped: which events clip decides how the scanner and the array overlap.
    """
    if layer.shape.saturate:
        raise ValueError("the law of a timestep needs sums that wrap")
    shape, config = layer.shape, layer.config
    inputs: MacroInstruction | None = None
    described: Layer | None = None
    lines, words, cycles = range(0), step.events, 1
    for op in step.instructions:
        cycles += 1 + _CONTROL.get(MacroOpcode(op.opcode), 0)
        match op.opcode:
            case MacroOpcode.SHAPE:
                cycles += _PLANES
            case MacroOpcode.LOAD | MacroOpcode.STORE:
                cycles += op["rows"]
            case MacroOpcode.INPUT:
                inputs = op
            case MacroOpcode.OUTPUT:
                assert inputs is not None
                described = Layer(inputs, op, shape.weight_rows, shape.rows)
                lines = range(op["first"], op["first"] + op["lines"])
            case MacroOpcode.EVENTS:
                assert described is not None
                more, used = _events(described, EventKind(op["kind"]), words, config)
                cycles, words = cycles + more, words[used:]
            case MacroOpcode.ADD:
                cycles += shape.rows * op["slices"]
            case _:
                resets = _slices_with_spikes(fired[lines.start : lines.stop], layer)
                cycles += fire_cycles(shape.rows, op["slices"], resets)
    return cycles


def _events(layer: Layer, kind: EventKind, words: Sequence[int], config: MacroConfig) -> tuple[int, int]:
    """Cycles of an EVENTS after its decoding, and how many words it takes."""
    events, empty, used = scan(layer, kind, words, config)
    channel: int | None = None
    worked: list[tuple[int, int]] = []
    for event in events:
        pairs = layer.rows_of(event)
        cycles = len(pairs) * layer.potential_rows
        if pairs and layer.outputs["fetch"] and event.channel != channel:
            channel = event.channel
            cycles += layer.channel_rows
        worked.append((event.empty, cycles))
    return events_cycles(worked, empty), used


def _slices_with_spikes(fired: Spikes, layer: MacroLayer) -> int:
    """Slices in which a neuron spikes, whose reset takes a second pass."""
    operands = layer.shape.operands
    missing = -fired.shape[-1] % operands
    padded = np.pad(fired, ((0, 0), (0, 0), (0, missing)))
    return int(padded.reshape(-1, operands).any(axis=1).sum())
