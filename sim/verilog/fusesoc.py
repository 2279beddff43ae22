"""A FuseSoC core (CAPI2) around the Verilog: files, lint, simulation, synthesis."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import yaml

__all__ = ["core_file"]

_HEADER = "CAPI=2:\n"
DEVICES = ("ice40", "ecp5")


def core_file(stem: str, top: str, config: str, version: str, description: str, vectors: Sequence[str]) -> str:
    """Text of the ``.core`` file.

    Parameters
    ----------
    stem : name of the Verilog file without its suffix; the other files stand beside it.
    top : module.
    config, version : of what the module was made from, and of this package.
    description : a sentence.
    vectors : names of the test bench's vector files; none where there is no test bench.
    """
    name = re.sub(r"[^A-Za-z0-9_]+", "_", config)
    number = re.match(r"\d+(\.\d+)*", version)
    filesets: dict[str, Any] = {
        "rtl": {"files": [{f"{stem}.v": {"file_type": "verilogSource-2005"}}]},
        "pins_ice40": {"files": [{f"{stem}.pcf": {"file_type": "PCF"}}]},
        "pins_ecp5": {"files": [{f"{stem}.lpf": {"file_type": "LPF"}}]},
        "pins_xilinx": {"files": [{f"{stem}.xdc": {"file_type": "xdc"}}]},
        "timing": {"files": [{f"{stem}.sdc": {"file_type": "SDC"}}]},
    }
    targets: dict[str, Any] = {
        "default": {"filesets": ["rtl"], "toplevel": top},
        "lint": {
            "description": "Verilator's lint",
            "flow": "lint",
            "flow_options": {"tool": "verilator", "verilator_options": ["--lint-only", "-Wno-fatal"]},
            "filesets": ["rtl"],
            "toplevel": top,
        },
        **{f"synth_{device}": _synthesis(device, top) for device in DEVICES},
    }
    if vectors:
        bench = {"file_type": "verilogSource-2005"}
        filesets["tb"] = {
            "files": [
                {f"{stem}_tb.v": bench},
                *({vector: {"file_type": "user", "copyto": vector}} for vector in vectors),
            ]
        }
        targets["sim"] = {
            "description": "The test bench in Icarus Verilog",
            "flow": "sim",
            "flow_options": {"tool": "icarus", "iverilog_options": ["-g2005"]},
            "filesets": ["rtl", "tb"],
            "toplevel": f"{top}_tb",
        }
    core = {
        "name": f"bfimna:{top}:{name}:{number[0] if number else '0'}",
        "description": description,
        "filesets": filesets,
        "targets": targets,
    }
    return _HEADER + yaml.safe_dump(core, sort_keys=False, width=120)


def _synthesis(device: str, top: str) -> dict[str, Any]:
    """Yosys alone: with as many ports as a tile has, a place and route needs a design around it."""
    return {
        "description": f"A netlist for {device} by Yosys, before place and route",
        "flow": "generic",
        "flow_options": {"tool": "yosys", "arch": device, "output_format": "json"},
        "filesets": ["rtl"],
        "toplevel": top,
    }
