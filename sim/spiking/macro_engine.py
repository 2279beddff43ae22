"""Spiking networks on macros: an engine of :mod:`sim.spiking.run`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import numpy as np

from golden.flexspim.engine import MacroEngine, MacroOutcome
from golden.flexspim.macro import GoldenMacro
from golden.spiking import Spikes, SpikingRun, synaptic_operations
from hw.flexspim.config import MACROS, MacroConfig
from sim.errors import UserError
from sim.flexspim.law import timestep_law
from sim.flexspim.layers import MacroLayer, load_layer
from sim.report import Cycles
from sim.spiking.events import cheaper_format
from sim.spiking.run import EngineRun, SpikingRequest
from sim.tools import find_simulator

__all__ = ["MacroSpikingEngine"]

_COUNTED = "events."


class MacroSpikingEngine:
    """Runs a network on a macro for each layer, with weights and potentials in it.

    Weights come in before the first timestep, which no layer counts. An operand lies in a row as far as a macro's
    columns allow. Events are given in the format that takes fewer bits each time. Of the cycles, ``load`` are those in
    which rows move; all others but stalls are ``compute``.

    Parameters
    ----------
    request : with network, engine and macro; ``flexspim`` if it has none.

    Raises
    ------
    UserError
        If sums of a layer are clipped, a layer does not fit the macro, or the engine or its tools are not there.
    """

    def __init__(self, request: SpikingRequest) -> None:
        """Map the network and make the macros."""
        self.network = request.network
        self.macro = MACROS["flexspim"] if request.macro is None else request.macro
        for layer in self.network.layers:
            if layer.overflow != "wrap":
                raise UserError(
                    f"overflow of layer {layer.name!r} must be 'wrap', whose law of cycles needs no data, got "
                    f"{layer.overflow!r}"
                )
        self._layers = [
            MacroLayer(layer, self.macro, min(layer.potential_bits, self.macro.operand_columns))
            for layer in self.network.layers
        ]
        tool = find_simulator(request.simulator) if request.engine == "rtl" else None
        self.simulator = None if tool is None else tool.label
        make = _maker(request.engine, self.macro, request.seed, "" if tool is None else tool.name)
        with ExitStack() as stack:
            self._macros: list[MacroEngine] = []
            for _ in self._layers:
                self._macros.append(make())
                stack.callback(self._macros[-1].close)
            self._stack = stack.pop_all()

    @property
    def config(self) -> Mapping[str, Any]:
        """Of each macro, and how many there are."""
        return {**self.macro.as_dict(), "macros": len(self._macros)}

    @property
    def config_hash(self) -> str:
        """Of each macro."""
        return self.macro.hash_text

    def run(self, events: Spikes) -> EngineRun:
        """Run the events of one picture, shape (timesteps, height, width, channels).

        Raises
        ------
        MacroRunError
            If a macro refuses a program.
        """
        for macro, layer in zip(self._macros, self._layers, strict=True):
            load_layer(macro, layer)
        outcomes: list[list[MacroOutcome]] = [[] for _ in self._layers]
        laws = [0 for _ in self._layers]
        spikes: list[list[Spikes]] = [[] for _ in self._layers]
        operations: list[list[int]] = [[] for _ in self._layers]
        for now in events:
            passed: Spikes = now.astype(np.bool_)
            for number, (macro, layer) in enumerate(zip(self._macros, self._layers, strict=True)):
                operations[number].append(synaptic_operations(layer.layer.synapses, passed))
                step = layer.timestep(passed, cheaper_format(passed))
                fired, outcome = layer.perform(macro, step)
                laws[number] += timestep_law(layer, step, fired)
                outcomes[number].append(outcome)
                spikes[number].append(fired)
                passed = fired
        counts = [_sum(found) for found in outcomes]
        return EngineRun(
            network=SpikingRun.of(
                self.network.layers,
                spikes,
                [layer.potentials(macro) for macro, layer in zip(self._macros, self._layers, strict=True)],
                operations,
            ),
            cycles=tuple(_cycles(count, law) for count, law in zip(counts, laws, strict=True)),
            events=tuple(_events(count) for count in counts),
        )

    def close(self) -> None:
        """Release the macros."""
        self._stack.close()


def _maker(engine: str, macro: MacroConfig, seed: int, simulator: str) -> Callable[[], MacroEngine]:
    """What makes one macro."""
    if engine == "golden":
        return lambda: GoldenMacro(macro, seed)
    if engine == "turbo":
        from sim.flexspim.turbo import TurboMacro

        return lambda: TurboMacro(macro, seed=seed)
    from sim.flexspim.rtl_engine import RtlMacro

    return lambda: RtlMacro(macro, simulator, seed=seed)


def _sum(outcomes: list[MacroOutcome]) -> dict[str, int]:
    """Counters of all timesteps."""
    total: dict[str, int] = {}
    for outcome in outcomes:
        for name, value in outcome.counters.items():
            total[name] = total.get(name, 0) + value
    return total


def _cycles(counters: Mapping[str, int], law: int) -> Cycles:
    parts = {name.removeprefix("cycles."): value for name, value in counters.items() if name.startswith("cycles.")}
    load, stall = parts.get("move", 0), parts.get("stall", 0)
    total = sum(parts.values())
    return Cycles(total=total, law=law, load=load, compute=total - load - stall, stall=stall)


def _events(counters: Mapping[str, int]) -> dict[str, int]:
    """What the macro counted, and its row operations."""
    found = {name.removeprefix(_COUNTED): value for name, value in counters.items() if name.startswith(_COUNTED)}
    return found | {"row_operations": counters.get("cycles.array", 0)}
