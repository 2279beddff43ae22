"""Netlists of standard cells: area, leakage, the longest path, and energy from counted changes of nets.

A change of a net takes half of C V^2, where C is the capacitance of the inputs on it, and what its driver takes inside.
Wires have no capacitance here, and a net changes at most once in a cycle: extraction and glitches are left out. Clock
pins are apart (:meth:`Gates.clock_pj`), because whether a flip-flop is clocked in a cycle depends on clock gates.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from graphlib import TopologicalSorter
from typing import Any

from sim.evaluate.liberty import Cell, Library

__all__ = ["Gate", "Gates", "changes", "read_netlist"]


@dataclass(frozen=True)
class Gate:
    """One standard cell of a netlist.

    Parameters
    ----------
    name : its path, whose first part is the block that it is in.
    cell : what it is.
    nets : number of the net at each pin.
    """

    name: str
    cell: Cell
    nets: Mapping[str, int]

    @property
    def block(self) -> str:
        """The block of the design that it is in; empty at the top."""
        return self.name.partition(".")[0] if "." in self.name else ""

    @property
    def output(self) -> str:
        """Its first output."""
        return next(pin.name for pin in self.cell.pins.values() if pin.output)


@dataclass(frozen=True)
class Gates:
    """A flat netlist of standard cells of one library."""

    library: Library
    gates: tuple[Gate, ...]

    @cached_property
    def load_pf(self) -> dict[int, float]:
        """Capacitance of the inputs on each net."""
        loads: defaultdict[int, float] = defaultdict(float)
        for gate in self.gates:
            for pin, net in gate.nets.items():
                if not gate.cell.pins[pin].output:
                    loads[net] += gate.cell.pins[pin].capacitance_pf
        return loads

    def in_block(self, block: str) -> list[Gate]:
        """The gates of one block."""
        return [gate for gate in self.gates if gate.block == block]

    def flip_flops(self, block: str) -> int:
        """Flip-flops of one block."""
        return sum(bool(gate.cell.state) for gate in self.in_block(block))

    def leakage_nw(self, block: str) -> float:
        """Leakage of one block."""
        return sum(gate.cell.leakage_nw for gate in self.in_block(block))

    def clock_pj(self) -> float:
        """Mean energy that a flip-flop takes for one clock cycle, whatever its data does."""
        supply = self.library.supply_v
        flip_flops = [gate.cell for gate in self.gates if gate.cell.state]
        pins = [pin for cell in flip_flops for pin in cell.pins.values() if pin.clock]
        return sum(pin.capacitance_pf * supply**2 + 2 * pin.energy_pj for pin in pins) / len(pins)

    def energy_pj(self, changed: Mapping[str, int]) -> dict[str, float]:
        """Energy of each block for so many changes of the outputs of gates, by their names."""
        energies: defaultdict[str, float] = defaultdict(float)
        for gate in self.gates:
            count = changed.get(gate.name, 0)
            if count:
                pin = gate.cell.pins[gate.output]
                switched = self.load_pf[gate.nets[pin.name]] * self.library.supply_v**2 / 2
                energies[gate.block] += count * (switched + pin.energy_pj)
        return dict(energies)

    def longest_path_ns(self) -> float:
        """From a flip-flop or an input to a flip-flop, with its setup time, at the fastest slopes."""
        drivers = {gate.nets[gate.output]: gate for gate in self.gates}
        arrival: dict[int, float] = {}
        graph: dict[int, list[int]] = {}
        for net, gate in drivers.items():
            graph[net] = [] if gate.cell.state else [gate.nets[pin] for pin in _inputs(gate)]
        for net in TopologicalSorter(graph).static_order():
            gate = drivers.get(net)
            if gate is None:
                arrival[net] = 0.0
                continue
            before = max((arrival[source] for source in graph[net]), default=0.0)
            arrival[net] = before + gate.cell.pins[gate.output].delay(self.load_pf[net])
        ends = (
            arrival.get(gate.nets[pin], 0.0) + gate.cell.setup_ns
            for gate in self.gates
            if gate.cell.state
            for pin in _inputs(gate)
        )
        return max(ends, default=0.0)


def _inputs(gate: Gate) -> list[str]:
    """Data inputs of a gate."""
    pins = gate.cell.pins
    return [pin for pin in gate.nets if not pins[pin].output and not pins[pin].clock]


def read_netlist(content: Mapping[str, Any], top: str, library: Library) -> Gates:
    """A flat netlist from Yosys's JSON."""
    gates: list[Gate] = []
    for name, cell in content["modules"][top]["cells"].items():
        nets = {pin: net for pin, (net,) in cell["connections"].items() if isinstance(net, int)}
        gates.append(Gate(name, library.cells[cell["type"]], nets))
    return Gates(library, tuple(gates))


_SCOPE = re.compile(r"\$scope \w+ \\?(\S+)\s+\$end")
_VARIABLE = re.compile(r"\$var \w+ 1 (\S+) (\S+)\s+\$end")


def changes(waves: Iterable[str], outputs: Mapping[str, str], end: str) -> list[dict[str, int]]:
    """How often the outputs of gates changed, run by run, from the lines of a VCD file.

    Parameters
    ----------
    waves : lines of the file; gates are scopes in it.
    outputs : name of the output pin by name of the gate.
    end : a net of the top scope that rises at the end of each run.
    """
    lines = iter(waves)
    scopes: list[str] = []
    gates: defaultdict[str, list[str]] = defaultdict(list)
    ends: set[str] = set()
    for line in lines:
        if scope := _SCOPE.match(line):
            scopes.append(scope[1])
        elif line.startswith("$upscope"):
            scopes.pop()
        elif variable := _VARIABLE.match(line):
            if outputs.get(scopes[-1]) == variable[2]:
                gates[variable[1]].append(scopes[-1])
            if len(scopes) == 1 and variable[2] == end:
                ends.add(f"1{variable[1]}")
        elif line.startswith("$enddefinitions"):
            break
    runs: list[dict[str, int]] = []
    counts = dict.fromkeys(gates, -1)  # the first value of each is no change
    for line in lines:
        if line[0] in "01":
            change = line.rstrip()
            if change[1:] in counts:
                counts[change[1:]] += 1
            if change in ends:
                runs.append({gate: max(counts[code], 0) for code, names in gates.items() for gate in names})
                counts = dict.fromkeys(gates, 0)
    return runs
