"""Logic cells of an iCE40."""

from __future__ import annotations

from typing import Any

from sim.synthesis.packing import logic_cells


def lut(i1: int, i2: int, i3: int | str, out: int) -> dict[str, Any]:
    pins = {"I0": ["0"], "I1": [i1], "I2": [i2], "I3": [i3], "O": [out]}
    return {"type": "SB_LUT4", "connections": pins, "port_directions": directions(pins, "O")}


def flip_flop(data: int, out: int) -> dict[str, Any]:
    pins = {"C": [1], "D": [data], "Q": [out]}
    return {"type": "SB_DFFE", "connections": pins, "port_directions": directions(pins, "Q")}


def carry(i0: int, i1: int, chain: int | str, out: int) -> dict[str, Any]:
    pins = {"I0": [i0], "I1": [i1], "CI": [chain], "CO": [out]}
    return {"type": "SB_CARRY", "connections": pins, "port_directions": directions(pins, "CO")}


def directions(pins: dict[str, Any], output: str) -> dict[str, str]:
    return {pin: "output" if pin == output else "input" for pin in pins}


def module(*cells: dict[str, Any], output: int = 0) -> dict[str, Any]:
    return {
        "ports": {"clk": {"direction": "input", "bits": [1]}, "out": {"direction": "output", "bits": [output]}},
        "cells": {str(index): cell for index, cell in enumerate(cells)},
    }


def test_a_flip_flop_joins_the_lut_that_drives_it_alone() -> None:
    assert logic_cells(module(lut(2, 3, 4, 10), flip_flop(10, 11))) == 1


def test_a_flip_flop_without_such_a_lut_takes_a_cell() -> None:
    assert logic_cells(module(flip_flop(10, 11))) == 1
    assert logic_cells(module(lut(2, 3, 4, 10), flip_flop(10, 11), flip_flop(10, 12))) == 3
    assert logic_cells(module(lut(2, 3, 4, 10), flip_flop(10, 11), output=10)) == 2


def test_a_carry_joins_a_lut_on_the_same_operands() -> None:
    assert logic_cells(module(lut(2, 3, 5, 10), carry(2, 3, 5, 6))) == 1
    assert logic_cells(module(lut(2, 3, 5, 10), carry(2, 4, 5, 6))) == 2
