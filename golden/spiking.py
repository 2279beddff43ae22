"""Integer spiking layers: what every engine that runs a spiking network is compared with.

A neuron has a potential of some bits in two's complement, which it keeps over timesteps. In a timestep a layer does,
in this order:

1. **Accumulate.** Each event (input that spikes), by ascending address (:mod:`golden.synapses`), adds its weights to
   the potentials that it reaches. Every sum is brought back into the potential's bits at once: ``wrap`` drops the
   upper bits, ``saturate`` takes the nearest number. With ``saturate`` the order of events matters.
2. **Leak.** A constant is added to every potential, by the same rule; 0 is an integrate-and-fire neuron.
3. **Fire.** A neuron spikes where its potential is at least the threshold.
4. **Reset.** The potential of a neuron that spiked becomes 0 (``hard``) or loses the threshold (``soft``), by the same
   rule.

A layer without threshold only accumulates and leaks: its potentials are the result. A network runs layer by layer in
each timestep, and the spikes of a layer are events of the next one in the same timestep.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from golden.graph import Integers
from golden.synapses import SpikingError, Synapses

__all__ = [
    "MAXIMUM_BITS",
    "Overflow",
    "Reset",
    "Spikes",
    "SpikingLayer",
    "SpikingRun",
    "accumulate",
    "accumulate_in_order",
    "fire",
    "run",
    "signed_range",
    "step",
    "synaptic_operations",
]

Spikes = NDArray[np.bool_]
Overflow = Literal["wrap", "saturate"]
Reset = Literal["hard", "soft"]

MAXIMUM_BITS = 32
"""Of weights and of potentials."""


def signed_range(bits: int) -> tuple[int, int]:
    """Return the least and the largest number of *bits* bits in two's complement."""
    return -(1 << (bits - 1)), (1 << (bits - 1)) - 1


@dataclass(frozen=True, eq=False, kw_only=True)
class SpikingLayer:
    """A layer of spiking neurons with its weights.

    Parameters
    ----------
    synapses : the shape.
    weights : signed numbers of *weight_bits* bits, shape (output channels, kernel height, kernel width, input
        channels).
    weight_bits, potential_bits : widths, 1..32 each, independent of each other.
    threshold : at which a neuron spikes, a number of *potential_bits* bits; None for a layer that only accumulates.
    reset : ``hard`` or ``soft``.
    leak : what each potential gains in each timestep, a number of *potential_bits* bits.
    overflow : ``wrap`` or ``saturate``.

    Raises
    ------
    SpikingError
        If a width, a number or a shape is outside of its range.
    """

    synapses: Synapses
    weights: Integers
    weight_bits: int
    potential_bits: int
    threshold: int | None
    reset: Reset = "hard"
    leak: int = 0
    overflow: Overflow = "wrap"

    def __post_init__(self) -> None:
        where = f"layer {self.name!r}"
        for what, bits in (("weight", self.weight_bits), ("potential", self.potential_bits)):
            if not 1 <= bits <= MAXIMUM_BITS:
                raise SpikingError(f"{where}: {what} bits must be 1..{MAXIMUM_BITS}, got {bits}")
        for what, value, choices in (
            ("reset", self.reset, ("hard", "soft")),
            ("overflow", self.overflow, ("wrap", "saturate")),
        ):
            if value not in choices:
                raise SpikingError(f"{where}: {what} must be {' or '.join(choices)}, got {value!r}")
        low, high = signed_range(self.potential_bits)
        for what, number in (("threshold", self.threshold), ("leak", self.leak)):
            if number is not None and not low <= number <= high:
                raise SpikingError(
                    f"{where}: {what} must be {low}..{high} with potentials of {self.potential_bits} bits, got {number}"
                )
        if self.weights.shape != self.synapses.weight_shape:
            raise SpikingError(
                f"{where}: weights must have shape {self.synapses.weight_shape}, got {self.weights.shape}"
            )
        if not np.issubdtype(self.weights.dtype, np.integer):
            raise SpikingError(f"{where}: weights must be whole numbers, got {self.weights.dtype}")
        low, high = signed_range(self.weight_bits)
        least, most = int(self.weights.min()), int(self.weights.max())
        if least < low or most > high:
            raise SpikingError(
                f"{where}: weights must be {low}..{high} with {self.weight_bits} bits, got {least}..{most}"
            )

    @property
    def name(self) -> str:
        """Of the layer."""
        return self.synapses.name

    def resting(self) -> Integers:
        """Return the potentials before the first timestep: zeros of the output's shape."""
        return np.zeros(self.synapses.output_shape, dtype=np.int64)


@dataclass(frozen=True, eq=False, kw_only=True)
class SpikingRun:
    """What a network did.

    Parameters
    ----------
    spikes : for each layer, its spikes in each timestep, shape (timesteps, height, width, channels).
    potentials : for each layer, its potentials after the last timestep, shape (height, width, channels).
    operations : for each layer, its synaptic operations in each timestep, shape (timesteps,).
    """

    spikes: tuple[Spikes, ...]
    potentials: tuple[Integers, ...]
    operations: tuple[Integers, ...]

    @classmethod
    def of(
        cls,
        layers: Sequence[SpikingLayer],
        spikes: Sequence[Sequence[Spikes]],
        potentials: Sequence[Integers],
        operations: Sequence[Sequence[int]],
    ) -> SpikingRun:
        """The run of *layers* from what each did in each timestep, of which there may be none."""
        return cls(
            spikes=tuple(
                np.reshape(np.array(found, dtype=np.bool_), (-1, *layer.synapses.output_shape))
                for found, layer in zip(spikes, layers, strict=True)
            ),
            potentials=tuple(potentials),
            operations=tuple(np.array(found, dtype=np.int64) for found in operations),
        )


def synaptic_operations(synapses: Synapses, spikes: Spikes) -> int:
    """Return how many weights the events of one timestep add to potentials; *spikes* has the input's shape."""
    return int(synapses.fan_out[spikes].sum())


def accumulate(layer: SpikingLayer, potentials: Integers, spikes: Spikes) -> Integers:
    """Return the potentials after all events of a timestep.

    Equals :func:`accumulate_in_order`, and takes all events at once where no sum on the way can overflow.

    Parameters
    ----------
    potentials : of the output's shape, within the layer's range.
    spikes : of the input's shape.

    Raises
    ------
    SpikingError
        If a shape differs.
    """
    _check(layer, potentials, spikes)
    if layer.overflow == "wrap":
        return _limited(layer, potentials + _sums(layer, layer.weights, spikes))
    rising = potentials + _sums(layer, np.maximum(layer.weights, 0), spikes)
    falling = potentials + _sums(layer, np.minimum(layer.weights, 0), spikes)
    low, high = signed_range(layer.potential_bits)
    if rising.max() <= high and falling.min() >= low:
        return rising + falling - potentials
    return accumulate_in_order(layer, potentials, spikes)


def accumulate_in_order(layer: SpikingLayer, potentials: Integers, spikes: Spikes) -> Integers:
    """Return the potentials after all events of a timestep, taken one by one; parameters of :func:`accumulate`."""
    _check(layer, potentials, spikes)
    result: Integers = np.array(potentials)
    for y, x, channel in np.argwhere(spikes).tolist():
        (rows, kernel_rows), (columns, kernel_columns) = (
            layer.synapses.places(position, axis) for axis, position in enumerate((y, x))
        )
        reached = np.ix_(rows, columns)
        taps = np.transpose(layer.weights[:, :, :, channel], (1, 2, 0))[np.ix_(kernel_rows, kernel_columns)]
        result[reached] = _limited(layer, result[reached] + taps)
    return result


def fire(layer: SpikingLayer, potentials: Integers) -> tuple[Integers, Spikes]:
    """Return potentials and spikes at the end of a timestep, from the potentials after its events.

    Leaks, compares with the threshold, resets. A layer without threshold has no spikes.
    """
    leaked = _limited(layer, potentials + layer.leak)
    if layer.threshold is None:
        return leaked, np.zeros(leaked.shape, dtype=np.bool_)
    spikes = leaked >= layer.threshold
    after = leaked - layer.threshold if layer.reset == "soft" else np.zeros_like(leaked)
    return np.where(spikes, _limited(layer, after), leaked), spikes


def step(layer: SpikingLayer, potentials: Integers, spikes: Spikes) -> tuple[Integers, Spikes]:
    """Return potentials and spikes of a layer after a timestep; parameters and errors of :func:`accumulate`."""
    return fire(layer, accumulate(layer, potentials, spikes))


def run(layers: Sequence[SpikingLayer], events: Spikes) -> SpikingRun:
    """Run a network over all timesteps, from potentials of 0.

    Parameters
    ----------
    layers : at least one; each takes the spikes of the one before. Of several places and channels a fully connected
        layer takes all by their addresses.
    events : input, shape (timesteps, height, width, channels); there may be no timestep.

    Raises
    ------
    SpikingError
        If there is no layer, or the shape of a map is not what a layer takes.
    """
    if not layers:
        raise SpikingError("a network must have at least one layer")
    if events.ndim != 4:
        raise SpikingError(f"events must have four axes (timestep, y, x, channel), got shape {events.shape}")
    potentials = [layer.resting() for layer in layers]
    spikes: list[list[Spikes]] = [[] for _ in layers]
    operations: list[list[int]] = [[] for _ in layers]
    for events_now in events:
        passed: Spikes = events_now.astype(np.bool_)
        for number, layer in enumerate(layers):
            potentials[number], fired = step(layer, potentials[number], passed)
            operations[number].append(synaptic_operations(layer.synapses, passed))
            spikes[number].append(fired)
            passed = fired
    return SpikingRun.of(layers, spikes, potentials, operations)


def _check(layer: SpikingLayer, potentials: Integers, spikes: Spikes) -> None:
    """Refuse maps that are not the layer's."""
    for what, found, wanted in (
        ("events", spikes.shape, layer.synapses.input_shape),
        ("potentials", potentials.shape, layer.synapses.output_shape),
    ):
        if found != wanted:
            raise SpikingError(f"layer {layer.name!r}: {what} must have shape {wanted}, got {found}")


def _limited(layer: SpikingLayer, sums: Integers) -> Integers:
    """Sums within the potential's bits."""
    low, high = signed_range(layer.potential_bits)
    if layer.overflow == "saturate":
        return np.minimum(np.maximum(sums, low), high)
    return ((sums - low) & ((1 << layer.potential_bits) - 1)) + low


def _sums(layer: SpikingLayer, weights: Integers, spikes: Spikes) -> Integers:
    """What all events together add to each potential; exact, as no sum of fewer than 2**22 weights reaches 2**53."""
    synapses = layer.synapses
    rows, columns = synapses.padding
    padded = np.pad(spikes.astype(np.float64), ((rows, rows), (columns, columns), (0, 0)))
    windows: NDArray[np.float64] = sliding_window_view(padded, synapses.kernel, axis=(0, 1))
    windows = windows[:: synapses.stride[0], :: synapses.stride[1]]
    height, width, channels = synapses.output_shape
    matrix = np.reshape(np.transpose(weights, (1, 2, 3, 0)), (-1, channels)).astype(np.float64)
    patches = np.reshape(np.transpose(windows, (0, 1, 3, 4, 2)), (height * width, -1))
    return np.reshape(patches @ matrix, synapses.output_shape).astype(np.int64)
