"""Layers on macros: where weights and potentials are, and the programs that run timesteps.

Each place of the output has its own rows, a *slice* of potentials (or several below each other) whose operands are its
channels; the weights of a tap lie in the same columns. So an event adds a tap's rows to a place's rows. What is not
kept in the array comes through the streams: the weights of an input channel when one of its events needs them,
potentials some lines at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from golden.flexspim.engine import MacroEngine, MacroJob, MacroOutcome, Rows, no_rows
from golden.flexspim.shape import OperandShape
from golden.graph import Integers
from golden.spiking import Spikes, SpikingLayer
from hw.flexspim.config import MacroConfig
from hw.flexspim.isa import EventKind, MacroInstruction, MacroOpcode, MacroProgram, ResetKind, instruction
from sim.errors import UserError
from sim.flexspim.events import address_words, bitmap_words, channel_shift, line_words

__all__ = ["EventFormat", "MacroLayer", "MacroRunError", "Timestep", "load_layer", "run_layers"]

EventFormat = Literal["bitmap", "addresses"]

_RESETS = {"hard": ResetKind.HARD, "soft": ResetKind.SOFT}
_LONGEST_STRIDE = 7


class MacroRunError(RuntimeError):
    """A macro refused a program of ours; the text has code and address."""


@dataclass(frozen=True)
class Timestep:
    """What a macro takes for a layer in a timestep.

    Parameters
    ----------
    instructions : without HALT.
    rows, events : words of the streams.
    tiles : lines of the output whose potentials go in and out, in order; empty where they stay in the array.
    """

    instructions: list[MacroInstruction]
    rows: Rows
    events: list[int]
    tiles: list[range]


class MacroLayer:
    """A spiking layer with its place in a macro.

    Parameters
    ----------
    layer : its neurons and weights; strides must be powers of two.
    config : the macro.
    columns : N_C, columns of an operand, 1 to the bits of a potential.
    first_row : where its rows begin.
    keep_weights, keep_potentials : they stay in the array; else they come and go through the streams.
    tile_lines : lines of potentials that are in the array at a time where they do not stay; all of them if not given.

    Attributes
    ----------
    shape : of its operands.
    slices : of a place.
    tile_lines : lines of the output whose potentials are in the array at a time.
    first_row : as given.
    rows : how many it takes from ``first_row`` on.

    Raises
    ------
    UserError
        If a stride is no power of two, sums are clipped and weights are wider than potentials, or the rows do not fit.
    ShapeError
        If the operands do not fit the columns.
    """

    def __init__(
        self,
        layer: SpikingLayer,
        config: MacroConfig,
        columns: int,
        *,
        first_row: int = 0,
        keep_weights: bool = True,
        keep_potentials: bool = True,
        tile_lines: int | None = None,
    ) -> None:
        """Work out shape and rows."""
        synapses = layer.synapses
        for stride in synapses.stride:
            if stride & (stride - 1) or stride.bit_length() - 1 > _LONGEST_STRIDE:
                raise UserError(f"strides of layer {layer.name!r} must be powers of two up to 128, got {stride}")
        if layer.overflow == "saturate" and layer.weight_bits > layer.potential_bits:
            raise UserError(
                f"weights of layer {layer.name!r} must have at most the {layer.potential_bits} bits of its potentials "
                f"where sums are clipped, got {layer.weight_bits}"
            )
        self.layer, self.config = layer, config
        self.keep_weights, self.keep_potentials = keep_weights, keep_potentials
        parallel = max(1, config.parallel(columns))
        self.slices = -(-synapses.channels // parallel)
        self.shape = OperandShape(
            weight_bits=layer.weight_bits,
            potential_bits=layer.potential_bits,
            columns=columns,
            operands=-(-synapses.channels // self.slices),
            saturate=layer.overflow == "saturate",
        )
        self.shape.check(config)
        height, self._width, _ = synapses.output_shape
        self.first_row = first_row
        self.tile_lines = height if keep_potentials or tile_lines is None else tile_lines
        # A fully connected layer takes its inputs as one line, by their addresses.
        whole = synapses.op == "fully_connected"
        self._input = (1, 1, synapses.inputs) if whole else synapses.input_shape
        self._kernel = (1, 1) if whole else synapses.kernel
        self._stride = (1, 1) if whole else synapses.stride
        self._constants = self._constant_rows()
        self._tap_rows = self.slices * self.shape.weight_rows
        self._channel_rows = self._kernel[0] * self._kernel[1] * self._tap_rows
        self._line_rows = self._width * self.slices * self.shape.rows
        self._weights_at = first_row + len(self._constants)
        self._potentials_at = self._weights_at + (self._input[2] if keep_weights else 1) * self._channel_rows
        self.rows = self._potentials_at + self.tile_lines * self._line_rows - first_row
        if first_row + self.rows > config.rows:
            raise UserError(
                f"layer {layer.name!r} must fit the {config.rows} rows of config {config.name}, but takes {self.rows} "
                f"from row {first_row} on"
            )
        self._weight_rows = self._weights()
        self._outside = self.shape.potentials(self._sliced(layer.resting()), config)

    @property
    def moved_rows(self) -> int:
        """Rows that a timestep moves in and out where every channel has events that come together."""
        tiles = -(-self.layer.synapses.output_shape[0] // self.tile_lines)
        weights = 0 if self.keep_weights else tiles * self._input[2] * self._channel_rows
        return weights + (0 if self.keep_potentials else 2 * len(self._outside))

    def moved_to(self, first_row: int) -> MacroLayer:
        """The same layer from another row on."""
        return MacroLayer(
            self.layer,
            self.config,
            self.shape.columns,
            first_row=first_row,
            keep_weights=self.keep_weights,
            keep_potentials=self.keep_potentials,
            tile_lines=self.tile_lines,
        )

    def setup(self) -> MacroJob:
        """The job that brings everything into the array that stays there; potentials are 0."""
        self._outside = np.zeros_like(self._outside)
        parts = [(self.first_row, self._constants)]
        if self.keep_weights:
            parts.append((self._weights_at, self._weight_rows))
        if self.keep_potentials:
            parts.append((self._potentials_at, self._outside))
        parts = [(first, rows) for first, rows in parts if len(rows)]
        program = [instruction(MacroOpcode.LOAD, first=first, rows=len(rows)) for first, rows in parts]
        return MacroJob(MacroProgram.build(program, self.config), _joined([rows for _, rows in parts], self.config))

    def timestep(self, spikes: Spikes, events: EventFormat = "bitmap") -> Timestep:
        """What the macro takes for one timestep.

        Parameters
        ----------
        spikes : of the input, shape (height, width, channels).
        events : how they are given. Where weights come in and sums wrap, addresses go channel by channel, so that the
            weights of each channel come once; else they ascend, as bitmaps do.
        """
        flat = spikes.reshape(self._input)
        kind, shift = EventKind.BITMAP if events == "bitmap" else EventKind.ADDRESSES, channel_shift(self._input[2])
        places = [(int(y), int(x), int(channel)) for y, x, channel in np.argwhere(flat)]
        if kind is EventKind.ADDRESSES and not self.keep_weights and not self.shape.saturate:
            places.sort(key=lambda place: place[2])
        words = bitmap_words(flat, self.config) if kind is EventKind.BITMAP else address_words(
            places, self._input[2]
        )  # fmt: skip
        program = [
            self.shape.instruction(),
            instruction(
                MacroOpcode.INPUT,
                height=self._input[0], width=self._input[1], channels=self._input[2], channel_shift=shift,
                kernel_height=self._kernel[0], kernel_width=self._kernel[1],
                stride_y=self._stride[0].bit_length() - 1, stride_x=self._stride[1].bit_length() - 1,
                padding_y=self.layer.synapses.padding[0], padding_x=self.layer.synapses.padding[1],
                line_words=line_words(self._input[1], self._input[2], self.config),
            ),
        ]  # fmt: skip
        rows, given, tiles = [self.shape.planes(self.config)], list[int](), list[range]()
        height = self.layer.synapses.output_shape[0]
        for first in range(0, height, self.tile_lines):
            lines = range(first, min(first + self.tile_lines, height))
            program += self._tile(lines, kind)
            if not self.keep_potentials:
                tiles.append(lines)
                rows.append(self._outside[self._tile_rows(lines)])
            rows += self._fetched(places, lines)
            given += words
        return Timestep(program, _joined(rows, self.config), given, tiles)

    def run(self, engine: MacroEngine, spikes: Spikes, events: EventFormat = "bitmap") -> tuple[Spikes, MacroOutcome]:
        """Run one timestep; returns spikes of shape (height, width, channels) and what the macro said.

        Raises
        ------
        MacroRunError
            If the macro refuses the program.
        """
        return self.perform(engine, self.timestep(spikes, events))

    def perform(self, engine: MacroEngine, step: Timestep) -> tuple[Spikes, MacroOutcome]:
        """Run what :meth:`timestep` gave, once and before it is asked again; as :meth:`run`."""
        outcome = engine.run(MacroJob(MacroProgram.build(step.instructions, self.config), step.rows, step.events))
        _check(outcome)
        begun = 0
        for lines in step.tiles:
            place = self._tile_rows(lines)
            end = begun + place.stop - place.start
            self._outside[place] = outcome.rows[begun:end]
            begun = end
        if self.layer.threshold is None:
            return np.zeros(self.layer.synapses.output_shape, np.bool_), outcome
        return self._map(self.shape.spikes(outcome.spikes)), outcome

    def potentials(self, engine: MacroEngine) -> Integers:
        """The potentials now, shape (height, width, channels); read from the array where they stay there."""
        rows = self._outside
        if self.keep_potentials:
            program = [
                self.shape.instruction(),
                instruction(MacroOpcode.STORE, first=self._potentials_at, rows=self.tile_lines * self._line_rows),
            ]
            job = MacroJob(MacroProgram.build(program, self.config), self.shape.planes(self.config))
            outcome = engine.run(job)
            _check(outcome)
            rows = outcome.rows
        return self._map(self.shape.numbers(rows))

    def _tile(self, lines: range, kind: EventKind) -> list[MacroInstruction]:
        """The program of some lines of the output."""
        slices = len(lines) * self._width * self.slices
        operands = {"potentials": self._potentials_at, "slices": slices}
        move = {"first": self._potentials_at, "rows": slices * self.shape.rows}
        height, width, _ = self.layer.synapses.output_shape
        program = [
            instruction(
                MacroOpcode.OUTPUT,
                height=height, width=width, first=lines.start, lines=len(lines), slices=self.slices, groups=1,
                fetch=int(not self.keep_weights), potentials=self._potentials_at, weights=self._weights_at,
            )
        ]  # fmt: skip
        if not self.keep_potentials:
            program.append(instruction(MacroOpcode.LOAD, **move))
        program.append(instruction(MacroOpcode.EVENTS, kind=kind))
        if self.layer.leak:
            leak = self._weights_at - self.shape.rows
            program.append(instruction(MacroOpcode.ADD, operand=leak, **operands))
        if self.layer.threshold is not None:
            kinds = {"kind": _RESETS[self.layer.reset]}
            program.append(instruction(MacroOpcode.FIRE, operand=self.first_row, **operands, **kinds))
        if not self.keep_potentials:
            program.append(instruction(MacroOpcode.STORE, **move))
        return program

    def _constant_rows(self) -> Rows:
        """The complement of the threshold and the leak, as operands of the potential's shape."""
        constants = [] if self.layer.threshold is None else [~self.layer.threshold]
        constants += [self.layer.leak] if self.layer.leak else []
        numbers = np.repeat(np.array(constants, np.int64)[:, None], self.shape.operands, axis=1)
        return self.shape.potentials(numbers, self.config)

    def _weights(self) -> Rows:
        """All rows of weights, channel by channel."""
        weights = self.layer.weights.reshape(self.layer.synapses.channels, *self._kernel, self._input[2])
        padded = np.zeros((self.slices * self.shape.operands, *weights.shape[1:]), np.int64)
        padded[: len(weights)] = weights
        ordered = padded.transpose(3, 1, 2, 0).reshape(-1, self.shape.operands)
        return self.shape.weights(ordered, self.config)

    def _fetched(self, places: Sequence[tuple[int, int, int]], lines: range) -> list[Rows]:
        """Rows of weights that events ask for, in the order of the events."""
        if self.keep_weights:
            return []
        synapses, now, found = self.layer.synapses, -1, list[Rows]()
        for y, x, channel in places:
            if channel == now:
                continue
            if synapses.op != "fully_connected":
                reached, across = (synapses.places(position, axis)[0] for axis, position in enumerate((y, x)))
                if not across or not any(line in lines for line in reached):
                    continue
            now = channel
            found.append(self._weight_rows[channel * self._channel_rows : (channel + 1) * self._channel_rows])
        return found

    def _tile_rows(self, lines: range) -> slice:
        return slice(lines.start * self._line_rows, lines.stop * self._line_rows)

    def _sliced(self, numbers: Integers) -> Integers:
        """A map of the output as (slices, operands)."""
        height, width, channels = numbers.shape
        padded = np.zeros((height * width, self.slices * self.shape.operands), np.int64)
        padded[:, :channels] = numbers.reshape(-1, channels)
        return padded.reshape(-1, self.shape.operands)

    def _map(self, sliced: NDArray) -> NDArray:
        """(slices, operands) as a map of the output."""
        height, width, channels = self.layer.synapses.output_shape
        return sliced.reshape(height, width, -1)[:, :, :channels].copy()


def load_layer(engine: MacroEngine, layer: MacroLayer) -> None:
    """Bring into the array what stays there, with potentials of 0.

    Raises
    ------
    MacroRunError
        If the macro refuses the program.
    """
    _check(engine.run(layer.setup()))


def run_layers(
    engines: Sequence[MacroEngine],
    layers: Sequence[MacroLayer],
    spikes: Spikes,
    events: EventFormat = "bitmap",
) -> tuple[list[Spikes], list[Integers], list[list[MacroOutcome]]]:
    """Run a network over all timesteps, layer by layer in each, from potentials of 0.

    Parameters
    ----------
    engines : the macro of each layer; layers in disjoint rows may share one.
    layers : each takes the spikes of the one before.
    spikes : input, shape (timesteps, height, width, channels).
    events : format of all layers' events.

    Returns
    -------
    tuple
        For each layer its spikes, shape (timesteps, height, width, channels), its potentials at the end, and what the
        macro said in each timestep.

    Raises
    ------
    MacroRunError
        If a macro refuses a program.
    """
    for engine, layer in zip(engines, layers, strict=True):
        load_layer(engine, layer)
    fired: list[list[Spikes]] = [[] for _ in layers]
    outcomes: list[list[MacroOutcome]] = [[] for _ in layers]
    for now in spikes:
        passed: Spikes = now.astype(np.bool_)
        for number, (engine, layer) in enumerate(zip(engines, layers, strict=True)):
            passed, outcome = layer.run(engine, passed, events)
            fired[number].append(passed)
            outcomes[number].append(outcome)
    return (
        [
            np.array(found, np.bool_).reshape(-1, *layer.layer.synapses.output_shape)
            for found, layer in zip(fired, layers, strict=True)
        ],
        [layer.potentials(engine) for engine, layer in zip(engines, layers, strict=True)],
        outcomes,
    )


def _joined(rows: Sequence[Rows], config: MacroConfig) -> Rows:
    return np.concatenate([no_rows(config), *rows])


def _check(outcome: MacroOutcome) -> None:
    if outcome.error:
        raise MacroRunError(f"the macro refused instruction {outcome.address} with {outcome.error.name}")
