"""What a layer is to a macro: the fields of INPUT and OUTPUT, and what an event reaches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hw.flexspim.config import MacroConfig
from hw.flexspim.isa import EVENT_END, POSITION_BITS, Y_BITS, EventKind, MacroInstruction

__all__ = ["Layer", "Scanned", "scan"]


@dataclass(frozen=True)
class Scanned:
    """An event in a stream of words.

    Parameters
    ----------
    y, x, channel : where it is.
    empty : words without events before it.
    """

    y: int
    x: int
    channel: int
    empty: int


@dataclass(frozen=True)
class Layer:
    """A layer, from the two instructions that describe it, with the shape in force.

    Parameters
    ----------
    inputs, outputs : INPUT and OUTPUT.
    weight_rows, potential_rows : of the shape.
    """

    inputs: MacroInstruction
    outputs: MacroInstruction
    weight_rows: int
    potential_rows: int

    @property
    def tap_rows(self) -> int:
        """Rows of the weights of one tap."""
        return self.outputs["slices"] * self.weight_rows

    @property
    def channel_rows(self) -> int:
        """Rows of the weights of one input channel."""
        return self.inputs["kernel_height"] * self.inputs["kernel_width"] * self.tap_rows

    @property
    def place_rows(self) -> int:
        """Rows of the potentials of one place of the output."""
        return self.outputs["groups"] * self.outputs["slices"] * self.potential_rows

    @property
    def potentials(self) -> range:
        """Rows of all potentials."""
        first = self.outputs["potentials"]
        return range(first, first + self.outputs["lines"] * self.outputs["width"] * self.place_rows)

    @property
    def weights(self) -> range:
        """Rows of all weights that are in the array at once."""
        first, channels = self.outputs["weights"], 1 if self.outputs["fetch"] else self.inputs["channels"]
        return range(first, first + channels * self.channel_rows)

    def reached(self, axis: str, position: int) -> list[tuple[int, int]]:
        """Places of the output on an axis that a place of the input reaches, each with its tap.

        Parameters
        ----------
        axis : "y" or "x".
        position : on that axis of the input.
        """
        kernel, first, end = (
            ("kernel_height", self.outputs["first"], self.outputs["first"] + self.outputs["lines"])
            if axis == "y"
            else ("kernel_width", 0, self.outputs["width"])
        )
        step, padded = 1 << self.inputs[f"stride_{axis}"], position + self.inputs[f"padding_{axis}"]
        return [
            (place, padded - place * step)
            for place in range(first, end)
            if 0 <= padded - place * step < self.inputs[kernel]
        ]

    def rows_of(self, event: Scanned) -> list[tuple[int, int]]:
        """First rows of weights and of potentials for each slice that an event reaches."""
        group = 0 if self.outputs["groups"] == 1 else event.channel >> self.outputs["group_shift"]
        channel = 0 if self.outputs["fetch"] else event.channel
        pairs: list[tuple[int, int]] = []
        for line, tap_y in self.reached("y", event.y):
            for place, tap_x in self.reached("x", event.x):
                tap = tap_y * self.inputs["kernel_width"] + tap_x
                weight = self.weights.start + channel * self.channel_rows + tap * self.tap_rows
                output = (line - self.outputs["first"]) * self.outputs["width"] + place
                potential = self.potentials.start + output * self.place_rows
                potential += group * self.outputs["slices"] * self.potential_rows
                pairs += [
                    (weight + number * self.weight_rows, potential + number * self.potential_rows)
                    for number in range(self.outputs["slices"])
                ]
        return pairs

    def holds(self, event: Scanned) -> bool:
        """Whether an event is in the input."""
        return (
            event.y < self.inputs["height"]
            and event.x < self.inputs["width"]
            and event.channel < self.inputs["channels"]
        )


def scan(layer: Layer, kind: EventKind, words: Sequence[int], config: MacroConfig) -> tuple[list[Scanned], int, int]:
    """The events in words, words without events after the last one, and how many words there were.

    Parameters
    ----------
    layer : whose input it is.
    kind : bitmaps or addresses.
    words : at least as many as the layer takes.

    Raises
    ------
    ValueError
        If there are fewer words.
    """
    shift = layer.inputs["channel_shift"]
    found: list[Scanned] = []
    empty = used = 0

    def add(position: int, y: int) -> None:
        nonlocal empty
        x = position >> shift
        found.append(Scanned(y, x, position - (x << shift), empty))
        empty = 0

    if kind is EventKind.ADDRESSES:
        for word in words:
            used += 1
            empty += 1
            if word >> EVENT_END & 1:
                return found, empty, used
            empty -= 1
            add(word & ((1 << POSITION_BITS) - 1), word >> POSITION_BITS & ((1 << Y_BITS) - 1))
        raise ValueError("addresses must end with a word that says so")
    wanted = layer.inputs["height"] * layer.inputs["line_words"]
    if len(words) < wanted:
        raise ValueError(f"a bitmap must have {wanted} words, not {len(words)}")
    for number, word in enumerate(words[:wanted]):
        y, place = divmod(number, layer.inputs["line_words"])
        rest = word
        while rest:
            low = rest & -rest
            add(place * config.event_bits + low.bit_length() - 1, y)
            rest ^= low
        empty += not word
    return found, empty, wanted
